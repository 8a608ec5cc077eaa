"""What truly happens: the bad experiences, who leaves when and why, and how much they spend until then."""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from fedelta.pipeline.simulator import campaigns as contact
from fedelta.pipeline.simulator import journeys
from fedelta.pipeline.simulator.campaigns import Campaigns, draw_campaigns
from fedelta.pipeline.simulator.clock import Clock, company_clock
from fedelta.pipeline.simulator.company import BAD_KINDS, Bools, Company, Effects, Floats, Ints
from fedelta.pipeline.simulator.tastes import draw_costs, draw_tastes
from fedelta.pipeline.simulator.traits import draw_traits

LIFETIME = 8192.0  # days, more than any simulation spans: customer * LIFETIME + day orders events of all customers


@dataclass(frozen=True)
class Met:
    """What customers would do and meet if nobody left."""

    purchases: pl.DataFrame
    orders: pl.DataFrame
    parcels: pl.DataFrame
    returns: pl.DataFrame
    visits: pl.DataFrame
    contacts: pl.DataFrame
    second_contacts: pl.DataFrame
    outage_days: Floats


@dataclass(frozen=True)
class Life(Met):
    """A company's customers as only the simulator knows them.

    Tables are cut by nothing yet: they run on as if nobody left. ``left_at`` (shape (customers,), days since the
    start, infinite for those who stay) says where to cut; ``left_because`` names the bad experience, ``habit`` for
    the personal hazard, ``contact`` for a campaign that annoyed, or null. ``tastes`` has shape (customers, categories).
    """

    company: Company
    clock: Clock
    traits: pl.DataFrame
    experiences: pl.DataFrame
    left_at: Floats
    left_because: pl.Series
    tastes: Floats
    campaigns: Campaigns
    treatments: pl.DataFrame


def live(company: Company) -> Life:
    """Draw a company's customers, what happens to them and when they leave."""
    clock = company_clock(company)
    traits = draw_traits(company, clock)
    tastes = draw_tastes(company, traits)
    met, bad = meet(company, clock, traits, tastes)
    experiences = with_chance_of_leaving(bad, company.effects)
    campaigns = draw_campaigns(company, traits)
    left_at, left_because, experiences, treatments = decide(company, traits, experiences, campaigns)
    priced = price(company, traits, met.orders, experiences)
    refunded = met.returns.join(priced.select("order", "gross"), on="order", how="left", maintain_order="left")
    refund = (pl.col("gross") * pl.col("share")).round(2).clip(0.01)
    returns = refunded.with_columns(refund=refund).drop("gross", "share")
    return Life(
        **vars(replace(met, orders=priced, returns=returns)),
        company=company, clock=clock, traits=traits, experiences=experiences, left_at=left_at,
        left_because=left_because, tastes=tastes, campaigns=campaigns, treatments=treatments,
    )  # fmt: skip


def meet(company: Company, clock: Clock, traits: pl.DataFrame, tastes: Floats) -> tuple[Met, pl.DataFrame]:
    """Draw what customers with these traits do and meet, and the bad experiences among it (`assemble_experiences`).

    A company of another seed draws another course of the same customers' lives.
    """
    purchases = journeys.draw_purchases(company, clock, traits)
    orders = journeys.draw_orders(company, purchases, traits, tastes)
    parcels = journeys.draw_parcels(company, orders, traits)
    returns = journeys.draw_returns(company, orders, parcels)
    visits = journeys.draw_visits(company, clock, traits)
    outage_days, outages = journeys.draw_outages(company, traits)
    contacts = journeys.draw_contacts(company, clock, traits, parcels, returns)
    second = journeys.draw_second_contacts(company, traits, contacts)
    bad = assemble_experiences(journeys.bad_orders(parcels, returns), contacts, second, visits, outages)
    return Met(purchases, orders, parcels, returns, visits, contacts, second, outage_days), bad


def assemble_experiences(
    bad_orders: pl.DataFrame, contacts: pl.DataFrame, second: pl.DataFrame, visits: pl.DataFrame, outages: pl.DataFrame
) -> pl.DataFrame:
    """Every bad experience: when it struck (``at``), when it was put right or not (``decided``), what it came of.

    Sorted by customer and ``decided``. The customer decides on leaving at ``decided``: at once, or after the contact
    that settles the matter (``recovered``). From ``origin`` on the experience was bound to come.
    """
    settled = contacts.filter(pl.col("solved")).drop_nulls("about").select(number="about", settled="at")
    orders = bad_orders.join(settled, on="number", how="left", maintain_order="left")
    unsolved = contacts.with_row_index("first").filter(~pl.col("solved"))
    unsolved = unsolved.join(second.select("first", settled="at"), on="first", how="left", maintain_order="left")
    none = pl.lit(None, pl.Float64)
    parts = (
        orders.select("customer", "at", "origin", "kind", "settled"),
        unsolved.select("customer", "at", "origin", pl.lit("unresolved_contact").alias("kind"), "settled"),
        visits.filter(pl.col("error")).select(
            "customer", "at", pl.col("at").alias("origin"), kind=pl.lit("error"), settled=none
        ),
        outages.select("customer", "at", pl.col("at").alias("origin"), kind=pl.lit("outage"), settled=none),
    )
    return (
        pl.concat(parts)
        .with_columns(decided=pl.coalesce("settled", "at"), recovered=pl.col("settled").is_not_null())
        .drop("settled")
        .sort("customer", "decided", "at", "kind")
    )


def with_chance_of_leaving(experiences: pl.DataFrame, effects: Effects) -> pl.DataFrame:
    """Add ``recent`` (its number among the customer's bad experiences of the last ``memory_days``) and ``chance``."""
    customer, decided = experiences["customer"].to_numpy(), experiences["decided"].to_numpy()
    key = customer * LIFETIME + decided
    oldest = np.searchsorted(key, key - effects.memory_days, side="right")
    recent = np.arange(len(key)) - oldest + 1  # other customers' lie farther back than any memory
    weight = kind_weights(effects, experiences["kind"])
    chance = effects.chance(recent, weight, experiences["recovered"].to_numpy())
    return experiences.with_columns(recent=recent, chance=chance)


def kind_weights(effects: Effects, kind: pl.Series) -> Floats:
    """The weight of each bad experience's kind."""
    weights = dict(zip(BAD_KINDS, effects.weights, strict=True))
    return kind.replace_strict(weights, return_dtype=pl.Float64).to_numpy()


def decide(
    company: Company, traits: pl.DataFrame, experiences: pl.DataFrame, campaigns: Campaigns
) -> tuple[Floats, pl.Series, pl.DataFrame, pl.DataFrame]:
    """Who leaves when and why; the experiences, with ``left``: this one was the last straw; and the treatments.

    The draws do not depend on the effects, so the same customer never leaves later under a larger effect of bad
    experiences; nor on the campaigns, so that what a customer would have done without contact is known. ``chance`` of
    an experience is what is left of it while contact shields the customer.
    """
    rng = company.rng("leaving")
    hazard = traits["hazard"].to_numpy()
    begin = np.maximum(traits["signed_up"].to_numpy(), 0.0)  # those of before the start had not left at the start
    wait = rng.exponential(1.0, traits.height) / hazard
    lot, chance = rng.random(experiences.height), experiences["chance"].to_numpy()
    customer: Ints = experiences["customer"].to_numpy()
    decided = experiences["decided"].to_numpy()

    def drives_away(reached: Bools) -> tuple[Floats, Bools]:
        left = chance * (1 - contact.shielded(campaigns, reached, customer, decided))
        return left, lot < left

    def left_under(reached: Bools) -> Floats:
        _, fatal = drives_away(reached)
        straw = contact.driven_away(campaigns, reached)
        np.minimum.at(straw, customer[fatal], decided[fatal])
        return np.minimum(contact.habit_under(campaigns, reached, begin, wait), straw)

    treatments = contact.treatments_of(campaigns, left_under, hazard, experiences)
    left_at = left_under(campaigns.reached)
    left_chance, fatal = drives_away(campaigns.reached)
    last_straw = fatal & (decided == left_at[customer])
    straws = experiences.filter(last_straw).select("customer", left_because="kind")
    because = traits.select("customer").join(straws, on="customer", how="left", maintain_order="left")["left_because"]
    stays = left_at >= company.days
    annoyed = left_at == contact.driven_away(campaigns, campaigns.reached)
    because = because.set(pl.Series(annoyed & np.isfinite(left_at)), "contact").fill_null("habit")
    because = because.set(pl.Series(stays), None)
    experiences = experiences.with_columns(chance=left_chance, left=last_straw)
    return np.where(stays, np.inf, left_at), because, experiences, treatments


def price(company: Company, traits: pl.DataFrame, orders: pl.DataFrame, experiences: pl.DataFrame) -> pl.DataFrame:
    """Orders with ``gross`` (euros, two decimals): Gamma(6) around the personal mean, lower after a bad experience; and
    ``cost``, what the goods cost the company."""
    rng, effects = company.rng("prices"), company.effects
    who = orders["customer"].to_numpy()
    struck = experiences.sort("customer", "at")
    key = np.append(-np.inf, struck["customer"].to_numpy() * LIFETIME + struck["at"].to_numpy())
    here = who * LIFETIME + orders["at"].to_numpy()
    last = np.searchsorted(key, here, side="right") - 1  # none, or another customer's, lies too far back to count
    eased = np.where(np.append(False, struck["recovered"].to_numpy())[last], 1 - effects.recovery_share, 1.0)
    drop = np.where(here - key[last] < effects.spend_drop_days, effects.spend_drop * eased, 0.0)
    drawn = traits["spend_mean"].to_numpy()[who] * rng.gamma(6.0, 1 / 6.0, len(who)) * (1 - drop)
    gross = np.maximum(np.round(drawn, 2), 0.5)
    return orders.with_columns(gross=gross, cost=draw_costs(company, orders["category"], gross))
