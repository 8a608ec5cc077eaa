"""What reports/experience.json says: sections of figures, each with a `reason` in words where nothing can be shown."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import polars as pl

from fedelta.features.contract import LEVELS, PILLARS
from fedelta.features.experience_rules import Rule
from fedelta.features.journeys import UNKNOWN
from fedelta.models.experience.exposure import EXPERIENCE, Key, Tally
from fedelta.models.experience.journey_map import Channel, JourneyMap
from fedelta.models.experience.moments import Moments
from fedelta.models.experience.pillars import group_index
from fedelta.models.experience.shrinkage import Prior
from fedelta.models.experience.tolerance import ToleranceCurve

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"

SEGMENT_VALUES = 12  # of a segmentation, those with the most touchpoints
NO_RULE = "No rule of params.yaml concerns it."
NEVER_BROKEN = "No interaction of these data breaks a rule of it: they may not record such experiences."
NO_BAD = "No interaction of these data breaks a rule of params.yaml, so nothing is known of bad experiences."
NO_JOURNEY = f"Every customer {UNKNOWN}."
NO_CHANNEL = "The source tells the channel of no interaction."


@dataclass(frozen=True)
class Found:
    """What the stage found, over all buckets."""

    as_of: str
    interactions: int
    customers: int
    sampled: int  # customers from whom the tolerance curve and the moments of truth are
    rules: Mapping[str, Rule]
    experiences: pl.DataFrame
    priors: Mapping[str, Prior]
    tallies: Mapping[Key, Tally]
    channels: Sequence[Channel]
    maps: Sequence[JourneyMap]
    tolerance: ToleranceCurve | None  # None: no bad experience
    moments: Moments | None

    @property
    def sample(self) -> str | None:
        """In words, that effects are measured on a sample; None where they are on everybody."""
        if self.sampled == self.customers:
            return None
        return (
            f"The tolerance curve and the moments of truth are measured on a sample: {self.sampled:,} of "
            f"{self.customers:,} customers."
        )

    @property
    def line(self) -> str:
        """The figures in one line."""
        bad = len(self.experiences)
        head = f"{bad:,} bad experiences in {self.interactions:,} interactions of {self.customers:,} customers"
        return f"{head} before {self.as_of}. {self.tolerance.says if self.tolerance else NO_BAD}"


def document(found: Found) -> dict[str, Json]:
    """The report, ready for JSON: rounded, finite, in a fixed order."""
    named = {name: _dimension(found, name) for name in (EXPERIENCE, *PILLARS, *LEVELS)}
    known = sum(channel.interactions for channel in found.channels if channel.touch is not None)
    sections: dict[str, object] = {
        "as_of": found.as_of,
        "sample": found.sample,
        "rules": _rules(found),
        "experience": named[EXPERIENCE],
        "pillars": {name: named[name] for name in PILLARS},
        "levels": {name: named[name] for name in LEVELS},
        "segments": _segments(found),
        "channels": {"reason": None if known else NO_CHANNEL, "channels": found.channels if known else None},
        "journeys": {
            "reason": None if len(found.maps) > 1 else NO_JOURNEY,
            "journeys": {one.journey: one for one in found.maps},
        },
        "tolerance": found.tolerance or {"reason": NO_BAD},
        "moments": found.moments or {"reason": NO_BAD},
    }
    return {name: tidy(section) for name, section in sections.items()}


def tidy(value: object) -> Json:
    """Any dataclass, mapping, sequence or number as JSON: floats to five digits after the point, null if not finite."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: tidy(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(name): tidy(held) for name, held in value.items()}
    if isinstance(value, list | tuple):
        return [tidy(held) for held in value]
    if isinstance(value, float | np.floating):
        return round(float(value), 5) if math.isfinite(value) else None
    if value is None or isinstance(value, str | int | bool):
        return value
    raise TypeError(f"A report holds text, numbers, lists and mappings; it was given a {type(value).__name__}.")


def _rules(found: Found) -> dict[str, object]:
    """How often each rule was broken, per interaction; how many customers it struck; how it ended."""
    bad = found.experiences
    broken = (
        bad.select("customer_id", "hours_to_recovery", name="rules")
        .explode("name")
        .group_by("name")
        .agg(
            times=pl.len(),
            customers=pl.col("customer_id").n_unique(),
            recovered_share=pl.col("hours_to_recovery").is_not_null().mean(),
            median_hours_to_recovery=pl.col("hours_to_recovery").median(),
        )
        .rows_by_key("name", named=True, unique=True)
    )
    never = {"times": 0, "customers": 0, "recovered_share": None, "median_hours_to_recovery": None}
    return {
        "reason": None if len(bad) else NO_BAD,
        "interactions": found.interactions,
        "customers": found.customers,
        "bad_experiences": len(bad),
        "share_of_interactions": len(bad) / found.interactions,
        "customers_struck": bad["customer_id"].n_unique(),
        "recovered_share": bad["hours_to_recovery"].is_not_null().mean(),
        "by_rule": {
            name: {
                "pillar": rule.pillar,
                "level": rule.level,
                "severity": rule.severity,
                **broken.get(name, never),
                "share_of_interactions": broken.get(name, never)["times"] / found.interactions,
            }
            for name, rule in found.rules.items()
        },
    }


def _dimension(found: Found, name: str) -> dict[str, object]:
    key = Key("base", "all", name)
    if key in found.tallies:
        prior = found.priors[name]
        return {
            "reason": None,
            **vars(group_index(found.tallies[key], prior)),
            "prior": {**vars(prior), "says": prior.says},
        }
    concerned = name == EXPERIENCE or any(name in (rule.pillar, rule.level) for rule in found.rules.values())
    return {"reason": NEVER_BROKEN if concerned else NO_RULE}


def _segments(found: Found) -> dict[str, object]:
    """By segmentation: its values with the most touchpoints, and the index of each dimension they exercised."""
    names = sorted({key.segment for key in found.tallies} - {"base"})
    return {"reason": None if names else NO_BAD, **{name: _segment(found, name) for name in names}}


def _segment(found: Found, segment: str) -> dict[str, object]:
    sizes = {
        key.value: int(held.sums[0])
        for key, held in found.tallies.items()
        if key.segment == segment and key.dimension == EXPERIENCE
    }
    chosen = sorted(sizes, key=lambda value: (-sizes[value], value))[:SEGMENT_VALUES]
    values = [
        {"value": value}
        | {
            name: group_index(held, found.priors[name])
            for name in (EXPERIENCE, *PILLARS, *LEVELS)
            if (held := found.tallies.get(Key(segment, value, name)))
        }
        for value in chosen
    ]
    return {"values": values, "left_out": len(sizes) - len(chosen)}
