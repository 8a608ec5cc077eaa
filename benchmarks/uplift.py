"""Whether the gate for effects per customer opens where it should, and stays shut where it should.

    python -m benchmarks.uplift [--data ../shared/data] [--draws 200] [--runs 5]

`planted`: made-up customers whose effects are known and differ (persuadable, sure thing, lost cause, do not disturb),
such that the riskiest are not the best targets. `equal`: the same customers, the effect proportional to the risk, so
that risk is the right order. `hillstrom`: the men's mail of Hillstrom (2008), outcome a visit within two weeks.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from fedelta.models.encoding import Encoding
from fedelta.models.uplift.gate import RISK, TITLES, Study, study
from fedelta.models.uplift.learners import FOLDS, dealt, out_of_fold_means

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Experiment:
    """Customers dealt into arms at random; `effect` is the truth where it is known."""

    x: Floats
    outcome: Floats
    treated: npt.NDArray[np.bool_]
    propensity: Floats
    risk: Floats | None = None
    value: Floats | None = None
    effect: Floats | None = None


def planted(n: int, seed: int, *, share_held_out: float = 0.3, equal: bool = False, most: float = 0.35) -> Experiment:
    """Customers whose probability to leave, and effect of a contact (`most` at most), follow from eight features."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 8))
    leaves = 1 / (1 + np.exp(-(x[:, 0] + 0.7 * x[:, 1] - 0.4)))
    persuadable = 1 / (1 + np.exp(-3 * (x[:, 2] - 0.4)))
    lost_cause, disturbed = leaves > 0.75, x[:, 3] > 1.2
    effect = np.where(lost_cause, 0.02, most * persuadable * np.sqrt(leaves)) - 0.12 * disturbed
    if equal:
        effect = 0.15 * leaves
    effect = np.clip(effect, leaves - 1, leaves)
    treated = rng.random(n) > share_held_out
    stays = 1 - leaves + effect * treated
    value = np.exp(rng.normal(0, 0.5, n))
    outcome = (rng.random(n) < stays).astype(np.float64)
    return Experiment(x, outcome, treated, np.full(n, 1 - share_held_out), leaves, value, effect)


def hillstrom(data: Path) -> Experiment:
    """The men's mail against none, on a visit; every column known before."""
    table = pd.read_csv(data / "hillstrom_mens" / "hillstrom_mens.csv.gz")
    known = table.drop(columns=["segment", "visit", "conversion", "spend"])
    treated = (table["segment"] == "Mens E-Mail").to_numpy()
    matrix = Encoding.of(known).matrix(known)
    return Experiment(matrix, table["visit"].to_numpy(np.float64), treated, np.full(len(table), treated.mean()))


def judged(one: Experiment, draws: int) -> Study:
    """The study of an experiment."""
    return study(one.x, one.outcome, one.treated, one.propensity, risk=one.risk, value=one.value, draws=draws)


def propensity_to_act(one: Experiment) -> Floats:
    """The outcome expected of the held-out (n,): what "risk" is where the outcome is a visit, not staying."""
    return out_of_fold_means(one.x, one.outcome, one.treated, dealt(len(one.outcome), FOLDS, one.treated, 0))[0]


def printed(name: str, found: Study) -> None:
    """A line per order."""
    print(f"{name}: {found.customers:,} customers; gate {'open' if found.chosen else 'shut'}. {found.says}")
    for order, rates in found.rates.items():
        words = ", ".join(f"{m} × 1,000 {_figures(held)}" for m, held in rates.items())
        more = ""
        if order != RISK:
            more = f", Qini above risk {_figures(found.above_risk[order])}, stable {found.stability[order]:.0%}"
        print(f"  {TITLES[order]}: {words}{more}")


def _figures(held) -> str:  # type: ignore[no-untyped-def]
    return f"{1000 * held.value:+.1f} [{1000 * held.low:+.1f}, {1000 * held.high:+.1f}]"


def main() -> None:
    """Print every study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--runs", type=int, default=5)
    asked = parser.parse_args()
    for equal in (False, True):
        opened = 0
        for seed in range(asked.runs):
            began = time.perf_counter()
            one = planted(20_000, seed, equal=equal)
            found = judged(one, asked.draws)
            opened += found.chosen is not None
            printed(f"{'equal' if equal else 'planted'}, seed {seed} ({time.perf_counter() - began:.0f} s)", found)
        print(f"the gate opened in {opened} of {asked.runs}, where it should {'never' if equal else 'always'}\n")
    if (asked.data / "hillstrom_mens").is_dir():
        one = hillstrom(asked.data)
        found = study(one.x, one.outcome, one.treated, one.propensity, risk=propensity_to_act(one), draws=asked.draws)
        printed("hillstrom, visit", found)
    else:
        print(f"hillstrom: {asked.data} is not here, so it is left out.")


if __name__ == "__main__":
    main()
