"""Campaigns to keep customers: who was drawn into which arm at random, and what being reached does to each of them.

Everybody who signed up long enough ago and did not opt out may be drawn, whether they have silently left or not: the
draw depends on nothing that customers do, so the arms differ by chance alone, and the truth can take the campaigns as
given. A customer of one disposition stays more often (each cause of leaving within `EFFECT_DAYS` is averted with the
chance `shield`), one of another leaves because of the contact (with the chance `reactance`), and most do not mind.
Dispositions go with age and engagement, so that they can be learned from what the company sees.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from fedelta.pipeline.simulator.company import Bools, Company, Floats, Ints
from fedelta.pipeline.simulator.traits import AGE_GROUPS

EFFECT_DAYS = 90.0
LAST_BEFORE_END = 120.0  # days: the effect of the last campaign is over by the end
EVERY_DAYS = 100.0  # longer than the effect: never two at once
MOST = 4
FIRST_AFTER = 150.0  # days from the start
KNOWN_DAYS = 30.0  # since signing up
DRAWN_SHARE = 0.3
TREATED_SHARE = 0.6
REACHED_SHARE = 0.92  # of the treated
COST = 7.0  # euros per treated customer
ACTION = "keep"

SHIELD = 0.85
REACTANCE = 0.1
PERSUADABLE = (0.65, 0.5, 0.25, 0.08)  # share by age group, in the order of AGE_GROUPS, at average engagement
DISTURBED = (0.02, 0.05, 0.15, 0.3)
ENGAGED = 0.27  # average engagement
TYPES = {(True, False): "persuadable", (False, False): "sure thing", (True, True): "lost cause"}
DO_NOT_DISTURB = "do not disturb"


@dataclass(frozen=True)
class Campaigns:
    """K campaigns and n customers: when (days since the start), who is in which arm, and what contact does to each."""

    at: Floats  # (K,), ascending
    drawn: Bools  # (K, n)
    treated: Bools  # (K, n), among the drawn
    reached: Bools  # (K, n), among the treated
    shield: Floats  # (n,) share of the causes of leaving that contact averts
    reactance: Floats  # (n,) chance of leaving because of the contact
    annoyed: Bools  # (K, n) whether contact, if it reaches them, makes them leave


def draw_campaigns(company: Company, traits: pl.DataFrame) -> Campaigns:
    """The campaigns of a company; none where it plants none or its span is too short."""
    rng, n = company.rng("campaigns"), traits.height
    last = company.days - LAST_BEFORE_END
    at = np.arange(last, FIRST_AFTER, -EVERY_DAYS)[:MOST][::-1] + 9 / 24 if company.campaigns else np.empty(0)
    age = traits["age_group"].replace_strict({name: k for k, name in enumerate(AGE_GROUPS)}, return_dtype=pl.Int64)
    lively = 0.8 * (traits["engagement"].to_numpy() - ENGAGED)
    persuadable = np.clip(np.array(PERSUADABLE)[age.to_numpy()] + lively, 0.02, 0.9)
    disturbed = np.clip(np.array(DISTURBED)[age.to_numpy()] - lively / 2, 0.01, 0.5)
    disposition = rng.random(n)
    shield = np.where(disposition < persuadable, 1 - (1 - SHIELD) ** company.contact_effect, 0.0)
    annoys = REACTANCE * company.contact_effect
    reactance = np.where(disposition > 1 - np.minimum(disturbed, 1 - persuadable), annoys, 0.0)
    shape = (len(at), n)
    eligible = (traits["signed_up"].to_numpy() < at[:, None] - KNOWN_DAYS) & ~traits["opted_out"].to_numpy()
    drawn = eligible & (rng.random(shape) < DRAWN_SHARE)
    treated = drawn & (rng.random(shape) < TREATED_SHARE)
    reached = treated & (rng.random(shape) < REACHED_SHARE)
    return Campaigns(at, drawn, treated, reached, shield, reactance, rng.random(shape) < reactance)


def habit_under(campaigns: Campaigns, reached: Bools, begin: Floats, wait: Floats) -> Floats:
    """When each customer leaves by habit (n,): `wait` days of their hazard after `begin`, of which contact spares some.

    ``reached`` (K, n): whom each campaign reaches.
    """
    at = begin + wait
    slow = 1 - campaigns.shield
    for start, who in zip(campaigns.at, reached, strict=True):
        beyond = np.maximum(at - start, 0.0)
        later = np.where(beyond <= slow * EFFECT_DAYS, beyond / slow, beyond + campaigns.shield * EFFECT_DAYS)
        at = np.where(who & (at > start), start + later, at)
    return at


def shielded(campaigns: Campaigns, reached: Bools, customer: Ints, at: Floats) -> Floats:
    """The share of chances of leaving that is averted for these customers at these times (n_events,)."""
    out = np.zeros(len(customer))
    for start, who in zip(campaigns.at, reached, strict=True):
        inside = who[customer] & (at >= start) & (at < start + EFFECT_DAYS)
        out = np.where(inside, campaigns.shield[customer], out)
    return out


def driven_away(campaigns: Campaigns, reached: Bools) -> Floats:
    """When contact itself makes each customer leave (n,); infinite for most."""
    leaves = reached & campaigns.annoyed
    return np.asarray(np.where(leaves, campaigns.at[:, None], np.inf).min(axis=0, initial=np.inf), np.float64)


def treatments_of(
    campaigns: Campaigns, left_under: Callable[[Bools], Floats], hazard: Floats, experiences: pl.DataFrame
) -> pl.DataFrame:
    """One row per campaign and customer drawn, with what contact does: in order of campaign and customer.

    Parameters
    ----------
    left_under : callable
        When each customer leaves (n,) if the campaigns reach those of a mask (K, n).
    hazard : ndarray of shape (n,)
        Chance per day of leaving by habit.
    experiences : DataFrame
        `customer`, `decided` and `chance` of every bad experience, whether the customer is still there or not.

    Returns
    -------
    DataFrame
        `leaves_if_held_out`, `leaves_if_treated`: within `EFFECT_DAYS` of entry, with contact or without; gone before
        counts as both. `type` follows from the two. `effect`: what contact adds to the chance of leaving, given what
        the customer goes through; below 0 it keeps them, and it is 0 for who has left before.
    """
    rows = [_of_campaign(k, campaigns, left_under, hazard, experiences) for k in range(len(campaigns.at))]
    return pl.concat(rows) if rows else pl.DataFrame(schema=_SCHEMA)


_SCHEMA = pl.Schema(
    {
        "campaign": pl.Int64(),
        "customer": pl.Int64(),
        "at": pl.Float64(),
        "treated": pl.Boolean(),
        "reached": pl.Boolean(),
        "type": pl.String(),
        "leaves_if_held_out": pl.Boolean(),
        "leaves_if_treated": pl.Boolean(),
        "effect": pl.Float64(),
    }
)


def _of_campaign(
    number: int,
    campaigns: Campaigns,
    left_under: Callable[[Bools], Floats],
    hazard: Floats,
    experiences: pl.DataFrame,
) -> pl.DataFrame:
    who, start = np.flatnonzero(campaigns.drawn[number]), float(campaigns.at[number])
    before = campaigns.reached & (np.arange(len(campaigns.at)) < number)[:, None]
    with_all = before.copy()
    with_all[number] = campaigns.drawn[number]
    without, treated = left_under(before), left_under(with_all)
    there = without[who] >= start
    leaves = {name: left[who] < start + EFFECT_DAYS for name, left in (("held", without), ("treated", treated))}
    effect = _effect(campaigns, hazard, experiences.filter(pl.col("decided").is_between(start, start + EFFECT_DAYS)))
    types = [TYPES.get(pair, DO_NOT_DISTURB) for pair in zip(*(one.tolist() for one in leaves.values()), strict=True)]
    return pl.DataFrame(
        {
            "campaign": np.full(len(who), number, np.int64),
            "customer": who,
            "at": np.full(len(who), start),
            "treated": campaigns.treated[number, who],
            "reached": campaigns.reached[number, who],
            "type": types,
            "leaves_if_held_out": leaves["held"],
            "leaves_if_treated": leaves["treated"],
            "effect": np.where(there, effect[who], 0.0),
        },
        schema=_SCHEMA,
    )


def _effect(campaigns: Campaigns, hazard: Floats, coming: pl.DataFrame) -> Floats:
    """What contact adds to the chance of leaving, given the bad experiences on their way (n,)."""
    customer, chance = coming["customer"].to_numpy(), coming["chance"].to_numpy()

    def stays(averted: Floats) -> Floats:
        log = -hazard * EFFECT_DAYS * (1 - averted)
        np.add.at(log, customer, np.log1p(-chance * (1 - averted[customer])))
        return np.exp(log)

    return stays(np.zeros(len(hazard))) - (1 - campaigns.reactance) * stays(campaigns.shield)
