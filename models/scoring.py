"""From features to scores: one row per customer, with what to fear, what is at stake and why."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from math import isnan
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl

from fedelta.features.contract import BAD_WINDOWS, RISK_TIERS, SCORES, NextStatus, SuppressionReason
from fedelta.features.history import DAY_US, places
from fedelta.models.base import Base, journeys_of, lists_of
from fedelta.models.btyd.next_order import days_to_next_order, regularity, regularity_columns
from fedelta.models.btyd.outlook import lifetime_interval, still_over_span
from fedelta.models.btyd.purchase_prior import PurchasePrior, at_horizon, purchase_summary
from fedelta.models.churn.model import ChurnModel
from fedelta.models.explain import Struct, reasons, reasons_of_few
from fedelta.models.leaving.model import LeavingModel
from fedelta.models.loyalty.model import LoyaltyModel
from fedelta.models.loyalty.personas import PersonaModel
from fedelta.models.panel import activity_in, cutoff_in, floats, rows_where, texts
from fedelta.models.policy.actions import planned, risk_tier
from fedelta.models.policy.settings import PolicySettings
from fedelta.models.policy.stakes import Stakes, contract_stakes, joined_stakes, stakes, value_while_here
from fedelta.models.reasons.wording import Wording
from fedelta.models.rounding import PREDICTED, significant
from fedelta.models.scores import Columns, Scores
from fedelta.models.table import AnyTable, Table
from fedelta.models.uplift.storage import UpliftModel
from fedelta.models.value.model import ClvModel, OrdersModel

Floats = npt.NDArray[np.float64]
Explained = Literal["nobody", "listed", "everybody"]
Each = Callable[..., Iterator[Any]]
Customers = pl.DataFrame | Mapping[str, Any]  # columns by name, `customer_id` among them
KNOWN_VALUE = "known_value"
MARGIN_SHARE = "margin_share"
CHANNEL = "channel"
LISTED = 500  # customers at the head of each list (to keep, to win back) who have reasons whatever their risk
STAKES = ("p_here", "p_leaves", "value_at_risk", "win_back_value")
_CENTURY_DAYS = 36_525
_FEW = 100  # customers whose reasons need not be a column
_LEVEL = 4.0  # by which the ends of an interval of lifetime value follow the chosen model of value at most
INDEXES = [name for name in SCORES if name.startswith(("experience_index", "pillar_", "level_"))]


@dataclass(frozen=True)
class Models:
    """What a bundle holds to score with; `clv` is None where no money is known, `orders` where too little was."""

    churn: ChurnModel
    clv: ClvModel | None
    orders: OrdersModel | None
    prior: PurchasePrior | None  # the purchase models of the scoring cutoff
    loyalty: LoyaltyModel
    personas: PersonaModel
    definition: str = "inactivity"  # of churn: whether silence alone tells that a customer has left
    leaving: LeavingModel | None = None
    uplift: UpliftModel | None = None  # effects of contacting, where they passed their gate


@dataclass(frozen=True)
class Risk:
    """What may be lost with some customers in scope, whoever the others are: of each, in their order."""

    probability: Floats
    at_stake: Stakes | None
    gain: Floats | None  # what contacting is measured to bring


def base_of(
    tables: Iterable[Any],
    models: Models,
    policy: PolicySettings,
    *,
    suppressed: Mapping[str, SuppressionReason] | None = None,
    out_of_fold: Mapping[str, float] | None = None,
    contacts: Mapping[str, int] | None = None,
    each: Each = map,
) -> tuple[Base, list[Risk]]:
    """The base that the customers of all tables are, among whom `score` places each; and the risk of each table's.

    Parameters
    ----------
    tables : iterable of DataFrame
        Features of all customers with a history at the cutoff, as for `score`. Memory holds one of them, and some
        hundred bytes of every customer in scope; neither base nor risk depends on how customers are dealt to tables
        that follow each other in one order.
    suppressed, out_of_fold, contacts : mapping, optional
        As for `score`.
    each : callable
        Applies a function to every table in order, as `map` does. Another one may do so elsewhere, and know tables by
        other things than themselves.
    """
    parts = list(each(partial(_part, models=models, policy=policy, out_of_fold=out_of_fold or {}), tables))
    (as_of,) = {part.as_of for part in parts}
    risks = [part.risk for part in parts]
    probability = np.concatenate([risk.probability for risk in risks])
    at_stake = joined_stakes([risk.at_stake for risk in risks])
    everybody = pl.concat([part.ids for part in parts])
    _, queue = planned(
        everybody.to_list(),
        at_stake,
        policy,
        suppressed or {},
        as_of=as_of,
        contacts=contacts,
        gain=_joined([risk.gain for risk in risks]),
    )
    money = {name: getattr(at_stake, name) for name in STAKES} if at_stake else {}
    figures = pl.DataFrame({"customer_id": everybody, "churn_probability": probability} | money, nan_to_null=True)
    gaps = [part.gaps for part in parts]
    common = regularity(gaps[0] if len(gaps) == 1 else pd.concat(gaps)) if models.prior else None
    by_journey = journeys_of(probability, pl.concat([part.journeys for part in parts]).to_list())
    lists = lists_of(figures, LISTED)
    return Base(as_of, common, np.sort(probability), by_journey, lists, queue), risks


def score(
    table: AnyTable,
    models: Models,
    policy: PolicySettings,
    *,
    currency: str,
    model_version: str,
    indexes: Customers | None = None,
    suppressed: Mapping[str, SuppressionReason] | None = None,
    unseen: Sequence[str] = (),
    out_of_fold: Mapping[str, float] | None = None,
    next_categories: tuple[Customers, NextStatus] | None = None,
    contacts: Mapping[str, int] | None = None,
    annual_discount: float = 0.1,
    wording: Wording | None = None,
    explained: Explained = "listed",
    base: Base | None = None,
    risk: Risk | None = None,
) -> tuple[Scores, Base]:
    """The scores of customers at one cutoff, and their base.

    Parameters
    ----------
    table : DataFrame or Table
        Features and prior columns, times in UTC without a zone, of customers with a history at the cutoff. Those
        whose `status` is not "scored" keep it and get no figures. `known_value`, if there, is what the company says
        each customer is worth over the horizon if they stay; value at risk then goes by it. `margin_share`, if there,
        is the share of each one's spend that is worth keeping; else `policy.margin` is everybody's. `channel` is the
        one that each mostly uses; null without it.
    indexes : DataFrame, or mapping of name to values, optional
        `customer_id` and the indexes of experience, 0-100, each null (or NaN) where a customer never met what it
        judges.
    suppressed : mapping of str to str, optional
        Customers who must not be contacted, and why: `models.policy.actions.suppressed_customers`.
    unseen : sequence of str
        Known customers without features at the cutoff, as nothing had happened yet: status "no_history".
    out_of_fold : mapping of customer to float, optional
        Churn probabilities by models of other customers, for those of a table whom the model learned from: it knows
        their answer.
    next_categories : pair of DataFrame (or mapping of name to list) and str, optional
        `customer_id` and `next_categories` of those who had bought of a category, and the status of the others.
    contacts : mapping of customer to int, optional
        How often each was contacted within the last year.
    annual_discount : float
        By which value a year later is worth less.
    wording : Wording, optional
        What reasons call things in the source.
    explained : "nobody", "listed" or "everybody"
        Who gets reasons; "listed": who is at risk (`policy.explained`), has an action or stands first on a list.
    base : Base, optional
        The customers of a run, among whom these are placed; without one, these are all there are.
    risk : Risk, optional
        That of the table's customers, where `base_of` gave it.

    Returns
    -------
    scores : Scores
        What no model fills is null.
    base : Base
        The one given, or that of these customers.
    """
    suppressed, table = suppressed or {}, Table.of(table)
    if base is None:
        base, (risk,) = base_of(
            [table], models, policy, suppressed=suppressed, out_of_fold=out_of_fold, contacts=contacts
        )
    in_scope, as_of = _in_scope(table), cutoff_in(table)
    scored = rows_where(table, in_scope)
    if risk is None:
        risk = _risk(scored, models, policy, out_of_fold or {})
    ids: list[str] = scored["customer_id"].tolist()
    columns = _scored(
        scored, models, policy, risk.probability, risk.at_stake, as_of=as_of, currency=currency, common=base.regularity
    )
    if models.clv:
        columns |= _value(scored, models, models.clv, annual_discount)
    columns |= {
        "percentile": base.percentile(risk.probability),
        "percentile_in_journey": base.percentile_in_journey(risk.probability, texts(scored, "journey")),
    }
    columns |= planned(
        ids,
        risk.at_stake,
        policy,
        suppressed,
        as_of=base.as_of,
        contacts=contacts,
        gain=risk.gain,
        queue=base.queue,
    )[0]
    if explained != "nobody":
        asked = np.ones(len(ids), np.bool_) if explained == "everybody" else _asked(columns, ids, policy, base)
        if (found := _reasons(models.churn, scored, asked, wording, risk.probability)) is not None:
            columns["reasons"] = found
    if indexes is not None:
        columns |= _of_customers(indexes, ids, INDEXES)
    if next_categories is not None:
        recommended, otherwise = next_categories
        columns |= (of_each := _of_customers(recommended, ids, ["next_categories"]))
        predicted = of_each["next_categories"]
        columns["next_categories_status"] = ["predicted" if one is not None else otherwise for one in predicted]
    others = dict(zip(table["customer_id"][~in_scope].tolist(), table["status"][~in_scope].tolist(), strict=True))
    others |= dict.fromkeys(unseen, "no_history")
    horizon = int(table["horizon_days"][0])
    return Scores(columns | {"customer_id": ids}, others, as_of, horizon, model_version, suppressed), base


def _of_customers(table: Customers, ids: Sequence[str], names: Sequence[str]) -> Columns:
    """Columns of a table by customer, for these customers; null for those who are not in it."""
    if isinstance(table, pl.DataFrame):
        if table["customer_id"].to_list() != ids:
            known = pl.DataFrame({"customer_id": ids}, schema={"customer_id": pl.String})
            table = known.join(table, on="customer_id", how="left", maintain_order="left")
    elif (given := table["customer_id"]) != ids:
        place = {name: row for row, name in enumerate(given)}
        rows = [place.get(name, -1) for name in ids]  # of null, which is put last
        return {name: _and_null(table[name], rows) for name in names}
    return {name: table[name] for name in names}


def _and_null(column: Floats | list[Any], rows: list[int]) -> Floats | list[Any]:
    if isinstance(column, np.ndarray):
        return np.append(column, np.nan)[rows]
    held = [*column, None]
    return [held[row] for row in rows]


def _reasons(
    churn: ChurnModel, table: Table, asked: npt.NDArray[np.bool_], wording: Wording | None, probability: Floats
) -> pl.Series | list[list[Struct] | None] | None:
    """The reasons of the rows asked for, null of the others; None where nobody has any."""
    rows = rows_where(table, asked)
    if not len(rows):
        return None
    if len(rows) <= _FEW:
        few = iter(reasons_of_few(churn, rows, wording, probability=probability[asked]))
        return [next(few) if one else None for one in asked.tolist()]
    found = reasons(churn, rows, wording, probability=probability[asked])
    return found if asked.all() else found.gather(places(np.where(asked, np.cumsum(asked) - 1, -1)))


@dataclass(frozen=True)
class _Part:
    """What a table adds to the base."""

    as_of: datetime
    risk: Risk
    ids: pl.Series
    journeys: pl.Series  # categorical
    gaps: pd.DataFrame  # what the regularity of orders is found by


def _part(given: AnyTable, models: Models, policy: PolicySettings, out_of_fold: Mapping[str, float]) -> _Part:
    table = Table.of(given)
    scored = rows_where(table, _in_scope(table))
    return _Part(
        cutoff_in(table),
        _risk(scored, models, policy, out_of_fold),
        pl.Series(scored["customer_id"].tolist(), dtype=pl.String),
        pl.Series(texts(scored, "journey"), dtype=pl.String).cast(pl.Categorical),
        pd.DataFrame({name: scored[name] for name in regularity_columns(table)}),
    )


def _risk(scored: Table, models: Models, policy: PolicySettings, out_of_fold: Mapping[str, float]) -> Risk:
    probability = _probability(scored, models.churn, out_of_fold)
    at_stake = stakes_of(scored, probability, models, policy)
    return Risk(probability, at_stake, _gain(scored, at_stake, models.uplift))


def _in_scope(table: Table) -> npt.NDArray[np.bool_]:
    return np.asarray(table["status"] == "scored", np.bool_)


def _joined(parts: Sequence[Floats | None]) -> Floats | None:
    known = [part for part in parts if part is not None]
    return np.concatenate(known) if known else None


def stakes_of(table: Table, probability: Floats, models: Models, policy: PolicySettings) -> Stakes | None:
    """What is at stake with customers in scope; None where nobody knows what they are worth.

    Where a company sees who leaves (a cancellation, its own labels), who has not left is here; where only silence
    tells, gone and leaving are kept apart (`models.policy.stakes`).
    """
    margin = floats(table, MARGIN_SHARE) if MARGIN_SHARE in table else policy.margin
    if KNOWN_VALUE in table:
        return contract_stakes(probability, floats(table, KNOWN_VALUE), margin=margin)
    if models.clv is None:
        return None
    if models.definition != "inactivity" or models.prior is None:
        value = models.clv.expected_spend(_valued(table, models))
        if models.prior is not None:
            value = value_while_here(table, models.prior, span_days=models.clv.horizon_days, otherwise=value)
        return contract_stakes(probability, value, margin=margin)
    expected = None if models.prior.spend else models.clv.expected_spend(_valued(table, models))
    days = models.clv.horizon_days
    return stakes(
        table,
        probability,
        models.prior,
        margin=margin,
        span_days=days,
        expected=expected,
        leaving=models.leaving,
    )


def _gain(table: Table, at_stake: Stakes | None, uplift: UpliftModel | None) -> Floats | None:
    """What contacting is measured to bring: effect on staying × worth of one who stays; None if not measured."""
    if uplift is None or at_stake is None:
        return None
    leaving = at_stake.p_here * at_stake.p_leaves
    worth = np.divide(at_stake.value_at_risk, leaving, out=0 * at_stake.value_at_risk, where=leaving > 0)
    return uplift.effect(table) * worth


def _probability(table: Table, churn: ChurnModel, out_of_fold: Mapping[str, float]) -> Floats:
    probability = churn.churn_probability(table)
    if not out_of_fold:
        return probability
    held_out = np.array([out_of_fold.get(name, np.nan) for name in table["customer_id"].tolist()], np.float64)
    return np.where(np.isnan(held_out), probability, held_out)


def _scored(
    table: Table,
    models: Models,
    policy: PolicySettings,
    probability: Floats,
    at_stake: Stakes | None,
    *,
    as_of: datetime,
    currency: str,
    common: float | None,
) -> Columns:
    clv, prior = models.clv, models.prior
    loyalty_class, loyalty_score = models.loyalty.classify(table)
    next_order = days_to_next_order(table, prior.pareto, common) if prior else None
    out: dict[str, Any] = {
        "churn_probability": probability,
        "churn_score": (probability * 100).round(1),
        "risk_tier": risk_tier(probability, policy).tolist(),
        "historic_value": _net(table) if clv else None,
        "historic_value_gross": floats(table, "spend") if clv else None,
        "currency": [currency] * len(table) if at_stake else None,
        "expected_orders": models.orders.expected_orders(table) if models.orders else None,
        "expected_next_order_at": None if next_order is None else _ahead(as_of, next_order),
        "p_alive": floats(table, "pareto_p_alive"),
        "loyalty_class": loyalty_class.tolist(),
        "loyalty_score": loyalty_score,
        "persona": models.personas.assign(table).tolist(),
        "channel": texts(table, CHANNEL) if CHANNEL in table else None,
        "journey": texts(table, "journey"),
        "journey_stage": texts(table, "journey_stage"),
        **{f"bad_experiences_{d}d": floats(table, f"bad_experience_count_{d}d") for d in BAD_WINDOWS},
        "last_bad_experience_at": _ago(as_of, floats(table, "days_since_last_bad_experience")),
        "last_bad_experience": texts(table, "last_bad_experience"),
        "open_issue": _any(floats(table, "unresolved_since_resolved_count")),
    }
    if at_stake:
        out |= {name: getattr(at_stake, name) for name in STAKES}
    return {name: values for name, values in out.items() if values is not None}


def _valued(table: Table, models: Models) -> Table:
    """The rows at the horizon of value."""
    return at_horizon(table, models.prior, models.clv.horizon_days) if models.clv else table


def _value(table: Table, models: Models, clv: ClvModel, annual_discount: float) -> Columns:
    """Expected value over the horizon of value and over the rest of the life, with intervals."""
    rows = _valued(table, models)
    expected = clv.expected_spend(rows)
    low, high = clv.interval(rows, expected)
    days = np.full(len(expected), clv.horizon_days, np.int32)
    found: Columns = {"clv_expected": expected, "clv_low": low, "clv_high": high, "clv_horizon_days": days}
    if MARGIN_SHARE in table:
        found["clv_margin"] = significant(expected * floats(table, MARGIN_SHARE), PREDICTED)
    return found | _lifetime(table, models.prior, expected, clv.horizon_days, annual_discount)


def _lifetime(
    table: Table, prior: PurchasePrior | None, expected: Floats, days: int, annual_discount: float
) -> dict[str, Floats]:
    """Expected value extended to the whole life as Pareto/NBD's fades, and the interval of one customer's.

    Both are of the level of the chosen model of value; NaN for who was never active, and without purchase models.
    """
    ends = {name: np.full(len(table), np.nan) for name in ("lifetime_value", "lifetime_low", "lifetime_high")}
    known = floats(table, f"{activity_in(table)}_day_count") > 0
    if prior is None or prior.spend is None or not known.any():
        return ends
    rows = rows_where(table, known)
    summary = purchase_summary(rows)
    value = expected[known] * still_over_span(prior.pareto, summary, annual_discount, days)
    orders = summary.frequency + 1
    mean = floats(rows, "spend") / orders
    low, high = lifetime_interval(prior.pareto, prior.spend, summary, mean, annual_discount)
    by_btyd = prior.pareto.expected_purchases(summary, days) * prior.spend.expected_spend(orders, mean)
    level = np.divide(expected[known], by_btyd, out=np.ones_like(by_btyd), where=by_btyd > 0)
    level = np.clip(level, 1 / _LEVEL, _LEVEL)
    spans = (value, np.minimum(low * level, value), np.maximum(high * level, value))
    for name, values in zip(ends, spans, strict=True):
        ends[name][known] = significant(values, PREDICTED)
    return ends


def _asked(columns: Columns, ids: Sequence[str], policy: PolicySettings, base: Base) -> npt.NDArray[np.bool_]:
    """Whose scores have reasons: who is at risk or has an action, and who stands first on a list."""
    explained = RISK_TIERS[RISK_TIERS.index(policy.explained) :]
    chosen = [
        tier in explained or action is not None
        for tier, action in zip(columns["risk_tier"], columns["action"], strict=True)
    ]
    return np.array(chosen, np.bool_) | base.listed(ids, columns)


def _any(counts: Floats) -> list[bool | None]:
    """Whether there are any; None where that is unknown."""
    return [None if isnan(count) else count > 0 for count in counts.tolist()]


def _net(table: Table) -> Floats:
    """What customers bought minus what they were given back, to the 1/10,000 that money is counted in."""
    return np.round(floats(table, "spend") - floats(table, "returned_value"), 4)


def _ago(as_of: datetime, days: Floats) -> npt.NDArray[np.datetime64]:
    """The instants so many days before, to the microsecond they were computed from; not a time of NaN."""
    instants: npt.NDArray[np.datetime64] = np.datetime64(as_of, "us") - _microseconds(days * DAY_US)
    return instants


def _ahead(as_of: datetime, days: Floats) -> npt.NDArray[np.datetime64]:
    """The instants so many days ahead, to the minute; not a time where the days are NaN, or more than a century."""
    minutes = np.round(np.where(days <= _CENTURY_DAYS, days, np.nan) * 1440)
    instants: npt.NDArray[np.datetime64] = np.datetime64(as_of, "us") + _microseconds(minutes * (DAY_US // 1440))
    return instants


def _microseconds(numbers: Floats) -> npt.NDArray[np.timedelta64]:
    """Whole microseconds; not a time of NaN."""
    whole = np.round(np.nan_to_num(numbers))
    return np.where(np.isnan(numbers), np.timedelta64("NaT", "us"), whole.astype(np.int64).view("m8[us]"))
