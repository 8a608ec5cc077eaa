"""Who will leave of those still here: the hazard learns by hindsight what the rhythm of purchases does not show."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from fedelta.features.cutoffs import Cutoff
from fedelta.features.experience_rules import ExperienceSettings, Rule
from fedelta.features.interaction_frames import interactions_of
from fedelta.features.kernel import KernelSettings, features_at
from fedelta.models.btyd.outlook import left_by, outlook
from fedelta.models.btyd.purchase_prior import PurchasePrior, fit_prior, purchase_summary
from fedelta.models.btyd.purchase_summary import Summary
from fedelta.models.leaving.model import LeavingModel, fit_leaving
from fedelta.models.leaving.storage import load_leaving, save_leaving
from fedelta.models.panel import to_pandas

START = datetime(2024, 1, 1, tzinfo=UTC)
DAYS, HORIZON = 500, 60


@pytest.fixture(scope="module")
def company() -> tuple[pd.DataFrame, np.ndarray]:
    """Features at five past cutoffs and the present; and who met late deliveries, and leaves three times as fast."""
    rng, n = np.random.default_rng(11), 700
    late = np.arange(n) % 2 == 0
    life = rng.exponential(np.where(late, 150, 450))
    rows = []
    for k in range(n):
        day, end = rng.uniform(0, 200), 0.0
        end = day + life[k]
        while day < min(end, DAYS):
            at = START + timedelta(days=float(day))
            rows.append((f"c{k:04}", at, "purchase", 20.0, None))
            rows.append(
                (f"c{k:04}", at + timedelta(days=2), "delivery", None, 48.0 if late[k] and rng.random() < 0.5 else 0.0)
            )
            day += rng.exponential(12)
    frame = pl.DataFrame(
        rows,
        schema=["customer_id", "occurred_at", "kind", "amount", "delay_hours"],
        orient="row",
        infer_schema_length=None,
    )
    rule = Rule("kind = 'delivery' AND delay_hours > 24", "expectations", "needs", 1)
    settings = KernelSettings(ExperienceSettings(rules={"late": rule}))
    cutoffs = [Cutoff(START + timedelta(days=d), HORIZON, 0, "refit", refit=True) for d in (200, 260, 320, 380, 440)]
    cutoffs.append(Cutoff(START + timedelta(days=DAYS), HORIZON, 0, "score"))
    table = to_pandas(features_at(interactions_of(frame, (), ()), cutoffs, settings)[0])
    return table[table["status"] == "scored"].reset_index(drop=True), late


@pytest.fixture(scope="module")
def priors(company) -> dict[pd.Timestamp, PurchasePrior]:
    table, _ = company
    return {pd.Timestamp(str(at)): fit_prior(rows) for at, rows in table.groupby("cutoff")}


@pytest.fixture(scope="module")
def learned(company, priors) -> LeavingModel:
    table, _ = company
    past, now = table[table["role"] == "refit"], table[table["role"] == "score"]
    model = fit_leaving(past, now, priors, HORIZON)
    assert model is not None
    return model


def hazards(company, priors, learned) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    now = company[0][company[0]["role"] == "score"]
    pareto = priors[now["cutoff"].iloc[0]].pareto
    by_rhythm = outlook(pareto, purchase_summary(now), horizon_days=HORIZON, lead_days=0, span_days=365).p_leaves
    return now, by_rhythm, learned.p_leaves(now, by_rhythm)


def test_who_meets_what_drives_people_away_leaves_likelier_than_their_rhythm_says(company, priors, learned):
    now, by_rhythm, corrected = hazards(company, priors, learned)
    late = company[1][now["customer_id"].str[1:].astype(int).to_numpy()]
    assert abs(by_rhythm[late].mean() / by_rhythm[~late].mean() - 1) < 0.4  # the rhythm hardly tells them apart
    assert corrected[late].mean() > 1.3 * corrected[~late].mean()
    assert ((corrected > 0) & (corrected < 1)).all()


def test_nothing_of_before_a_cutoff_but_experience_is_looked_at(company, priors, learned):
    now, by_rhythm, corrected = hazards(company, priors, learned)
    changed = now.assign(purchase_count=now["purchase_count"] * 7, spend=0.0, days_since_last_purchase=1.0)
    assert learned.p_leaves(changed, by_rhythm).tolist() == corrected.tolist()


def test_the_last_digits_of_another_processor_change_nothing_that_is_learned(company, priors, learned):
    table, _ = company
    past, now = table[table["role"] == "refit"], table[table["role"] == "score"]
    pareto = priors[now["cutoff"].iloc[0]].pareto
    for noise in (1 - 4e-15, 1 + 4e-15):
        noisy = replace(pareto, beta=pareto.beta * noise, s=pareto.s / noise)
        other = {**priors, now["cutoff"].iloc[0]: replace(priors[now["cutoff"].iloc[0]], pareto=noisy)}
        found = fit_leaving(past, now, other, HORIZON)
        assert found is not None
        assert found.ensemble.to_text() == learned.ensemble.to_text()


def test_the_saved_model_says_the_same(company, priors, learned, tmp_path: Path):
    now, by_rhythm, corrected = hazards(company, priors, learned)
    save_leaving(learned, tmp_path / "leaving")
    again = load_leaving(tmp_path / "leaving")
    assert again is not None
    assert again.p_leaves(now, by_rhythm).tolist() == corrected.tolist()
    save_leaving(None, tmp_path / "none")
    assert load_leaving(tmp_path / "none") is None


def test_too_few_customers_are_not_learned_from(company, priors):
    table, _ = company
    few = table[table["customer_id"] < "c0050"]
    assert fit_leaving(few[few["role"] == "refit"], few[few["role"] == "score"], priors, HORIZON) is None


def test_the_chance_of_having_left_grows_towards_now_and_is_none_before_the_last_purchase(priors):
    model = priors[max(priors)].pareto
    silent = Summary([4, 4, 4, 4, 0], [100, 100, 100, 100, 0], [300, 300, 300, 300, 300])
    left = left_by(model, silent, np.array([250.0, 150, 50, 0, 0]))
    assert left[0] == 0  # 50 days after the first purchase they bought again later
    assert (np.diff(left[:4]) > 0).all()
    assert left[3:] == pytest.approx(1 - model.p_alive(silent)[3:])
