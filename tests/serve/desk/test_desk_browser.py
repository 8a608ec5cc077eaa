"""The desk in a real browser: every page wide and narrow, in both languages, by eye of axe; keys; without scripts."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import desk_company as company
import pytest
import sqlalchemy as sa
from desk_browser import NARROW, WIDE, launched, visitor
from desk_client import Desk
from playwright.sync_api import Browser
from scoring_runs import full_url, running

from fedelta.serve.desk.static_files import FOLDER
from fedelta.serve.desk.words import words
from fedelta.serve.operational.database import Database
from fedelta.serve.operational.tables import outcomes

PAGES = (
    "/desk",
    "/desk/customers",
    "/desk/customers?shown=all&min_clv=999999",
    "/desk/changes",
    "/desk/settings",
    "/desk/base",
    "/desk/base/experience",
    "/desk/base/journeys?journey=onboarding",
    "/desk/base/personas",
    "/desk/health",
    "/desk/team",
    "/desk/digests",
    "/desk/campaigns",
    "/desk/campaigns?budget=30",
    "/desk/cases",
    "/desk/cases?tab=done",
    "/desk/customers/C0036?in=shown%3Dall",
    "/desk/customers/fresh",
    "/desk/customers/nobody",
    "/desk/changes?least=0.2",
    f"/desk/customers/{company.LONG}",
    f"/desk/customers/{quote('a/b ü?#', safe='')}",
    f"/desk/customers/{quote('عميل-7')}",
    "/desk/customers?tier=high&theme=resolution&q=C&col=persona&col=next&col=risk",
    "/desk/unsubscribe/some.1.token",
)
OUTCOMES = {"name": "x.csv", "mimeType": "text/csv", "buffer": b"customer;outcome\nC0003;saved\nC0001;reached\nno;?\n"}
# What a page says with next to nothing: without a run, of a run that scored nobody, of one customer without reports.
LITTLE = {
    "/desk": ("No scores are published yet", "Nothing is due", "C0004"),
    "/desk/customers": ("No scores are published yet", "Nobody in this list", "1 customer,"),
    "/desk/cases": ("You have no open case",) * 3,
    "/desk/changes": ("No scores are published yet", "no run before this one", "no run before this one"),
    "/desk/base": ("No scores are published yet", "too new to be scored", "Bargain hunters"),
    "/desk/base/experience": ("No scores are published yet", "dvc repro experience", "dvc repro experience"),
    "/desk/base/journeys": ("No scores are published yet", "dvc repro experience", "dvc repro experience"),
    "/desk/base/personas": ("No scores are published yet", "dvc repro train_loyalty", "dvc repro train_loyalty"),
    "/desk/campaigns": ("No scores are published yet", "no expected profit", "of 1 who may be contacted"),
    "/desk/team": ("No scores are published yet", "There are no cases yet", "There are no cases yet"),
    "/desk/health": ("No scores are published yet", "dvc repro monitor", "dvc repro monitor"),
    "/desk/digests": ("You hear of no view yet",) * 3,
    "/desk/customers/C0004": ("No scores are published yet", "No customer has the id", "Open a case"),
}


def test_a_page_is_light(desk_pages: dict[str, int]) -> None:
    sent = {
        path.name: len(gzip.compress(path.read_bytes(), 9))
        for path in FOLDER.iterdir()
        if path.suffix in {".css", ".js"}
    }
    assert (FOLDER / "desk.css").stat().st_size < 40_000
    assert {
        path: size + sum(sent.values()) for path, size in desk_pages.items() if size + sum(sent.values()) > 60_000
    } == {}


@pytest.fixture
def desk_pages(visit: object) -> dict[str, int]:
    """Bytes of each page as it is sent to a browser that reads gzip."""
    desk: Desk = visit("manager")  # type: ignore[operator]
    return {path: int(desk.get(path).headers["content-length"]) for path in PAGES}


@pytest.fixture(scope="module")
def browser(chromium: Path) -> Iterator[Browser]:
    """The browser of all visitors; begun after the test above, whose client has an event loop."""
    with launched(chromium) as browser:
        yield browser


PRINTED = """() => {
  const seen = one => one && one.checkVisibility();
  return [
    document.documentElement.scrollWidth - document.documentElement.clientWidth,
    [...document.querySelectorAll(".top, .tools, .pages, button, main nav:not(.tabs)")].filter(seen).length,
    getComputedStyle(document.body).color,
    document.querySelector("main").innerText.trim().length > 0,
  ]
}"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_printed_page_fits_the_paper_without_what_is_for_the_screen(
    browser: Browser, served: str, *, dark: bool
) -> None:
    between_margins = 703, 1032  # pixels of an A4 page
    with visitor(browser, served, between_margins, dark=dark) as somebody:
        somebody.sign_in(company.email("manager"))
        somebody.page.emulate_media(media="print", color_scheme="dark" if dark else "light")
        found = {path: somebody.open(path).evaluate(PRINTED) for path in PAGES}
    assert found == {path: [0, 0, "rgb(0, 0, 0)", True] for path in found}


@pytest.mark.parametrize(
    ("size", "language", "dark"), [(WIDE, "en", False), (NARROW, "it", True)], ids=["wide", "narrow"]
)
def test_every_page_is_accessible_fits_its_window_and_asks_nothing_of_others(
    browser: Browser, served: str, size: tuple[int, int], language: str, dark: bool
) -> None:
    found = {}
    with visitor(browser, served, size, language, dark=dark) as somebody:
        somebody.open("/desk/sign-in")
        found["/desk/sign-in"] = somebody.faults()
        somebody.sign_in(company.email("manager"))
        for path in PAGES:
            somebody.open(path)
            somebody.page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
            found[path] = somebody.faults()
        somebody.open("/desk/campaigns").set_input_files("[name=file]", [OUTCOMES])
        with somebody.page.expect_navigation():
            somebody.page.click("#main form[enctype] button")
        found["outcomes of a file"] = somebody.faults()
        assert {path: faults for path, faults in found.items() if faults} == {}
        assert somebody.complaints == []


def test_with_next_to_nothing_each_page_opens_and_says_what_lacks(browser: Browser, served: str) -> None:
    with visitor(browser, served) as somebody:
        for place, tenant in enumerate(company.SMALL):
            somebody.sign_in_instead(f"manager@{tenant}.example")
            lacking = {
                path: text
                for path, says in LITTLE.items()
                if says[place] not in (text := somebody.open(path).locator("main").inner_text())
            }
            assert lacking == {}, tenant
        assert somebody.complaints == []


def test_the_keys_move_and_open_rows_and_rest_in_fields(browser: Browser, served: str) -> None:
    with visitor(browser, served) as somebody:
        somebody.sign_in(company.email("agent"))
        page = somebody.open("/desk/customers")
        page.keyboard.press("j")
        page.keyboard.press("j")
        second = page.locator("[data-row]").nth(1)
        assert "here" in (second.get_attribute("class") or "")
        page.keyboard.press("?")
        assert page.locator("#keys").is_visible()
        page.keyboard.press("?")
        assert not page.locator("#keys").is_visible()
        page.keyboard.press("/")
        page.keyboard.type("j?C0")
        assert page.input_value(".find [name=q]") == "j?C0"
        page.keyboard.press("Escape")
        name = second.locator("a").first.inner_text()
        page.keyboard.press("k")
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.wait_for_url("**/desk/customers/*")
        assert page.locator("h1").inner_text() == name
        assert somebody.complaints == []


def test_a_filter_works_while_one_looks_and_without_scripts(browser: Browser, served: str) -> None:
    with visitor(browser, served) as somebody:
        somebody.sign_in(company.email("agent"))
        page = somebody.open("/desk/customers")
        page.click("summary:has-text('Filter')")
        with page.expect_response(lambda answer: "tier=critical" in answer.url):
            page.check("input[name=tier][value=critical]")
        page.wait_for_url("**tier=critical**")
        page.wait_for_selector(".chips:has-text('critical')")
        assert page.locator(".tier-high").count() == 0
        assert somebody.complaints == []
    with visitor(browser, served, scripts=False) as somebody:
        somebody.sign_in(company.email("agent"))
        page = somebody.open("/desk/customers")
        page.click("summary:has-text('Filter')")
        page.check("input[name=tier][value=critical]")
        page.click(".filters button.main")
        page.wait_for_url("**tier=critical**")
        assert page.locator(".tier-high").count() == 0


@pytest.mark.long
@pytest.mark.parametrize(("size", "language"), [(WIDE, "en"), (NARROW, "it")], ids=["wide", "narrow"])
def test_a_days_story_by_keys(
    browser: Browser, own_server: str, size: tuple[int, int], language: str, desk_database: Database
) -> None:
    with visitor(browser, own_server, size, language) as somebody:
        somebody.sign_in(company.email("agent"))
        page, keys = somebody.page, somebody.page.keyboard

        def press(*names: str) -> None:
            for name in names[:-1]:
                keys.press(name)
            with page.expect_navigation():
                keys.press(names[-1])

        name = page.locator("a.who").first.inner_text()  # of my day
        press("j", "Enter")
        assert page.locator("h1").inner_text() == name
        for name in ("C0003", "C0004"):
            somebody.open(f"/desk/customers/{name}")
            press("a")  # opens a case, and takes it
            assert page.locator(".case").count() == 1
        somebody.open("/desk/cases")
        assert somebody.faults() == []
        press("j", "Enter")
        keys.press("n")
        keys.type("Ask for Maria")
        with page.expect_navigation():
            page.click("details[open] button.main")
        assert "Ask for Maria" in page.locator(".notes").inner_text()
        keys.press("o")
        assert somebody.faults() == []
        press("5")  # saved, and on to the next
        assert page.locator("h1").inner_text() == "C0004"
        press("z", "2")  # snoozed for a week, and on: there is none, so it stays
        assert page.locator(".case .mark").count() >= 1
        somebody.open("/desk/cases?tab=done")
        assert page.locator("[data-row]").count() == 1
        assert somebody.faults() == []
        somebody.sign_in_instead(company.email("manager"))
        somebody.open("/desk/campaigns")
        saves = page.locator("[aria-labelledby=saves] p").first.inner_text()
        assert f"{words(language).value('saved')} 1." in saves
        assert somebody.complaints == []
    with desk_database.engine() as engine, engine.begin() as connection:
        assert connection.execute(sa.select(outcomes.c.customer_id, outcomes.c.outcome)).all() == [("C0003", "saved")]


@pytest.fixture
def own_server(desk_database: Database) -> Iterator[str]:
    """The address of a server over a database of the test's own."""
    with running(full_url(desk_database)) as address:
        yield address
