"""The list of customers at risk: whom it shows, in what order, page by page."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scoring_runs import Client, Publish, customer, reason, unscored

from fedelta.features.journeys import JOURNEYS, STAGES
from fedelta.models.loyalty.model import CLASSES
from fedelta.serve.operational.database import Database
from fedelta.serve.snapshots.document import CSV_COLUMNS, MEANING
from fedelta.serve.snapshots.listing import (
    AtRisk,
    Filters,
    InvalidCursor,
    Journey,
    JourneyStage,
    LoyaltyClass,
    Position,
    cursor,
    read_cursor,
)


@pytest.fixture
def database(sqlite_database: Database) -> Database:
    """Reads ask the snapshot, whatever the operational database is."""
    return sqlite_database


PEOPLE = (
    customer("ann", churn_probability=0.9, value_at_risk=10.0, clv_expected=20.0, risk_tier="critical"),
    customer("bob", churn_probability=0.2, value_at_risk=90.0, clv_expected=500.0, risk_tier="low"),
    customer("cat", churn_probability=0.6, value_at_risk=None, clv_expected=None, risk_tier="high"),
    customer("dan", churn_probability=0.7, value_at_risk=90.0, clv_expected=130.0, risk_tier="high", held_out=False),
    customer("eve", churn_probability=0.8, value_at_risk=50.0, clv_expected=60.0, risk_tier="high", held_out=True),
    unscored("fay", "already_churned"),
    customer(
        "gil",
        churn_probability=0.95,
        value_at_risk=70.0,
        clv_expected=80.0,
        risk_tier="low",
        suppression_reason="opted out",
    ),
)


def names(client: Client, query: str = "") -> list[str]:
    response = client.get(f"/v1/at-risk{query}")
    assert response.status_code == 200, response.text
    return [row["customer_id"] for row in response.json()["customers"]]


def pages(client: Client, address: str) -> list[dict[str, Any]]:
    """Every row of the list, following its links."""
    rows: list[dict[str, Any]] = []
    following: str | None = address
    while following:
        response = client.get(following)
        assert response.status_code == 200, response.text
        rows += response.json()["customers"]
        following = response.json()["next"]
        link = response.headers.get("link")
        assert link == (f'<{following}>; rel="next"' if following else None)
    return rows


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["bob", "dan", "ann", "cat"]),  # most at stake first, a tie by id, the unknown last
        ("?sort=probability", ["ann", "dan", "cat", "bob"]),
        ("?holdout=include", ["bob", "dan", "eve", "ann", "cat"]),
        ("?holdout=only", ["eve"]),
        ("?suppressed=include", ["bob", "dan", "gil", "ann", "cat"]),
        ("?suppressed=only", ["gil"]),
        ("?suppressed=only&holdout=only", []),
        ("?min_probability=0.7", ["dan", "ann"]),
        ("?min_probability=0.7&holdout=include", ["dan", "eve", "ann"]),
        ("?tier=high", ["dan", "cat"]),
        ("?tier=high&tier=critical", ["dan", "ann", "cat"]),
        ("?min_clv=130", ["bob", "dan"]),
        ("?min_value_at_risk=10", ["bob", "dan", "ann"]),
        ("?min_value_at_risk=1e9", []),
        ("?limit=1", ["bob"]),
    ],
)
def test_filters_and_sorts(client: Client, publish_customers: Publish, query: str, expected: list[str]) -> None:
    publish_customers(*PEOPLE)
    assert names(client, query) == expected


MET = (
    customer("gil", loyalty_class="spurious", persona="big spenders", journey="use", open_issue=True),
    customer("hal", loyalty_class="loyal", persona="big spenders", journey="onboarding", open_issue=False),
    customer("ida", persona="the unheard", journey_stage="loyalty", open_issue=True),
    customer("joe"),
)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?persona=big%20spenders", ["gil", "hal"]),
        ("?persona=big%20spenders&persona=the+unheard", ["gil", "hal", "ida"]),
        ("?persona=nobody's", []),
        ("?loyalty_class=spurious", ["gil"]),
        ("?journey=use&journey=onboarding", ["gil", "hal"]),
        ("?journey_stage=loyalty", ["ida"]),
        ("?has_open_issue=true", ["gil", "ida"]),
        ("?has_open_issue=false", ["hal"]),  # of joe nobody knows
        ("?has_open_issue=true&persona=big%20spenders", ["gil"]),
    ],
)
def test_the_list_can_be_of_some_kind_of_customers(
    client: Client, publish_customers: Publish, query: str, expected: list[str]
) -> None:
    publish_customers(*MET)
    assert names(client, query) == expected


def test_the_list_knows_every_class_journey_and_stage_that_a_customer_can_have() -> None:
    assert (get_args(LoyaltyClass), get_args(Journey), get_args(JourneyStage)) == (CLASSES, JOURNEYS, STAGES)


def test_a_customer_who_is_not_scored_is_never_listed(client: Client, publish_customers: Publish) -> None:
    publish_customers(*PEOPLE)
    assert "fay" not in names(client, "?holdout=include&limit=1000")
    assert "fay" not in client.get("/v1/at-risk?format=csv&holdout=include").text


def test_a_row_is_the_score_and_its_rank(client: Client, publish_customers: Publish) -> None:
    publish_customers(*PEOPLE)
    row = client.get("/v1/at-risk").json()["customers"][2]
    assert row.pop("rank") == 5  # gil, third, opted out; eve, fourth, is held out
    assert row == client.get("/v1/customers/ann/score").json()


suppressed = st.sampled_from([None, "opted out", "contacted lately"])
some = st.none() | st.sampled_from([0.0, 1.0, 2.0])
people = st.lists(
    st.tuples(st.sampled_from([0.1, 0.5, 0.9]), some, some, st.none() | st.booleans(), suppressed, st.booleans()),
    max_size=25,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(people=people, limit=st.integers(1, 6), sort=st.sampled_from(["value_at_risk", "probability"]), least=some)
def test_pages_neither_lose_nor_repeat_nor_disorder_anybody(
    client: Client,
    publish_customers: Publish,
    *,
    people: list[tuple[float, float | None, float | None, bool | None, str | None, bool]],
    limit: int,
    sort: str,
    least: float | None,
) -> None:
    customers = [
        customer(
            f"c{i % 7}-{i}", churn_probability=p, value_at_risk=v, clv_expected=c, held_out=h, suppression_reason=s
        )
        if is_scored
        else unscored(f"c{i % 7}-{i}")
        for i, (p, v, c, h, s, is_scored) in enumerate(people)
    ]
    publish_customers(*customers, unscored("somebody"))
    column = "value_at_risk" if sort == "value_at_risk" else "churn_probability"

    def order(one: dict[str, Any]) -> tuple[bool, float, str]:
        return one[column] is None, -(one[column] or 0.0), one["customer_id"]

    free = (c for c in customers if not c.get("held_out") and c.get("suppression_reason") is None)
    listed: Iterable[dict[str, Any]] = (c for c in free if c["status"] == "scored")
    if least is not None:
        listed = (c for c in listed if c["clv_expected"] is not None and c["clv_expected"] >= least)
    expected = [c["customer_id"] for c in sorted(listed, key=order)]
    filters = f"sort={sort}" + ("" if least is None else f"&min_clv={least}")
    found = pages(client, f"/v1/at-risk?limit={limit}&{filters}")
    assert [row["customer_id"] for row in found] == expected
    whole = csv.DictReader(io.StringIO(client.get(f"/v1/at-risk?format=csv&{filters}").text, newline=""))
    assert [row["customer_id"] for row in whole] == expected


def test_a_list_goes_on_with_the_run_it_began_on_until_that_is_no_longer_kept(
    client: Client, publish_customers: Publish
) -> None:
    publish_customers(*(customer(name, value_at_risk=9.0) for name in "abcd"))
    following = client.get("/v1/at-risk?limit=2").json()["next"]
    for stake in (1.0, 2.0):
        publish_customers(*(customer(name, value_at_risk=stake) for name in "cdxyz"))
        page = client.get(following).json()
        assert [(row["customer_id"], row["value_at_risk"]) for row in page["customers"]] == [("c", 9.0), ("d", 9.0)]
    publish_customers(customer("z"))
    response = client.get(following)
    assert response.status_code == 410
    assert "without a cursor" in response.json()["detail"]


@pytest.mark.parametrize(
    "bad", ["x", "a.b.c", "..", "9" * 200, "a.-1.b", "a.²."],
)  # fmt: skip
def test_a_cursor_that_is_none_of_ours_is_400(client: Client, publish_customers: Publish, bad: str) -> None:
    publish_customers(*PEOPLE)
    response = client.get(f"/v1/at-risk?cursor={quote(bad)}")
    assert response.status_code == 400
    assert response.json()["type"] == "urn:fedelta:problem:invalid-cursor"


def test_an_altered_cursor_is_400(client: Client, publish_customers: Publish) -> None:
    publish_customers(*PEOPLE)
    following = client.get("/v1/at-risk?limit=1").json()["next"]
    assert client.get(following).status_code == 200
    assert client.get(following[:-1]).status_code == 400
    assert client.get(following.replace(".1.", ".2.")).status_code == 400


@pytest.mark.parametrize(
    "change",
    [
        "sort=probability",
        "min_probability=0.1",
        "tier=high",
        "holdout=include",
        "suppressed=only",
        "persona=x",
        "has_open_issue=false",
    ],
)
def test_a_cursor_does_not_go_with_other_filters(client: Client, publish_customers: Publish, change: str) -> None:
    publish_customers(*PEOPLE)
    following = client.get("/v1/at-risk?limit=1").json()["next"]
    assert client.get(f"{following}&{change}").status_code == 400


@given(rank=st.integers(0, 10**12), tiers=st.permutations(["low", "high", "critical"]))
def test_a_cursor_is_read_back_whatever_the_order_of_the_tiers(rank: int, tiers: list[Any]) -> None:
    at = Position("0f", rank)
    text = cursor(AtRisk(Filters(any_of={"risk_tier": ("low", "high", "critical")})), at)
    assert read_cursor(text, AtRisk(Filters(any_of={"risk_tier": tiers, "persona": []}))) == at
    with pytest.raises(InvalidCursor, match="other filters"):
        read_cursor(text, AtRisk(Filters(any_of={"risk_tier": ["low"]})))


@pytest.mark.parametrize(
    "query",
    [
        "limit=0", "limit=1001", "limit=x", "min_probability=2", "min_probability=nan", "min_clv=inf", "tier=huge",
        "sort=name", "holdout=maybe", "suppressed=yes", "min_probabilty=0.5", "format=xml", "min_clv=", "journey=usage",
        "journey_stage=trial", "loyalty_class=fan", "has_open_issue=perhaps",
    ],
)  # fmt: skip
def test_a_parameter_we_do_not_know_is_refused_not_ignored(
    client: Client, publish_customers: Publish, query: str
) -> None:
    publish_customers(*PEOPLE)
    response = client.get(f"/v1/at-risk?{query}")
    assert response.status_code == 422
    assert response.json()["errors"][0]["where"].startswith(f"query.{query.split('=', maxsplit=1)[0]}")


def test_the_csv_header_is_the_documented_one_even_of_an_empty_list(client: Client, publish_customers: Publish) -> None:
    publish_customers(unscored("ann"))
    response = client.get("/v1/at-risk", headers={"Accept": "text/csv"})
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in response.headers["content-disposition"]
    assert response.text == ",".join(CSV_COLUMNS) + "\r\n"
    guide = (Path(__file__).parents[2] / "docs/service.md").read_text("utf-8")
    table = guide.split("| field | meaning |\n| --- | --- |\n")[1].split("\n\n")[0]
    assert table.splitlines() == [f"| `{name}` | {says} |" for name, says in MEANING.items()]


@pytest.mark.parametrize(
    ("accept", "is_csv"),
    [
        ("text/csv", True),
        ("text/csv, application/json;q=0.5", True),
        ("application/json, text/csv;q=0.9", False),
        ("text/csv;q=0", False),
        ("text/csv;q=nonsense", False),
        ("*/*", False),
        ("text/html", False),
    ],
)
def test_the_accept_header_chooses_the_format(
    client: Client, publish_customers: Publish, accept: str, is_csv: bool
) -> None:
    publish_customers(*PEOPLE)
    kind = client.get("/v1/at-risk", headers={"Accept": accept}).headers["content-type"]
    assert kind.startswith("text/csv") == is_csv
    assert client.get("/v1/at-risk?format=json", headers={"Accept": accept}).json()


def test_pages_of_csv_are_linked_in_the_header(client: Client, publish_customers: Publish) -> None:
    publish_customers(*PEOPLE)
    first = client.get("/v1/at-risk?format=csv&limit=3")
    assert len(first.text.splitlines()) == 4
    following = first.headers["link"].split(">")[0].removeprefix("<")
    second = client.get(following)
    assert [line.split(",")[1] for line in second.text.splitlines()[1:]] == ["cat"]
    assert "link" not in second.headers


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\uff1d", " =", "\u00a0 \u200b+", "\ufeff@"])
def test_no_cell_of_text_is_a_formula(client: Client, publish_customers: Publish, start: str) -> None:
    evil = f'{start}cmd|"/c calc"!A1'
    reasons = [reason(theme=evil, text=evil)]
    publish_customers(customer(evil, persona=evil, reasons=reasons, expected_profit=-3.5))
    text = client.get("/v1/at-risk?format=csv").text
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert row["customer_id"] == row["persona"] == row["reasons"] == f"'{evil}"
    assert row["expected_profit"] == "-3.5"  # a number stays a number


def test_a_csv_cell_reads_as_the_json_value(client: Client, publish_customers: Publish) -> None:
    reasons = [
        reason(text="Late, twice", contribution=1.0),
        reason(text="Sad", contribution=-0.1),
        reason(code="rest", text="Everything else", contribution=-0.3),
    ]
    publish_customers(customer("a,b\nü", open_issue=True, held_out=False, reasons=reasons))
    (row,) = csv.DictReader(io.StringIO(client.get("/v1/at-risk?format=csv").content.decode(), newline=""))
    assert row["customer_id"] == "a,b\nü"
    assert (row["open_issue"], row["held_out"], row["persona"]) == ("true", "false", "")
    assert row["reasons"] == "raises: Late, twice | lowers: Sad"
    assert row["as_of"] == "2024-01-01T00:00:00Z"


def test_a_whole_list_is_longer_than_one_piece(client: Client, publish_customers: Publish) -> None:
    publish_customers(*(customer(f"c{i:04}", value_at_risk=float(i)) for i in range(1203)))
    lines = client.get("/v1/at-risk?format=csv").text.splitlines()
    assert [line.split(",")[1] for line in lines[1:]] == [f"c{i:04}" for i in reversed(range(1203))]
