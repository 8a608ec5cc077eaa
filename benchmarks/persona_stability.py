"""Whether customers keep their persona from one month to the next in simulated companies whose population is steady.

    python -m benchmarks.persona_stability [--seeds 3] [--customers 6000]

Personas are found at three cutoffs, 30 days apart, each run remembering the one before. `afresh` gives up the old
personas each month and only matches ids, to show what remembering them is worth.
"""

import argparse
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import polars as pl

from fedelta.features.cutoffs import Cutoff
from fedelta.features.kernel import KernelSettings, features_at
from fedelta.models.loyalty.persona_search import find_personas
from fedelta.models.loyalty.personas import PersonaModel
from fedelta.models.loyalty.settings import PersonaSettings
from fedelta.models.panel import to_pandas
from fedelta.pipeline import paths
from fedelta.pipeline.ingest import Outputs, ingest
from fedelta.pipeline.intake.sources import load_source
from fedelta.pipeline.params import load_params
from fedelta.pipeline.simulator import Company, simulate, write

HERE = Path(__file__).parents[1]
ROWS = ("customer_id", "occurred_at", "interaction_id")


def bases(company: Company, months: int) -> Iterator[pd.DataFrame]:
    """The features of the company's customers, month by month up to its end."""
    source = load_source("demo")
    write(simulate(company), Path("data/raw/demo"))
    ingest(
        source, Path("data/raw/demo"), Outputs(), memory_limit="1GB", workers=1, now=datetime(2026, 1, 1, tzinfo=UTC)
    )
    events = pl.read_parquet(paths.INTERACTIONS / "*.parquet").sort(*ROWS)
    digital = tuple(name for name, touch in source.all_channels.items() if touch == "digital")
    end = datetime(company.end.year, company.end.month, company.end.day, tzinfo=UTC)
    for month in reversed(range(months)):
        at = Cutoff(end - timedelta(days=30 * month), 90, 0, "score")
        table, _ = features_at(events, [at], KernelSettings(load_params().experience, digital))
        yield to_pandas(table.filter(pl.col("status") == "scored").sort("customer_id"))


def same(now: PersonaModel, present: pd.DataFrame, then: PersonaModel, past: pd.DataFrame) -> float:
    """Share of the customers of both months whose persona has the same name."""
    held = pd.Series(then.assign(past), past["customer_id"])
    holds = pd.Series(now.assign(present), present["customer_id"])
    both = held.index.intersection(holds.index)
    return float((held[both] == holds[both]).mean())


def main() -> None:
    """Print one line per company and month."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--customers", type=int, default=6000)
    asked = parser.parse_args()
    settings = PersonaSettings()
    print(f"{'seed':>4} {'personas':>8} {'remembered':>10} {'afresh':>7}  share of customers with the same persona")
    for seed in range(1, asked.seeds + 1):
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(HERE / "params.yaml", folder)
            shutil.copytree(HERE / "sources", Path(folder, "sources"))
            os.chdir(folder)
            past, *later = bases(Company(asked.customers, seed=seed, regime="dense"), months=3)
            os.chdir(HERE)
        then = find_personas(past, settings).model
        for present in later:
            now = find_personas(present, settings, then).model
            afresh = find_personas(present, replace(settings, kept_within=0.0), then).model
            shares = same(now, present, then, past), same(afresh, present, then, past)
            print(f"{seed:>4} {len(now.personas):>8} {shares[0]:>10.3f} {shares[1]:>7.3f}")
            past, then = present, now


if __name__ == "__main__":
    main()
