"""What the customers of each bucket went through, for the stage ``experience``: tables and counts that add up."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

import polars as pl

from fedelta.features.annotate import annotate, columns_needed
from fedelta.features.attributes import PREFIX, Attribute, attributes_at
from fedelta.features.contract import INTERACTIONS
from fedelta.features.episodes import episodes
from fedelta.features.experience_rules import ExperienceSettings, broken, exercised
from fedelta.features.journeys import NEEDED, with_journeys
from fedelta.features.ledger import ledger
from fedelta.features.relationship import Relationship
from fedelta.features.visibility import KNOWN_AT, seen_before
from fedelta.models.experience.exposure import Key, Tally, added, customer_counts, tally
from fedelta.models.experience.journey_map import moved, through, visited
from fedelta.pipeline.buckets.customer_hash import lowest_hashes
from fedelta.pipeline.buckets.engine import workers
from fedelta.pipeline.buckets.pool import followed
from fedelta.pipeline.buckets.shuffle import HASH, Bucket
from fedelta.pipeline.intake.sources import Touch
from fedelta.pipeline.params import EngineSettings

JOURNEY = ("journey", "journey_stage")
_TOGETHER = 32  # parts kept before they are added up
DROP_DAYS = 60  # without any act of the customer's own after a touchpoint, they stopped there


@dataclass(frozen=True)
class Part:
    """What the customers of one bucket, or of several, went through."""

    interactions: int
    sampled: int  # customers whose episodes these are
    experiences: pl.DataFrame
    counts: pl.DataFrame
    tallies: dict[Key, Tally]
    visits: pl.DataFrame
    moves: pl.DataFrame
    channels: pl.DataFrame
    episodes: pl.DataFrame

    @classmethod
    def joined(cls, parts: Sequence["Part"]) -> "Part":
        """The parts of several buckets as one."""
        return cls(
            interactions=sum(part.interactions for part in parts),
            sampled=sum(part.sampled for part in parts),
            experiences=pl.concat(part.experiences for part in parts),
            counts=pl.concat(part.counts for part in parts),
            tallies=added(part.tallies for part in parts),
            visits=_summed([part.visits for part in parts]),
            moves=_summed([part.moves for part in parts]),
            channels=_summed([part.channels for part in parts]),
            episodes=pl.concat(part.episodes for part in parts),
        )


def _summed(counts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Counts of several buckets, added up: what is not a 64-bit count tells them apart."""
    keys = [name for name, dtype in counts[0].schema.items() if dtype != pl.Int64]
    return pl.concat(counts).group_by(keys).agg(pl.all().sum())


@dataclass(frozen=True)
class Job:
    """What every worker needs to look at its buckets."""

    settings: ExperienceSettings
    touches: dict[str, Touch]  # channels, digital or physical
    attributes: Sequence[Attribute]
    customers: Path
    as_of: datetime
    horizon_days: int
    relationship: Relationship
    most: int  # customers whose episodes are looked at

    @property
    def segments(self) -> tuple[str, ...]:
        """Columns of the attributes that tell customers apart by kind."""
        return tuple(PREFIX + attribute.name for attribute in self.attributes if attribute.type == "categorical")

    def surveyed(self, bucket: Bucket) -> tuple[set[str], int]:
        """Names of the rules that somebody in the bucket broke, and how many customers it has."""
        events = bucket.read([*columns_needed((), self.settings), KNOWN_AT]).filter(seen_before(self.as_of))
        found = broken(events, self.settings)
        return {name for name in found.columns if found[name].any()}, events["customer_id"].n_unique()

    def run(self, bucket: Bucket, recorded: ExperienceSettings, last: int) -> Part | None:
        """Everything the stage wants to know of a bucket; None if nobody is in it.

        `recorded` has the rules that the data break anywhere: only they put a touchpoint to the test. The episodes are
        of the customers whose hash is `last` or lower.
        """
        table = bucket.read([*INTERACTIONS, HASH]).filter(seen_before(self.as_of))
        if table.is_empty():
            return None
        events, sample = table.drop(HASH), table.filter(pl.col(HASH) <= last).drop(HASH)
        digital, physical = (
            tuple(c for c, t in self.touches.items() if t == touch) for touch in ("digital", "physical")
        )
        annotated = with_journeys(annotate(events, self.settings, digital, named=NEEDED))
        place = annotated.select("customer_id", "occurred_at", "channel", pl.col(*JOURNEY).cast(pl.String))
        tested = place.hstack(exercised(events, recorded))
        known = self._attributes(events)
        return Part(
            interactions=len(events),
            sampled=sample["customer_id"].n_unique(),
            experiences=ledger(events.hstack(annotated.select(JOURNEY)), self.settings, digital),
            counts=customer_counts(tested),
            tallies=tally(
                tested.join(known, on="customer_id", how="left", maintain_order="left"),
                self.as_of,
                ("channel", *JOURNEY, *self.segments),
            ),
            visits=visited(annotated, self.as_of, DROP_DAYS),
            moves=moved(annotated),
            channels=through(annotated, self.as_of),
            episodes=episodes(
                sample,
                self.settings,
                self.horizon_days,
                self.as_of,
                relationship=self.relationship,
                digital_channels=digital,
                physical_channels=physical,
            ).join(known, on="customer_id", how="left", maintain_order="left"),
        )

    def _attributes(self, events: pl.DataFrame) -> pl.DataFrame:
        """The attributes of `segments` as customers have them now: customer_id, `attribute_<name>`."""
        keys = events.select(pl.col("customer_id").unique(maintain_order=True)).with_columns(cutoff=self.as_of)
        if not self.segments:
            return keys.select("customer_id")
        chosen = [attribute for attribute in self.attributes if PREFIX + attribute.name in self.segments]
        known = pl.scan_parquet(self.customers).filter(pl.col("customer_id").is_in(keys["customer_id"].implode()))
        return keys.select("customer_id").hstack(attributes_at(keys, known.collect(), chosen))


def look(job: Job, work: Sequence[Bucket], engine: EngineSettings) -> Part:
    """What all buckets tell, from a pool of workers. Memory: a bucket per worker, and the answers."""
    with workers(engine, len(work)) as pool:
        names, customers = zip(*pool.map(job.surveyed, work), strict=True)
        broken_anywhere = set().union(*names)
        rules = {name: rule for name, rule in job.settings.rules.items() if name in broken_anywhere}
        last = lowest_hashes(job.most, sum(customers))
        asked = pool.map(partial(job.run, recorded=replace(job.settings, rules=rules), last=last), work)
        parts: list[Part] = []
        for part in followed(asked, len(work), "experience"):
            if part is not None:
                parts.append(part)
            if len(parts) > _TOGETHER:
                parts = [Part.joined(parts)]
        return Part.joined(parts)
