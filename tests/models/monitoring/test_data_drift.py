"""Whether data come in as usual: what stops, what is left unknown, what goes badly more often, what is new."""

import numpy as np
import polars as pl
import pytest

from fedelta.models.monitoring.data_drift import Track, newcomers, surprises, tracks

MONTHS = 14
CHANCE = 0.006


def volumes(seed: int = 1, **newest: int) -> pl.DataFrame:
    """Purchases and deliveries, each with its value known; the newest month's counts may be set."""
    chance = np.random.default_rng(seed)
    rows = []
    for month in range(MONTHS):
        bought, brought = (int(n) for n in chance.poisson([1_000, 900]))
        known = {"amount": bought, "delay": brought, "extra": 0} | (newest if month == 0 else {})
        rows.append((month, "purchase", "web", bought, known["amount"], 0))
        rows.append((month, "delivery", None, brought, 0, known["delay"]))
        if known["extra"]:
            rows.append((month, "review", "web", known["extra"], 0, 0))
    return pl.DataFrame(rows, schema=["month", "kind", "channel", "n", "amount", "delay_hours"], orient="row")


def bad(**newest: int) -> pl.DataFrame:
    """About 60 late deliveries a month."""
    late = np.random.default_rng(2).poisson(60, MONTHS)
    late[0] = newest.get("late", late[0])
    return pl.DataFrame({"month": np.arange(MONTHS), "kind": "delivery", "rule": "late_delivery", "n": late})


def found(late: int = 61, **newest: int) -> list[Track]:
    return tracks(volumes(**newest), bad(late=late), MONTHS, ["amount", "delay_hours"])


def test_a_column_is_followed_for_the_kinds_that_fill_it_and_a_rule_among_the_kinds_that_break_it():
    by_name = {track.name: track for track in found()}
    assert list(by_name) == [
        "interactions", "kind delivery", "kind purchase", "channel web", "delivery without delay_hours",
        "purchase without amount", "bad experiences", "rule late_delivery",
    ]  # fmt: skip
    deliveries = by_name["kind delivery"].hits
    trials = by_name["rule late_delivery"].trials
    assert trials is not None
    assert trials.tolist() == deliveries.tolist()
    assert by_name["kind delivery"].value_at(0) == deliveries[0] / 4


def test_a_month_like_the_others_is_no_surprise():
    largest, _ = surprises(found(), 1, CHANCE)
    assert largest.alarm is False


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"amount": 700}, "purchase without amount"),
        ({"delay": 0}, "delivery without delay_hours"),
        ({"late": 240}, "rule late_delivery"),
    ],
)
def test_what_goes_unknown_or_wrong_is_found_and_named(changed, name):
    largest, every = surprises(found(**changed), 1, CHANCE)
    assert largest.alarm is True
    assert every[0].name == name
    assert every[0].present > every[0].reference


def test_growth_is_no_surprise_but_its_end_is():
    grown = np.round(1_000 * 1.1 ** np.arange(MONTHS)[::-1])
    assert surprises([Track("interactions", grown)], 1, CHANCE)[0].alarm is False
    stopped = np.append(grown[1] / 2, grown[1:])
    largest, every = surprises([Track("interactions", stopped)], 1, CHANCE)
    assert largest.alarm is True
    assert every[0].standard_errors < -5


def test_a_kind_never_met_is_reported_unless_it_is_a_single_row():
    assert newcomers(found(extra=40), CHANCE) == {"kind review": 40}
    assert newcomers(found(extra=1), CHANCE) == {}
    assert newcomers(found(), CHANCE) == {}
