"""What each simulated bad experience truly changed, in closed form from the life behind the data."""

import numpy as np
import polars as pl

from fedelta.features.episodes import SESSION_US
from fedelta.features.history import DAY_US, Floats
from fedelta.pipeline.simulator.company import Ints
from fedelta.pipeline.simulator.journeys import bad_orders
from fedelta.pipeline.simulator.life import LIFETIME, Life, kind_weights
from fedelta.pipeline.simulator.raw import customer_id, moment
from fedelta.pipeline.simulator.truth import LADDER, gap_survival


def true_harm(life: Life, days: int, horizon_days: int) -> pl.DataFrame:
    """What each bad experience changed: chance of leaving, and expected spend, within the horizon that begins with it.

    The world as it was beside the same world in which the touchpoint went well: without this bad experience and the
    contacts it gave rise to, later bad experiences as they come, one fewer to remember. A customer is still there at a
    time u with the chance A(u) that the hazard and every bad experience decided on until u let them stay. Leaving is
    known in closed form, as in ``pipeline.simulator.truth``: the next purchase, of a renewal process that knows when
    the last one was, finds a customer still there with and without; the effect is the integral of f(u) (A'(u) - A(u)).
    Spend is taken over the purchases, prices and bad experiences as drawn, which run on as if nobody left. Who had left
    before it struck loses nothing by it.

    Parameters
    ----------
    days : int
        Bad experiences of the first so many days; the life must go on for another horizon.

    Returns
    -------
    DataFrame with customer_id, occurred_at, kind, recovered, `left` and `spend` (changes by the bad experience).
    """
    bad = _with_cause(life).with_row_index("id")
    struck = bad.filter(pl.col("at").is_between(0, days, closed="left"))
    there = life.left_at[struck["customer"].to_numpy()] >= struck["at"].to_numpy()
    later = _later(life, bad, struck.filter(there), horizon_days)
    left = _left(life, struck.filter(there), later, horizon_days)
    spend = _spend(life, bad, struck.filter(there), later, horizon_days)
    return (
        struck.join(left, on="id", how="left")
        .join(spend, on="id", how="left")
        .sort("id")
        .select(
            customer_id("customer").alias("customer_id"),
            moment(life.company, "at").alias("occurred_at"),
            "kind",
            "recovered",
            pl.col("left", "spend").fill_null(0.0),
        )
    )


def _later(life: Life, bad: pl.DataFrame, struck: pl.DataFrame, horizon_days: int) -> pl.DataFrame:
    """Bad experiences decided on in the horizon of another (`id`): log chances to stay, with it and without."""
    effects = life.company.effects
    pairs = (
        struck.select("id", "customer", struck="at")
        .join(bad.rename({"id": "later"}), on="customer")
        .filter((pl.col("decided") >= pl.col("struck")) & (pl.col("decided") <= pl.col("struck") + horizon_days))
    )
    # Of those the touchpoint gave rise to, itself first, which a later one remembers.
    caused = bad.select(pl.coalesce("cause", "id").alias("id"), member="id", theirs="decided")
    remembers = (pl.col("theirs") <= pl.col("decided")) & (pl.col("theirs") > pl.col("decided") - effects.memory_days)
    fewer = (
        pairs.join(caused, on="id")
        .filter(remembers & (pl.col("member") != pl.col("later")))
        .group_by("id", "later")
        .len("fewer")
    )
    pairs = pairs.join(fewer, on=["id", "later"], how="left").sort("id", "decided", "later")
    weight, recovered = kind_weights(effects, pairs["kind"]), pairs["recovered"].to_numpy()
    recent = pairs["recent"].to_numpy().astype(np.int64)
    without = np.maximum(recent - pairs["fewer"].fill_null(0).to_numpy().astype(np.int64), 1)
    gone = pairs.select(gone=(pl.col("later") == pl.col("id")) | (pl.col("cause") == pl.col("id")).fill_null(False))
    stay = 1 - effects.chance(recent, weight, recovered)
    would_stay = np.where(gone["gone"], 1.0, 1 - effects.chance(without, weight, recovered))
    return pairs.select("id", "struck", "origin", "decided", "kind", "cause").with_columns(
        pl.Series("stay", np.log(stay)), pl.Series("would_stay", np.log(would_stay))
    )


def _there(moments: pl.DataFrame, later: pl.DataFrame, hazard: Floats) -> tuple[Floats, Floats]:
    """Chance of still being there at each moment (`id`, `struck`, `until`) as it was, and had it gone well."""
    logs = later.with_columns(pl.col("stay", "would_stay").cum_sum().over("id"))
    known = (
        moments.with_row_index("place")
        .sort("until")
        .join_asof(
            logs.select("id", "decided", "stay", "would_stay").sort("decided"),
            left_on="until",
            right_on="decided",
            by="id",
            check_sortedness=False,
        )
        .sort("place")
    )
    kept = np.exp(-hazard * (known["until"] - known["struck"]).to_numpy())
    with_it, without = (kept * np.exp(known[name].fill_null(0.0).to_numpy()) for name in ("stay", "would_stay"))
    return with_it, without


def _left(life: Life, struck: pl.DataFrame, later: pl.DataFrame, horizon_days: int) -> pl.DataFrame:
    """Change in the chance of no purchase within the horizon: `id`, `left`."""
    grid = np.union1d(LADDER[horizon_days >= LADDER], [SESSION_US / DAY_US, horizon_days])
    grid = grid[grid >= SESSION_US / DAY_US]  # who buys within the hour is no episode
    who, at = struck["customer"].to_numpy(), struck["at"].to_numpy()
    traits = life.traits[who]
    rhythm, rate, hazard = (traits[name].to_numpy() for name in ("rhythm", "purchase_rate", "hazard"))
    now = life.clock.operational_at(at)
    waited = now - _last_purchase(life, who, at)
    ahead = life.clock.operational_at(at[:, None] + grid) - now[:, None]
    each = zip(rhythm[:, None], rate[:, None], waited[:, None], ahead, strict=True)
    survival = np.vstack([gap_survival(*one) for one in each])
    # A bad experience of an order yet to come has no say before that order.
    of_no_order = pl.col("kind").is_in(["error", "outage", "unresolved_contact"]) & pl.col("cause").is_null()
    independent = later.filter((pl.col("origin") <= pl.col("struck")) | of_no_order)
    moments = struck.select("id", struck="at").with_columns(until=pl.lit(grid.tolist())).explode("until")
    moments = moments.with_columns(until=pl.col("until") + pl.col("struck"))
    with_it, without = _there(moments, independent, np.repeat(hazard, len(grid)))
    lost = (without - with_it).reshape(len(at), -1)
    bought = survival[:, :-1] - survival[:, 1:]
    # Given that they have not bought within the hour.
    left = (bought * (lost[:, :-1] + lost[:, 1:]) / 2).sum(axis=1) / survival[:, 0]
    return pl.DataFrame({"id": struck["id"], "left": left})


def _last_purchase(life: Life, who: Ints, at: Floats) -> Floats:
    """Operational time of the last purchase before a moment, or of signing up."""
    customer = np.append(-1.0, life.purchases["customer"].to_numpy())
    key = customer * LIFETIME + np.append(0.0, life.purchases["at"].to_numpy())
    last = np.searchsorted(key, who * LIFETIME + at) - 1
    signed_up = life.clock.operational_at(life.traits["signed_up"].to_numpy()[who])
    return np.where(customer[last] == who, np.append(0.0, life.purchases["operational"].to_numpy())[last], signed_up)


def _spend(life: Life, bad: pl.DataFrame, struck: pl.DataFrame, later: pl.DataFrame, horizon_days: int) -> pl.DataFrame:
    """Change in the money spent within the horizon: `id`, `spend`."""
    orders = (
        struck.select("id", "customer", struck="at")
        .join(life.orders.select("customer", "gross", until="at"), on="customer")
        .filter(
            (pl.col("until") > pl.col("struck") + SESSION_US / DAY_US)
            & (pl.col("until") <= pl.col("struck") + horizon_days)
        )
    )
    hazard = life.traits["hazard"].to_numpy()[orders["customer"].to_numpy()]
    with_it, without = _there(orders.select("id", "struck", "until"), later, hazard)
    change = with_it * orders["gross"].to_numpy() - without * _gross_without(life, bad, orders)
    return orders.with_columns(spend=pl.Series(change)).group_by("id").agg(pl.col("spend").sum())


def _with_cause(life: Life) -> pl.DataFrame:
    """The bad experiences, with the row of the one whose contact they are (`cause`)."""
    bad = life.experiences.drop("left").with_row_index("row")
    orders = bad_orders(life.parcels, life.returns).select(about="number", struck="at", struck_kind="kind")
    contacts = life.contacts.drop_nulls("about").select("customer", "at", "about", kind=pl.lit("unresolved_contact"))
    contacts = contacts.join(orders, on="about").join(
        bad.select("customer", cause="row", struck="at", struck_kind="kind"), on=["customer", "struck", "struck_kind"]
    )
    return bad.join(contacts.select("customer", "at", "kind", "cause"), on=["customer", "at", "kind"], how="left").drop(
        "row"
    )


def _gross_without(life: Life, bad: pl.DataFrame, orders: pl.DataFrame) -> Floats:
    """What each order would have cost without the bad experience `id` and the contacts it gave rise to."""
    effects = life.company.effects
    struck = bad.select("customer", "at", "id", "recovered", family=pl.coalesce("cause", "id")).sort("customer", "at")
    key = struck["customer"].to_numpy() * LIFETIME + struck["at"].to_numpy()
    family, eased = struck["family"].to_numpy(), np.where(struck["recovered"].to_numpy(), 1 - effects.recovery_share, 1)
    here = orders["customer"].to_numpy() * LIFETIME + orders["until"].to_numpy()
    last = np.searchsorted(key, here, side="right") - 1

    def drop(row: np.ndarray) -> Floats:
        recent = (row >= 0) & (here - key[row] < effects.spend_drop_days)
        return np.where(recent, effects.spend_drop * eased[row], 0.0)

    other = last.copy()
    mine = orders["id"].to_numpy()
    for _ in range(20):
        same = (other >= 0) & (family[other] == mine)
        if not same.any():
            break
        other[same] -= 1
    return orders["gross"].to_numpy() / (1 - drop(last)) * (1 - drop(other))
