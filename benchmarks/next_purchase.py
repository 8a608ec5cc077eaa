"""How good the recommended categories are, out of time, beside popularity, own frequency and the other candidates.

    python -m benchmarks.next_purchase [--data ../shared/data] [--customers 20000] [--seed 7] [--resamples 500]

The demo company (simulated), and Online Retail with product families from its descriptions, if its file is there.
Differences are the model minus each candidate, on the same resamples of the customers, 95%.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

# Before this folder, where features.py would stand for the package `features`.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.panels import LOGS, company_project, log_project
from fedelta.models.metrics.bootstrap import Resampling
from fedelta.models.next_purchase.evaluation import FIGURES, evaluate_next
from fedelta.models.next_purchase.storage import load_next
from fedelta.pipeline import build_features, paths, train_next
from fedelta.pipeline.next_rows import rows_to_measure
from fedelta.pipeline.params import load_params
from fedelta.pipeline.simulator import Company

ONLINE_RETAIL = next(log for log in LOGS if log.source == "online_retail")


def figures(resampling: Resampling) -> Mapping[str, Any]:
    """Features, model and figures of the project worked in."""
    build_features.main()
    train_next.main()
    params = load_params()
    model, reason = load_next(paths.NEXT_EVALUATED)
    assert model is not None, reason
    rows = rows_to_measure(model, params)
    assert rows is not None
    return evaluate_next(model, rows, resampling)


def found(data: Path, customers: int, seed: int, resampling: Resampling) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The figures of each data set by its name."""
    with company_project(Company(customers, seed)):
        yield f"demo, {customers:,} customers, seed {seed}", figures(resampling)
    if not (data / ONLINE_RETAIL.file).is_file():
        print(f"{ONLINE_RETAIL.name}: skipped, {data / ONLINE_RETAIL.file} is missing.", file=sys.stderr)
        return
    with log_project(ONLINE_RETAIL, data):
        yield ONLINE_RETAIL.name, figures(resampling)


def table_of(name: str, report: Mapping[str, Any]) -> str:
    """The figures of one data set as a table."""
    rows, lines = report["next_rows"], []
    lines.append(
        f"{name}: {rows['buyers']:,} of {rows['customers']:,} customers bought of {rows['categories']} categories "
        f"within {rows['horizon_days']} days"
    )
    for model, held in report["next"].items():
        words = [f"{metric} {_interval(held[metric])}" for metric in (*FIGURES, "ece")]
        lines.append(f"  {model:14s} {'  '.join(words)}")
    for rival, differences in report["next_against"].items():
        words = [f"{metric} {_interval(differences[metric], '+')}" for metric in FIGURES]
        lines.append(f"  chosen - {rival:14s} {'  '.join(words)}")
    return "\n".join(lines)


def _interval(held: Mapping[str, float], sign: str = "") -> str:
    return f"{held['value']:{sign}.4f} [{held['low']:{sign}.4f}, {held['high']:{sign}.4f}]"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--resamples", type=int, default=500)
    asked = parser.parse_args()
    for name, report in found(asked.data.resolve(), asked.customers, asked.seed, Resampling(asked.resamples)):
        print(table_of(name, report), flush=True)


if __name__ == "__main__":
    main()
