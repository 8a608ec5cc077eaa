"""The tolerance curve: what it says of companies whose harm is known, and of data that cannot tell."""

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from delivered_parcels import START, company

from benchmarks.experience_truth import Case, cases
from fedelta.features.episodes import EPISODES
from fedelta.models.experience.tolerance import ToleranceCurve, tolerance_curve


def step(curve: ToleranceCurve, number: int | None = None, group: str = "all", value: str = ""):
    return next(s for s in curve.steps if (s.group, s.value, s.number) == (group, value, number))


def test_harm_is_found_where_there_is_harm():
    first = step(tolerance_curve(company(0.2), 90), 1)
    # 0.75 of 0.2 leave who would have come back.
    assert first.excess.low < 0.15 < first.excess.high
    assert first.excess.low > 0
    late = company(0.2).filter(pl.col("rule").is_not_null())
    assert first.left.value == pytest.approx(1 - late["ended"].mean())
    assert first.left.value - first.left_controls == pytest.approx(first.excess.value)
    assert "points more" in first.says


def test_without_harm_it_says_so():
    curve = tolerance_curve(company(0.0), 90)
    assert step(curve).excess.low < 0 < step(curve).excess.high
    assert "no harm" in curve.says


def test_those_not_watched_to_the_end_count_for_as_long_as_they_were():
    table = company(0.2)
    late = pl.col("occurred_at") > START + timedelta(days=50)  # the data end 60 days after these
    cut = table.with_columns(
        ended=pl.col("ended") & (~late | (pl.col("days") <= 60)),
        days=pl.when(late).then(pl.col("days").clip(0, 60)).otherwise("days"),
    )
    whole, censored = (step(tolerance_curve(each, 90), 1) for each in (table, cut))
    assert censored.left.value == pytest.approx(whole.left.value, abs=0.03)
    assert censored.excess.low < 0.15 < censored.excess.high


def test_a_contract_is_left_by_cancelling():
    cancels = company(0.2).with_columns(
        ended=~pl.col("ended"), days=pl.when("ended").then(pl.lit(200.0)).otherwise(pl.lit(30.0))
    )
    first = step(tolerance_curve(cancels, 90, definition="event"), 1)
    assert first.left.value == pytest.approx(cancels.filter(pl.col("rule").is_not_null())["ended"].mean())
    assert first.excess.low < 0.15 < first.excess.high


def test_pillars_and_channels_have_their_own_curves():
    curve = tolerance_curve(company(0.2, 3_000), 90, by=("pillar", "channel"))
    assert step(curve, 1, "pillar", "expectations").excess == step(curve, 1).excess
    web, app = (step(curve, 1, "channel", value) for value in ("web", "app"))
    assert web.experiences + app.experiences == step(curve, 1).experiences
    assert min(web.excess.low, app.excess.low) > 0


def test_every_rule_has_its_own_curve_beside_the_same_good_touchpoints():
    lost = pl.col("customer_id").str.tail(1).is_in(["0", "1", "2"]) & pl.col("rule").is_not_null()
    two = company(0.2, 3_000).with_columns(rule=pl.when(lost).then(pl.lit("lost")).otherwise("rule"))
    curve = tolerance_curve(two, 90, by=("pillar", "rule"))
    late, parcel = (step(curve, 1, "rule", value) for value in ("late_delivery", "lost"))
    assert parcel.experiences > 100
    assert late.experiences + parcel.experiences == step(curve, 1, "pillar", "expectations").experiences
    assert min(late.excess.low, parcel.excess.low) > 0


def test_matched_controls_bought_as_much_only_where_anybody_buys():
    assert "bought as much" in tolerance_curve(company(0.2), 90).matched_on
    silent = tolerance_curve(company(0.2).with_columns(purchases=pl.lit(0)), 90)
    assert "bought" not in silent.matched_on
    assert "as many interactions" in silent.matched_on


NOTHING: dict[str, Callable[[], pl.DataFrame]] = {
    "no bad experience": lambda: company(0.2).filter(pl.col("rule").is_null()),
    "no good one": lambda: company(0.2).filter(pl.col("rule").is_not_null()),
    "one customer": lambda: company(0.2, 1),
    "no episode at all": EPISODES.to_frame,
    "nobody came back": lambda: company(0.2).with_columns(ended=pl.lit(False)),
}


@pytest.mark.parametrize("case", NOTHING)
def test_data_that_cannot_tell_get_words_instead_of_figures(case):
    curve = tolerance_curve(NOTHING[case](), 90)
    assert all(each.excess is None and each.left_controls is None for each in curve.steps)
    assert "too few" in curve.says


def test_the_order_of_rows_changes_nothing_and_all_of_it_is_json():
    table = company(0.2)
    once, reversed_ = (
        json.dumps(asdict(tolerance_curve(each, 90)), allow_nan=False) for each in (table, table.reverse())
    )
    assert once == reversed_


def test_quoted_shares_stand_beside_the_curve():
    assert [(line.after, line.share) for line in tolerance_curve(company(0), 90).quoted] == [
        ("one bad experience", 0.17),
        ("several bad experiences", 0.59),
    ]


@pytest.fixture(scope="module", params=["planted", "no effect", "exposure only"])
def truth(request) -> tuple[str, list[Case]]:
    """Every interval of three small companies, beside the truth (of recovery, see the benchmark)."""
    found = [case for seed in (1, 2, 3) for case in cases(request.param, seed, customers=2_500, horizon_days=90)]
    return request.param, [case for case in found if not case.figure.startswith("recovery")]


def test_the_planted_harm_is_covered(truth):
    assert np.mean([case.covered for case in truth[1]]) >= 0.85


def test_harm_is_claimed_where_it_was_planted_and_nowhere_else(truth):
    world, found = truth
    overall = [case.claims_harm for case in found if case.figure == "tolerance all  any"]
    assert overall == [world == "planted"] * 3
    assert world == "planted" or np.mean([case.claims_harm for case in found]) <= 0.15
