"""The company's own files: each in its own shape, words and clock, as its systems would export them.

Clean rows only; ``dirt`` adds what goes wrong. Times are UTC in the web log, seconds since 1970 in the reviews, and
local to Rome everywhere else.
"""

import numpy as np
import polars as pl

from fedelta.pipeline.simulator import campaigns, touchpoints
from fedelta.pipeline.simulator.company import Company
from fedelta.pipeline.simulator.life import Life
from fedelta.pipeline.simulator.touchpoints import while_customer

ZONE = "Europe/Rome"
SHOPS = {"web": "Web shop", "app": "App", "phone": "Phone order", "partner": "Marketplace"}
STORES = ("Store Milan", "Store Turin", "Store Rome")
SOURCES = {
    "direct": "(direct)",
    "organic_search": "google / organic",
    "paid_search": "google / cpc",
    "social": "instagram / social",
    "email": "newsletter / email",
    "display": "banner / display",
    "referral": "blog / referral",
    "app": "app",
    "web": "basket",
}
DESKS = {"phone": "Hotline", "chat": "Live chat", "email": "E-mail"}


def company_files(life: Life) -> dict[str, pl.DataFrame]:
    """Every file as a table, in order of time; a row's first column is its id."""
    orders = _numbered(while_customer(life, life.orders), "order_id", 1_000_001)
    parcels = while_customer(life, life.parcels, begins="ordered")
    returns = while_customer(life, life.returns)
    tickets = [while_customer(life, table, begins="opened") for table in (life.contacts, life.second_contacts)]
    contacts = pl.concat(tickets, how="diagonal")
    return {
        "orders": _orders(life, orders),
        "web_events": _web_events(life, orders),
        "support_tickets": _support_tickets(life, contacts),
        "deliveries": _deliveries(life, parcels, orders),
        "returns": _returns(life, returns, orders),
        "reviews": _reviews(life, touchpoints.draw_reviews(life, parcels)),
        "surveys": _surveys(life, touchpoints.draw_surveys(life, parcels, contacts)),
        "campaigns": _campaigns(life, touchpoints.draw_messages(life)),
        "programme": _programme(life, touchpoints.draw_programme(life)),
        "members": _members(life),
        "treatments": _treatments(life),
    }


def customer_id(column: str = "customer") -> pl.Expr:
    """The name by which the files know a customer."""
    return pl.format("C{}", (pl.col(column) + 1).cast(pl.String).str.zfill(7)).alias(column)


def moment(company: Company, column: str) -> pl.Expr:
    """Days since the start as a UTC timestamp, cut to the second."""
    micros = (pl.col(column) * 86_400).floor().cast(pl.Int64) * 1_000_000 + company.start_us
    return micros.cast(pl.Datetime("us", "UTC")).alias(column)


def _local(life: Life, column: str) -> pl.Expr:
    return moment(life.company, column).dt.convert_time_zone(ZONE).dt.strftime("%Y-%m-%d %H:%M:%S")


def _euros(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.Decimal(18, 2)).cast(pl.String)


def _numbered(table: pl.DataFrame, name: str, first: int) -> pl.DataFrame:
    """Rows in order of time, numbered from ``first``; rows of one instant keep their order."""
    return table.sort("at", "customer", maintain_order=True).with_row_index(name, offset=first)


def _orders(life: Life, orders: pl.DataFrame) -> pl.DataFrame:
    store = pl.col("customer").mod(len(STORES)).replace_strict(dict(enumerate(STORES)), return_dtype=pl.String)
    shop = pl.when(pl.col("channel") == "store").then(store).otherwise(pl.col("channel").replace(SHOPS))
    return orders.select(
        "order_id", customer_id(), placed_at=_local(life, "at"), shop=shop, category="category", gross=_euros("gross"),
        cost=_euros("cost"),
    )  # fmt: skip


def _web_events(life: Life, orders: pl.DataFrame) -> pl.DataFrame:
    visits = while_customer(life, life.visits)
    outages = while_customer(life, life.experiences.filter(pl.col("kind") == "outage"))
    events = pl.concat(
        [
            visits.select("customer", "at", "source", event=pl.lit("session")),
            touchpoints.checkout_sessions(life, orders).with_columns(event=pl.lit("session")),
            visits.filter(pl.col("error")).select("customer", "at", "source", event=pl.lit("error")),
            outages.select("customer", "at", source=pl.lit("web"), event=pl.lit("outage")),
        ]
    )
    return _numbered(events, "event_id", 50_000_001).select(
        "event_id",
        customer_id(),
        moment(life.company, "at").cast(pl.Datetime("ms", "UTC")),
        "event",
        pl.col("source").replace(SOURCES),
    )


def _support_tickets(life: Life, contacts: pl.DataFrame) -> pl.DataFrame:
    """Satisfaction is 1 to 5 and given by half of them; a fifth of those left unsolved is a formal complaint."""
    rng = life.company.rng("tickets")
    tickets = _numbered(contacts, "ticket_id", 300_001)
    solved = tickets["solved"].to_numpy()
    satisfaction = np.clip(np.rint(rng.normal(np.where(solved, 4.2, 1.9), 0.9)), 1, 5).astype(np.int64)
    silent = rng.random(tickets.height) < 0.5
    complaint = ~solved & (rng.random(tickets.height) < 0.2)
    return tickets.with_columns(satisfaction=satisfaction, complaint=complaint, silent=silent).select(
        "ticket_id",
        customer_id(),
        opened_at=_local(life, "opened"),
        closed_at=_local(life, "at"),
        desk=pl.col("channel").replace(DESKS),
        type=pl.when("complaint").then(pl.lit("complaint")).otherwise(pl.lit("question")),
        subject="subject",
        first_answer_hours=pl.col("wait_hours").round(2).cast(pl.String),
        solved=pl.when("solved").then(pl.lit("yes")).otherwise(pl.lit("no")),
        satisfaction=pl.when("silent").then(None).otherwise(pl.col("satisfaction").cast(pl.String)),
        effort_1_to_7=pl.col("effort").cast(pl.String),
    )


def _deliveries(life: Life, parcels: pl.DataFrame, orders: pl.DataFrame) -> pl.DataFrame:
    parcels = parcels.join(orders.select("order", "order_id"), on="order", how="left", maintain_order="left")
    return _numbered(parcels, "parcel_id", 7_000_001).select(
        "parcel_id",
        "order_id",
        customer_id(),
        promised_at=_local(life, "promised"),
        delivered_at=_local(life, "at"),
        content="category",
    )


def _returns(life: Life, returns: pl.DataFrame, orders: pl.DataFrame) -> pl.DataFrame:
    returns = returns.join(orders.select("order", "order_id"), on="order", how="left", maintain_order="left")
    return _numbered(returns, "return_id", 400_001).select(
        "return_id", "order_id", customer_id(), returned_at=_local(life, "at"), refund=_euros("refund"), reason="reason"
    )


def _reviews(life: Life, reviews: pl.DataFrame) -> pl.DataFrame:
    return _numbered(reviews, "review", 1).select(
        "review",
        customer_id(),
        moment(life.company, "at").dt.epoch("s").alias("posted"),
        "stars",
        "views",
        product="category",
    )


def _surveys(life: Life, surveys: pl.DataFrame) -> pl.DataFrame:
    return _numbered(surveys, "survey_id", 1).select(
        "survey_id", customer_id(), answered_at=_local(life, "at"), about="about", nps=pl.col("score").cast(pl.String)
    )


def _campaigns(life: Life, messages: pl.DataFrame) -> pl.DataFrame:
    return _numbered(messages, "message_id", 1).select(
        "message_id",
        customer_id(),
        sent_at=_local(life, "at"),
        medium="medium",
        campaign="campaign",
        reaction="reaction",
        reacted_at=_local(life, "reacted"),
    )


def _programme(life: Life, events: pl.DataFrame) -> pl.DataFrame:
    return _numbered(events, "entry", 1).select("entry", customer_id(), at=_local(life, "at"), event="event")


def _members(life: Life) -> pl.DataFrame:
    """The customer register as it stands at the end: the plan is the latest, with the day it began."""
    down = while_customer(life, touchpoints.downgrades(life.company, life.traits))
    members = life.traits.join(down, on="customer", how="left", maintain_order="left")
    since = pl.coalesce("at", "signed_up")
    return members.with_columns(since=since).select(
        customer_id(),
        registered_at=_local(life, "signed_up"),
        country="country",
        age_group="age_group",
        plan=pl.when("member").then(pl.coalesce("to", "plan")),
        plan_since=pl.when("member").then(_local(life, "since")),
        newsletter=pl.when("opted_out").then(pl.lit("no")).otherwise(pl.lit("yes")),
    )


def _treatments(life: Life) -> pl.DataFrame:
    """The campaign tool's log: who was drawn into which arm when, and whether those to be contacted were reached."""
    treated = pl.col("treated")
    return life.treatments.select(
        customer_id=customer_id(),
        campaign=pl.format("stay with us {}", pl.col("campaign") + 1),
        entered_at=_local(life, "at"),
        action=pl.lit(campaigns.ACTION),
        arm=pl.when(treated).then(pl.lit("treated")).otherwise(pl.lit("held_out")),
        reached=pl.when("reached").then(pl.lit("yes")).otherwise(pl.lit("no")),
        cost=pl.when(treated).then(pl.lit(f"{campaigns.COST:.2f}")).otherwise(pl.lit("0.00")),
    )
