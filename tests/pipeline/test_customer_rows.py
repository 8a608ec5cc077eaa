"""An opt-out is never lost: neither a value nor a row that cannot be read makes a customer one to contact."""

import re
import unicodedata
from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_source import NOW, YAML, Tiny, csv

from fedelta.pipeline.intake.reconciliation import Equation
from fedelta.pipeline.intake.source_check import check

PEOPLE = "SELECT who AS customer_id, since AS signed_up_at, out AS opted_out FROM people"
WHO = ("ann", "bob", "cid", "dan")


def shop(folder: Path, *people: str, sql: str = PEOPLE, ids: tuple[str, ...] = WHO) -> Tiny:
    """Customers with a purchase each, and what the CRM says of them."""
    yaml = YAML + '  people: {path: "people.csv", format: csv}\n'
    orders = csv(*(f"{n},{name},2024-01-0{n + 1},purchase,web,9,1" for n, name in enumerate(ids)))
    return Tiny(folder, orders, yaml, customers_sql=sql, others={"people.csv": csv(*people, header="who,since,out")})


def opted_out(tiny: Tiny) -> dict[str, bool | None]:
    table: pl.DataFrame = tiny.customers()
    return dict(table.select("customer_id", "opted_out").iter_rows())


@pytest.mark.parametrize(
    "value",
    ["yes", "TRUE", "1", "1.0", "Ja", "oui", "sí", "Unsubscribed", " opted out ", "2023-05-01", "x", "nan", "?", "null",
     "no!", "do not call", "0000-00-00", "-1", "2", "\u200b", "🙅"],
)  # fmt: skip
def test_whatever_is_not_clearly_no_is_an_opt_out(tmp_path: Path, value: str) -> None:
    tiny = shop(tmp_path, f"ann,2023-01-01,{value}")
    report = tiny.ingest()
    assert opted_out(tiny)["ann"] is True
    assert report.customers is not None
    assert report.customers.equation == Equation(1, 1, 0, 0, 0), "the row itself is kept"


@pytest.mark.parametrize("value", ["no", "FALSE", "0", "0.0", " Nein", "non", "falso", "não", "subscribed", "no\u00a0"])
def test_a_clear_no_is_no_opt_out(tmp_path: Path, value: str) -> None:
    tiny = shop(tmp_path, f"ann,2023-01-01,{value}")
    report = tiny.ingest()
    assert opted_out(tiny)["ann"] is False
    assert report.opt_outs is not None
    assert report.opt_outs.unreadable == 0


def test_no_answer_is_no_opt_out(tmp_path: Path) -> None:
    tiny = shop(tmp_path, "ann,2023-01-01,", "bob,2023-01-01,\u00a0 ")
    tiny.ingest()
    assert opted_out(tiny) == dict.fromkeys(WHO)


@pytest.mark.parametrize(
    ("made", "expected"),
    [("true", True), ("false", False), ("1", True), ("0", False), ("1.0::DOUBLE", True), ("0.0::DOUBLE", False),
     ("'nan'::DOUBLE", True), ("DATE '2024-01-01'", True), ("TIMESTAMP '2024-01-01 10:00'", True), ("NULL", None),
     ("7", True)],
)  # fmt: skip
def test_an_opt_out_may_be_of_any_type(tmp_path: Path, made: str, expected: bool | None) -> None:
    tiny = shop(tmp_path, "ann,2023-01-01,", sql=PEOPLE.replace("out AS", f"{made} AS"))
    tiny.ingest()
    assert opted_out(tiny)["ann"] is expected


def test_values_that_cannot_be_read_are_counted_and_named(tmp_path: Path) -> None:
    people = ("ann,2023-01-01,Werbesperre", "bob,2023-01-01,Werbesperre", "cid,2023-01-01,??", "dan,2023-01-01,no")
    tiny = shop(tmp_path, *people)
    report = tiny.ingest()
    assert report.opt_outs is not None
    assert (report.opt_outs.customers, report.opt_outs.unreadable) == (3, 3)
    assert report.opt_outs.unreadable_values == {"Werbesperre": 2, "??": 1}
    text = "3 values of opted_out are neither yes nor no ('Werbesperre' 2, '??' 1): these customers count as opted out"
    assert any(text in warning for warning in report.warnings)
    assert text in check("tiny", tiny.raw, tmp_path / "sources", NOW)
    assert tiny.report()["opt_outs"]["unreadable"] == 3  # type: ignore[index]


LOST = [
    ("a sign-up that cannot be read", ["ann,soon,yes"]),
    ("a sign-up in the future", ["ann,2999-01-01,yes"]),
    ("a second row that differs", ["ann,2023-01-01,no", "ann,2023-02-01,yes"]),
    ("a first row that differs", ["ann,2023-01-01,yes", "ann,2023-02-01,no"]),
    ("a quarantined row beside a good one", ["ann,2023-01-01,no", "ann,soon,yes"]),
    ("a line with too few fields", ["ann,yes"]),
    ("a line with too many fields", ["ann,2023-01-01,yes,more"]),
    ("a quote that never closes", ['ann,2023-01-01,"yes']),
    ("an id with blanks", ["\u00a0ann ,2023-01-01,yes"]),
    ("an id in capitals", ["ANN,2023-01-01,yes"]),
]


@pytest.mark.parametrize(("lost", "people"), LOST, ids=[case[0] for case in LOST])
def test_an_opt_out_survives_what_becomes_of_its_row(tmp_path: Path, lost: str, people: list[str]) -> None:
    tiny = shop(tmp_path, *people, "bob,2023-01-01,no")
    report = tiny.ingest()
    found = opted_out(tiny)
    assert found["ann"] is True, lost
    assert (found["bob"], found["cid"], found["dan"]) == (False, None, None), "and concerns nobody else"
    assert report.opt_outs is not None
    warned = any("count as opted out because" in warning for warning in report.warnings)
    assert warned or "ann,2023-01-01,yes" in people, "unless the row that says so is the one that was kept"
    assert report.customers is not None
    equation = report.customers.equation
    assert equation.rows_in == len(people) + 1
    assert equation.rows_in == equation.valid + equation.duplicate + equation.out_of_scope + equation.quarantined


def test_a_customer_out_of_scope_in_one_table_and_not_in_the_other_stays_opted_out(tmp_path: Path) -> None:
    scope = "CASE WHEN since = '1999-01-01' THEN 'archive' END AS out_of_scope FROM people"
    tiny = shop(tmp_path, "ann,1999-01-01,yes", sql=PEOPLE.replace("FROM people", ", " + scope))
    tiny.ingest()
    assert opted_out(tiny)["ann"] is True


def test_an_id_written_as_a_number_with_decimals_keeps_its_opt_out(tmp_path: Path) -> None:
    tiny = shop(tmp_path, "412.0,2023-01-01,yes", "0007,2023-01-01,yes", ids=("412", "7", "8"))
    report = tiny.ingest()
    assert [opted_out(tiny)[name] for name in ("412", "7", "8")] == [True, True, None]
    assert report.opt_outs is not None
    assert report.opt_outs.by_other_spelling == 2


REWRITTEN: list[Callable[[str], str]] = [
    lambda name: unicodedata.normalize("NFD", name),
    lambda name: name.replace("-", "–"),
    lambda name: name.replace("-", "−"),
    str.upper,
    str.title,
    lambda name: f"  {name}\u00a0",
    lambda name: name.replace("-", " -\u200b"),
    lambda name: f"'{name}'",
    lambda name: name.replace("-", "-00"),
    lambda name: re.sub("[0-9a-z]", lambda found: chr(ord(found[0]) + 0xFEE0), name),
]
NUMBERS: list[Callable[[str], str]] = [
    lambda name: f"{name}.0", lambda name: f"{name}.000", lambda name: f"{name},0", lambda name: f"00{name}",
    lambda name: f"000{name}.00", lambda name: f" {name} ", lambda name: f"'{name}.",
]  # fmt: skip


@pytest.mark.parametrize("register_first", [True, False])
def test_whoever_opted_out_under_another_spelling_is_never_one_to_contact(
    tmp_path: Path, *, register_first: bool
) -> None:
    ways = [*REWRITTEN, *(lambda name, a=a, b=b: a(b(name)) for a, b in permutations(REWRITTEN, 2))]
    pairs = [(name := f"zoë-{n + 1}", way(name)) for n, way in enumerate(ways)]
    pairs += [(name := f"{n + 501}", way(name)) for n, way in enumerate(NUMBERS)]
    known, met = zip(*(pair if register_first else pair[::-1] for pair in pairs), strict=True)
    tiny = shop(tmp_path, *(f'"{name}",2023-01-01,yes' for name in known), "bob,2023-01-01,no")
    rows = [f'{n},"{name}",2024-01-05,purchase,web,5,' for n, name in enumerate((*met, "bob", "zoe-1", "zoë-999"))]
    tiny.events = csv(*rows)
    tiny.ingest()
    found = opted_out(tiny)
    assert [name for name in met if found[name] is not True] == []
    assert (found["bob"], found["zoe-1"], found["zoë-999"]) == (False, None, None), "and nobody else is suppressed"


def test_a_line_that_names_nobody_known_may_be_of_anybody_without_a_row(tmp_path: Path) -> None:
    tiny = shop(tmp_path, "ann,2023-01-01,no", '"???,2023-01-01')
    report = tiny.ingest()
    assert opted_out(tiny) == {"ann": False, "bob": True, "cid": True, "dan": True}
    assert report.opt_outs is not None
    assert (report.opt_outs.by_unreadable_line, report.opt_outs.lines_of_nobody) == (3, 1)


def test_an_opt_out_without_an_id_is_reported(tmp_path: Path) -> None:
    report = shop(tmp_path, ",2023-01-01,yes", "ann,2023-01-01,no").ingest()
    assert any("1 rows of customers.sql say opted out but have no customer_id" in words for words in report.warnings)


def test_a_source_that_says_nothing_of_opt_outs_has_none(tmp_path: Path) -> None:
    tiny = shop(tmp_path, "ann,2023-01-01", sql="SELECT who AS customer_id FROM people")
    report = tiny.ingest()
    assert report.opt_outs is None
    assert opted_out(tiny) == dict.fromkeys(WHO)


def test_a_column_the_other_way_round_is_suspected(tmp_path: Path) -> None:
    ids = tuple(f"c{n}" for n in range(40))
    report = shop(tmp_path, *(f"{name},2023-01-01,yes" for name in ids), ids=ids[:9]).ingest()
    assert any("40 of 40 customers are opted out" in warning for warning in report.warnings)


VALUES = st.sampled_from(["", "no", "yes", "gesperrt", "0", "1"])
LINES = st.lists(
    st.tuples(st.sampled_from([*WHO, "eve", ""]), st.sampled_from(["2023-01-01", "soon", "2999-01-01", ""]), VALUES),
    max_size=8,
)


@settings(max_examples=15, derandomize=True, deadline=None)
@given(LINES)
def test_whoever_some_row_does_not_clearly_let_be_contacted_is_not(
    tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[str, str, str]]
) -> None:
    tiny = shop(tmp_path_factory.mktemp("law"), *(",".join(line) for line in lines))
    tiny.ingest()
    found = opted_out(tiny)
    for name in WHO:
        out = any(who == name and value not in ("", "no", "0") for who, _, value in lines)
        assert (found[name] is True) == out
