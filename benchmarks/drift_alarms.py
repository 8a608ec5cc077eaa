"""How often the monitor alarms on companies where nothing changes, and whether it does where something was changed.

    python -m benchmarks.drift_alarms [--seeds 5] [--customers 4000] [--regimes dense,seasonal,drifting]

Each company is simulated for three years and monitored at the last twelve months of four weeks, by a model that learned
before them. Then its last month is spoiled in one way at a time.
"""

import argparse
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import polars as pl

from fedelta.features.annotate import annotate
from fedelta.features.cutoffs import Cutoff
from fedelta.features.kernel import KernelSettings, features_at
from fedelta.models.btyd.purchase_prior import PurchasePrior, fit_prior
from fedelta.models.churn.model import ChurnModel
from fedelta.models.monitoring.drift import RUNS
from fedelta.models.monitoring.population_drift import MONTH_DAYS, Watch
from fedelta.models.monitoring.settings import MonitorSettings
from fedelta.models.panel import Panel, to_pandas
from fedelta.pipeline import paths
from fedelta.pipeline.ingest import Outputs, ingest
from fedelta.pipeline.intake.sources import load_source
from fedelta.pipeline.monitoring.drift_report import Check, checked
from fedelta.pipeline.monitoring.months import Calendar, calendar_of, data_tracks, months_of, watched
from fedelta.pipeline.params import Params, load_params
from fedelta.pipeline.simulator import Company, Regime, simulate, write
from fedelta.pipeline.train_churn import train

HERE = Path(__file__).parents[1]
DAYS = 3 * 364 + 2
MONTH = timedelta(days=MONTH_DAYS)
SPOILED = pl.col("occurred_at") >= pl.lit(datetime(2023, 1, 1, tzinfo=UTC) + timedelta(days=DAYS) - MONTH)
LATE = (pl.col("kind") == "delivery") & (pl.col("delay_hours") <= 24) & (pl.col("interaction_id").hash(1) % 100 < 16)
PLANTED: Mapping[str, pl.Expr] = {
    "one delivery in six made late": pl.when(SPOILED & LATE).then(48.0).otherwise("delay_hours").alias("delay_hours"),
    "amounts unknown": pl.when(~SPOILED).then("amount").alias("amount"),
    "a third of the delays unknown": pl.when(~(SPOILED & (pl.col("interaction_id").hash(2) % 3 == 0)))
    .then("delay_hours").alias("delay_hours"),
    "visits not recorded for a week": pl.when(SPOILED, pl.col("kind") == "visit", pl.col("occurred_at").dt.day() <= 7)
    .then(None).otherwise("customer_id").alias("customer_id"),
}  # fmt: skip


class Replay:
    """A company's interactions, and the model that watches over its last year."""

    def __init__(self, company: Company, churn: Mapping[str, Any] | None = None) -> None:
        """Simulate, ingest, learn; `churn` are settings of the model other than the project's."""
        self.events, self.params = ingested(company)
        self.churn = replace(self.params.churn, **{"num_iterations": 80, "seeds": 1, **(churn or {})})
        self.first = datetime.combine(company.start, time(), UTC)
        self.end = datetime.combine(company.end, time(), UTC)
        self.model, self.watch, self.prior = self._learned()

    def runs(self, number: int = RUNS) -> list[dict[str, str]]:
        """The alarms of monthly runs by check, oldest first."""
        return [_alarms(checks) for checks in self.checks(number)]

    def checks(self, number: int = RUNS) -> list[list[Check]]:
        """What every check of monthly runs says, oldest first."""
        ends = [self.end - MONTH * k for k in reversed(range(number))]
        calendars = [calendar_of(self.first, end, self.params.cutoffs.min_history_days) for end in ends]
        return self._monitored(self.events, calendars)

    def spoiled(self, how: pl.Expr) -> dict[str, str]:
        """The alarms of the last run with the last month's interactions changed."""
        events = self.events.with_columns(how).filter(pl.col("customer_id").is_not_null())
        when = calendar_of(self.first, self.end, self.params.cutoffs.min_history_days)
        return _alarms(self._monitored(events, [when])[0])

    def _monitored(self, events: pl.DataFrame, calendars: Sequence[Calendar]) -> list[list[Check]]:
        cutoffs = sorted({at for calendar in calendars for at in calendar.cutoffs}, reverse=True)
        table = self._features(events, [Cutoff(at, self.params.horizon_days, 0, "score") for at in cutoffs])[0]
        table = table[table["status"] == "scored"].reset_index(drop=True)
        months = dict(zip(cutoffs, months_of(table, self.prior, self.model, self.watch, cutoffs), strict=True))
        named = annotate(events, self.params.experience, named=())["bad_experience"]
        bad = events.select("occurred_at", "kind", rule=named).filter(pl.col("rule").is_not_null())
        out = []
        for when in calendars:
            age = (when.score_at - self.learned_at).days
            found = data_tracks(events.lazy(), bad.lazy(), when)
            seen = [months[at] for at in when.cutoffs]
            out.append(checked(self.watch, seen, when.cutoffs, found, age, MonitorSettings())[0])
        return out

    def _learned(self) -> tuple[ChurnModel, Watch, PurchasePrior]:
        days = self.params.horizon_days
        self.learned_at = self.end - MONTH * RUNS - timedelta(days=days)
        at = [Cutoff(self.learned_at - timedelta(days=30 * k), days, 0, "train") for k in reversed(range(6))]
        table, outcomes = self._features(self.events, at)
        keep = (table["status"] == "scored").to_numpy()
        table, outcomes = table[keep].reset_index(drop=True), outcomes[keep].reset_index(drop=True)
        prior = fit_prior(table[table["cutoff"] == table["cutoff"].max()])
        panel = Panel(table.join(prior.columns(table)), outcomes)
        model, facts = train(panel, replace(self.params, churn=self.churn))
        predicted = pd.Series(model.churn_probability(panel.table), index=panel.table.index)
        return model, watched(panel.table, predicted, facts["importance"]), prior

    def _features(self, events: pl.DataFrame, at: Sequence[Cutoff]) -> tuple[pd.DataFrame, pd.DataFrame]:
        settings = KernelSettings(self.params.experience)
        table, outcomes = features_at(events, at, settings)
        return to_pandas(table), to_pandas(outcomes.drop("customer_id", "cutoff"))


def ingested(company: Company) -> tuple[pl.DataFrame, Params]:
    """The interactions of a simulated company as the project reads them, in its order."""
    before = Path.cwd()
    with TemporaryDirectory(prefix="fedelta-") as folder:
        os.chdir(folder)
        try:
            shutil.copy(HERE / "params.yaml", ".")
            shutil.copytree(HERE / "sources", "sources")
            write(simulate(company), Path("data/raw/demo"))
            now = datetime(2030, 1, 1, tzinfo=UTC)
            ingest(load_source("demo"), Path("data/raw/demo"), Outputs(), memory_limit="1GB", workers=1, now=now)
            events = pl.read_parquet(paths.INTERACTIONS / "*.parquet").drop("customer_hash")
            return events.sort("customer_id", "occurred_at", "interaction_id"), load_params()
        finally:
            os.chdir(before)


def main() -> None:
    """Print the false alarms of every company, then what was planted and found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--customers", type=int, default=4_000)
    parser.add_argument("--regimes", default="dense,seasonal,drifting")
    arguments = parser.parse_args()
    for regime in arguments.regimes.split(","):
        for seed in range(1, arguments.seeds + 1):
            replay = Replay(Company(arguments.customers, seed=seed, days=DAYS, regime=regime_of(regime)))
            runs = replay.runs()
            print(
                f"{regime}, seed {seed}: {sum(map(bool, runs))} of {RUNS} runs alarmed", *_alarm_lines(runs), sep="\n  "
            )
            for name, how in PLANTED.items():
                alarms = replay.spoiled(how)
                print(f"  {name}: {', '.join(alarms) or 'NOT FOUND'}", flush=True)


def regime_of(name: str) -> Regime:
    """The regime of a name."""
    return name  # type: ignore[return-value]


def _alarms(checks: Sequence[Check]) -> dict[str, str]:
    return {check.name: check.says for check in checks if check.alarm}


def _alarm_lines(runs: Sequence[Mapping[str, str]]) -> list[str]:
    return [f"run {number}: {says}" for number, run in enumerate(runs, 1) for says in run.values()]


if __name__ == "__main__":
    main()
