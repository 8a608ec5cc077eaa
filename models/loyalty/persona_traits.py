"""Traits that may set personas apart: features a person would name, their words, and a common scale for all of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from fedelta.features.contract import CHANNELS
from fedelta.models.panel import activity_in, floats
from fedelta.models.table import AnyTable

Floats = npt.NDArray[np.float64]
Theme = Literal["experience", "behaviour", "value", "channels"]  # in the order in which a name tells them

_FARTHEST = 3.0  # robust deviations: beyond, a customer is merely extreme
_IQR = 1.349  # interquartile range of a normal distribution, in standard deviations
_SOME = 5.0  # interactions at which a customer's own rate counts half


@dataclass(frozen=True)
class Trait:
    """A feature that people differ in, and what to call having more or less of it (None: not worth a name)."""

    column: str
    theme: Theme
    says: str
    more: str | None
    less: str | None = None
    skewed: bool = False  # read on a logarithmic scale
    evidence: str | None = None  # the column that counts what a rate rests on


def _channel(name: str) -> Trait:
    label = name.replace("_", " ")
    column = f"{name}_share_365d"
    return Trait(column, "channels", f"share of interactions through {label}", label, evidence="interaction_count_365d")


TRAITS: tuple[Trait, ...] = (
    Trait("purchase_count_365d", "behaviour", "purchases in a year", "frequent", "infrequent", skewed=True),
    Trait("days_since_last_purchase", "behaviour", "days since the last purchase", "dormant", "active", skewed=True),
    # Where activity is declared, it stands in the place of purchases.
    Trait("activity_count_365d", "behaviour", "activity in a year", "frequent", "infrequent", skewed=True),
    Trait("days_since_last_activity", "behaviour", "days since the last activity", "dormant", "active", skewed=True),
    Trait("visit_count_365d", "behaviour", "visits in a year", "browsing", "seldom browsing", skewed=True),
    Trait("contact_count_365d", "behaviour", "contacts in a year", "help-seeking", skewed=True),
    Trait("review_count_365d", "behaviour", "reviews in a year", "reviewing", skewed=True),
    Trait("referral_count_365d", "behaviour", "referrals in a year", "recommending", skewed=True),
    Trait("renewal_count_365d", "behaviour", "renewals in a year", "subscribed"),
    Trait("purchase_irregularity", "behaviour", "irregularity of purchases", "irregular", "regular"),
    Trait(
        "return_rate_365d", "behaviour", "returns per purchase", "often returning", evidence="purchase_count_365d"
    ),
    Trait(
        "response_rate_90d", "behaviour", "messages answered per message", "responsive", evidence="message_count_90d"
    ),
    *(_channel(name) for name in CHANNELS),
    Trait("channel_entropy_365d", "channels", "variety of channels, in bits", "many-channel", "single-channel"),
    Trait(
        "bad_experience_rate_365d", "experience", "share of interactions that went badly", "let-down", "well-served",
        evidence="interaction_count_365d",
    ),
    Trait(
        "late_delivery_rate_365d", "experience", "share of deliveries that were late", "kept-waiting",
        evidence="delivery_count_365d",
    ),
    Trait(
        "unresolved_rate_365d", "experience", "share of contacts left unresolved", "unheard",
        evidence="contact_count_365d",
    ),
    Trait("mean_rating_365d", "experience", "mean rating", "pleased", "critical", evidence="rated_count_365d"),
    Trait("spend_365d", "value", "money spent in a year", "high-spending", "low-spending", skewed=True),
    Trait("mean_spend", "value", "money per day with a purchase", "big-basket", "small-basket", skewed=True),
)  # fmt: skip
_OF_PURCHASES = ("purchase_count_365d", "days_since_last_purchase")
_OF_ACTIVITY = ("activity_count_365d", "days_since_last_activity")
BY_COLUMN = {trait.column: trait for trait in TRAITS}


@dataclass(frozen=True)
class Scale:
    """Where a trait lies in a base, to put every customer of every run on one scale."""

    column: str
    median: float
    spread: float

    @property
    def trait(self) -> Trait:
        """The trait."""
        return BY_COLUMN[self.column]


def scales_of(table: pd.DataFrame) -> tuple[Scale, ...]:
    """The scale of every trait in which the customers of a base differ."""
    scales = []
    declared = activity_in(table) == "activity"
    for trait in TRAITS:
        if trait.column in (_OF_PURCHASES if declared else _OF_ACTIVITY):
            continue
        known = _read(table, trait)
        known = known[~np.isnan(known)]
        if known.size < 2 or known.min() == known.max():
            continue
        low, median, high = np.quantile(known, [0.25, 0.5, 0.75])
        scales.append(Scale(trait.column, float(median), float((high - low) / _IQR or known.std())))
    return tuple(scales)


def points(table: AnyTable, scales: Sequence[Scale]) -> Floats:
    """Customers in the space of the traits (n_customers, n_scales); every theme weighs the same.

    Robust deviations from the median, within ±3; 0 where unknown, and near it where a rate rests on little.
    """
    if not scales:
        return np.empty((len(table), 0))
    traits = [scale.trait for scale in scales]
    themes = [trait.theme for trait in traits]
    median, spread, weight = np.array(
        [
            (scale.median, scale.spread, np.sqrt(themes.count(theme)))
            for scale, theme in zip(scales, themes, strict=True)
        ]
    ).T[:, :, None]
    z = np.clip((np.array([_read(table, trait) for trait in traits]) - median) / spread, -_FARTHEST, _FARTHEST)
    rated = [place for place, trait in enumerate(traits) if trait.evidence is not None]
    if rated:
        count = np.nan_to_num([floats(table, str(traits[place].evidence)) for place in rated])
        z[rated] = z[rated] * count / (count + _SOME)
    return np.ascontiguousarray((np.nan_to_num(z) / weight).T)


def effects(where: Floats, label: npt.NDArray[np.intp], groups: int) -> Floats:
    """How far each group's mean lies from everybody's, in standard deviations, per trait: (n_groups, n_scales)."""
    deviation = where.std(axis=0)
    means = np.stack([where[label == group].mean(axis=0) for group in range(groups)])
    return np.asarray((means - where.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0), np.float64)


def raw_mean(table: pd.DataFrame, trait: Trait) -> float:
    """Mean of a trait among those in whom it is known, in its own unit; NaN if in none."""
    known = floats(table, trait.column)
    known = known[~np.isnan(known)]
    return float(known.mean()) if known.size else float("nan")


def _read(table: AnyTable, trait: Trait) -> Floats:
    values = floats(table, trait.column)
    return np.log1p(np.maximum(values, 0)) if trait.skewed else values
