"""Lifetime value: expected spend and orders in the horizon, by the model that proved best, and an interval."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.churn import prior_use
from models.conformal import Intervals, fit_intervals
from models.encoding import Encoding
from models.level import Level
from models.metrics import Metric
from models.panel import Panel
from models.settings import ClvSettings
from models.value_selection import HeldOut, Standing, hold_out, tweedie_deviance
from models.value_trees import ORDERS, SPEND, Name, ValueTrees, fit_trees, forecasts, orders

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ValueModel:
    """What the chosen candidate expects, brought to the level that held-out totals turned out to have."""

    chosen: Name
    trees: ValueTrees
    level: Level
    horizon_days: int
    lead_days: int
    standings: tuple[Standing, ...]
    note: str

    def expected(self, table: pd.DataFrame) -> Floats:
        """Expected value within each row's horizon: above 0, shape (n_rows,)."""
        return forecasts([self.chosen], self.trees, table)[self.chosen] * self.level.scale

    @property
    def encoding(self) -> Encoding:
        """The columns read besides BTYD's answers and the horizon."""
        return self.trees.encoding if self.trees.ensembles else Encoding((), {})


@dataclass(frozen=True)
class OrdersModel(ValueModel):
    """Days with a purchase in the horizon."""

    def expected_orders(self, table: pd.DataFrame) -> Floats:
        """Expected days with a purchase within each row's horizon (n_rows,)."""
        return self.expected(table)


@dataclass(frozen=True)
class ClvModel(ValueModel):
    """Spend in the horizon, in the source's currency."""

    intervals: Intervals | None = None  # None where too few rows could be held out to know how wrong a forecast is

    def expected_spend(self, table: pd.DataFrame) -> Floats:
        """Expected spend within each row's horizon, in the source's currency (n_rows,)."""
        return self.expected(table)

    def interval(self, table: pd.DataFrame) -> tuple[Floats, Floats]:
        """Ends of the 90% interval of each row's spend (n_rows,); NaN where no error could be measured."""
        expected = self.expected_spend(table)
        return self.intervals.of(expected) if self.intervals else (np.full(len(table), np.nan),) * 2


def fit_clv(
    panel: Panel, settings: ClvSettings, *, horizon_days: int, lead_days: int, threads: int = 2
) -> ClvModel | None:
    """Choose a candidate, its level and its intervals on rows held out, and fit it on all of them.

    None where nobody spent anything, so that there is no value to learn.
    """
    if not (panel.spend > 0).any():
        return None
    deviance = tweedie_deviance(settings.tweedie_power)
    found = _Found.of(panel, SPEND, lambda rows: rows.spend, deviance, settings, horizon_days, threads)
    fitted = found.fitted(panel, settings, horizon_days, threads)
    return ClvModel(found.chosen, *fitted, horizon_days, lead_days, found.standings, found.note, found.intervals())


def fit_orders(
    panel: Panel, settings: ClvSettings, *, horizon_days: int, lead_days: int, threads: int = 2
) -> OrdersModel:
    """Choose how orders are foretold, and the level, on rows held out, and fit it on all of them."""
    found = _Found.of(panel, ORDERS, orders, tweedie_deviance(1.0), settings, horizon_days, threads)
    fitted = found.fitted(panel, settings, horizon_days, threads)
    return OrdersModel(found.chosen, *fitted, horizon_days, lead_days, found.standings, found.note)


@dataclass(frozen=True)
class _Found:
    """What rows held out say of the candidates."""

    chosen: Name
    standings: tuple[Standing, ...]
    note: str
    held_out: HeldOut | None

    @classmethod
    def of(
        cls,
        panel: Panel,
        names: Sequence[Name],
        target: Callable[[Panel], Floats],
        deviance: Metric,
        settings: ClvSettings,
        horizon_days: int,
        threads: int,
    ) -> "_Found":
        use = prior_use(settings, panel, horizon_days)
        held_out = hold_out(names, panel, target, settings, use, horizon_days, threads) if target(panel).any() else None
        if held_out is None or not held_out.actual.any():
            return cls(names[0], (), "The simplest candidate: there were no rows to test others on.", None)
        chosen, standings = held_out.choose(deviance)
        return cls(chosen, standings, f"Candidates were tested on {held_out.how} rows.", held_out)

    def fitted(self, panel: Panel, settings: ClvSettings, horizon_days: int, threads: int) -> tuple[ValueTrees, Level]:
        trees = fit_trees([self.chosen], panel, settings, prior_use(settings, panel, horizon_days), threads)
        return trees, self.held_out.levels[self.chosen] if self.held_out else Level()

    def intervals(self) -> Intervals | None:
        if self.held_out is None:
            return None
        held = self.held_out
        out_of_time = held.how == "out of time"
        cutoffs = len(np.unique(held.cutoff))
        group = held.cutoff if cutoffs > 1 else np.unique(held.customer, return_inverse=True)[1] % 5
        return fit_intervals(held.actual, held.forecasts[self.chosen], group, out_of_time=out_of_time)
