"""What one customer's score takes from all customers of a run: frozen, so that a customer can be scored alone.

Percentiles are places among the probabilities of the run; the regularity of orders, the queue of who is contacted and
the ends of the lists whose customers have reasons are those of the run. A score of the run itself comes about the same
way, so that a customer scored alone, from the same history, gets it again to the last bit.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from fedelta.models.policy.queue import QUEUE, Queue

Floats = npt.NDArray[np.float64]
_LISTS = ("value_at_risk", "win_back_value")
_PROBABILITIES, _QUEUE, _BASE = "probabilities.parquet", "queue.parquet", "base.json"


@dataclass(frozen=True)
class Place:
    """Where a list ends whose customers have reasons: the last one on it, by a figure, then the risk, then the id."""

    figure: str
    value: float
    probability: float
    customer_id: str


@dataclass(frozen=True)
class Base:
    """The customers of a run, as far as the score of each depends on them.

    Attributes
    ----------
    as_of : datetime
        The cutoff of the run, from which the days of contacts count.
    regularity : float or None
        Of orders (`models.btyd.next_order`); None without purchase models.
    probabilities, by_journey : ndarray, mapping of str to ndarray
        Churn probabilities of all who were scored, and of those on each journey; ascending.
    lists : tuple of Place
        Where each list ends.
    queue : Queue or None
        Of who is contacted; None where money, costs or success are unknown.
    """

    as_of: datetime
    regularity: float | None
    probabilities: Floats
    by_journey: Mapping[str, Floats] = field(default_factory=dict)
    lists: tuple[Place, ...] = ()
    queue: Queue | None = None

    def percentile(self, probability: Floats) -> Floats:
        """Share of the customers of the run at lower or equal risk, 0-100 (n_rows,)."""
        rank = np.searchsorted(self.probabilities, probability, side="right")
        return np.asarray(rank * (100 / max(len(self.probabilities), 1)), np.float64)

    def percentile_in_journey(self, probability: Floats, journey: Sequence[str | None]) -> Floats:
        """The same among the customers on the same journey; NaN for those of none, or of one that nobody was on."""
        out = np.full(len(probability), np.nan)
        names = np.array(journey, object)
        for name in {one for one in journey if one in self.by_journey}:
            rows, known = names == name, self.by_journey[str(name)]
            out[rows] = np.searchsorted(known, probability[rows], side="right") * 100 / len(known)
        return out

    def listed(self, customer_ids: Sequence[str], figures: Mapping[str, Floats]) -> npt.NDArray[np.bool_]:
        """Whether each customer stands on one of the lists (n_rows,); `figures` by name as for `lists_of`."""
        out = np.zeros(len(customer_ids), np.bool_)
        for end in (one for one in self.lists if one.figure in figures):  # nobody's worth may be known among others
            value, risk = figures[end.figure], figures["churn_probability"]
            same = value == end.value
            out |= (value > end.value) | (same & (risk > end.probability))
            for row in np.flatnonzero(same & (risk == end.probability)).tolist():
                out[row] |= customer_ids[row] <= end.customer_id
        return out

    def save(self, folder: Path) -> None:
        """Write it into a folder that is there."""
        grids: dict[str | None, Floats] = {None: self.probabilities} | dict(self.by_journey)
        table = {
            "journey": [name for name, values in grids.items() for _ in values],
            "probability": np.concatenate(list(grids.values())),
        }
        pl.DataFrame(table, schema_overrides={"journey": pl.String()}).write_parquet(folder / _PROBABILITIES)
        (QUEUE.to_frame() if self.queue is None else self.queue.to_frame()).write_parquet(folder / _QUEUE)
        facts = {
            "as_of": self.as_of.isoformat(),
            "regularity": self.regularity,
            "lists": [vars(end) for end in self.lists],
            "queue": self.queue and {"by_cost": self.queue.by_cost, "limited": self.queue.limited},
        }
        (folder / _BASE).write_text(json.dumps(facts, indent=1, allow_nan=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Base":
        """Read what `save` wrote."""
        facts = json.loads((folder / _BASE).read_text(encoding="utf-8"))
        table = pl.read_parquet(folder / _PROBABILITIES)
        parts = table.partition_by("journey", as_dict=True, maintain_order=True)
        grids = {name: part["probability"].to_numpy() for (name,), part in parts.items()}
        every = grids.pop(None, np.empty(0))
        how = facts["queue"]
        queue = Queue.from_frame(pl.read_parquet(folder / _QUEUE), **how) if how else None
        lists = tuple(Place(**end) for end in facts["lists"])
        at = datetime.fromisoformat(facts["as_of"])
        return cls(at, facts["regularity"], every, {str(name): held for name, held in grids.items()}, lists, queue)


def lists_of(frame: pl.DataFrame, most: int) -> tuple[Place, ...]:
    """Where the lists of a run end: those with most value at risk, and most to win back; without money, most risk.

    Parameters
    ----------
    frame : DataFrame
        `customer_id`, `churn_probability`, and where the source knows money what is at stake, of all who were scored.
    most : int
        Customers on a list.
    """
    figures = _LISTS if "value_at_risk" in frame.columns else ("churn_probability",)
    ends = []
    for figure in figures:
        some = frame.filter(pl.col(figure) > 0).select("customer_id", "churn_probability", value=figure)
        first = some.sort("value", "churn_probability", "customer_id", descending=[True, True, False]).head(most)
        if len(first):
            last = first.row(-1, named=True)
            ends.append(Place(figure, last["value"], last["churn_probability"], last["customer_id"]))
    return tuple(ends)


def journeys_of(probability: Floats, journey: Sequence[str | None]) -> dict[str, Floats]:
    """The probabilities of the customers on each journey, ascending."""
    names = np.array(journey, object)
    return {name: np.sort(probability[names == name]) for name in sorted({one for one in journey if one is not None})}
