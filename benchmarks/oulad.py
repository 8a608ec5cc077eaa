"""Withdrawals from course presentations of the Open University, predicted for a later presentation than those learned.

    python -m benchmarks.oulad [--data ../shared/data/oulad] [--days 28 56] [--resamples 200]

Learned from are the enrolments of 2013B and 2013J at the same day of their presentation, all of whose outcomes were
known 120 days later; predicted are the withdrawals of 2014B within 120 days of that day, among those still enrolled.
Everything is configuration: the source `oulad`, its recommendations, and the dates. It is done twice, with and without
what tells of bad experiences (missed deadlines, lateness, marks, earlier attempts); differences are paired, customers
resampled, 95%.
"""

import argparse
import os
import shutil
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

# Before this folder, where features.py would stand for the package `features`.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import pandas as pd

from fedelta.features.cutoffs import backtest_calendar
from fedelta.models.metrics.bootstrap import Resampling, replicate
from fedelta.models.metrics.metrics import auc, ece, log_loss
from fedelta.pipeline import ingest, paths
from fedelta.pipeline.commands.backtest import measured, panel_at
from fedelta.pipeline.commands.use import set_params, use
from fedelta.pipeline.declared import cutoff_settings
from fedelta.pipeline.params import load_params
from fedelta.pipeline.span import span

HERE = Path(__file__).resolve().parents[1]
METRICS = {"auc": auc, "log_loss": log_loss, "ece": ece}
BEGINS = {"2013B": "2013-02-01", "2013J": "2013-10-01", "2014B": "2014-02-01"}
GOALS = {28: {"auc": 0.675, "ece": 0.02, "gain": 0.014}, 56: {"auc": 0.691, "ece": 0.02, "gain": 0.029}}
_PLAIN_SQL = """SELECT * REPLACE (NULL AS rating, NULL AS delay_hours) FROM (
{sql}
) WHERE kind <> 'missed_deadline'
"""


@dataclass(frozen=True)
class Predicted:
    """What was predicted of the enrolments of the last presentation, and who withdrew."""

    customer: pd.Series
    churned: np.ndarray
    churn: dict[str, np.ndarray]
    chosen: str


def day_of(presentation: str, day: int) -> str:
    """The date of a day of a presentation."""
    return f"{datetime.fromisoformat(BEGINS[presentation]) + timedelta(days=day):%Y-%m-%d}"


def project(folder: Path, *, bad: bool) -> None:
    """A project of the source, with or without what tells of bad experiences."""
    (folder / "sources").mkdir(parents=True)
    shutil.copytree(HERE / "sources/oulad", folder / "sources/oulad")
    shutil.copy(HERE / paths.PARAMS, folder / paths.PARAMS)
    if bad:
        return
    source = folder / "sources/oulad"
    lines = (source / "source.yaml").read_text(encoding="utf-8").splitlines(keepends=True)
    rules = [line for line in lines if line.startswith("rules:") or " when: " in line or "earlier_attempts" in line]
    (source / "source.yaml").write_text("".join(line for line in lines if line not in rules), encoding="utf-8")
    sql = (source / "interactions.sql").read_text(encoding="utf-8")
    (source / "interactions.sql").write_text(_PLAIN_SQL.format(sql=sql), encoding="utf-8")
    people = (source / "customers.sql").read_text(encoding="utf-8")
    (source / "customers.sql").write_text(f"SELECT * EXCLUDE (earlier_attempts) FROM (\n{people})\n", encoding="utf-8")


def predict(data: Path, days: list[int], *, bad: bool) -> dict[int, Predicted]:
    """The predictions for each day of the last presentation."""
    found, before = {}, Path.cwd()
    with TemporaryDirectory(prefix="fedelta-") as scratch:
        folder = Path(scratch) / "project"
        project(folder, bad=bad)
        os.chdir(folder)
        try:
            use("oulad", data)
            ingest.main()
            first, last = span(paths.INTERACTIONS)
            for day in days:
                train = tuple(day_of(presentation, day) for presentation in ("2013B", "2013J"))
                set_params(paths.PARAMS, {"cutoffs.train": train, "cutoffs.score_at": day_of("2014B", day)})
                params = load_params()
                at = datetime.fromisoformat(f"{day_of('2014B', day)}T00:00:00+00:00")
                calendar = backtest_calendar(
                    first, last, at, cutoff_settings(params), horizon_days=params.horizon_days, lead_days=0
                )
                panel = panel_at(calendar, params)
                result = measured(panel, params, panel)
                customer = panel.of_role("evaluate").table["customer_id"]
                mine = customer.str.contains("-2014B-").to_numpy()
                found[day] = Predicted(
                    customer[mine].reset_index(drop=True),
                    result.churned[mine],
                    {name: values[mine] for name, values in result.churn.items()},
                    result.report["candidate"]["churn"],
                )
        finally:
            os.chdir(before)
    return found


def main(arguments: list[str] | None = None) -> int:
    """Print the tables; 1 if a goal is missed by more than its interval."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/oulad"), help="folder of its CSV files")
    parser.add_argument("--days", type=int, nargs="+", default=[28, 56])
    parser.add_argument("--resamples", type=int, default=200)
    options = parser.parse_args(arguments)
    data, short = options.data.resolve(), False
    with_bad, without = (predict(data, options.days, bad=bad) for bad in (True, False))
    for day in options.days:
        full, plain = with_bad[day], without[day]
        assert full.customer.equals(plain.customer)
        models = {**full.churn, "without bad experiences": plain.churn["chosen"]}
        drawn = replicate(full.churned, models, METRICS, resampling=Resampling(options.resamples))
        print(
            f"\nDay {day}: {len(full.churned):,} enrolments of 2014B, {full.churned.mean():.1%} withdrew in 120 days."
        )
        print(f"Chosen: {full.chosen}; without bad experiences: {plain.chosen}.")
        for name in models:
            figures = (drawn.interval(name, metric) for metric in METRICS)
            print(f"{name:26}" + "".join(f"{f.value:9.4f} [{f.low:.4f}, {f.high:.4f}]" for f in figures))
        gain = drawn.difference("auc", "chosen", "without bad experiences")
        print(f"gain of bad experiences: AUC {gain.value:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]")
        if goal := GOALS.get(day):
            reached = drawn.interval("chosen", "auc").high >= goal["auc"] and gain.high >= goal["gain"] and gain.low > 0
            reached &= drawn.interval("chosen", "ece").low <= goal["ece"]
            short |= not reached
            print(
                f"goal: AUC {goal['auc']}, ECE {goal['ece']}, gain {goal['gain']}: {'reached' if reached else 'MISSED'}"
            )
    return int(short)


if __name__ == "__main__":
    sys.exit(main())
