"""Whether the models find the truth that the simulator planted."""

import re
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fedelta.features.attributes import PREFIX
from fedelta.features.cutoffs import calendar
from fedelta.models.churn.model import ChurnModel, fit_churn
from fedelta.models.metrics.metrics import auc
from fedelta.models.panel import Panel
from fedelta.pipeline import paths
from fedelta.pipeline.commands.backtest import panel_at
from fedelta.pipeline.ingest import Outputs, ingest
from fedelta.pipeline.intake.sources import load_source
from fedelta.pipeline.params import Params, load_params
from fedelta.pipeline.paths import PARAMS
from fedelta.pipeline.simulator import Company, simulate, write
from fedelta.pipeline.span import span

HERE = Path(__file__).parents[2]
RATES = (
    "purchase_rate_per_day", "visit_rate_per_day", "contact_rate_per_day", "hazard_per_day", "rhythm", "spend_mean",
    "late_share", "engagement",
)  # fmt: skip


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> tuple[Params, Panel, pl.DataFrame, pl.DataFrame]:
    """A simulated company as a panel, with the truth about its customers and their churn."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("company")
        patch.chdir(folder)
        text = re.sub(
            r"seeds: \d+", "seeds: 1", (HERE / PARAMS).read_text()
        )  # fewer, larger steps: a third of the time
        text = text.replace("num_iterations: 250", "num_iterations: 80").replace(
            "learning_rate: 0.04", "learning_rate: 0.12"
        )
        (folder / PARAMS).write_text(text.replace("buckets: 16", "buckets: 2"))
        shutil.copytree(HERE / "sources", folder / "sources")
        simulation = simulate(Company(8_000, seed=11))
        write(simulation, Path("data/raw/demo"))
        now = datetime(2026, 1, 1, tzinfo=UTC)
        ingest(load_source("demo"), Path("data/raw/demo"), Outputs(), memory_limit="1GB", workers=2, now=now)
        params = load_params()
        first, last = span(paths.INTERACTIONS)
        cutoffs = calendar(first, last, params.cutoffs, horizon_days=90, lead_days=0)
        panel = panel_at([cutoff for cutoff in cutoffs if cutoff.role in ("train", "evaluate")], params)
        return params, panel, simulation.customers, simulation.churn


@pytest.fixture(scope="module")
def model(company: tuple[Params, Panel, pl.DataFrame, pl.DataFrame]) -> ChurnModel:
    """The churn model of the training cutoffs."""
    params, panel, _, _ = company
    return fit_churn(panel.of_role("train"), params.churn, horizon_days=90, lead_days=0)


@pytest.mark.long
def test_out_of_time_each_decile_of_the_score_is_right_about_the_true_chance_of_leaving(company, model):
    _, panel, _, truth = company
    present = panel.of_role("evaluate")
    scored = pl.from_pandas(present.table[["customer_id", "cutoff"]]).with_columns(
        pl.col("cutoff").cast(pl.Datetime("us", "UTC")), predicted=model.churn_probability(present.table)
    )
    true = truth.filter(pl.col("horizon_days") == 90).with_columns(pl.col("cutoff").cast(pl.Datetime("us", "UTC")))
    joined = scored.join(true, on=["customer_id", "cutoff"], how="left").sort("predicted")
    assert joined["churn_probability"].null_count() == 0
    deciles = np.array_split(joined.select("predicted", "churn_probability").to_numpy(), 10)
    gaps = [abs(rows[:, 0].mean() - rows[:, 1].mean()) for rows in deciles]
    assert max(gaps) <= 0.02


@pytest.mark.long
def test_out_of_time_the_model_ranks_nearly_as_well_as_one_that_knows_every_customers_true_rates(company, model):
    params, panel, customers, _ = company
    training, present = panel.of_role("train"), panel.of_role("evaluate")
    trees = replace(params.churn, candidate="lightgbm")  # who knows the truth needs no choice
    oracle = fit_churn(_with_rates(training, customers), trees, horizon_days=90, lead_days=0)
    churned = present.churned("inactivity")
    ours = 2 * auc(churned, model.churn_probability(present.table)) - 1
    best = 2 * auc(churned, oracle.churn_probability(_with_rates(present, customers).table)) - 1
    assert 0.5 < best < 1
    assert ours >= 0.9 * best


@pytest.mark.long
def test_before_anything_is_learned_the_evaluation_is_out_of_time(company):
    _, panel, _, _ = company
    known = max(panel.of_role("train").table["cutoff"]) + timedelta(days=90)
    assert known <= min(panel.of_role("evaluate").table["cutoff"])


def _with_rates(panel: Panel, customers: pl.DataFrame) -> Panel:
    """The panel with each customer's true rates as attributes; not whether they have left."""
    rates = customers.to_pandas().set_index("customer_id").reindex(panel.table["customer_id"])
    known = {PREFIX + name: rates[name].to_numpy() for name in RATES}
    return replace(panel, table=panel.table.assign(**known))
