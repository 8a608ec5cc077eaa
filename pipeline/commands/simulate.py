"""``fedelta simulate``: make a company and write its files, with the truth beside them."""

import sys
from pathlib import Path
from time import perf_counter

from fedelta.pipeline.simulator import Company, CompanyError, ForeignFolder, Regime, Simulation, simulate, write
from fedelta.pipeline.simulator.folder import refuse_foreign

DEMO = Path("data/raw/demo")


def main(
    customers: int = 20_000,
    seed: int = 7,
    out: Path = DEMO,
    *,
    regime: Regime = "dense",
    bad_effect: float = 1.0,
    exposure_only: bool = False,
) -> None:
    """Simulate a company into ``out`` and print one line of figures, or one that says what to do."""
    begun = perf_counter()
    try:
        company = Company(customers, seed, regime=regime, bad_effect=bad_effect, exposure_only=exposure_only)
        refuse_foreign(out)
        simulation = simulate(company)
        write(simulation, out)
    except (CompanyError, ForeignFolder) as error:
        sys.exit(f"simulate: {error}")
    except OSError as error:
        sys.exit(f"simulate: {out} could not be written ({error.strerror or error}). It is as it was before.")
    print(f"{figures(simulation)} → {out} in {perf_counter() - begun:.1f} s")


def figures(simulation: Simulation) -> str:
    """What was made, in one line."""
    company = simulation.company
    left = 1 - simulation.customers["left_at"].null_count() / company.customers
    flawed = sum(sum(outcome.values()) - outcome["valid"] for outcome in simulation.dirt.values())
    return (
        f"simulate: {company.customers:,} customers, {simulation.interactions:,} interactions from {company.start} to "
        f"{company.end} ({company.regime}, seed {company.seed}), {left:.0%} silently left, {flawed:,} flawed rows"
    )
