"""How the customers of a run are distributed: counted from its columns, once, as the list counts them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urlencode
from weakref import WeakKeyDictionary

import orjson
import polars as pl

from fedelta.features.contract import RISK_TIERS
from fedelta.serve.desk.words import N_
from fedelta.serve.snapshots.pages import HERE
from fedelta.serve.snapshots.read import SnapshotFile

BINS = 20
AT_RISK = ("high", "critical")
# What customers are grouped by: a column, its title and the parameter of the list.
KINDS = {
    "persona": (N_("Persona"), "persona"),
    "channel": (N_("Channel"), "channel"),
    "journey": (N_("Journey"), "journey"),
    "journey_stage": (N_("Stage"), "journey_stage"),
    "loyalty_class": (N_("Loyalty"), "loyalty_class"),
    "action": (N_("Suggested action"), "action"),
    "team": (N_("Team"), "team"),
}
# Dick and Basu (1994): the two rows have the higher and the lower attitude, the two columns buy more and less.
QUADRANTS = (("loyal", "latent"), ("spurious", "none"))


@dataclass(frozen=True)
class Group:
    """Customers of one value; ``value`` None: of none."""

    value: str | None
    customers: int
    at_risk: int  # in the tiers high and critical
    mean_risk: float
    value_at_risk: float | None


@dataclass(frozen=True)
class Least:
    """How many customers have at least a value, and how many of them less than the next."""

    least: float
    customers: int
    within: int


@dataclass(frozen=True)
class Counted:
    """The numbers of a run; amounts are None where the source knows no money."""

    customers: int
    at_risk: int
    gone: int
    open_issue: int
    held_out: int
    suppressed: int
    mean_risk: float | None
    value_at_risk: float | None
    win_back_value: float | None
    currency: str | None
    tiers: list[Group] = field(default_factory=list)
    groups: Mapping[str, list[Group]] = field(default_factory=dict)
    risk: list[Least] = field(default_factory=list)
    spend: list[Least] = field(default_factory=list)


def link(**filters: object) -> str:
    """The list of all customers, but for these filters; it counts as the pages do."""
    several = {"shown": "all", "suppressed": "include"} | {name: value for name, value in filters.items() if value}
    return f"/desk/customers?{urlencode(several, doseq=True)}"


_kept: WeakKeyDictionary[SnapshotFile, Counted] = WeakKeyDictionary()


def counted(file: SnapshotFile) -> Counted:
    """The numbers of a run, counted once. For worker threads."""
    if file not in _kept:
        _kept[file] = _counted(file)
    return _kept[file]


def currency_of(file: SnapshotFile) -> str | None:
    """The currency of the run's amounts."""
    if not file.listed:
        return None
    found: str | None = orjson.loads(file.body(file.column("row")[0]))["currency"]
    return found


def _counted(file: SnapshotFile) -> Counted:
    shown = file.shown()  # who was erased is not counted

    def column(name: str) -> pl.Series:
        values = file.column(name)
        return values if shown is None else values.filter(shown)

    risk, stake = column("churn_probability"), column("value_at_risk")
    tier, names = column("risk_tier"), file.names["risk_tier"]
    risky = tier.is_in([number for number, name in enumerate(names) if name in AT_RISK])
    money = stake.null_count() < len(stake)
    rows = pl.DataFrame({"risk": risk, "at_risk": risky, "stake": stake})
    group = partial(_groups, rows, money=money)
    back = column("win_back_value") if file.has_column("win_back_value") else pl.Series([], dtype=pl.Float64)
    by_tier = {one.value: one for one in group(tier, names)}
    return Counted(
        len(risk),
        _total(risky),
        _total(column("p_here") < HERE),
        _total(column("open_issue")),
        _total(column("held_out")),
        _total(column("suppressed")),
        _mean(risk),
        float(stake.sum()) if money else None,
        float(back.sum()) if len(back) > back.null_count() else None,
        currency_of(file),
        [by_tier[name] for name in reversed(RISK_TIERS) if name in by_tier],
        {kind: group(column(kind), file.names[kind]) for kind in KINDS if file.has_column(kind)},
        _at_least(risk, [round(number / BINS, 2) for number in range(BINS)]),
        _at_least(column("clv_expected"), _edges(column("clv_expected"))),
    )


def _groups(rows: pl.DataFrame, kind: pl.Series, names: list[str], *, money: bool) -> list[Group]:
    """Those of most customers first, those without a value last."""
    if kind.null_count() == len(kind):
        return []
    found = rows.with_columns(kind.alias("kind")).group_by("kind").agg(
        pl.len(), pl.col("at_risk").sum(), pl.col("risk").mean(), pl.col("stake").sum()
    )  # fmt: skip
    groups = [
        Group(None if number is None else names[number], size, risky or 0, mean or 0.0, stake if money else None)
        for number, size, risky, mean, stake in found.iter_rows()
    ]
    return sorted(groups, key=lambda one: (one.value is None, -one.customers, one.value or ""))


def _at_least(values: pl.Series, edges: list[float]) -> list[Least]:
    known = values.drop_nulls().sort()
    counts = [len(known) - int(known.search_sorted(edge, "left")) for edge in edges]
    return [
        Least(edge, count, count - after)
        for edge, count, after in zip(edges, counts, [*counts, 0][1:], strict=True)
    ]  # fmt: skip


def _edges(values: pl.Series) -> list[float]:
    """Ten round amounts from 0; nine in ten customers and more are below the last."""
    if values.null_count() == len(values) or not (top := float(values.quantile(0.95) or 0.0)) > 0:
        return []
    power = 10.0 ** math.floor(math.log10(top / 10))
    step = next(size * power for size in (1, 2, 2.5, 5, 10) if size * power * 10 >= top)
    return [round(float(step * number), 6) for number in range(11)]


def _total(bits: pl.Series) -> int:
    return int(bits.sum() or 0)


def _mean(values: pl.Series) -> float | None:
    mean = values.mean()
    return float(mean) if isinstance(mean, int | float) else None
