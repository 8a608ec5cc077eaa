"""What is at stake with each customer: who is still here, who is leaving, what they would take along, who is gone."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from fedelta.models.btyd.outlook import outlook, rate_spread
from fedelta.models.btyd.purchase_prior import PurchasePrior, purchase_summary
from fedelta.models.leaving.model import LeavingModel
from fedelta.models.panel import activity_in, floats, rows_where
from fedelta.models.rounding import PREDICTED, probabilities, significant
from fedelta.models.table import AnyTable

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Stakes:
    """Of each customer, shape (n_customers,); money in the source's currency, after margin; NaN where unknown."""

    p_here: Floats
    """Probability of still being a customer."""
    p_leaves: Floats
    """Probability of leaving before the horizon is over, if still here."""
    value_at_risk: Floats
    """What is lost if a customer who is still here leaves within the horizon, times the probability of both."""
    win_back_value: Floats
    """What those who have left would bring if they came back today, times the probability that they have left."""
    days_gone: Floats
    """Days since leaving that are expected, if gone."""
    spread: Floats
    """Standard deviation of the logarithm of a customer's own spend per day, given what they bought."""


def joined_stakes(parts: Sequence[Stakes | None]) -> Stakes | None:
    """Of the customers of several parts; None where nobody knows what they are worth."""
    known = [part for part in parts if part is not None]
    if len(known) < 2:
        return known[0] if known else None
    return Stakes(*(np.concatenate([getattr(part, field.name) for part in known]) for field in fields(Stakes)))


def stakes(
    table: AnyTable,
    probability: Floats,
    prior: PurchasePrior,
    *,
    margin: float | Floats,
    span_days: int,
    expected: Floats | None = None,
    leaving: LeavingModel | None = None,
) -> Stakes:
    """The stakes of customers whose leaving nobody sees: silence alone tells, so "gone" and "leaving" must be split.

    With q the churn probability, h the horizon, H the span, and the rest by Pareto/NBD (`models.btyd.outlook`)::

        here    = mean of P(alive) and min(1, (1 - q) / P(any order in the horizon | here))
        at risk = margin · here · P(leaves within h | here) · V · (1 - h / 2H)
        lost    = margin · (1 - here) · V_gone

    V is what a customer still here spends within H, V_gone what one who has left would, once back; who leaves within
    h has on average bought for h / 2 already. The churn probability itself counts those long gone: times expected
    spend, which is least for them, it ranks neither those who can be kept nor those who could be won back. (Measured
    on simulated truth by ``benchmarks/policy.py``.)

    Parameters
    ----------
    table : DataFrame
        Features at the scoring cutoff, one row per customer; who was never active has no stakes: NaN.
    probability : ndarray of shape (n_customers,)
        Churn probability within the horizon.
    margin : float, or ndarray of shape (n_customers,)
        Share of spend that is worth keeping.
    span_days : int
        Over which value is counted, the H above.
    expected : ndarray of shape (n_customers,), optional
        Expected spend within the span by another model, where activity is not paid for, so that the purchase models
        know no money. It stands for here · V, and what the gone would bring is unknown: 0.
    leaving : LeavingModel, optional
        Corrects Pareto/NBD's probability of leaving by what customers went through.
    """
    known = floats(table, f"{activity_in(table)}_day_count") > 0
    if not known.any():
        return Stakes(*(np.full(len(table), np.nan) for _ in range(6)))
    rows = rows_where(table, known)
    summary, (horizon, lead) = purchase_summary(rows), _horizon(rows)
    ahead = outlook(prior.pareto, summary, horizon_days=horizon, lead_days=lead, span_days=span_days)
    p_leaves = leaving.p_leaves(rows, ahead.p_leaves) if leaving else ahead.p_leaves
    q, share = probability[known], np.broadcast_to(np.asarray(margin, np.float64), len(table))[known]
    here = (ahead.p_alive + np.minimum(1.0, (1 - q) / ahead.p_any_if_here)) / 2
    if prior.spend is None:
        stay = np.zeros(len(q)) if expected is None else expected[known]
        back, spread = np.zeros(len(q)), np.full(len(q), np.nan)
    else:
        value = prior.order_value(rows)
        stay = here * ahead.orders_if_here * value
        back = (1 - here) * ahead.orders_if_back * value
        spread = rate_spread(prior.pareto, prior.spend, summary)
    part = 1 - min((lead + horizon) / (2 * span_days), 0.5)
    found = (
        probabilities(here),
        probabilities(p_leaves),
        significant(share * p_leaves * stay * part, PREDICTED),
        significant(share * back, PREDICTED),
        significant(ahead.days_gone, PREDICTED),
        significant(spread, PREDICTED),
    )
    return Stakes(*(_placed(values, known) for values in found))


def contract_stakes(probability: Floats, value: Floats, *, margin: float | Floats) -> Stakes:
    """The stakes of customers whose leaving is seen: who has not left is here, and q is the chance of leaving.

    Parameters
    ----------
    probability : ndarray of shape (n_customers,)
        Probability of leaving within the horizon.
    value : ndarray of shape (n_customers,)
        What a customer is worth if they stay; NaN where unknown.
    """
    nobody = np.zeros(len(probability))
    at_risk = significant(np.asarray(margin * probability * value, np.float64), PREDICTED)
    here = np.ones(len(probability))
    return Stakes(here, probability, at_risk, nobody, nobody.copy(), np.full(len(probability), np.nan))


def value_while_here(table: AnyTable, prior: PurchasePrior, *, span_days: int, otherwise: Floats) -> Floats:
    """What customers whom a company knows to be here spend within a span (n_customers,), by the purchase models.

    A model of spend learns from customers most of whom are silent for a reason. Of one who is known to be here, the
    rate of purchases is Gamma(r + x, α + T) however long they were silent (Schmittlein, Morrison & Colombo 1987).
    Measured on simulated truth by ``benchmarks/policy.py``, world `contract`.

    Parameters
    ----------
    table : DataFrame or Table
        Features at the scoring cutoff, one row per customer.
    span_days : int
        Days over which spend is counted.
    otherwise : ndarray of shape (n_customers,)
        Of who has bought nothing yet, and of all where the purchase models know no money.
    """
    known = floats(table, f"{activity_in(table)}_day_count") > 0
    if prior.spend is None or not known.any():
        return otherwise
    rows = rows_where(table, known)
    horizon, lead = _horizon(rows)
    ahead = outlook(prior.pareto, purchase_summary(rows), horizon_days=horizon, lead_days=lead, span_days=span_days)
    value = otherwise.copy()
    value[known] = ahead.orders_if_here * prior.order_value(rows)
    return value


def _horizon(rows: AnyTable) -> tuple[float, float]:
    """Days of the horizon and of the lead before it, the same for all rows."""
    return float(floats(rows, "horizon_days")[0]), float(floats(rows, "lead_days")[0])


def _placed(values: Floats, where: npt.NDArray[np.bool_]) -> Floats:
    whole = np.full(len(where), np.nan)
    whole[where] = values
    return whole
