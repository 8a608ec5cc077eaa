"""What is delivered is what a backtest at the scoring cutoff measures, to the bit."""

from datetime import timedelta
from pathlib import Path

import hashed_project
import numpy as np
import pytest
from tiny_project import START, inside

from fedelta.features.cutoffs import backtest_calendar, value_calendar
from fedelta.models.btyd.purchase_prior import at_horizon
from fedelta.models.bundle import read_contract
from fedelta.models.churn.storage import load_churn
from fedelta.models.value.storage import load_clv
from fedelta.pipeline import build_features, fit_btyd, paths, train_churn, train_clv
from fedelta.pipeline.commands.backtest import measured, panels_at
from fedelta.pipeline.panel import has_value_cutoffs, read_panel
from fedelta.pipeline.params import load_params
from fedelta.pipeline.score_inputs import read_prior
from fedelta.pipeline.span import span


@pytest.mark.parametrize("value_days", [90, 110])  # as churn's, and at cutoffs of its own
def test_scores_of_a_run_at_a_date_are_those_of_a_backtest_at_that_date(tmp_path: Path, value_days: int):
    at = START + timedelta(days=390)
    with inside(hashed_project.make(tmp_path / "project")):
        written = paths.PARAMS.read_text()
        paths.PARAMS.write_text(
            written.replace("train: 2}", f'train: 2, score_at: "{at:%Y-%m-%d}"}}')
            .replace(", candidate: lightgbm", "")
            .replace("horizon_days: 90}", f"horizon_days: {value_days}}}")
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
        evaluated, delivered = (read_contract(folder) for folder in (paths.CHURN_EVALUATED, paths.CHURN_DELIVERED))
        assert evaluated["training"][-1]["cutoff"] < delivered["training"][-1]["cutoff"]
        assert [fact["cutoff"] for fact in delivered["training"]] == [
            fact["cutoff"] for fact in found.report["training"]
        ]
