"""A project whose customers have all that could tell a batch from a customer scored alone."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
from tiny_project import CUTOFFS, DAYS, PARAMS, START, TREES, inside, interactions, scored_project

from fedelta.features.contract import INTERACTIONS, TREATMENTS
from fedelta.features.kernel import KernelSettings, features_at
from fedelta.pipeline import experience, fit_btyd, paths, score, train_next
from fedelta.pipeline.buckets.shuffle import shuffle
from fedelta.pipeline.params import load_params

AS_OF = START + timedelta(days=DAYS)
POLICY = """\
policy:
  tiers: {medium: 0.3, high: 0.6, critical: 0.8}
  economics: {contact_cost: 0.5, offer_cost: 2, keep_success: 0.4, win_back_success: 0.2, acquisition_cost: 30}
  teams: {care: {per_day: 4}, desk: {per_day: 2, actions: [win back]}}
  run_days: 5
  fatigue: 2
"""


def make(folder: Path) -> None:
    import duckdb

    scored_project(folder)
    with inside(folder):
        text = PARAMS.replace("TREES", str(TREES)).replace("late_delivery:", CONTACT_RULE + "    late_delivery:")
        text = text.replace("train: 2}", f'train: 2, score_at: "{AS_OF:%Y-%m-%d}"}}')  # events come later, too
        lines = [line for line in text.splitlines() if not line.startswith("policy:")]
        Path("params.yaml").write_text("\n".join(lines) + "\n" + POLICY)
        events = odd(interactions(300))
        table, labels = features_at(events, CUTOFFS, KernelSettings(load_params().experience))
        table.write_parquet(paths.FEATURES / "part-00000.parquet")
        labels.write_parquet(paths.LABELS / "part-00000.parquet")
        with duckdb.connect() as connection:
            connection.register("events", events.to_arrow())
            shuffle(connection, "SELECT * FROM events", paths.INTERACTIONS)
        known = pl.read_parquet(paths.CUSTOMERS)
        out = pl.col("customer_id").is_in(["c0003", "c0004"])
        new = [name for name in ("late", "single", "unheard") if name not in known["customer_id"]]
        plain = known.head(len(new)).with_columns(customer_id=pl.Series(new))
        pl.concat([known, plain]).with_columns(opted_out=out).write_parquet(paths.CUSTOMERS)
        paths.TREATMENTS.mkdir(exist_ok=True)
        _treatments(events).write_parquet(paths.TREATMENTS / "calls.parquet")
        for stage in (experience, fit_btyd, train_next, score):
            stage.main()


CONTACT_RULE = (
    'repeated: {when: "days_since_same_topic < 30", pillar: resolution, level: ease, severity: 3,'
    " among: \"kind IN ('contact', 'complaint')\"}\n"
)


def odd(events: pl.DataFrame) -> pl.DataFrame:
    """The events with topics and margins; ties in time, events at the cutoff and later, hidden ones, single ones."""
    several = pl.when(pl.col("interaction_id").str.ends_with("3")).then(pl.lit("shoes|socks")).otherwise(pl.lit("hats"))
    share = 0.2 + pl.col("customer_id").str.tail(1).cast(pl.Int64) / 20
    named = events.with_columns(topic=pl.when(pl.col("kind") == "purchase").then(several)).with_columns(
        margin=pl.when(pl.col("topic") == "hats")
        .then(pl.col("amount").cast(pl.Float64) * share)
        .cast(pl.Decimal(18, 4))
    )
    third = named.filter(pl.col("kind") == "purchase", pl.col("customer_id").str.ends_with("3"))
    tied = third.with_columns(
        kind=pl.lit("contact"), channel=pl.lit("phone"), amount=pl.lit(None, INTERACTIONS["amount"]),
        topic=pl.lit("returns"), resolved=pl.col("interaction_id").str.ends_with("7"), wait_hours=pl.lit(5.0),
        interaction_id=pl.format("a{}", "interaction_id"), margin=pl.lit(None, INTERACTIONS["margin"]),
    )  # fmt: skip
    hidden = named.filter(pl.col("kind") == "delivery", pl.col("customer_id").str.ends_with("5")).with_columns(
        known_at=pl.lit(AS_OF), interaction_id=pl.format("h{}", "interaction_id"), delay_hours=pl.lit(60.0)
    )
    at = [("c0001", AS_OF, "complaint"), ("c0002", AS_OF + timedelta(days=2), "purchase"), ("late", AS_OF, "purchase"),
          ("single", AS_OF - timedelta(days=10), "purchase"), ("unheard", AS_OF - timedelta(days=3), "visit"),
          ("c0007", AS_OF - timedelta(microseconds=1), "purchase")]  # fmt: skip
    more = pl.DataFrame(at, schema=["customer_id", "occurred_at", "kind"], orient="row").with_columns(
        pl.col("occurred_at").cast(INTERACTIONS["occurred_at"]),
        interaction_id=pl.format("odd-{}-{}", "customer_id", "kind"),
        amount=pl.when(pl.col("kind") == "purchase").then(20.0).cast(INTERACTIONS["amount"]),
    )
    complete = more.select(
        (pl.col(name) if name in more.columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in INTERACTIONS.items()
    )
    every = pl.concat([part.select(INTERACTIONS.names()) for part in (named, tied, hidden, complete)])
    return every.sort("customer_id", "occurred_at", "interaction_id")


def _treatments(events: pl.DataFrame) -> pl.DataFrame:
    ids = events["customer_id"].unique().sort().gather_every(7)
    when = [AS_OF - timedelta(days=5 + 9 * number) for number in range(len(ids))]
    table = pl.DataFrame({"customer_id": ids, "treated_at": when, "arm": ["treated"] * len(ids)})
    return table.select(
        (pl.col(name) if name in table.columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in TREATMENTS.items()
    )


def now() -> datetime:
    """An instant within a day, after the run."""
    return datetime(AS_OF.year, AS_OF.month, AS_OF.day, 12, 0, 0, 250_000, tzinfo=UTC)
