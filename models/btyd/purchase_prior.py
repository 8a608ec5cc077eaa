"""What buy-till-you-die models predict for every row: fitted at each cutoff, asked at the row's own horizon.

They count purchases, or the activity that `churn.activity` declares in their place (`models.panel.activity_in`).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fedelta.models.btyd.fits import BgNbd, GammaGamma, ParetoNbd, Summary, fit_bg_nbd, fit_gamma_gamma, fit_pareto_nbd
from fedelta.models.panel import ORDER, activity_in, beside, floats, rows_where
from fedelta.models.rounding import PREDICTED, significant
from fedelta.models.table import AnyTable, T, Table

Floats = npt.NDArray[np.float64]

# The columns of a feature table that the models read; of activity, the like-named ones.
READS = (
    "purchase_day_count",
    "days_since_first_purchase",
    "days_since_last_purchase",
    "spend",
    "horizon_days",
    "lead_days",
)
# The columns that the models add to a row.
COLUMNS = tuple(
    f"{model}_{answer}"
    for model in ("pareto", "bg")
    for answer in ("p_alive", "p_any", "expected_orders", "expected_spend")
)


def columns_read(columns: Collection[str]) -> tuple[str, ...]:
    """Those of the columns of a feature table that the models read."""
    declared = tuple(name.replace("purchase", "activity") for name in READS)
    return tuple(dict.fromkeys((*READS, *(name for name in declared if name in columns))))


@dataclass(frozen=True)
class PurchasePrior:
    """Pareto/NBD and BG/NBD for the orders (or other activity), Gamma-Gamma for their value: one cutoff's fit."""

    pareto: ParetoNbd
    bg: BgNbd
    spend: GammaGamma | None  # None where the source knows no money

    def columns(self, table: pd.DataFrame) -> pd.DataFrame:
        """`answers` as a table with the index of the rows."""
        return pd.DataFrame(self.answers(table), index=table.index)

    def answers(self, table: AnyTable) -> dict[str, Floats]:
        """P(alive), P(any purchase), expected purchase days and expected spend in each row's horizon, per model.

        NaN for a customer who was never active. A lead time is left out of the expectations
        exactly. P(any) after a lead takes the purchase intensity of the
        horizon as lowered by the same share as the expectation.
        """
        active = _days(table) > 0
        table = rows_where(table, active)
        summary, value = purchase_summary(table), self.order_value(table)
        lead, horizon = (floats(table, name) for name in ("lead_days", "horizon_days"))
        out: dict[str, Floats] = {}
        for name, model in (("pareto", self.pareto), ("bg", self.bg)):
            at_once = model.expected_purchases(summary, horizon)
            orders, share = at_once, np.ones_like(at_once)
            if lead.any():
                orders = model.expected_purchases(summary, lead + horizon) - model.expected_purchases(summary, lead)
                np.divide(orders, at_once, out=share, where=at_once > 0)
            out[f"{name}_p_alive"] = model.p_alive(summary)
            out[f"{name}_p_any"] = -np.expm1(
                share * np.log1p(-np.minimum(model.p_any_purchase(summary, horizon), 1 - 1e-12))
            )
            out[f"{name}_expected_orders"] = orders
            out[f"{name}_expected_spend"] = orders * value
        rounded = significant(np.array(list(out.values())), PREDICTED)
        found = np.full((len(out), len(active)), np.nan)
        found[:, active] = rounded
        return dict(zip(out, found, strict=True))

    def order_value(self, table: AnyTable) -> Floats:
        """Expected amount of the next order of each row (n_rows,), all of whom were active; 0 without money."""
        orders = _days(table)
        if self.spend is None:
            return np.zeros(len(orders))
        return self.spend.expected_spend(orders, floats(table, "spend") / orders)

    def to_dict(self) -> dict[str, object]:
        """As JSON."""
        return {"pareto": self.pareto.to_json(), "bg": self.bg.to_json(), "spend": self.spend and self.spend.to_json()}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "PurchasePrior":
        """Back from JSON."""
        return cls(
            ParetoNbd.from_json(document["pareto"]),
            BgNbd.from_json(document["bg"]),
            document["spend"] and GammaGamma.from_json(document["spend"]),
        )


def prior_columns(prior: PurchasePrior | None, table: pd.DataFrame) -> pd.DataFrame:
    """`prior_answers` as a table with the index of the rows."""
    return pd.DataFrame(prior_answers(prior, table), index=table.index)


def prior_answers(prior: PurchasePrior | None, table: AnyTable) -> dict[str, Floats]:
    """`PurchasePrior.answers`; all NaN where there was nobody to fit it on."""
    return {name: np.full(len(table), np.nan) for name in COLUMNS} if prior is None else prior.answers(table)


def at_horizon(table: T, prior: PurchasePrior | None, days: int) -> T:
    """The rows with another horizon, and what the purchase models say of it in place of what they predicted."""
    if (floats(table, "horizon_days") == days).all():
        return table
    other = beside(table, {"horizon_days": np.full(len(table), days, np.asarray(table["horizon_days"]).dtype)})
    return beside(other, {name: found for name, found in prior_answers(prior, other).items() if name in table})


def fit_prior(table: pd.DataFrame, *, money: bool = True) -> PurchasePrior:
    """Fit all three on the rows of one cutoff that have a purchase, or other activity.

    Gamma-Gamma is fitted on all orders, not on repeats alone: it ranks customers better (CDNOW). It is left out where
    `money` is false: activity that nobody pays for has no value of its own.
    """
    table = table[_days(table) > 0]
    summary = purchase_summary(table)
    orders, spend = _days(table), floats(table, "spend")
    paid = spend > 0
    value = fit_gamma_gamma(orders[paid], spend[paid] / orders[paid]) if money and paid.any() else None
    return PurchasePrior(fit_pareto_nbd(summary), fit_bg_nbd(summary), value)


def purchase_summary(table: AnyTable) -> Summary:
    """Repeat purchase days, time from the first to the last, and age, in whole days (Fader & Hardie's x, t_x, T).

    A day with a purchase is `ceil(days since)` days before the cutoff, whatever the hour; the day before the cutoff is
    the last one observed.
    """
    if isinstance(table, Table):
        reads = [name.replace("purchase", activity_in(table)) for name in READS[:3]]
        return table.once(_summary, reads)
    return _summary(table)


def _summary(table: AnyTable) -> Summary:
    first, last = (np.ceil(floats(table, f"days_since_{end}_{activity_in(table)}")) for end in ("first", "last"))
    return Summary(_days(table) - 1, first - last, first - 1)


def _days(table: AnyTable) -> Floats:
    """Days with a purchase, or with activity where it is declared (n_rows,)."""
    return floats(table, f"{activity_in(table)}_day_count")


def fit_priors(
    table: pd.DataFrame, *, money: bool = True, fitted: Mapping[str, PurchasePrior] | None = None
) -> tuple[dict[str, PurchasePrior], pd.DataFrame]:
    """One fit per cutoff on the customers in scope there, and its columns for them, in row order.

    No fit and no rows where nobody was active. `money`: whether activity brings any. `fitted`: fits by cutoff, of the
    same customers, that need not be made again (a fit does not depend on the horizon).
    """
    priors: dict[str, PurchasePrior] = {}
    columns = []
    for cutoff, rows in table.groupby("cutoff", sort=True):
        scored = rows[(rows["status"] == "scored") & (rows[f"{activity_in(table)}_day_count"] > 0)]
        if scored.empty:
            continue
        day = pd.Timestamp(str(cutoff)).strftime("%Y-%m-%d")
        prior = priors[day] = (fitted or {}).get(day) or fit_prior(scored, money=money)
        columns.append(pd.concat([scored[list(ORDER)], prior.columns(scored)], axis=1))
    if not columns:
        return priors, table.loc[[], list(ORDER)].assign(**dict.fromkeys(COLUMNS, pd.Series(dtype="float64")))
    return priors, pd.concat(columns)


def priors_before(priors: Mapping[pd.Timestamp, PurchasePrior], cutoffs: pd.Series) -> npt.NDArray[np.intp]:
    """The number, in order of time, of the last fit at or before each cutoff (n_rows,); -1 where every fit is later."""
    fits = pd.DatetimeIndex(sorted(priors))
    return np.asarray(fits.searchsorted(pd.DatetimeIndex(cutoffs), side="right") - 1, np.intp)
