"""The truth in closed form: each customer's chance of no purchase in a horizon, seen from a cutoff.

For a customer still there at cutoff c, with u days ahead and no purchase between,

    P(no purchase in [c, c + H)) = 1 - integral from 0 to H of f(u) A(u) du.

f is the density of the next purchase of a Gamma renewal process in operational time, given the silence since the last
one. A(u) is the chance of still being there: the personal hazard, the fate of the orders already on their way, and
further bad experiences that need no purchase, which arrive at a known rate and each of which drives away with the
chance of its number among the recent ones; all of it as the campaigns, whose draw depends on nothing that customers do,
shield or annoy the customer. Whoever has left will not buy: 1.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.special import gammaincc

from fedelta.pipeline.simulator.campaigns import EFFECT_DAYS
from fedelta.pipeline.simulator.company import Bools, CompanyError, Effects, Floats, Ints
from fedelta.pipeline.simulator.journeys import CALLS_AGAIN, ERROR_SHARE, UNSOLVED_SHARE, outage_exposure
from fedelta.pipeline.simulator.life import LIFETIME, Life, kind_weights

LADDER = np.array(
    [0, 1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 30, 37, 45, 52, 60, 75, 90, 105, 120, 135, 150, 165, 180.0]
)
HORIZONS = (30, 90, 180)
MOMENT = 0.01  # days: a step in which who is annoyed by a contact leaves
SLACK = 1e-6  # days, within which two knots are one
STEP_DAYS = 30


def cutoffs_of(life: Life) -> list[int]:
    """Cutoffs every 30 days back from the end of the span, as days since the start, oldest first."""
    return list(range(life.company.days, 0, -STEP_DAYS))[::-1]


def true_churn(life: Life, cutoffs: Sequence[float], horizons: Sequence[int] = HORIZONS) -> pl.DataFrame:
    """The truth for everyone who has signed up before each cutoff, by cutoff, customer and horizon.

    Parameters
    ----------
    cutoffs : sequence of float
        Days since the company's start, within the span.
    horizons : sequence of int
        Days, at most 180: a longer horizon would outlast the memory of bad experiences.

    Returns
    -------
    DataFrame with ``customer``, ``cutoff`` (days since the start), ``horizon_days``, ``alive`` (not yet left) and
    ``churn_probability``.

    Raises
    ------
    CompanyError
        If a cutoff or a horizon lies outside.
    """
    if any(not 0 < cutoff <= life.company.days for cutoff in cutoffs):
        raise CompanyError(f"Cutoffs lie in the {life.company.days} days of the company, not at {list(cutoffs)}.")
    if any(not 0 < horizon <= LADDER[-1] for horizon in horizons):
        raise CompanyError(f"The truth looks 1 to 180 days ahead, not {list(horizons)}.")
    return pl.concat([_at_cutoff(life, cutoff, horizons) for cutoff in cutoffs])


def gap_survival(rhythm: Floats, rate: Floats, waited: Floats, ahead: Floats) -> Floats:
    """P(next gap > waited + ahead | gap > waited) for Gamma(rhythm) gaps of mean 1 / rate.

    ``rhythm``, ``rate`` and ``waited`` have shape (n,), ``ahead`` has shape (steps,); returns (n, steps).
    """
    total = (rhythm * rate)[:, None] * (waited[:, None] + ahead[None, :])
    survival = gammaincc(rhythm[:, None], total)
    return np.asarray(survival / gammaincc(rhythm, rhythm * rate * waited)[:, None])


@dataclass(frozen=True)
class Prospects:
    """What may still drive each of n customers away before their next purchase, over the steps of a grid.

    ``recent`` (n, steps): bad experiences of before the cutoff still remembered at the start of each step.
    ``arrivals`` (n, steps): expected bad experiences in a step that need no purchase; ``weight`` (n, steps) their
    mean weight. ``pending``: (step, row, weight) of those on their way because of an order before the cutoff, in the
    order in which they will be decided. ``shield`` (n, steps): share of all causes of leaving that a campaign's contact
    averts. ``annoyed`` (n, steps): chance of leaving because of a contact at the start of each step.
    """

    hazard: Floats
    recent: Ints
    arrivals: Floats
    weight: Floats
    pending: Sequence[tuple[int, Ints, Floats]]
    shield: Floats
    annoyed: Floats


def staying(grid: Floats, prospects: Prospects, effects: Effects) -> Floats:
    """Chance of still being there at each knot of ``grid`` for a customer who buys nothing meanwhile: (n, knots).

    A forward recursion over how many bad experiences arrived since the cutoff; from the last entry of
    ``chance_of_leaving`` on, more make no difference.
    """
    states = len(effects.chance_of_leaving)
    n, steps = prospects.arrivals.shape
    there = np.zeros((states, n))
    there[0] = 1.0
    arrived = np.zeros(n, dtype=np.int64)
    number = np.arange(1, states + 1)[:, None]
    total = np.ones((n, steps + 1))
    for step in range(steps):
        known, open_to = prospects.recent[:, step] + arrived, 1 - prospects.shield[:, step]
        moved = there * -np.expm1(-prospects.arrivals[:, step])
        kept = moved * (1 - effects.chance(number + known, prospects.weight[:, step]) * open_to)
        there = there - moved
        there[1:] += kept[:-1]
        there[-1] += kept[-1]
        for at, rows, weight in prospects.pending:
            if at == step:
                chance = effects.chance(number + prospects.recent[rows, step] + arrived[rows], weight)
                there[:, rows] *= 1 - chance * open_to[rows]
                arrived[rows] += 1
        total[:, step + 1] = there.sum(axis=0)
    habit = np.cumsum(np.diff(grid) * (1 - prospects.shield), axis=1) * prospects.hazard[:, None]
    total[:, 1:] *= np.exp(-habit) * np.cumprod(1 - prospects.annoyed, axis=1)
    return total


def no_purchase(survival: Floats, there: Floats) -> Floats:
    """P(no purchase until each knot): 1 - the integral of f(u) A(u) by steps; both inputs (n, knots)."""
    bought = (survival[:, :-1] - survival[:, 1:]) * (there[:, :-1] + there[:, 1:]) / 2
    return np.asarray(1 - np.concatenate([np.zeros((len(bought), 1)), np.cumsum(bought, axis=1)], axis=1))


def _at_cutoff(life: Life, cutoff: float, horizons: Sequence[int]) -> pl.DataFrame:
    grid = _grid(life, cutoff, horizons)
    known = np.flatnonzero(life.traits["signed_up"].to_numpy() < cutoff)
    alive: Bools = life.left_at[known] >= cutoff
    rows = known[alive]
    traits = life.traits[rows]
    now = float(life.clock.operational_at(cutoff))
    ahead = life.clock.operational_at(cutoff + grid) - now
    rhythm, rate = traits["rhythm"].to_numpy(), traits["purchase_rate"].to_numpy()
    survival = gap_survival(rhythm, rate, now - _last_purchase(life, rows, cutoff), ahead)
    there = staying(grid, _prospects(life, rows, cutoff, grid, ahead), life.company.effects)
    churn = np.ones((len(known), len(horizons)))
    churn[alive] = no_purchase(survival, there)[:, np.searchsorted(grid, horizons)]
    return pl.DataFrame(
        {
            "customer": np.repeat(known, len(horizons)),
            "cutoff": np.full(churn.size, float(cutoff)),
            "horizon_days": np.tile(np.asarray(horizons, dtype=np.int32), len(known)),
            "alive": np.repeat(alive, len(horizons)),
            "churn_probability": np.clip(churn.ravel(), 0.0, 1.0),
        }
    )


def _last_purchase(life: Life, rows: Ints, cutoff: float) -> Floats:
    """Operational time of the last purchase before the cutoff, or of signing up if there is none."""
    nobody = -1.0  # a row before all others, so that there is always one to look at
    customer = np.append(nobody, life.purchases["customer"].to_numpy())
    key = customer * LIFETIME + np.append(0.0, life.purchases["at"].to_numpy())
    last = np.searchsorted(key, rows * LIFETIME + cutoff) - 1
    signed_up = life.clock.operational_at(life.traits["signed_up"].to_numpy()[rows])
    operational = np.append(0.0, life.purchases["operational"].to_numpy())
    return np.where(customer[last] == rows, operational[last], signed_up)


def _prospects(life: Life, rows: Ints, cutoff: float, grid: Floats, ahead: Floats) -> Prospects:
    effects, traits = life.company.effects, life.traits[rows]
    visit_rate, contact_rate = traits["visit_rate"].to_numpy(), traits["contact_rate"].to_numpy()
    outages = np.histogram(life.outage_days - cutoff, grid)[0]
    followed_up = 1 - CALLS_AGAIN * effects.recovery_share
    masses = (
        (
            np.outer(contact_rate * UNSOLVED_SHARE, np.diff(ahead)),
            effects.weight_of("unresolved_contact") * followed_up,
        ),
        (np.outer(visit_rate * ERROR_SHARE, np.diff(ahead)), effects.weight_of("error")),
        (np.outer(outage_exposure(visit_rate), outages), effects.weight_of("outage")),
    )
    arrivals: Floats = sum((mass for mass, _ in masses), start=np.zeros((len(rows), len(grid) - 1)))
    weighted: Floats = sum((mass * weight for mass, weight in masses), start=np.zeros_like(arrivals))
    near = life.experiences.filter(
        (pl.col("origin") < cutoff)
        & pl.col("decided").is_between(cutoff - effects.memory_days, cutoff + grid[-1], closed="right")
    )
    row_of = np.full(life.traits.height, -1)
    row_of[rows] = np.arange(len(rows))
    shield, annoyed = _contacts(life, rows, cutoff, grid)
    near = near.with_columns(row=row_of[near["customer"].to_numpy()]).filter(pl.col("row") >= 0)
    return Prospects(
        hazard=traits["hazard"].to_numpy(),
        recent=_remembered(near.filter(pl.col("decided") <= cutoff), cutoff, grid, len(rows), effects),
        arrivals=arrivals,
        weight=weighted / arrivals,
        pending=list(_pending(near.filter(pl.col("decided") > cutoff), cutoff, grid, effects)),
        shield=shield,
        annoyed=annoyed,
    )


def _grid(life: Life, cutoff: float, horizons: Sequence[int]) -> Floats:
    """The knots, in days ahead: the ladder, the horizons, and where the effect of a campaign begins and ends."""
    furthest = float(max(horizons))
    edges = np.concatenate([life.campaigns.at + wait for wait in (0.0, MOMENT, EFFECT_DAYS)]) - cutoff
    edges = edges[(edges > 0) & (edges < furthest)]
    return np.unique(np.concatenate([LADDER[furthest >= LADDER], np.asarray(horizons, float), edges]))


def _contacts(life: Life, rows: Ints, cutoff: float, grid: Floats) -> tuple[Floats, Floats]:
    """What the campaigns do to customers in each step, as they were carried out: `shield` and `annoyed`, (n, steps)."""
    held, begins = life.campaigns, cutoff + grid[:-1]
    shield, annoyed = np.zeros((len(rows), len(begins))), np.zeros((len(rows), len(begins)))
    for start, reached in zip(held.at, held.reached[:, rows], strict=True):
        inside = (begins >= start - SLACK) & (begins < start + EFFECT_DAYS - SLACK)
        shield += np.outer(held.shield[rows] * reached, inside)
        annoyed += np.outer(held.reactance[rows] * reached, np.abs(begins - start) < SLACK)
    return shield, annoyed


def _remembered(past: pl.DataFrame, cutoff: float, grid: Floats, n: int, effects: Effects) -> Ints:
    """How many past bad experiences are still remembered at the start of each step: (n, steps)."""
    row = past["row"].to_numpy()
    forgotten = np.searchsorted(grid, past["decided"].to_numpy() + effects.memory_days - cutoff)
    change = np.zeros((n, len(grid) + 1), dtype=np.int64)
    np.add.at(change, (row, np.zeros_like(row)), 1)
    np.add.at(change, (row, forgotten), -1)
    return np.asarray(np.cumsum(change, axis=1)[:, : len(grid) - 1])


def _pending(coming: pl.DataFrame, cutoff: float, grid: Floats, effects: Effects) -> Iterator[tuple[int, Ints, Floats]]:
    """Bad experiences on their way, by step; of several in one step of one customer, one at a time."""
    step = np.searchsorted(grid, coming["decided"].to_numpy() - cutoff) - 1
    weight = kind_weights(effects, coming["kind"]) * np.where(coming["recovered"], 1 - effects.recovery_share, 1.0)
    table = coming.select("row", "decided").with_columns(step=step, weight=weight).sort("step", "row", "decided")
    table = table.with_columns(turn=pl.int_range(pl.len()).over("step", "row"))
    for (at, _), turn in table.group_by("step", "turn", maintain_order=True):
        yield int(str(at)), turn["row"].to_numpy(), turn["weight"].to_numpy()
