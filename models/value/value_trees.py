"""The models of value that compete, simplest first, and the boosters they are made of."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fedelta.models.encoding import Encoding
from fedelta.models.learning.boosting import Ensemble, Objective, TrainingRows, by_rows, fit_ensemble, side_by_side
from fedelta.models.learning.log_odds import rounded_logit, sigmoid
from fedelta.models.learning.settings import Prior
from fedelta.models.panel import PRIOR_FEATURES, Panel, feature_columns, floats
from fedelta.models.rounding import PREDICTED, rounded_log, significant
from fedelta.models.table import AnyTable
from fedelta.models.value.settings import ClvSettings

Floats = npt.NDArray[np.float64]
OrdersName = Literal["pareto_nbd", "poisson"]
SpendName = Literal["pareto_gg", "count", "tweedie", "hurdle", "blend"]
Name = OrdersName | SpendName
Part = Literal["orders", "spend", "buys", "basket"]

# A tie goes to the one that comes first.
ORDERS: tuple[OrdersName, ...] = ("pareto_nbd", "poisson")
SPEND: tuple[SpendName, ...] = ("pareto_gg", "count", "tweedie", "hurdle", "blend")
WITHOUT_ORDERS: tuple[SpendName, ...] = ("tweedie", "hurdle")  # what a table of customers allows

_NEEDS: Mapping[Name, tuple[Part, ...]] = {
    "pareto_nbd": (),
    "poisson": ("orders",),
    "pareto_gg": (),
    "count": ("orders",),
    "tweedie": ("spend",),
    "hurdle": ("buys", "basket"),
    "blend": ("orders", "spend", "buys", "basket"),
}
_OBJECTIVES: Mapping[Part, Objective] = {
    "orders": "poisson", "spend": "tweedie", "buys": "binary", "basket": "gamma",
}  # fmt: skip
_LEAST_SPEND, _LEAST_ORDERS = 1e-2, 1e-4  # in place of nothing, whose logarithm does not exist


@dataclass(frozen=True)
class ValueTrees:
    """Boosters of orders, of spend, of whether anything is spent, and of what a buyer spends."""

    ensembles: Mapping[Part, Ensemble]
    encoding: Encoding
    prior: Prior

    def log(self, table: AnyTable) -> dict[Part, Floats]:
        """Log of what each booster expects in a row's horizon (n_rows,); of `buys` the log-odds."""
        if not self.ensembles:
            return {}
        start = _start(table) if self.prior == "init_score" else {}
        raw = by_rows(self._raw, table)
        return {part: raw[:, i] + start.get(part, 0.0) for i, part in enumerate(self.ensembles)}

    def _raw(self, rows: AnyTable) -> Floats:
        matrix = self.encoding.matrix(rows)
        return np.column_stack([ensemble.raw(matrix) for ensemble in self.ensembles.values()])


def fit_trees(names: Iterable[Name], panel: Panel, settings: ClvSettings, prior: Prior, threads: int = 2) -> ValueTrees:
    """Grow the boosters that candidates need. BTYD's expectations start them, or are columns among others."""
    table = panel.table
    read = feature_columns(table) + (list(PRIOR_FEATURES) if prior == "features" else [])
    encoding = Encoding.of(table[read])
    columns, start, bought = encoding.columns(table), _start(table), panel.spend > 0
    rows = TrainingRows(columns, encoding)
    target = {"orders": orders(panel), "spend": panel.spend, "buys": bought.astype(np.float64), "basket": panel.spend}

    parts = list(dict.fromkeys(part for name in names for part in _NEEDS[name]))

    def grow(part: Part) -> Ensemble:
        known = bought if part == "basket" else np.ones(len(bought), bool)
        one_by_one = part != "basket" and threads == 1
        return fit_ensemble(
            rows if one_by_one else TrainingRows(columns if known.all() else columns.filter(pa.array(known)), encoding),
            target[part][known],
            settings,
            _OBJECTIVES[part],
            init_score=start[part][known] if prior == "init_score" else None,
            threads=max(threads // len(parts), 1),
            tweedie_power=settings.tweedie_power,
        )

    return ValueTrees(dict(zip(parts, side_by_side(grow, parts, threads), strict=True)), encoding, prior)


def forecasts(names: Iterable[Name], trees: ValueTrees, table: AnyTable) -> dict[Name, Floats]:
    """What candidates expect in each row's horizon, orders in purchase days or spend: above 0, shape (n_rows,).

    - ``pareto_nbd``, ``pareto_gg``: Pareto/NBD's orders; times Gamma-Gamma's order value.
    - ``poisson``, ``count``: boosted orders; times the same order value.
    - ``tweedie``: boosted spend (Tweedie deviance). ``hurdle``: boosted chance of any, times a buyer's spend.
    - ``mean``: geometric mean of the four of spend, whose mistakes partly cancel.
    """
    start, log = _start(table), trees.log(table)
    logs = {"pareto_nbd": start["orders"], "pareto_gg": start["spend"]}
    if "orders" in log:
        logs |= {"poisson": log["orders"], "count": log["orders"] + start["spend"] - start["orders"]}
    if "spend" in log:
        logs["tweedie"] = log["spend"]
    if "buys" in log:
        logs["hurdle"] = np.log(sigmoid(log["buys"])) + log["basket"]
    if len(log) == len(_OBJECTIVES):
        logs["blend"] = np.mean([logs[name] for name in SPEND[:-1]], axis=0)
    return {name: significant(np.exp(logs[name]), PREDICTED) for name in names}


def orders(panel: Panel) -> Floats:
    """Days with a purchase, or other activity where it is declared, in the horizon: what Pareto/NBD counts."""
    return floats(panel.outcomes, f"horizon_{panel.activity}_day_count")


def _start(table: AnyTable) -> dict[Part, Floats]:
    """What BTYD and Gamma-Gamma expect of each row, on the scale of each booster; next to nothing where nothing is."""
    log_spend = _log(table, "pareto_expected_spend", _LEAST_SPEND)
    log_odds = rounded_logit(np.nan_to_num(floats(table, "pareto_p_any")))
    return {
        "orders": _log(table, "pareto_expected_orders", _LEAST_ORDERS),
        "spend": log_spend,
        "buys": log_odds,
        "basket": rounded_log(log_spend - np.log(sigmoid(log_odds))),
    }


def _log(table: AnyTable, name: str, least: float) -> Floats:
    return rounded_log(np.log(np.maximum(np.nan_to_num(floats(table, name)), least)))
