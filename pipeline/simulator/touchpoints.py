"""What the company and its customers say to each other: sessions, messages, answers, reviews, the loyalty programme.

These follow from life: whoever has left no longer visits, answers or refers, but still gets parcels and messages, and
may still voice the last bad experience.
"""

import numpy as np
import numpy.typing as npt
import polars as pl

from fedelta.pipeline.simulator.company import Company, Floats, Ints
from fedelta.pipeline.simulator.life import Life

CAMPAIGN_DAYS = 20
MEDIA = ("newsletter", "newsletter", "app push", "newsletter", "sms")  # of one campaign after the other
CANCELS_SHARE = 0.12  # of those who leave say so
REFERRALS_PER_YEAR = 0.35  # of a fully engaged customer
DOWNGRADES_PER_YEAR = 0.1
CHEAPER = {"premium": "plus", "plus": "basic"}


def while_customer(life: Life, table: pl.DataFrame, begins: str = "at", ends: str = "at") -> pl.DataFrame:
    """The rows that begin before the customer leaves, the last straw included, and end within the span."""
    begun = table[begins].to_numpy() <= life.left_at[table["customer"].to_numpy()]
    return table.filter((pl.col(ends) >= 0) & (pl.col(ends) < life.company.days) & begun)


def checkout_sessions(life: Life, orders: pl.DataFrame) -> pl.DataFrame:
    """The visits in which most orders of the site and the app were placed."""
    rng = life.company.rng("checkouts")
    online = orders.filter(pl.col("channel").is_in(["web", "app"]))
    before = rng.uniform(3, 30, online.height) / 1440
    sessions = online.select("customer", at=(pl.col("at") - before).clip(0), source="channel")
    return sessions.filter(rng.random(online.height) < 0.6)


def draw_surveys(life: Life, parcels: pl.DataFrame, contacts: pl.DataFrame) -> pl.DataFrame:
    """Answers (0 to 10) to the question whether one would recommend the company, after parcels and contacts."""
    rng = life.company.rng("surveys")
    asked = pl.concat(
        [
            parcels.select("customer", "at", good=~pl.col("late"), about=pl.lit("delivery"), share=pl.lit(0.12)),
            contacts.select("customer", "at", good="solved", about=pl.lit("support"), share=pl.lit(0.25)),
        ]
    )
    answers = _voiced(life, asked, asked["share"].to_numpy(), 1.5, rng)
    mean = np.where(answers["good"].to_numpy(), 8.4, 4.0)
    score = np.clip(np.rint(rng.normal(mean, np.where(answers["good"], 1.4, 2.3))), 0, 10)
    return answers.select("customer", "at", "about", score=score.astype(np.int64))


def draw_reviews(life: Life, parcels: pl.DataFrame) -> pl.DataFrame:
    """Public reviews of what came in a parcel: stars and how many people saw them (Pareto, very heavy-tailed)."""
    rng = life.company.rng("reviews")
    share = np.where(parcels["late"].to_numpy(), 0.12, 0.03)
    reviews = _voiced(life, parcels.select("customer", "at", "late", "category"), share, 3.0, rng)
    stars = np.clip(np.rint(rng.normal(np.where(reviews["late"], 2.0, 4.4), 0.9)), 1, 5)
    views = np.minimum(5 * (1 + rng.pareto(1.1, reviews.height)), 2e6)
    return reviews.select("customer", "at", "category", stars=stars.astype(np.int64), views=views.astype(np.int64))


def draw_messages(life: Life) -> pl.DataFrame:
    """Messages and reactions: to everyone who did not opt out, also to those who have silently left; and the contacts
    by which campaigns reached customers.
    """
    return pl.concat([_newsletters(life), _contacts_of_campaigns(life)])


def _contacts_of_campaigns(life: Life) -> pl.DataFrame:
    """A message within the hour after entry to everyone whom a campaign reached."""
    rng, reached = life.company.rng("contacts of campaigns"), life.treatments.filter("reached")
    at = reached["at"].to_numpy() + rng.uniform(0, 1 / 24, reached.height)
    label = reached.select(pl.format("stay with us {}", pl.col("campaign") + 1)).to_series()
    return _with_reactions(life, reached["customer"].to_numpy(), at, np.full(reached.height, "newsletter"), label, rng)


def _newsletters(life: Life) -> pl.DataFrame:
    rng, traits, company = life.company.rng("messages"), life.traits, life.company
    campaigns = np.arange(5.0, company.days - 1, CAMPAIGN_DAYS) + 9 / 24
    reached = rng.random((len(campaigns), traits.height)) < 0.4
    reached &= (traits["signed_up"].to_numpy() < campaigns[:, None]) & ~traits["opted_out"].to_numpy()
    campaign, who = np.nonzero(reached)
    at = campaigns[campaign] + rng.uniform(0, 2 / 24, len(who))
    label = pl.select(pl.format("campaign {}", pl.Series(campaign) + 1)).to_series()
    return _with_reactions(life, who, at, np.array(MEDIA)[campaign % len(MEDIA)], label, rng)


def _with_reactions(
    life: Life, who: Ints, at: Floats, medium: npt.NDArray[np.str_], label: pl.Series, rng: np.random.Generator
) -> pl.DataFrame:
    """Messages with what came of them: whoever is engaged and still there opens some, and clicks in some of those."""
    traits, company = life.traits, life.company
    reacted: Floats = at + rng.exponential(0.5, len(who))
    opens = rng.random(len(who)) < traits["engagement"].to_numpy()[who]
    opens &= (reacted < life.left_at[who]) & (reacted < company.days)
    clicks = rng.random(len(who)) < 0.3
    return pl.DataFrame(
        {
            "customer": who,
            "at": at,
            "medium": medium,
            "campaign": label,
            "reaction": np.where(clicks, "clicked", "opened"),
            "reacted": reacted,
            "opens": opens,
        }
    ).with_columns(pl.when("opens").then(pl.col("reaction", "reacted")))


def draw_programme(life: Life) -> pl.DataFrame:
    """The loyalty programme's book: joining, yearly renewal, stepping down, leaving in words, referring a friend."""
    rng, traits, company = life.company.rng("programme"), life.traits, life.company
    signed_up = traits["signed_up"].to_numpy()
    members = traits.filter(pl.col("member"))
    years = range(1, 2 + int((company.days - signed_up.min()) // 365))
    joined = members.select("customer", at="signed_up", event=pl.lit("joined"))
    renewed = [joined.select("customer", pl.col("at") + 365.0 * year, event=pl.lit("renewed")) for year in years]
    friends = rng.poisson(traits["engagement"].to_numpy() * REFERRALS_PER_YEAR * company.days / 365)
    who = np.repeat(np.arange(traits.height), friends)
    referred = pl.DataFrame({"customer": who, "at": rng.uniform(0, company.days, len(who))})
    referred = referred.filter(referred["at"].to_numpy() > signed_up[who]).with_columns(
        event=pl.lit("referred a friend")
    )
    down = while_customer(life, downgrades(company, traits)).select("customer", "at", event=pl.lit("stepped down"))
    loud = np.flatnonzero(np.isfinite(life.left_at) & (rng.random(traits.height) < CANCELS_SHARE))
    cancelled = pl.DataFrame({"customer": loud, "at": life.left_at[loud] + rng.exponential(1.0, len(loud))})
    cancelled = cancelled.filter(pl.col("at") < company.days).with_columns(event=pl.lit("closed the account"))
    return pl.concat([while_customer(life, pl.concat([joined, *renewed, referred])), down, cancelled])


def downgrades(company: Company, traits: pl.DataFrame) -> pl.DataFrame:
    """When members of a dearer plan step down to the next (at most once), had they stayed: ``at`` and ``to``."""
    rng = company.rng("downgrades")
    at = np.maximum(traits["signed_up"].to_numpy(), 0) + rng.exponential(365 / DOWNGRADES_PER_YEAR, traits.height)
    dearer = traits.with_columns(at=at).filter(pl.col("member") & pl.col("plan").is_in(list(CHEAPER)))
    return dearer.select("customer", "at", to=pl.col("plan").replace_strict(CHEAPER))


def _voiced(life: Life, causes: pl.DataFrame, share: Floats, days: float, rng: np.random.Generator) -> pl.DataFrame:
    """A share of the causes that struck someone still a customer, some days later, within the span."""
    still = causes["at"].to_numpy() <= life.left_at[causes["customer"].to_numpy()]
    later = pl.Series(causes["at"].to_numpy() + rng.exponential(days, causes.height))
    heard = still & (rng.random(causes.height) < share)
    return causes.with_columns(at=later).filter((pl.col("at") < life.company.days) & heard)
