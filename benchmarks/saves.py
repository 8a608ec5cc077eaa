"""Whether measured saves can be believed: false claims at any of 30 looks, coverage, and a public experiment.

    python -m benchmarks.saves [--runs 1000] [--redraws 1000] [--data ../shared/data]

`planted`: made-up experiments of 3,000 entries over 30 weeks, a tenth held out, risk and value known at entry, looked
at every week by the report of `fedelta saves`; once without any effect, once with one that differs between customers.
`cookie cats`: 90,189 players of a game in two arms; then the arms dealt anew at random, so that there is no effect.
"""

import argparse
import multiprocessing
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl

from fedelta.features.contract import TREATMENTS
from fedelta.models.incrementality.comparison import Design, measured
from fedelta.models.incrementality.entries import COVARIATE
from fedelta.models.incrementality.estimator import Effect, adjusted_difference, sample_ratio_p

Floats = npt.NDArray[np.float64]

START, HORIZON = datetime(2025, 1, 6, tzinfo=UTC), 30
LOOKS, A_WEEK, HELD_OUT = 30, 100, 0.1


@dataclass(frozen=True)
class Tried:
    """What an experiment showed over all its looks."""

    claimed: bool  # an effect on who stays, at any look
    once: bool  # significant by the interval for one look, at any look
    covered: bool  # the truth, by the interval for one look, at the last
    always_covered: bool  # by the interval for every look, at every look
    spend_covered: bool


def experiment(seed: int, *, effect: float) -> tuple[pl.DataFrame, float, float]:
    """Entries with outcomes, and the true mean effects on staying and spend of those who enter."""
    rng = np.random.default_rng(seed)
    n = LOOKS * A_WEEK
    risk, value = rng.beta(2, 3, n), rng.gamma(2, 40, n)
    saved = np.minimum(2 * effect * rng.beta(2, 2, n), risk)
    held = rng.random(n) < HELD_OUT
    stays = 1 - risk + np.where(held, 0, saved)
    stayed = (rng.random(n) < stays).astype(np.float64)
    spent = stayed * value * rng.gamma(4, 0.25, n)
    rows = pl.DataFrame(
        {
            "customer_id": [f"c{k:05}" for k in range(n)],
            "treated_at": [START + timedelta(weeks=k // A_WEEK) for k in range(n)],
            "arm": np.where(held, "held_out", "treated"),
            "churn_probability": risk,
            "expected_value": value,
            "drawn_held_out": held,
            "stayed": stayed,
            "spent": spent,
            f"{COVARIATE}risk": risk,
            f"{COVARIATE}value": np.log1p(value),
        }
    )
    others = [pl.lit(None, dtype).alias(name) for name, dtype in TREATMENTS.items() if name not in rows.columns]
    unknown = [pl.lit(None, pl.String).alias(name) for name in ("tier", "persona")]
    rows = rows.with_columns(*others, *unknown, in_source=pl.lit(value=True)).cast(
        {"treated_at": TREATMENTS["treated_at"]}
    )
    return rows, float(saved.mean()), float((saved * value).mean())


def looks(rows: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """The comparison of everybody as reported week by week, from the first that has a result."""
    for week in range(LOOKS):
        until = START + timedelta(weeks=week, days=HORIZON)
        over = pl.col("treated_at") + timedelta(days=HORIZON) <= until
        seen = rows.filter(pl.col("treated_at") < until).with_columns(
            pl.when(over).then(name).alias(name) for name in ("stayed", "spent")
        )
        one = measured(seen, Design(HORIZON, until, True, "EUR", 1.0, HELD_OUT))["comparisons"][0]
        if one["result"]:
            yield one["result"]


def tried(seed: int, *, effect: float) -> Tried:
    """An experiment, looked at every week."""
    rows, true, true_spend = experiment(seed, effect=effect)
    results = list(looks(rows))
    last = results[-1]
    return Tried(
        any(one["claimed"] for one in results),
        any(one["significant_once"] for one in results),
        last["active"]["low"] <= true <= last["active"]["high"],
        all(one["active"]["always_low"] <= true <= one["active"]["always_high"] for one in results),
        last["spend"]["low"] <= true_spend <= last["spend"]["high"],
    )


def cookie_cats(data: Path) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Whether each player came back after 7 days, and whether they had the gate at level 30."""
    table = pd.read_csv(data / "cookie_cats" / "cookie_cats.csv.gz")
    return table["retention_7"].to_numpy(np.float64), (table["version"] == "gate_30").to_numpy()


def redrawn(outcome: Floats, seed: int, numbers: int = LOOKS) -> tuple[bool, bool]:
    """Whether an effect is claimed at any look, by each interval, where arms are dealt at random to all players."""
    rng = np.random.default_rng(seed)
    y, treated = rng.permutation(outcome), rng.random(len(outcome)) < 0.5
    found: list[Effect] = []
    for look in range(1, numbers + 1):
        n = len(y) * look // numbers
        found.append(adjusted_difference(y[:n], treated[:n]))
    return any(one.always_significant for one in found), any(one.significant for one in found)


def _share(flags: list[bool]) -> str:
    return f"{np.mean(flags):.1%}"


def main() -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--redraws", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    asked = parser.parse_args()
    with multiprocessing.get_context("spawn").Pool(asked.workers) as pool:
        for effect in (0.0, 0.06):
            found = pool.map(partial(tried, effect=effect), range(asked.runs), chunksize=10)
            print(f"planted, effect {effect:.0%} on average, {asked.runs:,} experiments, {LOOKS} looks each:")
            print(f"  claimed at any look {_share([t.claimed for t in found])}", end="")
            print(f"; by intervals for one look {_share([t.once for t in found])}")
            print(f"  95% interval for one look covers: staying {_share([t.covered for t in found])}", end="")
            print(f", spend {_share([t.spend_covered for t in found])}; that for every look, at every look", end="")
            print(f" {_share([t.always_covered for t in found])}")
        if not (asked.data / "cookie_cats").is_dir():
            print(f"cookie cats: {asked.data} is not here, so it is left out.")
            return
        outcome, treated = cookie_cats(asked.data)
        one = adjusted_difference(outcome, treated)
        print(f"cookie cats, 7 days: {one.value:.4f}, 95% {one.low:.4f} to {one.high:.4f}", end="")
        print(f"; valid at every look {one.always_low:.4f} to {one.always_high:.4f}", end="")
        print(f"; sample ratio p {sample_ratio_p(one.treated, one.held_out, 0.5):.4f}")
        claims = pool.map(partial(redrawn, outcome), range(asked.redraws), chunksize=10)
        print(f"  arms dealt anew {asked.redraws:,} times: claimed at any of {LOOKS} looks", end="")
        print(
            f" {_share([always for always, _ in claims])}; by intervals for one look {_share([o for _, o in claims])}"
        )


if __name__ == "__main__":
    main()
