"""What would happen to customers who never leave: purchases, parcels, returns, contacts, errors, outages.

These tables run from sign-up to the end of the span; leaving cuts them later. Times are days since the start.
"""

import numpy as np
import polars as pl

from fedelta.pipeline.simulator.clock import BEYOND, Clock
from fedelta.pipeline.simulator.company import Company, Floats, Ints
from fedelta.pipeline.simulator.tastes import NAMES, draw_categories
from fedelta.pipeline.simulator.traits import CONTACT_CHANNELS, ORDER_CHANNELS, VISIT_CHANNELS, mostly

LATE_HOURS = 24.0  # a parcel this late is a bad experience
FAULTY_SHARE = 0.025  # of parcels
OTHER_RETURN_SHARE = 0.05  # of orders
ERROR_SHARE = 0.015  # of visits
UNSOLVED_SHARE = 0.25  # of contacts that are not about a bad experience
CALLS_ABOUT_BAD = 0.55  # of late parcels and faulty goods are followed by a contact
SOLVED_AFTER_BAD = 0.7  # of those contacts settle it
CALLS_AGAIN = 0.45  # of unsolved contacts are followed by a second on the same subject, which settles it
OUTAGES_PER_YEAR = 2.5
SUBJECTS = ("account", "payment", "product", "delivery times")


def draw_purchases(company: Company, clock: Clock, traits: pl.DataFrame) -> pl.DataFrame:
    """Every purchase since sign-up: a renewal process in operational time with Gamma(rhythm) gaps.

    Sorted by customer and time; those before the start (day 0) are known to the truth but to no file.
    """
    rng = company.rng("purchases")
    rate, rhythm = traits["purchase_rate"].to_numpy(), traits["rhythm"].to_numpy()
    now = clock.operational_at(traits["signed_up"].to_numpy())
    end = float(clock.operational_at(float(company.days)))
    active = np.arange(traits.height)
    at_once = np.flatnonzero(traits["buys_at_once"].to_numpy())
    customers, times = [at_once], [now[at_once]]
    while len(active):
        now[active] += rng.gamma(rhythm[active]) / (rhythm[active] * rate[active])
        active = active[now[active] < end]
        customers.append(active)
        times.append(now[active])
    customer, operational = np.concatenate(customers), np.concatenate(times)
    order = np.lexsort((operational, customer))
    customer, operational = customer[order], operational[order]
    at = np.maximum(clock.calendar_at(operational), traits["signed_up"].to_numpy()[customer])
    return pl.DataFrame({"customer": customer, "at": at, "operational": operational})


def draw_orders(company: Company, purchases: pl.DataFrame, traits: pl.DataFrame, tastes: Floats) -> pl.DataFrame:
    """Purchases within the span with their channel and category; ``order`` is the row number."""
    rng = company.rng("orders")
    orders = purchases.filter(pl.col("at") >= 0).select("customer", "at").with_row_index("order")
    who = orders["customer"].to_numpy()
    channel = mostly(traits["favourite_order"].to_numpy()[who], len(ORDER_CHANNELS), rng)
    category = draw_categories(company, orders, tastes)
    return orders.with_columns(channel=np.array(ORDER_CHANNELS)[channel], category=np.array(NAMES)[category])


def draw_parcels(company: Company, orders: pl.DataFrame, traits: pl.DataFrame) -> pl.DataFrame:
    """A parcel per order that was not taken home from a store: promised, delivered, late or not."""
    rng = company.rng("parcels")
    parcels = orders.filter(pl.col("channel") != "store").rename({"at": "ordered"})
    ordered, who = parcels["ordered"].to_numpy(), parcels["customer"].to_numpy()
    worse = 1 + company.climate.late_drift * ordered / 365
    late = rng.random(len(who)) < np.minimum(traits["late_share"].to_numpy()[who] * worse, 0.8)
    promised = ordered + rng.integers(2, 6, len(who))
    early = np.clip(rng.normal(-8, 9, len(who)), -36, LATE_HOURS - 4)
    delay = np.where(late, LATE_HOURS + 2 + np.minimum(rng.lognormal(3.4, 0.9, len(who)), 400), early)
    return parcels.with_columns(promised=promised, at=promised + delay / 24, late=late)


def draw_returns(company: Company, orders: pl.DataFrame, parcels: pl.DataFrame) -> pl.DataFrame:
    """Orders sent back: faulty goods (bad experiences) and those that did not please."""
    rng = company.rng("returns")
    received = orders.join(parcels.select("order", received="at"), on="order", how="left", maintain_order="left")
    sent = received["received"].is_not_null().to_numpy()
    draw = rng.random(orders.height)
    faulty = sent & (draw < FAULTY_SHARE)
    returned = faulty | (draw > 1 - OTHER_RETURN_SHARE)
    reason = np.where(faulty, "faulty", np.array(["wrong size", "changed my mind"])[rng.integers(2, size=len(draw))])
    after = rng.uniform(1, 12, len(draw))
    return (
        received.rename({"at": "ordered"})
        .with_columns(
            at=pl.coalesce("received", "ordered") + after,
            reason=reason,
            share=np.where(faulty, 1.0, rng.uniform(0.3, 1.0, len(draw))),
        )
        .filter(returned)
        .drop("received")
    )


def draw_visits(company: Company, clock: Clock, traits: pl.DataFrame) -> pl.DataFrame:
    """Visits of the site or the app, with their source and whether an error spoiled them."""
    rng = company.rng("visits")
    visits = _poisson(company, clock, traits, traits["visit_rate"].to_numpy(), rng)
    source = mostly(traits["favourite_visit"].to_numpy()[visits["customer"].to_numpy()], len(VISIT_CHANNELS), rng)
    return visits.with_columns(source=np.array(VISIT_CHANNELS)[source], error=rng.random(visits.height) < ERROR_SHARE)


def draw_outages(company: Company, traits: pl.DataFrame) -> tuple[Floats, pl.DataFrame]:
    """The days of outages (also beyond the end, for the truth) and the customers each of them hit."""
    rng = company.rng("outages")
    horizon = company.days + BEYOND
    days = np.sort(rng.uniform(0, horizon - 1, max(1, round(OUTAGES_PER_YEAR * horizon / 365))))
    hit = rng.random((len(days), traits.height)) < -np.expm1(-outage_exposure(traits["visit_rate"].to_numpy()))
    hit &= traits["signed_up"].to_numpy() < days[:, None]
    outage, customer = np.nonzero(hit)
    minutes_after = rng.uniform(0, 4 / 24, len(outage))
    return days, pl.DataFrame({"customer": customer, "at": days[outage] + minutes_after})


def outage_exposure(visit_rate: Floats) -> Floats:
    """Expected hits of one outage: frequent visitors meet more of them."""
    return np.minimum(3 * visit_rate, 0.7)


def draw_contacts(
    company: Company, clock: Clock, traits: pl.DataFrame, parcels: pl.DataFrame, returns: pl.DataFrame
) -> pl.DataFrame:
    """First contacts: about a bad order (``about``: its row among the bad orders) or about anything else (null).

    ``origin`` is the moment from which the contact was bound to come: the order, or the contact itself.
    """
    rng = company.rng("contacts")
    bad = bad_orders(parcels, returns)
    calls = rng.random(bad.height) < CALLS_ABOUT_BAD
    opened = bad["at"].to_numpy() + rng.exponential(0.6, bad.height)
    solved = rng.random(bad.height) < SOLVED_AFTER_BAD
    subject = np.where(bad["kind"] == "late_delivery", "late parcel", "faulty goods")
    about_bad = bad.select("customer", "origin", about="number").with_columns(
        opened=opened, solved=solved, subject=subject
    )
    others = _poisson(company, clock, traits, traits["contact_rate"].to_numpy(), rng)
    about_else = others.select("customer", origin="at", about=pl.lit(None, pl.UInt32)).with_columns(
        opened=others["at"],
        solved=rng.random(others.height) > UNSOLVED_SHARE,
        subject=np.array(SUBJECTS)[rng.integers(len(SUBJECTS), size=others.height)],
    )
    return _answered(company, traits, pl.concat([about_bad.filter(calls), about_else]), "contacts answered")


def draw_second_contacts(company: Company, traits: pl.DataFrame, contacts: pl.DataFrame) -> pl.DataFrame:
    """Second contacts on the same subject, which settle what the first left open."""
    rng = company.rng("second contacts")
    first = contacts.with_row_index("first")
    again = first.filter(~pl.col("solved") & pl.Series(rng.random(first.height) < CALLS_AGAIN))
    opened = again["at"].to_numpy() + rng.exponential(2.0, again.height)
    tickets = again.select("customer", "origin", "first", "subject").with_columns(opened=opened, solved=pl.lit(True))
    return _answered(company, traits, tickets, "second contacts answered")


def bad_orders(parcels: pl.DataFrame, returns: pl.DataFrame) -> pl.DataFrame:
    """Late parcels and faulty goods: customer, kind, when it struck, and the order it came of (``origin``)."""
    late = parcels.filter(pl.col("late")).select(
        "customer", "at", "order", origin="ordered", kind=pl.lit("late_delivery")
    )
    faulty = returns.filter(pl.col("reason") == "faulty").select(
        "customer", "at", "order", origin="ordered", kind=pl.lit("faulty_return")
    )
    return pl.concat([late, faulty]).with_row_index("number")


def _answered(company: Company, traits: pl.DataFrame, tickets: pl.DataFrame, part: str) -> pl.DataFrame:
    """Add channel, waiting and closing times (``at``), and how hard it was on a scale of 1 to 7."""
    rng = company.rng(part)
    n, solved = tickets.height, tickets["solved"].to_numpy()
    wait_hours = np.minimum(rng.lognormal(np.where(solved, 1.1, 3.2), 0.9), 300)
    handling_days = rng.lognormal(-1.4, 0.8, n)
    channel = mostly(traits["favourite_contact"].to_numpy()[tickets["customer"].to_numpy()], len(CONTACT_CHANNELS), rng)
    effort = np.clip(np.rint(rng.normal(np.where(solved, 2.6, 5.4), 1.2)), 1, 7).astype(np.int64)
    return tickets.with_columns(
        at=tickets["opened"].to_numpy() + wait_hours / 24 + handling_days,
        wait_hours=wait_hours,
        effort=effort,
        channel=np.array(CONTACT_CHANNELS)[channel],
    )


def _poisson(
    company: Company, clock: Clock, traits: pl.DataFrame, rate: Floats, rng: np.random.Generator
) -> pl.DataFrame:
    """Events at a constant rate per operational day from sign-up (or day 0) to the end, by customer and time."""
    begin = clock.operational_at(np.maximum(traits["signed_up"].to_numpy(), 0.0))
    length = clock.operational_at(float(company.days)) - begin
    customer: Ints = np.repeat(np.arange(traits.height), rng.poisson(rate * length))
    operational = begin[customer] + rng.random(len(customer)) * length[customer]
    order = np.lexsort((operational, customer))
    return pl.DataFrame({"customer": customer[order], "at": clock.calendar_at(operational[order])})
