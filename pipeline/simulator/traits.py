"""Who the customers are: their true rates, habits and attributes, one row each."""

import numpy as np
import polars as pl

from fedelta.pipeline.simulator.clock import BEFORE, Clock
from fedelta.pipeline.simulator.company import Company, Floats, Ints

COUNTRIES = {"IT": (0.55, 1.0), "DE": (0.20, 1.2), "FR": (0.15, 1.1), "ES": (0.10, 1.5)}  # share, late parcels
AGE_GROUPS = {"18-29": 0.22, "30-44": 0.34, "45-59": 0.28, "60+": 0.16}
CATEGORIES = 12  # of goods, as many as `tastes` names
PLANS = {"basic": 0.70, "plus": 0.22, "premium": 0.08}

ORDER_CHANNELS = ("web", "app", "store", "phone", "partner")
VISIT_CHANNELS = ("direct", "organic_search", "paid_search", "social", "email", "display", "referral", "app")
CONTACT_CHANNELS = ("phone", "chat", "email")
# Preference by age group, in the order of AGE_GROUPS.
ORDER_HABITS = ((3, 6, 2, 0.2, 1), (5, 4, 3, 0.3, 1), (5, 2, 4, 0.8, 0.7), (3, 0.7, 6, 2, 0.3))
VISIT_HABITS = (
    (2, 2, 1, 5, 1, 1, 1, 5),
    (3, 4, 2, 2, 2, 1, 1, 3),
    (4, 4, 2, 1, 3, 1, 1, 1),
    (5, 3, 2, 0.5, 3, 0.5, 1, 0.5),
)
CONTACT_HABITS = ((1, 5, 2), (2, 4, 3), (4, 2, 3), (6, 1, 2))

FAVOURITE_SHARE = 0.6  # of a customer's touchpoints that use the favourite channel
BASE_SHARE = 1 / 3  # of customers who signed up before the start


def draw_traits(company: Company, clock: Clock) -> pl.DataFrame:
    """True rates and attributes, one row per customer in order of their number.

    Rates are per operational day (``purchase_rate``, ``visit_rate``, ``contact_rate``) or per calendar day
    (``hazard``); times are days since the start. Gaps between purchases are Gamma(``rhythm``) with mean
    1 / ``purchase_rate``. Spend per order is Gamma(p) around a mean that is itself inverse-gamma over customers
    (Fader and Hardie 2013, the gamma-gamma model), heavy-tailed.
    """
    rng = company.rng("traits")
    n = company.customers
    mean_rate = company.climate.purchases_per_year / 365
    rate = np.maximum(rng.gamma(0.9, mean_rate / 0.9, n), 1e-5)
    relative = rate / mean_rate
    regular = rng.random(n) < 0.35
    country = rng.choice(len(COUNTRIES), n, p=[share for share, _ in COUNTRIES.values()])
    worse = np.array([late for _, late in COUNTRIES.values()])[country]
    age = rng.choice(len(AGE_GROUPS), n, p=list(AGE_GROUPS.values()))
    loyalty_of_heavy_buyers = np.clip(relative ** (-0.6 if company.exposure_only else -0.25), 0.3, 3)
    contact_rate = 0.5 / 365 * relative if company.exposure_only else 0.35 / 365 + 0.02 * rate
    return pl.DataFrame(
        {
            "customer": np.arange(n),
            "signed_up": _sign_ups(company, clock, rng),
            "buys_at_once": rng.random(n) < 0.85,
            "purchase_rate": rate,
            "rhythm": np.where(regular, rng.uniform(3, 10, n), rng.uniform(0.8, 1.3, n)),
            "hazard": rng.gamma(1.2, 0.3 / 365 / 1.2, n) * loyalty_of_heavy_buyers,
            "spend_mean": 6.0 / rng.gamma(3.2, 1 / 17.0, n),
            "late_share": np.minimum(rng.beta(2, 26, n) * worse, 0.6),
            "visit_rate": rate * rng.lognormal(0.0, 0.7, n) + rng.gamma(1.0, 0.012, n),
            "contact_rate": contact_rate,
            "engagement": rng.beta(1.5, 4, n),
            "member": rng.random(n) < 0.55,
            "opted_out": rng.random(n) < 0.08,
            "country": np.array(list(COUNTRIES))[country],
            "age_group": np.array(list(AGE_GROUPS))[age],
            "plan": rng.choice(list(PLANS), n, p=list(PLANS.values())),
            "favourite_category": rng.integers(CATEGORIES, size=n),
            "favourite_order": draw_choices(ORDER_HABITS, age, rng),
            "favourite_visit": draw_choices(VISIT_HABITS, age, rng),
            "favourite_contact": draw_choices(CONTACT_HABITS, age, rng),
        }
    )


def draw_choices(habits: tuple[tuple[float, ...], ...], row: Ints, rng: np.random.Generator) -> Ints:
    """One choice per entry of ``row``, with the odds of that row of ``habits``."""
    odds = np.asarray(habits)
    cumulative = np.cumsum(odds, axis=1) / odds.sum(axis=1, keepdims=True)
    return np.asarray((rng.random(len(row))[:, None] > cumulative[row, :-1]).sum(axis=1), dtype=np.int64)


def mostly(favourite: Ints, options: int, rng: np.random.Generator) -> Ints:
    """A choice per event: the customer's favourite most of the time, any of the ``options`` else."""
    return np.where(rng.random(len(favourite)) < FAVOURITE_SHARE, favourite, rng.integers(options, size=len(favourite)))


def _sign_ups(company: Company, clock: Clock, rng: np.random.Generator) -> Floats:
    """People sign up when they buy: evenly in operational time, a share of them before the start."""
    first, start, end = clock.operational_at(np.array([1.0 - BEFORE, 0.0, company.days]))
    early = rng.random(company.customers) < BASE_SHARE
    when = rng.random(company.customers)
    return clock.calendar_at(np.where(early, start + when * (first - start), start + when * (end - start)))
