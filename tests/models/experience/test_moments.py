"""Moments of truth: where a bad experience costs most, and what making it good gives back."""

import json
from dataclasses import asdict

import numpy as np
import polars as pl
import pytest
from delivered_parcels import company

from fedelta.features.episodes import EPISODES
from fedelta.models.experience.moments import moments_of_truth


def two_kinds() -> pl.DataFrame:
    """Late parcels that drive customers away, and surveys answered badly that do not."""
    surveys = company(0.0, seed=2).with_columns(
        pl.format("s{}", "customer_id").alias("customer_id"),
        kind=pl.lit("survey"),
        among=pl.lit("kind = 'survey'"),
        rule=pl.when(pl.col("rule").is_not_null()).then(pl.lit("low_rating")),
        pillar=pl.when(pl.col("pillar").is_not_null()).then(pl.lit("empathy")),
    )
    return pl.concat([company(0.3), surveys])


def test_the_most_harmful_touchpoint_comes_first():
    found = moments_of_truth(two_kinds(), 90)
    first, second = found.moments
    assert (first.kind, first.pillar, second.kind, second.pillar) == ("delivery", "expectations", "survey", "empathy")
    assert first.churn.low < 0.75 * 0.3 < first.churn.high
    assert second.churn.low < 0 < second.churn.high
    assert "costs" in first.says
    assert found.says == first.says
    assert "no harm" in second.says


def test_what_is_lost_in_spend_is_what_those_who_left_would_have_spent():
    first = moments_of_truth(two_kinds(), 90).moments[0]
    assert first.spend.low < -0.75 * 0.3 * 40 < first.spend.high < 0


def test_without_amounts_there_is_no_change_in_spend():
    found = moments_of_truth(two_kinds().with_columns(spend=pl.lit(None, pl.Float64)), 90)
    assert [moment.spend for moment in found.moments] == [None, None]
    assert found.moments[0].churn is not None


def made_good(share_after_good: float) -> pl.DataFrame:
    """Half the late parcels are answered, and whoever is answered leaves no more often than after a good one."""
    rng = np.random.default_rng(3)
    table = company(0.4, 4_000)
    bad = table["rule"].is_not_null().to_numpy()
    answered = np.where(bad, rng.random(len(bad)) < 0.5, rng.random(len(bad)) < share_after_good)
    unharmed = company(0.0, 4_000)  # the same customers and draws
    saved = pl.Series(answered & bad)
    return table.with_columns(
        recovered=pl.Series(answered),
        days=pl.when(saved).then(unharmed["days"]).otherwise("days"),
        ended=pl.when(saved).then(unharmed["ended"]).otherwise("ended"),
        spend=pl.when(saved).then(unharmed["spend"]).otherwise("spend"),
    )


def test_making_it_good_gives_back_what_was_lost():
    moment = moments_of_truth(made_good(0.02), 90).moments[0]
    assert moment.recovered == pytest.approx(0.5, abs=0.05)
    assert moment.recovery_churn.low < -0.75 * 0.4 < moment.recovery_churn.high < 0
    assert moment.recovery_spend.low > 0
    assert "gives back" in moment.says


def test_settled_contacts_as_usual_as_after_a_good_experience_give_nothing_back():
    moment = moments_of_truth(made_good(0.4), 90).moments[0]
    assert (moment.recovered, moment.recovery_churn, moment.recovery_spend) == (None, None, None)


@pytest.mark.parametrize("table", [EPISODES.to_frame(), company(0.2, 1), company(0.2).filter(pl.col("rule").is_null())])
def test_data_that_cannot_tell_get_words_instead_of_figures(table):
    found = moments_of_truth(table, 90)
    assert all(moment.churn is None and moment.spend is None for moment in found.moments)
    assert "too few" in found.says


def test_all_of_it_is_json():
    found = asdict(moments_of_truth(two_kinds(), 90))
    assert json.loads(json.dumps(found, allow_nan=False))["moments"][0]["kind"] == "delivery"
