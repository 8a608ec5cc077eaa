"""A made-up company whose truth is known: customers, their files, and their true chance of not buying again."""

from fedelta.pipeline.simulator.company import Company, CompanyError, Regime
from fedelta.pipeline.simulator.folder import ForeignFolder, write
from fedelta.pipeline.simulator.simulation import Simulation, simulate

__all__ = ["Company", "CompanyError", "ForeignFolder", "Regime", "Simulation", "simulate", "write"]
