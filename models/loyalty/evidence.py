"""Whether loyalty means anything: what each class did next, what attitude adds to behaviour, who only seems loyal."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from fedelta.models.loyalty.model import CLASSES, LoyaltyModel, spoken
from fedelta.models.metrics.bootstrap import Interval, Resampling, paired_difference, replicate
from fedelta.models.metrics.metrics import base_rate, log_loss
from fedelta.models.panel import Panel, floats
from fedelta.models.rounding import probabilities

Floats = npt.NDArray[np.float64]
Figure = dict[str, float | None]

_FEWEST_OF_A_KIND = 20  # who left and who stayed, in both sets of rows, for a comparison to be worth its name
BEHAVIOUR = (
    "days_since_last_purchase", "days_since_first_purchase", "purchase_day_count", "purchase_count_90d",
    "purchase_count_365d", "spend_365d", "mean_spend", "purchase_overdue_ratio", "visit_count_90d",
    "interaction_count_90d", "pareto_expected_orders",
)  # fmt: skip
CHANCES = ("pareto_p_any", "bg_p_any")
_SAID = {"contacts": "answers", "ratings": "ratings"}
_ADVICE = {
    "contacts": "settle the contact that was left open",
    "ratings": "answer what was rated low and put it right",
}


@dataclass(frozen=True)
class Addition:
    """Log loss of churn out of time, by behaviour alone and with attitude; negative difference: attitude helps."""

    customers: int
    behaviour: float
    with_attitude: float
    difference: Interval
    verdict: str

    def as_dict(self) -> dict[str, object]:
        """As JSON, null where nothing could be compared."""
        held = {"customers": self.customers, "difference": self.difference.as_dict(), "verdict": self.verdict}
        losses = {"behaviour": self.behaviour, "with_attitude": self.with_attitude}
        return {**held, **{name: loss if np.isfinite(loss) else None for name, loss in losses.items()}}


@dataclass(frozen=True)
class Spurious:
    """A customer of high value who keeps buying without meaning it, and what would lift their attitude."""

    customer_id: str
    expected_spend: float
    spend_365d: float
    score: float
    attitude: float
    advice: str


def what_they_did(
    panel: Panel, model: LoyaltyModel, definition: str, resampling: Resampling, *, referred: Floats | None = None
) -> list[dict[str, object]]:
    """Per class, "silent" last: how many customers at this cutoff, and what they did in the horizon, with intervals.

    Parameters
    ----------
    panel : Panel
        Rows of one cutoff that the model was not learned on.
    referred : ndarray of shape (n_rows,), optional
        Referrals made in the horizon; null in the table without.
    """
    held, _ = model.classify(panel.table)
    did = {
        "bought": (floats(panel.outcomes, "horizon_purchase_count") > 0).astype(np.float64),
        "spend": panel.spend,
        "left": panel.churned(definition),
        "referred": None if referred is None else (referred > 0).astype(np.float64),
    }
    rows: list[dict[str, object]] = []
    for name in (*CLASSES, None):
        mine = np.array([one == name for one in held], bool)
        figures = {what: None if v is None else _mean(v[mine], resampling) for what, v in did.items()}
        rows.append({"class": name or "silent", "customers": int(mine.sum()), **figures})
    return rows


def attitude_adds(train: Panel, later: Panel, model: LoyaltyModel, definition: str, resampling: Resampling) -> Addition:
    """Whether churn is predicted better with attitude than without, out of time, among customers who spoke.

    Behaviour includes how much a customer expressed, since talking is activity; only what was expressed is added.
    """
    sets = [panel.where(~np.isnan(model.attitude(panel.table))) for panel in (train, later)] if not model.reason else []
    kinds = [min(y.sum(), len(y) - y.sum()) for y in (panel.churned(definition) for panel in sets)]
    if min(kinds, default=0) < _FEWEST_OF_A_KIND:
        nothing = Interval(np.nan, np.nan, np.nan)
        words = f"Too few customers spoke and left, or spoke and stayed, to compare ({_FEWEST_OF_A_KIND} are needed)."
        return Addition(len(sets[1]) if sets else 0, np.nan, np.nan, nothing, model.reason or words)
    spoke, tested = sets
    churned, customer = tested.churned(definition), tested.table["customer_id"].to_numpy()
    alone, both = (
        _forecast(_inputs(spoke.table, model, extra), spoke.churned(definition), _inputs(tested.table, model, extra))
        for extra in (False, True)
    )
    gain = paired_difference(log_loss, churned, both, alone, customer=customer, resampling=resampling)
    return Addition(len(tested), log_loss(churned, alone), log_loss(churned, both), gain, _verdict(gain))


def spurious_of_value(
    table: pd.DataFrame, model: LoyaltyModel, *, least_spend: float, most: int = 100
) -> list[Spurious]:
    """Spurious loyals expected to spend at least so much in the horizon, the most valuable first."""
    held, score = model.classify(table)
    expected = np.nan_to_num(floats(table, "pareto_expected_spend"))
    mine = np.array([one == "spurious" for one in held], bool) & (expected >= least_spend) & (expected > 0)
    rows = table[mine].assign(_expected=expected[mine], _score=score[mine], _attitude=model.attitude(table)[mine])
    rows = rows.sort_values(["_expected", "customer_id"], ascending=[False, True]).head(most)
    return [
        Spurious(str(name), float(spend), float(year), float(points), float(attitude), advice)
        for name, spend, year, points, attitude, advice in zip(
            rows["customer_id"], rows["_expected"], rows["spend_365d"], rows["_score"], rows["_attitude"],
            _advice(rows, model), strict=True,
        )
    ]  # fmt: skip


def _advice(table: pd.DataFrame, model: LoyaltyModel) -> Sequence[str]:
    """Which kind of sign holds attitude down most, and by how much, in words."""
    names = [name for name in _ADVICE if name in model.weights]
    if not names or table.empty:
        return ["ask how they are: they say little good"] * len(table)
    gains = np.column_stack([np.nan_to_num(model.lift(table, name)) for name in names])
    attitude, best = model.attitude(table), gains.argmax(axis=1)
    return [
        f"{_ADVICE[names[kind]]}: with only good {_SAID[names[kind]]} attitude would be {now + gain:.2f}, not {now:.2f}"
        for kind, gain, now in zip(best, gains.max(axis=1), attitude, strict=True)
    ]


def _mean(values: Floats, resampling: Resampling) -> Figure | None:
    if not values.size:
        return None
    drawn = replicate(values, {"all": np.zeros(values.size)}, {"mean": base_rate}, resampling=resampling)
    return drawn.interval("all", "mean").as_dict()


def _inputs(table: pd.DataFrame, model: LoyaltyModel, with_attitude: bool) -> Floats:
    columns = [np.log1p(np.maximum(np.nan_to_num(floats(table, name)), 0)) for name in BEHAVIOUR]
    for name in CHANCES:
        p = np.clip(np.nan_to_num(floats(table, name)), 1e-4, 1 - 1e-4)
        columns.append(np.log(p) - np.log1p(-p))
    columns.append(np.log1p(spoken(table, model.weights)[1]))
    return np.column_stack([*columns, model.attitude(table)] if with_attitude else columns)


def _forecast(inputs: Floats, churned: Floats, later: Floats) -> Floats:
    scaler = StandardScaler().fit(inputs)
    line = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-8).fit(scaler.transform(inputs), churned)
    return probabilities(np.asarray(line.predict_proba(scaler.transform(later))[:, 1], np.float64))


def _verdict(gain: Interval) -> str:
    if gain.high < 0:
        word = "Attitude adds to behaviour"
    elif gain.low > 0:
        word = "Attitude makes the forecast worse"
    else:
        word = "Attitude does not demonstrably add to behaviour"
    return f"{word}: log loss of churn {gain.value:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}], out of time."
