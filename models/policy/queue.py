"""Whom capacity, budget and teams reach: decided over all customers, and kept for one of them to be looked up in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from fedelta.models.policy.settings import ROUNDING, PolicySettings, TeamSettings

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]
Texts = npt.NDArray[np.str_]

QUEUE = pl.Schema(
    {
        "customer_id": pl.String(),
        "worth": pl.Float64(),
        "action": pl.String(),
        "contacted": pl.Boolean(),
        "team": pl.Int64(),
        "day": pl.Int64(),
    }
)


@dataclass(frozen=True)
class Turn:
    """Of each customer, shape (n_customers,): whether they are contacted, by which team, on which day; -1 for none."""

    contacted: Booleans
    team: Integers
    day: Integers


@dataclass(frozen=True)
class Queue:
    """The customers whom it pays to contact, the most profitable first (by cost, where a budget limits), then by id.

    Shape (n_waiting,) each. A customer whose figures are those that the queue was made of has the turn they had in it;
    another takes that of the first behind them with the same action, behind the last that of the last.
    """

    customer_ids: Texts
    worth: Floats
    action: Texts
    turn: Turn
    by_cost: bool  # worth is profit over cost
    limited: bool  # else everybody is contacted

    @classmethod
    def of(
        cls, customer_ids: Sequence[str], profit: Floats, cost: Floats, action: Texts, settings: PolicySettings
    ) -> "Queue":
        """Decide over all customers; who has a profit of 0 or less, or must not be contacted, is not in the queue."""
        by_cost = settings.budget is not None
        worth = _worth(profit, cost, by_cost=by_cost)
        ids = np.array(customer_ids, dtype=str)
        paying = np.flatnonzero(profit > 0)
        order = paying[np.lexsort((ids[paying], -worth[paying]))]
        chosen = _chosen(cost[order], settings)
        team, day = _assigned(chosen, action[order], settings.teams, settings.run_days)
        contacted = np.zeros(len(order), np.bool_)
        contacted[chosen] = True
        if settings.teams:
            contacted &= day >= 0
        limited = by_cost or settings.capacity is not None or bool(settings.teams)
        return cls(ids[order], worth[order], action[order], Turn(contacted, team, day), by_cost, limited)

    def turns(self, customer_ids: Sequence[str], profit: Floats, cost: Floats, action: Texts) -> Turn:
        """The turns of customers with these figures (n_customers,); `profit` as for `of`."""
        worth = _worth(profit, cost, by_cost=self.by_cost)
        contacted, team, day = profit > 0, np.full(len(profit), -1, np.int64), np.full(len(profit), -1, np.int64)
        if not self.limited or not contacted.any():
            return Turn(contacted, team, day)
        asked = np.flatnonzero(contacted)
        ids = np.array([customer_ids[row] for row in asked.tolist()], dtype=str)
        place = self._places(ids, worth[asked])
        at = np.minimum(place, len(self.worth) - 1)
        same = np.zeros(len(asked), np.bool_)
        if len(self.worth):
            same = (place < len(self.worth)) & (self.worth[at] == worth[asked]) & (self.customer_ids[at] == ids)
        for kind in np.unique(action[asked]).tolist():
            theirs, other = np.flatnonzero(self.action == kind), ~same & (action[asked] == kind)
            at[other] = -1
            if len(theirs):
                behind = np.searchsorted(theirs, place[other])
                at[other] = theirs[np.minimum(behind, len(theirs) - 1)]
        known = at >= 0
        for values, held in ((contacted, self.turn.contacted), (team, self.turn.team), (day, self.turn.day)):
            values[asked] = np.where(known, held[at] if len(held) else values[asked], values[asked])
        return Turn(contacted, team, day)

    def _places(self, ids: Texts, worth: Floats) -> Integers:
        """The number in the queue that each has, or would have."""
        left, right = (np.searchsorted(-self.worth, -worth, side=side) for side in ("left", "right"))
        for row in np.flatnonzero(right > left).tolist():
            left[row] += np.searchsorted(self.customer_ids[left[row] : right[row]], ids[row])
        return np.asarray(left, np.int64)

    def to_frame(self) -> pl.DataFrame:
        """As a table, in order."""
        turn = {"contacted": self.turn.contacted, "team": self.turn.team, "day": self.turn.day}
        texts = {"customer_id": self.customer_ids.tolist(), "action": self.action.tolist()}
        return pl.DataFrame({**texts, "worth": self.worth, **turn}, schema_overrides=QUEUE).select(QUEUE.names())

    @classmethod
    def from_frame(cls, table: pl.DataFrame, *, by_cost: bool, limited: bool) -> "Queue":
        """Back from a table."""
        texts = (np.array(table[name].to_list(), dtype=str) for name in ("customer_id", "action"))
        ids, action = texts
        turn = Turn(*(table[name].to_numpy() for name in ("contacted", "team", "day")))
        return cls(ids, table["worth"].to_numpy(), action, turn, by_cost, limited)


def _worth(profit: Floats, cost: Floats, *, by_cost: bool) -> Floats:
    return profit / np.maximum(cost, 1e-12) if by_cost else profit


def _chosen(cost: Floats, settings: PolicySettings) -> Integers:
    """Places in the queue of the customers to contact: as many as capacity or budget allow."""
    if settings.budget is None:
        return np.arange(len(cost))[: settings.capacity]
    taken, left = [], settings.budget * (1 + ROUNDING)
    for place, price in enumerate(cost.tolist()):  # who costs too much is passed over, not the end of the list
        if price <= left:
            taken.append(place)
            left -= price
    return np.asarray(taken, np.int64)


def _assigned(
    chosen: Integers, action: Texts, teams: Mapping[str, TeamSettings], days: int
) -> tuple[Integers, Integers]:
    """Number of the team and the day of each contact, -1 where there is none, shape (n_waiting,).

    The most profitable come first: each to the team that takes their action and is free the soonest.
    """
    team, day = (np.full(len(action), -1, np.int64) for _ in range(2))
    booked = [0] * len(teams)
    own = list(teams.values())
    for row in chosen.tolist() if own else ():
        able = [k for k, one in enumerate(own) if action[row] in one.actions and booked[k] < one.per_day * days]
        if able:
            first = min(able, key=lambda k: (booked[k] // own[k].per_day, k))
            team[row], day[row] = first, booked[first] // own[first].per_day
            booked[first] += 1
    return team, day
