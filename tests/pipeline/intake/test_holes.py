"""A stretch in which nothing came in is found by its length beside all other gaps, in everything or in one feed."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tiny_source import YAML, Tiny, csv

from fedelta.features.cutoffs import believed_span
from fedelta.features.feeds import Series
from fedelta.pipeline.intake.holes import holes

FIRST = datetime(2022, 1, 3, 9, tzinfo=UTC)
KINDS = ("purchase", "visit", "delivery")


def series(days: list[int], each: int = 5) -> Series:
    return Series(days, [each] * len(days))


def found(one: Series) -> list[tuple[int, int]]:
    return [(hole.first, hole.last) for hole in holes(one, believed_span(one.days, one.counts))]


@pytest.mark.parametrize("length", [14, 31, 120, 20_000])
def test_a_missing_stretch_is_found_to_the_day(length: int) -> None:
    assert found(series([*range(200), *range(200 + length, 400 + length)])) == [(200, 199 + length)]


def test_three_missing_months_are_found() -> None:
    days = [d for d in range(700) if d // 30 not in (5, 9, 15)]
    assert found(series(days)) == [(150, 179), (270, 299), (450, 479)]


@pytest.mark.parametrize(
    ("days", "each"),
    [
        pytest.param(list(range(0, 900, 30)), 300, id="once a month"),
        pytest.param([d for d in range(700) if d % 7 < 5], 5, id="closed at weekends"),
        pytest.param([d for d in range(1500) if d % 120 < 90], 5, id="seasons"),
        pytest.param([d for d in range(400) if not 200 <= d < 213], 5, id="closed for thirteen days"),
        pytest.param([d for d in range(0, 900, 9) if not 300 <= d < 330], 1, id="too rare to tell"),
        pytest.param([*range(10), *range(60, 70)], 50, id="too few days to tell"),
    ],
)
def test_the_rhythm_of_a_business_is_no_hole(days: list[int], each: int) -> None:
    assert found(series(days, each)) == []


def company(folder: Path, keep: Callable[[int, str], bool]) -> Tiny:
    """600 interactions of each kind over 400 days, of which those are kept of which `keep(day, kind)` is true."""
    through = {"purchase": "web", "visit": "app", "delivery": ""}
    lines = [
        f"{kind}{n},c{n % 50},{FIRST + timedelta(days=n * 2 / 3):%Y-%m-%d %H:%M:%S},{kind},{through[kind]},,"
        for kind in KINDS
        for n in range(600)
        if keep(n * 2 // 3, kind)
    ]
    return Tiny(folder, csv(*lines), YAML)


def warned(tiny: Tiny) -> list[str]:
    return [w for w in tiny.ingest().warnings if w.startswith("No interaction ")]


def test_a_month_that_is_missing_everywhere_is_warned_of_once(tmp_path: Path) -> None:
    (warning,) = warned(company(tmp_path, lambda day, kind: not 100 <= day < 131))
    assert re.match(r"No interaction is dated from 2022-04-13 to 2022-05-13 \(31 days\).*about 1\d\d would", warning)
    assert "Is a file missing" in warning


def test_a_month_that_is_missing_of_one_kind_names_it_and_not_its_channel_too(tmp_path: Path) -> None:
    (warning,) = warned(company(tmp_path, lambda day, kind: kind != "visit" or not 100 <= day < 131))
    assert warning.startswith("No interaction of kind visit is dated from 2022-04-13 to 2022-05-13")


def test_a_company_without_a_hole_is_warned_of_nothing(tmp_path: Path) -> None:
    assert warned(company(tmp_path, lambda day, kind: True)) == []


def test_rows_fifty_years_early_are_warned_of_where_they_are_too_many_to_be_strays(tmp_path: Path) -> None:
    tiny = company(tmp_path, lambda day, kind: True)
    assert tiny.events is not None
    tiny.events = tiny.events.replace(b",2022-01-", b",1972-01-")
    (warning,) = warned(tiny)
    assert re.match(r"No interaction is dated from 1972-02-01 to 2022-01-31 \(18,\d\d\d days\)", warning)
