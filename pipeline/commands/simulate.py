"""``fedelta simulate``: make a company and write its files, with the truth beside them."""

from pathlib import Path
from time import perf_counter

from fedelta.features.errors import FedeltaError
from fedelta.pipeline.simulator import Company, Regime, Simulation, simulate, write
from fedelta.pipeline.simulator.folder import refuse_foreign

DEMO = Path("data/raw/demo")


class NotWritten(FedeltaError):
    """The folder cannot be written; what was in it is there still."""


def main(
    customers: int = 20_000,
    seed: int = 7,
    out: Path = DEMO,
    *,
    regime: Regime = "dense",
    bad_effect: float = 1.0,
    exposure_only: bool = False,
    campaigns: bool = True,
) -> None:
    """Simulate a company into ``out`` and print one line of figures.

    Raises
    ------
    CompanyError
        If there can be no such company.
    ForeignFolder
        If ``out`` holds what a simulation did not write.
    NotWritten
        If there is no room or no permission.
    """
    begun = perf_counter()
    company = Company(
        customers, seed, regime=regime, bad_effect=bad_effect, exposure_only=exposure_only, campaigns=campaigns
    )
    refuse_foreign(out)
    simulation = simulate(company)
    try:
        write(simulation, out)
    except OSError as error:
        raise NotWritten(f"{out} could not be written ({error.strerror or error}). It is as it was before.") from None
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
