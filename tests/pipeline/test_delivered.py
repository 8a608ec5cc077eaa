"""What is delivered is what a backtest at the scoring cutoff measures, to the bit."""

from datetime import timedelta
from pathlib import Path
from typing import get_args

import hashed_project
import numpy as np
import pandas as pd
import polars as pl
import pytest
from tiny_project import START, inside

from fedelta.features.cutoffs import Fit, backtest_calendar, value_calendar
from fedelta.models.btyd.purchase_prior import at_horizon
from fedelta.models.bundle import read_contract
from fedelta.models.churn.storage import load_churn
from fedelta.models.panel import Panel
from fedelta.models.value.storage import load_clv
from fedelta.pipeline import build_features, fit_btyd, paths, train_churn, train_clv
from fedelta.pipeline.commands.backtest import measured, panels_at
from fedelta.pipeline.panel import has_value_cutoffs, read_panel, read_training, sampled_customers
from fedelta.pipeline.params import load_params
from fedelta.pipeline.score_inputs import read_prior
from fedelta.pipeline.span import span


@pytest.mark.parametrize(
    ("value_days", "learned"), [(90, 300), (110, 300), (110, 120)]
)  # as churn's, and at cutoffs of its own; from everybody, and from a sample of them
def test_scores_of_a_run_at_a_date_are_those_of_a_backtest_at_that_date(tmp_path: Path, value_days: int, learned: int):
    at = START + timedelta(days=390)
    with inside(hashed_project.make(tmp_path / "project")):
        written = paths.PARAMS.read_text()
        paths.PARAMS.write_text(
            written.replace("train: 2}", f'train: 2, score_at: "{at:%Y-%m-%d}"}}')
            .replace(", candidate: lightgbm", "")
            .replace("horizon_days: 90}", f"horizon_days: {value_days}}}")
            .replace("buckets: 1}", f"buckets: 1, learn_customers: {learned}}}")
        )
        params, (first, last) = load_params(), span(paths.INTERACTIONS)
        for stage in (build_features, fit_btyd, train_churn, train_clv):
            stage.main()
        scored = read_panel(["score"]).of_role("score").table
        churn, clv = load_churn(paths.CHURN_DELIVERED), load_clv(paths.CLV_DELIVERED)
        assert clv is not None
        days = {"horizon_days": params.horizon_days, "lead_days": params.lead_days}
        cutoffs = backtest_calendar(first, last, at, params.cutoffs, **days)
        of_value = value_calendar(first, last, params.cutoffs, cutoffs, days=value_days)
        assert (of_value != cutoffs) == has_value_cutoffs() == (value_days != 90)
        panel, valued = panels_at([cutoffs, of_value], params)
        found = measured(panel, params, valued)

        assert panel.of_role("evaluate").table["customer_id"].tolist() == scored["customer_id"].tolist()
        np.testing.assert_array_equal(found.churn["chosen"], churn.churn_probability(scored))
        assert clv.horizon_days == value_days
        seen = int(valued.of_role("evaluate").table["horizon_days"].iloc[0])  # no further than the data go
        assert seen == found.report["clv_horizon_days"] == 90
        rows = at_horizon(scored, read_prior(scored["cutoff"].iloc[0]), seen)
        np.testing.assert_array_equal(found.clv["chosen"], clv.expected_spend(rows))
        assert ("Learned from a sample: 120 customers." in churn.note) == (learned == 120)
        evaluated, delivered = (read_contract(folder) for folder in (paths.CHURN_EVALUATED, paths.CHURN_DELIVERED))
        assert evaluated["training"][-1]["cutoff"] < delivered["training"][-1]["cutoff"]
        assert [fact["cutoff"] for fact in delivered["training"]] == [
            fact["cutoff"] for fact in found.report["training"]
        ]


def test_what_a_fit_learns_from_is_read_as_it_would_be_chosen_from_all_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with inside(hashed_project.make(tmp_path / "project")):
        for stage in (build_features, fit_btyd):
            stage.main()
        for fit in get_args(Fit):
            whole = read_panel(["train", "refit", "evaluate"]).training(fit)
            monkeypatch.setattr("fedelta.pipeline.panel._CELLS_AT_ONCE", 5_000)  # a few columns at a time
            assert_same(read_training(fit), whole)
            drawn = sampled_customers(100)
            assert drawn is not None
            some = read_training(fit, most=100)
            assert set(some.table["customer_id"]) <= set(drawn)
            assert_same(some, whole.where(whole.table["customer_id"].isin(drawn.to_list())))
            assert_same(read_training(fit, most=300), whole)
            monkeypatch.undo()


def test_a_table_without_rows_has_no_purchase_models_and_their_columns(tmp_path: Path):
    with inside(hashed_project.make(tmp_path / "project")):
        build_features.main()
        _, columns = fit_btyd.priors_of(load_params())
        for part in paths.FEATURES.glob("*.parquet"):
            pl.read_parquet(part).clear().write_parquet(part)
        priors, none = fit_btyd.priors_of(load_params())
        assert priors == {}
        assert none.equals(columns.clear())
        assert none.schema == columns.schema


def assert_same(one: Panel, other: Panel) -> None:
    assert 0 < len(one) == len(other)
    pd.testing.assert_frame_equal(one.table, other.table.reset_index(drop=True))
    pd.testing.assert_frame_equal(one.outcomes, other.outcomes.reset_index(drop=True))
