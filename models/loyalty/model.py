"""Loyalty: whether a customer comes back, and whether they mean it (Dick & Basu 1994, J. Acad. Mark. Sci. 22(2)).

Repeat patronage is what Pareto/NBD expects of the customer; attitude is what they expressed and did beyond buying. Both
are high or low beside the base the model was learned on: loyal (both high), latent (only attitude), spurious (only
patronage) or none. Attitude towards rivals, the other half of Dick & Basu's relative attitude, is in no event log.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from fedelta.models.loyalty.settings import LoyaltySettings
from fedelta.models.panel import Panel, floats
from fedelta.models.rounding import FITTED, significant
from fedelta.models.table import AnyTable

Floats = npt.NDArray[np.float64]
Objects = npt.NDArray[np.object_]
LoyaltyClass = Literal["loyal", "latent", "spurious", "none"]
CLASSES: tuple[LoyaltyClass, ...] = get_args(LoyaltyClass)

FEWEST_SPEAKERS = 50  # below, a typical attitude is anybody's guess
PATRONAGE_DAYS = 90  # patronage is stated as expected days with a purchase in so many days
_STEPS = 201  # quantiles kept of the base; odd, so that the median is one of them
_MOST_CREDIBILITY = 50.0  # signals, where customers' answers differ by no more than chance


@dataclass(frozen=True)
class Signal:
    """A sign of attitude: how often it was given, and how good it was, from 0 to 1 (a column, or good by itself)."""

    says: str
    count: str
    value: str | None = None
    bad: bool = False  # the column counts what went badly


# Public reviews are among the ratings. Words of any age count: those of the last year alone foresaw churn no better and
# left half of the demo's customers silent instead of a third.
SIGNALS: Mapping[str, Signal] = {
    "ratings": Signal("ratings given", "rated_count", "mean_rating"),
    "referrals": Signal("referrals made", "referral_count"),
    "contacts": Signal("contacts and complaints settled", "contact_count_365d", "unresolved_rate_365d", bad=True),
    "responses": Signal("messages answered", "response_count_90d"),
}


@dataclass(frozen=True)
class LoyaltyModel:
    """What counted as much, as good and as typical when the model was learned; `reason` says why nobody gets a class.

    An attitude is the customer's mean sign moved towards `base` as if `credibility` typical signs had been given as
    well (Bühlmann 1967); who gave fewer than `least_signals` is silent, has no attitude and so neither class nor score.
    """

    weights: Mapping[str, float]  # of the signals that the training rows tell of
    least_signals: float
    base: float = 0.5
    credibility: float = 0.0
    patronage_steps: tuple[float, ...] = ()  # quantiles 0, 0.5, …, 100% of the base
    attitude_steps: tuple[float, ...] = ()  # of those who spoke
    reason: str | None = None

    def classify(self, table: AnyTable) -> tuple[Objects, Floats]:
        """Class (None where unknown) and score (0-100, NaN where unknown) of every row of a feature table.

        The score is the geometric mean of the percentiles of patronage and attitude: who is loyal has 50 or more, who
        is not in either way less.
        """
        held, patronage = np.full(len(table), None, object), np.full(len(table), np.nan)
        if self.reason is not None:
            return held, patronage
        attitude = self.attitude(table)
        known = ~np.isnan(attitude)
        often, fond = _rank(patronage_of(table), self.patronage_steps), _rank(attitude, self.attitude_steps)
        names = np.array(CLASSES, object)[[3, 2, 1, 0]].reshape(2, 2)  # [fond, often]
        held[known] = names[(fond >= 0.5).astype(int), (often >= 0.5).astype(int)][known]
        return held, np.where(known, (100 * np.sqrt(often * fond)).round(1), np.nan)

    def attitude(self, table: AnyTable) -> Floats:
        """Attitude of every row, 0 to 1, moved towards the base by how little was expressed; NaN where silent."""
        mean, count = spoken(table, self.weights)
        shrunk = self.base + (mean - self.base) * count / (count + self.credibility)
        return np.where(count >= self.least_signals, shrunk, np.nan)

    def lift(self, table: AnyTable, signal: str) -> Floats:
        """What attitude would gain had every sign of one kind been good; NaN where silent or none was given."""
        if signal not in self.weights:
            return np.full(len(table), np.nan)
        count, value = _given(table, SIGNALS[signal])
        total = spoken(table, self.weights)[1]
        gain = self.weights[signal] * count * (1 - value) / (total + self.credibility)
        return np.where((count > 0) & (total >= self.least_signals), gain, np.nan)

    def to_dict(self) -> dict[str, object]:
        """As JSON."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, held: Mapping[str, Any]) -> "LoyaltyModel":
        """Back from JSON."""
        steps = {name: tuple(held[name]) for name in ("patronage_steps", "attitude_steps")}
        return cls(**{**held, **steps})


def fit_loyalty(panel: Panel, settings: LoyaltySettings) -> LoyaltyModel:
    """Learn the base's patronage and attitude from rows of the training cutoffs."""
    table = panel.table
    weights = {n: settings.weights[n] for n in SIGNALS if settings.weights.get(n, 0) > 0 and _told(table, SIGNALS[n])}
    mean, count = spoken(table, weights)
    spoke = count >= settings.least_signals
    if not weights or spoke.sum() < FEWEST_SPEAKERS:
        signs = ", ".join(signal.says for signal in SIGNALS.values())
        return LoyaltyModel(
            weights,
            settings.least_signals,
            reason=f"Attitude is unknown: {spoke.sum():,} of {len(table):,} training rows hold {signs} enough to tell "
            f"(at least {FEWEST_SPEAKERS} are needed), and buying alone does not tell loyalty from habit.",
        )
    mean, count = mean[spoke], count[spoke]
    base = float(np.average(mean, weights=count))
    model = LoyaltyModel(weights, settings.least_signals, base, credibility_of(mean, count, base))
    attitude = model.attitude(table)[spoke]
    return replace(model, patronage_steps=_steps(patronage_of(table)), attitude_steps=_steps(attitude))


def patronage_of(table: AnyTable) -> Floats:
    """Days with a purchase that Pareto/NBD expects in 90 days, of each row; 0 for who never bought."""
    expected = floats(table, "pareto_expected_orders") / floats(table, "horizon_days") * PATRONAGE_DAYS
    return np.nan_to_num(expected)


def spoken(table: AnyTable, weights: Mapping[str, float]) -> tuple[Floats, Floats]:
    """Mean sign of attitude of each row (NaN where there is none) and their weighted number."""
    good, total = np.zeros(len(table)), np.zeros(len(table))
    for name, weight in weights.items():
        count, value = _given(table, SIGNALS[name])
        good += weight * count * value
        total += weight * count
    return np.divide(good, total, out=np.full(len(table), np.nan), where=total > 0), total


def credibility_of(mean: Floats, count: Floats, base: float) -> float:
    """Number of signs at which a customer's own mean weighs as much as the base (Bühlmann 1967: k = σ²/τ²).

    The squared distance from the base is τ² + σ²/n in expectation: a straight line in 1/n, fitted without negatives.
    """
    (between, within), _ = nnls(np.column_stack([np.ones_like(count), 1 / count]), (mean - base) ** 2)
    return significant(min(within / between, _MOST_CREDIBILITY), FITTED) if between > 0 else _MOST_CREDIBILITY


def _given(table: AnyTable, signal: Signal) -> tuple[Floats, Floats]:
    """How often a sign was given, and how good it was; a count without a value counts as none."""
    count = np.nan_to_num(floats(table, signal.count))
    if signal.value is None:
        return count, np.ones(len(table))
    value = floats(table, signal.value)
    return np.where(np.isnan(value), 0.0, count), np.nan_to_num(1 - value if signal.bad else value)


def _told(table: AnyTable, signal: Signal) -> bool:
    """Whether rows tell of a sign. Contacts of which none is known to be unsettled tell nothing: nobody noted it."""
    count, value = _given(table, signal)
    return bool((count > 0).any() and (not signal.bad or (value[count > 0] < 1).any()))


def _steps(values: Floats) -> tuple[float, ...]:
    return tuple(np.quantile(values, np.linspace(0, 1, _STEPS)).tolist())


def _rank(values: Floats, steps: tuple[float, ...]) -> Floats:
    """Share of the steps at or below each value: above 0.5 from the median on, below 0.5 under it."""
    return np.searchsorted(np.array(steps), values, side="right") / len(steps)
