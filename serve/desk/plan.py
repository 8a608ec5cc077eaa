"""What contacting customers of the run would bring, by how many are contacted: the numbers of `fedelta plan`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any
from weakref import WeakKeyDictionary

import polars as pl
from markupsafe import Markup

from fedelta.models.policy.plan import curve_points
from fedelta.models.policy.settings import ROUNDING
from fedelta.pages.charts import Frame
from fedelta.serve.desk.base_charts import ROOM, counts_axis
from fedelta.serve.desk.words import Words
from fedelta.serve.snapshots.listing import AtRisk, Filters
from fedelta.serve.snapshots.pages import whole
from fedelta.serve.snapshots.read import SnapshotFile

Json = Mapping[str, Any]

_NEEDED = ("p_saved", "contact_cost")


@dataclass(frozen=True)
class Plan:
    """The curve of a run; ``chosen`` and ``optimum`` are two of its rows."""

    curve: Sequence[Json]
    chosen: Json
    optimum: Json

    @property
    def most(self) -> int:
        """How many customers may be contacted."""
        most: int = self.curve[-1]["contacts"]
        return most


@dataclass(frozen=True)
class _Sums:
    """Over so many customers, the most profitable first, from none to all who may be contacted."""

    saves: pl.Series
    cost: pl.Series
    profit: pl.Series
    last_profit: pl.Series  # of the last of them

    def row(self, contacts: int) -> dict[str, Any]:
        """A point of the curve."""
        return {"contacts": contacts, **{each.name: getattr(self, each.name)[contacts] for each in fields(self)}}


_kept: WeakKeyDictionary[SnapshotFile, _Sums] = WeakKeyDictionary()


def plan_of(file: SnapshotFile, capacity: int | None, budget: float | None) -> Plan | None:
    """The plan for so many contacts, or as many as a budget pays for; None where nothing is known of profit.

    Its curve is that of ``models.policy.plan.contact_curve``, from sums that are kept as long as the run is.
    """
    if not all(file.has_column(name) for name in _NEEDED) or _known(file).null_count() == file.listed:
        return None
    if file not in _kept:
        _kept[file] = _sums(file)
    sums = _kept[file]
    everybody, best = len(sums.profit) - 1, int((sums.last_profit > 0).sum())
    if budget is not None:
        capacity = int((sums.cost <= budget * (1 + ROUNDING)).sum()) - 1
    chosen = best if capacity is None else min(capacity, everybody)
    marks = curve_points(everybody, best, capacity)
    rows = {contacts: sums.row(contacts) | {"mark": mark} for contacts, mark in marks.items()}
    return Plan(list(rows.values()), rows[chosen], rows[best])


def _sums(file: SnapshotFile) -> _Sums:
    places = _positions(file)

    def upto(name: str) -> pl.Series:
        return pl.Series([0.0]).append(file.column(name).gather(places).fill_null(0.0).cum_sum())

    last = pl.Series([None], dtype=pl.Float64()).append(_known(file).gather(places))
    return _Sums(upto("p_saved"), upto("contact_cost"), upto("expected_profit"), last)


def to_contact(file: SnapshotFile, contacts: int) -> tuple[pl.Series, pl.Series]:
    """The ranks and rows of the most profitable customers who may be contacted: never of the control group."""
    wanted = AtRisk(Filters(holdout="exclude", suppressed="exclude"), "expected_profit")
    return whole(file, wanted, 0, contacts, _known(file).is_not_null())


def chart(words: Words, plan: Plan, currency: str | None) -> Markup:
    """Expected profit by the number of contacts; the best and the chosen number are marked."""
    top = max([1.0, *(row["profit"] for row in plan.curve)])
    x = counts_axis(words, max(plan.most, 1), words.gettext("customers contacted, most profitable first"))
    title = words.gettext("expected profit, %(currency)s") % {"currency": currency or ""}
    y = counts_axis(words, ROOM * top, title)
    frame = Frame(x, y, 260)
    points = [(row["contacts"], row["profit"]) for row in plan.curve if row["profit"] >= 0]
    chosen = plan.chosen
    return frame.svg(
        words.gettext("Expected profit by number of customers contacted"),
        frame.line([(chosen["contacts"], 0), (chosen["contacts"], y.high)], "guide"),
        frame.line(points, "series"),
        *(frame.dot(row["contacts"], row["profit"]) for row in (chosen, plan.optimum) if row["profit"] >= 0),
    )


def some(curve: Sequence[Json], rows: int = 12) -> list[Json]:
    """Some points of a curve, and every one that is marked."""
    step = max(len(curve) // rows, 1)
    return [row for number, row in enumerate(curve) if number % step == 0 or row["mark"]]


def _known(file: SnapshotFile) -> pl.Series:
    return file.column("expected_profit")


def _positions(file: SnapshotFile) -> pl.Series:
    """The places in the columns of those who may be contacted, most profitable first."""
    order = file.column("order expected_profit")
    free = ~(file.column("held_out") | file.column("suppressed")) & _known(file).is_not_null()
    if (shown := file.shown()) is not None:
        free &= shown
    return order.filter(free.gather(order))
