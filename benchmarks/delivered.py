"""Whether delivered scores are those that a backtest measures, and whether a simple baseline is better: on public sets.

    python -m benchmarks.delivered [--data ../shared/data] [--only airline_loyalty]

For each set a run at a past date (``score_at``) is made by the real stages in a scratch project; its scores are
compared with those of ``backtest`` at that date, bit for bit, and then measured against every baseline (paired
differences of log loss and AUC, customers resampled, 95%). It ends with 1 if a score differs or a baseline is better.
"""

import argparse
import os
import shutil
import sys
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

# Before this folder, where features.py would stand for the package `features`.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from fedelta.features.cutoffs import backtest_calendar, value_calendar
from fedelta.models.btyd.purchase_prior import at_horizon
from fedelta.models.churn.storage import load_churn
from fedelta.models.value.storage import load_clv
from fedelta.pipeline import build_features, fit_btyd, ingest, paths, train_churn, train_clv
from fedelta.pipeline.commands.backtest import measured, panels_at
from fedelta.pipeline.commands.use import set_params, use
from fedelta.pipeline.declared import cutoff_settings
from fedelta.pipeline.panel import read_panel
from fedelta.pipeline.params import load_params
from fedelta.pipeline.score_inputs import read_prior
from fedelta.pipeline.span import span

HERE = Path(__file__).resolve().parents[1]
DATES = {  # of the run, and the horizon where it is not the one that the source recommends
    "airline_loyalty": ("2018-07-01", None),
    "online_retail": ("2011-08-31", 100),
    "cdnow": ("1997-10-01", None),
    "grocery_elog": ("2006-12-31", None),
    "oulad": ("2014-03-01", None),
    "demo": ("2024-10-01", None),
}
WORSE = {"log_loss": 1, "auc": -1}  # the sign of a difference in the baseline's favour


def run(name: str, data: Path) -> tuple[bool, dict[str, Any]]:
    """Whether the delivered scores of a run are those of the backtest at its date, and the backtest's report."""
    at, horizon = DATES[name]
    use(name, data)
    set_params(paths.PARAMS, {"cutoffs.score_at": at} | ({"horizon_days": horizon} if horizon else {}))
    ingest.main()
    params, (first, last) = load_params(), span(paths.INTERACTIONS)
    for stage in (build_features, fit_btyd, train_churn, train_clv):
        stage.main()
    scored = read_panel(["score"]).of_role("score").table
    days = {"horizon_days": params.horizon_days, "lead_days": params.lead_days}
    when = datetime.fromisoformat(f"{at}T00:00:00+00:00")
    settings = cutoff_settings(params)
    cutoffs = backtest_calendar(first, last, when, settings, **days)
    of_value = value_calendar(first, last, settings, cutoffs, days=params.value_days)
    panel, valued = panels_at([cutoffs, of_value], params)
    found = measured(panel, params, valued)
    same = panel.of_role("evaluate").table["customer_id"].tolist() == scored["customer_id"].tolist()
    same = same and np.array_equal(load_churn(paths.CHURN_DELIVERED).churn_probability(scored), found.churn["chosen"])
    if (clv := load_clv(paths.CLV_DELIVERED)) is not None:
        rows, prior = valued.of_role("evaluate").table, read_prior(scored["cutoff"].iloc[0])
        seen = at_horizon(scored, prior, int(rows["horizon_days"].iloc[0]))
        same = same and np.array_equal(clv.expected_spend(seen), found.clv["chosen"])
    return same, found.report


def better_baselines(report: dict[str, Any]) -> list[str]:
    """Baselines significantly better than the chosen model, and by which metric."""
    found = []
    for name, metrics in report["churn_against"].items():
        for metric, sign in WORSE.items():
            one = metrics.get(metric)
            if name == "uncalibrated" or one is None or one["value"] is None:
                continue
            if min(sign * one["low"], sign * one["high"]) > 0:
                found.append(f"{name} by {metric} {one['value']:+.4f} [{one['low']:+.4f}, {one['high']:+.4f}]")
    return found


def main(arguments: list[str] | None = None) -> int:
    """Print a line per set; 1 if one does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the data sets")
    parser.add_argument("--demo", type=Path, default=Path("data/raw/demo"), help="folder of the simulated company")
    parser.add_argument("--only", nargs="+", choices=DATES, default=list(DATES))
    options = parser.parse_args(arguments)
    folders = {name: (options.demo if name == "demo" else options.data / name).resolve() for name in options.only}
    failed, before = False, Path.cwd()
    for name, data in folders.items():
        with TemporaryDirectory(prefix="fedelta-") as scratch:
            folder = Path(scratch) / "project"
            shutil.copytree(HERE / "sources", folder / "sources")
            shutil.copy(HERE / paths.PARAMS, folder / paths.PARAMS)
            os.chdir(folder)
            try:
                same, report = run(name, data)
            finally:
                os.chdir(before)
        better = better_baselines(report)
        failed |= not same or bool(better)
        chosen = report["churn"]["chosen"]
        agrees = "= backtest" if same else "DIFFERS from backtest"
        print(
            f"RESULT {name:16} delivered {agrees}; {report['candidate']['churn']}: log loss "
            f"{chosen['log_loss']['value']:.4f}, AUC {chosen['auc']['value']:.4f}; significantly better: "
            f"{', '.join(better) or 'none'}",
            flush=True,
        )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
