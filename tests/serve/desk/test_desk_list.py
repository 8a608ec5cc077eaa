"""The list of the desk, one customer, changes: whom they show, and what can be done with them."""

import csv
import io
import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import desk_company as company
import orjson
import polars as pl
import pytest
import sqlalchemy as sa
from desk_client import Desk
from fastapi import FastAPI
from markupsafe import escape
from scoring_runs import full_url

from fedelta.features.contract import INTERACTIONS
from fedelta.serve.acting.actor import Actor
from fedelta.serve.acting.cases import insert_case
from fedelta.serve.acting.customers import Facts
from fedelta.serve.acting.erasure import main as erase
from fedelta.serve.acting.notes import add_note, find_notes
from fedelta.serve.operational.database import Database
from fedelta.serve.operational.received import Live
from fedelta.serve.operational.tables import audit, views
from fedelta.serve.operational.tenants import ensure
from fedelta.serve.snapshots.histories import write_histories
from fedelta.serve.snapshots.parts import Parts

Visit = Callable[..., Desk]


@pytest.fixture
def desk(visit: Visit) -> Desk:
    return visit("agent")


def ids(text: str) -> list[str]:
    return re.findall(r'class="who" href="[^"]*"><bdi>([^<]*)</bdi>', text)


def test_still_here_and_probably_gone_are_two_lists(desk: Desk) -> None:
    here, gone = (
        set(ids(desk.get(f"/desk/customers?shown={tab}&q=C00").text)) for tab in ("probably_here", "probably_gone")
    )
    assert "C0000" in gone
    assert "C0008" in here
    assert not here & gone
    for query, words in (("", "most at stake"), ("?shown=probably_gone", "most profit from a contact")):
        assert words in desk.get(f"/desk/customers{query}").text
    assert "risk rose most" in desk.get("/desk/customers?shown=probably_gone&sort=delta").text
    assert desk.get("/desk/customers?shown=all").text.count("data-row") == 50


def test_pages_follow_each_other_without_a_gap_or_a_double(desk: Desk) -> None:
    found: list[str] = []
    address = "/desk/customers?shown=all&suppressed=include&sort=probability&min_clv="
    while True:
        page = desk.get(address).text
        found += ids(page)
        following = re.search(r'rel="next" href="(\?[^"]+)"', page)
        if following is None:
            break
        address = "/desk/customers" + following[1].replace("&amp;", "&")
    assert len(found) == len(set(found)) == 123


def test_a_search_finds_ids_that_hold_the_text(desk: Desk) -> None:
    found = ids(desk.get("/desk/customers?shown=all&q=C001&suppressed=include").text)
    assert sorted(found) == [f"C001{n}" for n in range(10)]
    assert ids(desk.get("/desk/customers?shown=all&q=.*").text) == []


@pytest.mark.parametrize(
    "query", ["sort=x", "tier=deadly", "min_probability=2", "unknown=1", "col=password", "cursor=x"]
)
def test_a_list_that_cannot_be_is_refused_on_a_page(desk: Desk, query: str) -> None:
    answer = desk.get(f"/desk/customers?{query}")
    assert answer.status_code in {400, 422}
    assert answer.headers["content-type"].startswith("text/html")


def test_the_control_group_is_marked_and_never_exported_nor_are_those_who_opted_out(desk: Desk) -> None:
    page = desk.get("/desk/customers?shown=all&q=C0001").text
    assert '<span class="mark">control group</span>' in page
    assert "C0002" not in ids(desk.get("/desk/customers?shown=all&q=C00").text)
    for query in (
        "shown=all",
        "shown=all&holdout=only",
        "shown=all&holdout=include&suppressed=include",
        "suppressed=only",
    ):
        text = desk.get(f"/desk/customers.csv?{query}").text
        exported = {row["customer_id"] for row in csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))}
        assert not exported & {f"C{n:04}" for n in range(120) if n % 10 in (1, 2)}
        assert bool(exported) == ("only" not in query)


def test_an_export_has_the_columns_that_are_shown(desk: Desk) -> None:
    text = desk.get("/desk/customers.csv?shown=all&col=persona&col=risk").text
    assert text.removeprefix("\ufeff").splitlines()[0] == (
        "customer_id,churn_probability,risk_tier,previous_probability,delta,persona"
    )
    assert desk.get("/desk/customers.xlsx?tier=critical").content[:2] == b"PK"


def test_columns_are_chosen_by_address(desk: Desk) -> None:
    page = desk.get("/desk/customers?col=persona&col=loyalty").text
    heads = re.findall(r'<th scope="col"[^>]*>\s*([^<\s]+)', page)
    assert heads == ["Customer", "Persona", "Loyalty"]


def test_markup_in_data_is_shown_as_text(desk: Desk) -> None:
    for path in ("/desk/customers?shown=all&q=a/b&col=persona&col=reasons", "/desk/customers/a%2Fb%20%C3%BC%3F%23"):
        text = desk.get(path).text
        assert "<script>alert" not in text
        assert str(escape(company.MARKUP)) in text


def test_a_saved_view_has_a_count_and_is_private_until_shared(desk: Desk, visit: Visit) -> None:
    for name, shared in (("My criticals", ""), ("Our criticals", "yes")):
        sent = desk.send(
            "/desk/views", "/desk/customers", name=name, query="tier=critical&shown=all&min_clv=", shared=shared
        )
        assert sent.headers["location"] == "/desk/customers?tier=critical&shown=all"
    page = desk.get("/desk/customers?tier=critical&shown=all").text
    total = re.search(r"(\d+) customers", page)[1]  # type: ignore[index]
    assert page.count(f"criticals</span> <b>{total}</b>") == 2
    others = visit("viewer")
    text = others.get("/desk/customers").text
    assert "Our criticals" in text
    assert "My criticals" not in text
    (number,) = set(re.findall(r'name="view_id" value="(\d+)"><span dir="auto">Our', page))
    assert others.send("/desk/views/remove", "/desk", view_id=number).status_code == 404
    assert desk.send("/desk/views/remove", "/desk", view_id=number).status_code == 303
    assert "Our criticals" not in desk.get("/desk/customers").text


def test_one_customer_has_a_place_in_the_list_one_came_from(desk: Desk) -> None:
    names = ids(desk.get("/desk/customers?shown=all&q=C003").text)
    page = desk.get(f"/desk/customers/{names[1]}?in=shown%3Dall%26q%3DC003").text
    assert f"2 of {len(names)}" in page
    assert f'rel="prev" href="/desk/customers/{names[0]}?' in page
    assert f'rel="next" href="/desk/customers/{names[2]}?' in page


def test_one_customer_shows_history_reasons_and_the_last_bad_experience(desk: Desk) -> None:
    page = desk.get("/desk/customers/C0036").text
    assert "It was medium before." in page
    assert "Bad experience: late delivery" in page
    assert "3 deliveries late in the last 90 days" in page
    assert "Expected spend within 365 days" in page
    assert page.count("<svg") == 2
    assert page.count('<details class="figures">') == 2


@pytest.mark.parametrize(("path", "status", "words"), [
    ("/desk/customers/fresh", 200, "too new to be scored"), ("/desk/customers/nobody", 404, "No customer has the id"),
])  # fmt: skip
def test_a_customer_without_a_score_is_a_page_too(desk: Desk, path: str, status: int, words: str) -> None:
    answer = desk.get(path)
    assert answer.status_code == status
    assert words in answer.text


def test_a_change_comes_with_the_reason_that_moved_it(desk: Desk) -> None:
    page = desk.get("/desk/changes").text
    assert len(ids(page)) == 11
    row = page[page.index("C0009") :].split("</tr>")[0]
    assert "+18.0 points" in row
    assert "3 deliveries late" in row
    assert '<span class="mark">new</span>' in row
    assert ids(desk.get("/desk/changes?least=0.2").text) == []
    assert desk.get("/desk/changes?least=x").status_code == 422


def test_every_page_forbids_scripts_and_styles_of_others(desk: Desk) -> None:
    for path in ("/desk", "/desk/customers", "/desk/nothing", "/desk/sign-in"):
        answer = desk.get(path)
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        assert not re.search(r"<style|style=|<script(?! src=)| on\w+=", answer.text)
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "same-origin"


def test_the_timeline_has_what_the_customer_went_through_where_the_run_came_with_it(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        {"interaction_id": "1", "customer_id": "C0036", "occurred_at": company.NOW - timedelta(days=36),
         "kind": "delivery", "topic": company.MARKUP, "resolved": False},
        {"interaction_id": "2", "customer_id": "C0036", "occurred_at": company.NOW - timedelta(days=9),
         "kind": "purchase", "channel": "web", "amount": Decimal("12.00"), "rating": 0.8},
    ]  # fmt: skip
    (tmp_path / "interactions").mkdir()
    pl.DataFrame(rows, schema=INTERACTIONS).write_parquet(tmp_path / "interactions" / "one.parquet")
    (tmp_path / "histories").mkdir()
    write_histories(tmp_path / "histories", tmp_path / "interactions", tmp_path / "none.parquet")
    parts = Parts("", "", str(tmp_path / "histories"))
    monkeypatch.setattr("fedelta.serve.store.Store._parts", lambda _store, _pointer: parts)
    timeline = desk.get("/desk/customers/C0036").text.split('class="timeline"')[1]
    assert 'purchase</span> <small dir="auto">web, €12, rated 80%' in timeline
    bad = timeline[timeline.index('<li class="bad">') :].split("</li>")[0]
    assert str(escape(company.MARKUP)) in bad
    assert "not resolved, late delivery" in bad
    assert timeline.count('class="bad"') == 1
    assert "delivery" not in desk.get("/desk/customers/C0035").text.split('class="timeline"')[1]


def test_who_was_erased_is_on_no_page_and_in_no_view(desk: Desk, visit: Visit, desk_database: Database) -> None:
    for query in ("q=C0036", "q=C003"):
        desk.send("/desk/views", "/desk", name=query, query=query)
    erase(["C0036"], full_url(desk_database))
    assert desk.get("/desk/customers/C0036").status_code == 404
    for path in ("/desk/customers?shown=all&q=C003", "/desk/changes", "/desk", "/desk/customers.csv?shown=all"):
        assert "C0036" not in desk.get(path).text
    with desk_database.engine() as engine, engine.begin() as connection:
        assert connection.execute(sa.select(views.c.query)).scalars().all() == ["q=C003"]
        entries = connection.execute(sa.select(audit.c.details)).scalars().all()
    assert "C0036" not in " ".join(entries)


def test_a_score_made_anew_is_shown_in_place_of_the_runs(desk: Desk, desk_app: FastAPI) -> None:
    desk.get("/desk")
    (snapshot, *_) = desk_app.state.store._served["default"]
    document = orjson.loads(snapshot.file.views(["C0036"])["C0036"])
    document |= {"as_of": "2024-03-02T08:00:00.000000Z", "churn_probability": 0.911, "risk_tier": "critical"}
    desk_app.state.store.take(snapshot, [Live("C0036", 1, orjson.dumps(document))])
    page = desk.get("/desk/customers/C0036").text
    assert "<b>91%</b> critical" in page
    assert "Scored anew as of 2 Mar 2024, 08:00 UTC" in page
    assert "It was high before." in page
    assert "<b>91%</b> critical" in desk.get("/desk/customers?shown=all&q=C0036").text


def test_notes_are_found_by_their_words_within_their_tenant(database: Database) -> None:
    ann = Facts("ann", False, False, None, None, 1.0, *[None] * 6)
    with database.engine() as engine, engine.begin() as connection:
        for tenant, texts in {
            "default": ("Perché 100% È GIÀ in Italia", "100 euro, a_b"),
            "other": ("perché no",),
        }.items():
            ensure(connection, tenant)
            actor = Actor(tenant, "tests", database)
            case_id = insert_case(connection, actor, "silence", ann, "run", {})
            assert case_id is not None
            for text in texts:
                add_note(connection, actor, case_id, text)
        found = {
            text: [note.text for _, note in find_notes(connection, "default", text, 20)]
            for text in ("PERCHÉ", "è già", "100", "100%", "a_b", "ab", "é%i")
        }
        assert len(find_notes(connection, "default", "1", 1)) == 1
    first, second = "Perché 100% È GIÀ in Italia", "100 euro, a_b"
    assert found == {
        "PERCHÉ": [first], "è già": [first], "100": [second, first], "100%": [first], "a_b": [second],
        "ab": [], "é%i": [],
    }  # fmt: skip


def test_the_search_finds_notes_too_for_who_may_read_them(desk: Desk, visit: Visit) -> None:
    back = "/desk/customers/C0003"
    desk.send("/desk/cases", "/desk", customer_id="C0003", reason="silence", back=back)
    desk.send("/desk/cases/note", "/desk", case_id="1", customer_id="C0003", text="Ask for <b>Maria</b>", back=back)
    page = visit("viewer").get("/desk/customers?shown=all&q=maria").text
    assert "Ask for &lt;b&gt;Maria&lt;/b&gt;" in page
    assert 'href="/desk/customers/C0003#case-1"' in page
    assert "Ask for" not in desk.get("/desk/customers?shown=all&q=marian").text
    assert visit("agent@other.example").get("/desk/customers?q=maria").status_code == 503
