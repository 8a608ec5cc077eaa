"""Lifetime value: expected spend and orders in the horizon, by the model that proved best, and an interval."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from fedelta.models.encoding import Encoding
from fedelta.models.learning.bias_correction import BiasCorrection, balanced
from fedelta.models.learning.boosting import side_by_side
from fedelta.models.learning.competition import IN_WORDS, customer_groups, sampled_note
from fedelta.models.learning.conformal import Intervals, fit_intervals
from fedelta.models.learning.log_odds import prior_use
from fedelta.models.learning.season import NO_SEASON, Season, cutoff_of, fit_value_season, seasonal, totals_right
from fedelta.models.learning.settings import Prior
from fedelta.models.metrics.metrics import Metric
from fedelta.models.panel import Panel
from fedelta.models.rounding import PREDICTED, significant
from fedelta.models.table import AnyTable
from fedelta.models.value.settings import ClvSettings
from fedelta.models.value.value_selection import HeldOut, ValueResult, hold_out, seasonal_groups, tweedie_deviance
from fedelta.models.value.value_trees import (
    ORDERS,
    SPEND,
    WITHOUT_ORDERS,
    Name,
    ValueTrees,
    fit_trees,
    forecasts,
    orders,
)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ValueModel:
    """What the chosen candidate expects, brought to the level of held-out totals, or of the season."""

    chosen: Name
    trees: ValueTrees
    bias: BiasCorrection
    horizon_days: int
    lead_days: int
    results: tuple[ValueResult, ...]
    note: str
    season: Season

    def expected(self, table: AnyTable) -> Floats:
        """Expected value within each row's horizon, in season: above 0, shape (n_rows,)."""
        expected = forecasts([self.chosen], self.trees, table)[self.chosen]
        return significant(expected * self.bias.scale * np.exp(self.season.shift(cutoff_of(table))), PREDICTED)

    @property
    def encoding(self) -> Encoding:
        """The columns read besides BTYD's answers and the horizon."""
        return self.trees.encoding if self.trees.ensembles else Encoding((), {})


@dataclass(frozen=True)
class OrdersModel(ValueModel):
    """Days with a purchase in the horizon."""

    def expected_orders(self, table: AnyTable) -> Floats:
        """Expected days with a purchase within each row's horizon (n_rows,)."""
        return self.expected(table)


@dataclass(frozen=True)
class ClvModel(ValueModel):
    """Spend in the horizon, in the source's currency."""

    intervals: Intervals | None = None  # None where too few rows could be held out to know how wrong a forecast is

    def expected_spend(self, table: AnyTable) -> Floats:
        """Expected spend within each row's horizon, in the source's currency (n_rows,)."""
        return self.expected(table)

    def interval(self, table: AnyTable, expected: Floats | None = None) -> tuple[Floats, Floats]:
        """Ends of the 90% interval of each row's spend (n_rows,); NaN where no error could be measured.

        `expected` is `expected_spend(table)`, where the caller has it.
        """
        expected = self.expected_spend(table) if expected is None else expected
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
    names = _spend_candidates(panel)
    if names == WITHOUT_ORDERS:  # nothing carries what was learned to a longer horizon than rows have
        horizon_days = min(horizon_days, int(panel.table["horizon_days"].max()))
    task = _Task(panel, names, "spend", lambda rows: rows.spend, deviance, settings, horizon_days, lead_days, threads)
    held_out = task.held_out()
    model = task.fit(held_out)
    if held_out and task.seasonal:  # no later total shows the bias
        fitted = forecasts([model.chosen], model.trees, panel.table)[model.chosen]
        model = replace(model, bias=balanced(panel.spend, fitted, panel.table["cutoff"]))
    return ClvModel(**vars(model), intervals=_intervals(model.chosen, held_out))


def _spend_candidates(panel: Panel) -> Sequence[Name]:
    """Those that these rows allow: where BTYD knows of no money, those that do not start from it."""
    if (panel.table["pareto_expected_spend"] > 0).any():
        return SPEND
    return WITHOUT_ORDERS


def fit_orders(
    panel: Panel, settings: ClvSettings, *, horizon_days: int, lead_days: int, threads: int = 2
) -> OrdersModel | None:
    """Choose how orders are predicted, and the level, on rows held out, and fit it on all of them.

    None where BTYD knows of nobody who was ever active, so that there are no orders to learn.
    """
    if panel.table["pareto_expected_orders"].isna().all():
        return None
    deviance = tweedie_deviance(1.0)
    task = _Task(panel, ORDERS, "purchases", orders, deviance, settings, horizon_days, lead_days, threads)
    return OrdersModel(**vars(task.fit(task.held_out())))


@dataclass(frozen=True)
class _Task:
    """What is to be predicted, on what evidence, by which candidates, and by what they are judged."""

    panel: Panel
    names: Sequence[Name]
    what: str
    target: Callable[[Panel], Floats]
    deviance: Metric
    settings: ClvSettings
    horizon_days: int
    lead_days: int
    threads: int

    @property
    def prior(self) -> Prior:
        return prior_use(self.settings, self.panel, self.horizon_days)

    @property
    def seasonal(self) -> bool:
        return seasonal(self.panel, self.horizon_days, self.lead_days)

    @cached_property
    def searched(self) -> Panel:
        """The rows on which candidates are compared, and level, intervals and season learned."""
        return self.panel.sample(self.settings.search_customers)

    def held_out(self) -> HeldOut | None:
        """What candidates say of rows held out; None where there are none, or nothing happened in them."""
        if not self.target(self.searched).any():
            return None
        found = hold_out(
            self.names,
            self.searched,
            self.target,
            self.settings,
            self.prior,
            self.horizon_days,
            self.threads,
            seasonal=self.seasonal,
        )
        return found if found and found.actual.any() else None

    def fit(self, held_out: HeldOut | None) -> ValueModel:
        """The candidate that did best on rows held out, fitted on all rows."""
        if held_out:
            chosen, results = held_out.choose(self.deviance)
            bias, note = (
                held_out.corrections[chosen],
                f"Tested on {len(held_out.actual):,} rows held out: {IN_WORDS[held_out.how]}."
                + sampled_note(self.searched, self.panel),
            )
        else:
            chosen, results, bias = self.names[0], (), BiasCorrection()
            note = "The simplest candidate: there were no rows to test others on."
        trees = fit_trees([chosen], self.panel, self.settings, self.prior, self.threads)
        season = self.season(chosen, held_out) if held_out and self.seasonal else NO_SEASON
        return ValueModel(chosen, trees, bias, self.horizon_days, self.lead_days, results, note, season)

    def season(self, chosen: Name, held_out: HeldOut) -> Season:
        """The season in the totals that a candidate misses, where it knew others at the same cutoff and where not."""
        if len(np.unique(held_out.cutoff)) < len(self.searched.cutoffs):
            return NO_SEASON  # too few spent for every cutoff to be predicted
        group, groups = customer_groups(self.searched.table["customer_id"]), seasonal_groups(self.searched)
        known = np.ones(len(self.searched))

        def predict_group(number: int) -> None:
            past, rows = self.searched.where(group != number), group == number
            if self.target(past).any():
                trees = fit_trees([chosen], past, replace(self.settings, seeds=1), self.prior, threads=1)
                known[rows] = forecasts([chosen], trees, self.searched.table[rows])[chosen]

        side_by_side(predict_group, range(groups), self.threads)
        tested, cutoff = group < groups, pd.factorize(self.searched.table["cutoff"], sort=True)[0]
        errors = (
            totals_right(self.target(self.searched)[tested], known[tested], cutoff[tested]),
            totals_right(held_out.actual, held_out.raw[chosen], pd.factorize(held_out.cutoff, sort=True)[0]),
        )
        return fit_value_season(self.searched.cutoffs, errors, self.what)


def _intervals(chosen: Name, held: HeldOut | None) -> Intervals | None:
    if held is None:
        return None
    cutoffs = len(np.unique(held.cutoff))
    group = held.cutoff if cutoffs > 1 else np.unique(held.customer, return_inverse=True)[1] % 5
    widened = held.how not in ("out of time", "other seasons")
    return fit_intervals(held.actual, held.forecasts[chosen], group, widened=widened)
