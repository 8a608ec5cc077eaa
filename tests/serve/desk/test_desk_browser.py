"""The desk in a real browser: every page wide and narrow, in both languages, by eye of axe; keys; without scripts."""

import gzip
from pathlib import Path
from urllib.parse import quote

import desk_company as company
import pytest
from desk_browser import NARROW, WIDE, visitor
from desk_client import Desk

from fedelta.serve.desk.static_files import FOLDER

PAGES = (
    "/desk",
    "/desk/customers",
    "/desk/customers?shown=all&min_clv=999999",
    "/desk/changes",
    "/desk/settings",
    "/desk/customers/C0036?in=shown%3Dall",
    "/desk/customers/fresh",
    "/desk/customers/nobody",
    "/desk/changes?least=0.2",
    f"/desk/customers/{company.LONG}",
    f"/desk/customers/{quote('a/b ü?#', safe='')}",
    f"/desk/customers/{quote('عميل-7')}",
    "/desk/customers?tier=high&theme=resolution&q=C&col=persona&col=next&col=risk",
)


@pytest.mark.parametrize(
    ("size", "language", "dark"), [(WIDE, "en", False), (NARROW, "it", True)], ids=["wide", "narrow"]
)
def test_every_page_is_accessible_fits_its_window_and_asks_nothing_of_others(
    chromium: Path, served: str, size: tuple[int, int], language: str, dark: bool
) -> None:
    found = {}
    with visitor(chromium, served, size, language, dark=dark) as somebody:
        somebody.open("/desk/sign-in")
        found["/desk/sign-in"] = somebody.faults()
        somebody.sign_in(company.email("agent"))
        for path in PAGES:
            somebody.open(path)
            somebody.page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
            found[path] = somebody.faults()
        assert {path: faults for path, faults in found.items() if faults} == {}
        assert somebody.complaints == []


def test_the_keys_move_and_open_rows_and_rest_in_fields(chromium: Path, served: str) -> None:
    with visitor(chromium, served) as somebody:
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
        page.wait_for_load_state()
        assert page.locator("h1").inner_text() == name
        assert somebody.complaints == []


def test_a_filter_works_while_one_looks_and_without_scripts(chromium: Path, served: str) -> None:
    with visitor(chromium, served) as somebody:
        somebody.sign_in(company.email("agent"))
        page = somebody.open("/desk/customers")
        page.click("summary:has-text('Filter')")
        with page.expect_response(lambda answer: "tier=critical" in answer.url):
            page.check("input[name=tier][value=critical]")
        page.wait_for_url("**tier=critical**")
        page.wait_for_selector(".chips:has-text('critical')")
        assert page.locator(".tier-high").count() == 0
        assert somebody.complaints == []
    with visitor(chromium, served, scripts=False) as somebody:
        somebody.sign_in(company.email("agent"))
        page = somebody.open("/desk/customers")
        page.click("summary:has-text('Filter')")
        page.check("input[name=tier][value=critical]")
        page.click(".filters button.main")
        page.wait_for_url("**tier=critical**")
        assert page.locator(".tier-high").count() == 0


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
    desk: Desk = visit("agent")  # type: ignore[operator]
    return {path: int(desk.get(path).headers["content-length"]) for path in PAGES}
