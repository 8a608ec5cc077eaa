"""Numbers that cannot be meant: sums that are not exact, values that stand for none, counts that count nothing."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from table_project import SOURCE, SQL, Gym, members
from tiny_project import inside
from tiny_source import NOW, YAML, Tiny, csv
from tiny_source import SQL as EVENTS

from fedelta.pipeline.ingest import Outputs, ingest
from fedelta.pipeline.intake.section import SourceError
from fedelta.pipeline.intake.source_check import check
from fedelta.pipeline.intake.sources import load_source
from fedelta.pipeline.intake.usability import DataReport

WAITS = EVENTS.replace("stars AS rating", "stars AS delay_hours")


def shop(folder: Path, *amounts: object, late: Callable[[int], object] = lambda _: "", sql: str = WAITS) -> Tiny:
    """A customer who buys for each of the amounts, and others who buy for 10 to 30."""
    own = [f"own{n},ann,2024-01-{n % 28 + 1:02},purchase,,{amount},{late(n)}" for n, amount in enumerate(amounts)]
    others = [f"i{n},c{n % 40},2024-02-{n % 28 + 1:02},purchase,,{10 + n % 20}.5,{late(n)}" for n in range(400)]
    return Tiny(folder, csv(*own, *others), YAML, sql)


def gym(folder: Path, change: Callable[[int, list[str]], None], **parts: str) -> DataReport:
    """The account of a gym of 400 members whose cells were changed."""
    rows = [row.split(",") for row in members()]
    for number, cells in enumerate(rows):
        change(number, cells)
    with inside(Gym(folder, [",".join(cells) for cells in rows], **parts).write()):
        return ingest(load_source("gym"), Path("data/raw"), Outputs(), memory_limit="300MB", workers=1, now=NOW)


def test_amounts_that_cannot_be_added_exactly_stop_the_run_and_the_check(tmp_path):
    tiny = shop(tmp_path, *["99999999999999"] * 10)
    says = r"more than 900,000,000,000,000 for one customer \(such as 'ann': 999,999,999,999,990\).*larger unit"
    with pytest.raises(SourceError, match=says):
        tiny.ingest()
    with pytest.raises(SourceError, match=says):
        check("tiny", tiny.raw, tmp_path / "sources", NOW)
    assert not tiny.outputs.interactions.exists()


def test_the_largest_amounts_that_add_up_are_kept(tmp_path):
    tiny = shop(tmp_path, *["99999999999999"] * 9)
    tiny.ingest()
    assert tiny.interactions().filter(customer_id="ann")["amount"].sum() == 9 * 99_999_999_999_999


@pytest.mark.parametrize("column", ["fee", "complaints", "worth"])
@pytest.mark.parametrize("value", ["1e308", "-1e30", "1e30"])
def test_a_number_too_large_to_be_squared_costs_its_row(tmp_path, column, value):
    place = {"worth": 3, "fee": 6, "complaints": 7}[column]
    report = gym(tmp_path, lambda n, cells: cells.__setitem__(place, value if n == 4 else cells[place]))
    assert report.customers is not None
    assert report.customers.quarantined_for == {"number_absurd": 1}


@pytest.mark.parametrize("value", [-1, -9, -99, 99, 999, 9999, 999999, 2147483647, -2147483648])
def test_a_number_that_stands_for_none_is_warned_of(tmp_path, value):
    report = gym(tmp_path, lambda n, cells: cells.__setitem__(7, value_if(n % 20 == 0, value, cells[7])))
    (warning,) = (w for w in report.warnings if "stands for a missing value" in w)
    assert re.search(rf"^20 customers have complaints {value}, and all others lie between 0 and \d:", warning)


@pytest.mark.parametrize("value", ["9999", "-9999", "99999"])
def test_delays_that_stand_for_none_are_warned_of(tmp_path, value):
    report = shop(tmp_path, late=lambda n: value if n % 10 == 0 else n % 37 - 12.5).ingest()
    assert any(
        re.search(rf"^40 interactions have delay_hours {value}, and all others lie between", w) for w in report.warnings
    )


def test_amounts_that_stand_for_none_are_warned_of(tmp_path):
    report = shop(tmp_path, *["99999"] * 6).ingest()
    assert any(
        w.startswith("6 interactions have amount 99999, and all others lie between 10.5") for w in report.warnings
    )


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(lambda n: 9 if n % 2 else 99, id="two prices"),
        pytest.param(lambda n: n % 100, id="percents"),
        pytest.param(lambda n: 999 if n % 9 == 0 else 100 + n % 200, id="a dear article"),
        pytest.param(lambda n: -1 if n % 9 == 0 else n % 7 - 3, id="a balance"),
        pytest.param(lambda n: 9999 if n == 0 else n % 7, id="one of them"),
    ],
)
def test_what_lies_among_others_or_occurs_once_is_a_number(tmp_path, values):
    report = gym(tmp_path, lambda n, cells: cells.__setitem__(6, str(values(n))))
    assert not [w for w in report.warnings if "stands for a missing value" in w]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda n, count: count - 3 if n % 9 == 0 else count, r"\d+ of 400 values are below 0"),
        (lambda n, count: count / 10 + 0.05, "400 of 400 are no whole numbers"),
        (lambda n, count: 2020 + count, r"it is 2,02\d as a rule"),
    ],
)
def test_a_count_of_bad_experiences_that_is_none_is_warned_of(tmp_path, change, says):
    report = gym(tmp_path, lambda n, cells: cells.__setitem__(7, str(change(n, int(cells[7])))))
    (warning,) = (w for w in report.warnings if "declared to count bad experiences" in w)
    assert re.search(rf"attribute complaints .*{says}", warning)


def test_counts_and_days_late_are_warned_of_in_no_way(tmp_path):
    assert gym(tmp_path / "counts", lambda n, cells: None).warnings == ()
    days_late = gym(tmp_path / "days", lambda n, cells: cells.__setitem__(7, str(int(cells[7]) - 7)))
    assert days_late.warnings == ()


def test_an_attribute_may_have_any_name_that_sql_uses_itself(tmp_path):
    yaml = SOURCE.replace("  fee:", "  n:").replace("  complaints:", "  total:")
    sql = SQL.replace(" fee,", " fee AS n,").replace(" complaints", " complaints AS total")
    report = gym(
        tmp_path, lambda n, cells: cells.__setitem__(6, value_if(n % 20 == 0, -1, cells[6])), yaml=yaml, sql=sql
    )
    assert [w for w in report.warnings if w.startswith("20 customers have n -1")]


def value_if(holds: bool, value: object, otherwise: str) -> str:
    return str(value) if holds else otherwise
