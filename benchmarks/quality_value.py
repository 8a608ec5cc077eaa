"""How good expected orders, expected spend and its intervals are, beside Pareto/NBD x Gamma-Gamma and the goals.

    python benchmarks/quality_value.py [--data ../shared/data] [--resamples 200]
    python benchmarks/quality_value.py --coverage [--seeds 10] [--customers 4000] [--days 365]

Public event logs, split by time, through the real source mapping, features and fits, with params.yaml as it is; or how
often 90% intervals hold what simulated companies' customers then spent, in the churn horizon or in ``--days`` after two
years of history. Differences are on the same resamples of
customers, 95%.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import get_args

# Before this folder, where features.py would stand for the package `features`.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.panels import LOGS, Log, company_panel, log_panel, value_panel
from benchmarks.quality_row import Better, QualityRow, row_of, table_of, verdict
from fedelta.models.learning.conformal import NOMINAL, coverage
from fedelta.models.metrics.bootstrap import USUAL, Replicates, Resampling, replicate
from fedelta.models.metrics.metrics import VALUE_METRICS, base_rate
from fedelta.models.metrics.ranking import Floats
from fedelta.models.panel import Panel, floats
from fedelta.models.value.model import ClvModel, fit_clv, fit_orders
from fedelta.models.value.value_trees import orders
from fedelta.pipeline.params import Params
from fedelta.pipeline.simulator import Company, Regime

BETTER: Mapping[str, Better] = {
    "rmse": "lower", "r2": "higher", "bias": "near 0", "gini": "higher", "spearman": "higher"
}  # fmt: skip
METRICS = {name: VALUE_METRICS[name] for name in BETTER}
# Goal, and the best figure known elsewhere on the same split.
GOALS: Mapping[tuple[str, str], Mapping[str, tuple[float, float]]] = {
    ("CDNOW sample", "orders"): {"rmse": (1.603, 1.603), "bias": (0.05, -0.115)},
    ("CDNOW sample", "spend"): {"rmse": (71.0, 72.2), "r2": (0.328, 0.31), "gini": (0.699, 0.693)},
    ("CDNOW master", "orders"): {"rmse": (1.688, 1.688), "r2": (0.471, 0.471), "bias": (0.09, -0.091)},
    ("CDNOW master", "spend"): {
        "rmse": (90.9, 90.9), "r2": (0.468, 0.468), "gini": (0.722, 0.7235), "bias": (0.10, -0.097)
    },
}  # fmt: skip
COVERAGE_WITHIN = 0.03
REGIMES: tuple[Regime, ...] = get_args(Regime)


def rows(data: Path, resampling: Resampling = USUAL) -> Iterator[QualityRow]:
    """The rows of every event log whose file is in the folder of data sets."""
    for log in LOGS:
        if not (data / log.file).is_file():
            print(f"{log.name}: skipped, {data / log.file} is missing.", file=sys.stderr)
            continue
        panel, params = log_panel(log, data)
        yield from _log_rows(log, panel.of_role("train"), panel.of_role("evaluate"), params, resampling)


def main() -> None:
    """Print the table asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--resamples", type=int, default=200)
    parser.add_argument("--coverage", action="store_true", help="intervals on simulated companies")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--customers", type=int, default=4_000)
    parser.add_argument("--days", type=int, help="value over so many days, at cutoffs of its own")
    asked = parser.parse_args()
    if asked.coverage:
        covered(asked.seeds, asked.customers, asked.days)
    else:
        print(table_of(rows(asked.data.resolve(), Resampling(asked.resamples))))


def covered(seeds: int, customers: int, days: int | None) -> None:
    """Print the coverage of every simulated company, out of time, and what held-out rows had promised."""
    print("company  rows  covered  above 0  promised  bias  by decile of expected spend, lowest first  (90% wanted)")
    shares, above = [], []
    for company in (Company(customers, 1_001 + k, regime=regime) for regime in REGIMES for k in range(seeds)):
        longer = replace(company, days=company.days + (days or 0))
        panel, params = value_panel(longer, days) if days else company_panel(company)
        present = panel.of_role("evaluate")
        model = fit_clv(panel.of_role("train"), params.clv, horizon_days=days or params.horizon_days, lead_days=0)
        assert model
        assert model.intervals
        assert model.intervals.coverage
        expected = model.expected_spend(present.table)
        found = coverage(present.spend, *model.interval(present.table), expected)
        shares.append(found.covered)
        above.append(found.covered_above_0 or 0.0)
        print(
            f"{company.regime} {company.seed}  {found.rows}  {shares[-1]:.3f}  {above[-1]:.3f}  "
            f"{model.intervals.coverage.covered:.3f}  {expected.sum() / present.spend.sum() - 1:+.3f}  "
            f"{' '.join(f'{decile.covered:.3f}' for decile in found.deciles)}  {model.chosen}",
            flush=True,
        )
    for name, held in (("all rows", shares), ("rows whose interval reaches above 0", above)):
        for k, regime in enumerate(REGIMES):
            own = held[k * seeds : (k + 1) * seeds]
            inside = sum(abs(share - NOMINAL) <= COVERAGE_WITHIN for share in own)
            mean = sum(own) / len(own)
            print(f"{regime}, {name}: mean {mean:.3f}; {inside} of {len(own)} within {COVERAGE_WITHIN} of {NOMINAL}")


def _log_rows(log: Log, train: Panel, present: Panel, params: Params, resampling: Resampling) -> Iterator[QualityRow]:
    ahead, table = {"horizon_days": log.horizon_days, "lead_days": params.lead_days}, present.table
    count = fit_orders(train, params.clv, **ahead)
    assert count is not None, log.name
    predicted = {"chosen": count.expected_orders(table), "Pareto/NBD": floats(table, "pareto_expected_orders")}
    yield from _measured(log, "orders", count.chosen, orders(present), predicted, resampling)
    model = fit_clv(train, params.clv, **ahead)
    if model:
        rival = "Pareto/NBD x Gamma-Gamma"
        spend = {"chosen": model.expected_spend(table), rival: floats(table, "pareto_expected_spend")}
        yield from _measured(log, "spend", model.chosen, present.spend, spend, resampling)
        yield from _coverage(log, model, present, resampling)


def _measured(
    log: Log, what: str, model: str, actual: Floats, predicted: Mapping[str, Floats], resampling: Resampling
) -> Iterator[QualityRow]:
    drawn = replicate(actual, dict(predicted), METRICS, resampling=resampling)
    rival = next(name for name in predicted if name != "chosen")
    for metric in METRICS:
        yield _row(log, what, model, metric, drawn, rival)


def _row(log: Log, what: str, model: str, metric: str, drawn: Replicates, rival: str) -> QualityRow:
    goals = GOALS.get((log.name, what), {})
    return row_of(log.name, _split(log), model, f"{what} {metric}", drawn, (metric, rival), goals, BETTER[metric])


def _coverage(log: Log, model: ClvModel, present: Panel, resampling: Resampling) -> Iterator[QualityRow]:
    """By how much more or less often than nine times in ten the interval held what came."""
    if model.intervals is None:
        return
    low, high = model.interval(present.table)
    inside = ((low <= present.spend) & (present.spend <= high)).astype(float)
    drawn = replicate(inside, {"chosen": inside}, {"covered": base_rate}, resampling=resampling)
    found = drawn.interval("chosen", "covered")
    error, least, most = (figure - NOMINAL for figure in (found.value, found.low, found.high))
    yield QualityRow(
        log.name,
        _split(log),
        model.chosen,
        "spend coverage - 0.9",
        error,
        least,
        most,
        "",
        0.0,
        0.0,
        0.0,
        COVERAGE_WITHIN,
        None,
        verdict(error, least, most, COVERAGE_WITHIN, "near 0"),
    )


def _split(log: Log) -> str:
    return f"{log.horizon_days} d from {log.at:%Y-%m-%d}"


if __name__ == "__main__":
    main()
