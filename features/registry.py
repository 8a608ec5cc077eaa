"""The one list of features: what it holds is computed everywhere, in this order."""

import hashlib
from collections.abc import Sequence

import polars as pl

from fedelta.features import activity, channels, experience, past_outcomes, purchases, ratings, rhythm, tenure
from fedelta.features.errors import FedeltaError
from fedelta.features.feature import Feature
from fedelta.features.history import Measure


class DuplicateFeature(FedeltaError, ValueError):
    """Two definitions share a name."""


def collect(*families: tuple[Feature, ...]) -> tuple[Feature, ...]:
    """The features of the families in order, each name once.

    Raises
    ------
    DuplicateFeature
        If a feature's or a measure's name stands for two things.
    """
    features = tuple(feature for family in families for feature in family)
    names = [feature.name for feature in features]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DuplicateFeature(f"Defined twice: {', '.join(twice)}. Give each feature a name of its own.")
    named: dict[str, Measure] = {}
    for measure in (measure for feature in features for measure in feature.measures):
        if named.setdefault(measure.name, measure) is not measure:
            raise DuplicateFeature(f"Two measures are named {measure.name}. Give each a name of its own.")
    return features


FEATURES = collect(
    activity.FEATURES,
    purchases.FEATURES,
    rhythm.FEATURES,
    experience.FEATURES,
    channels.FEATURES,
    ratings.FEATURES,
    tenure.FEATURES,
    past_outcomes.FEATURES,
)
# What a table has besides where `churn.activity` says something else than purchases; its names are of ACTIVITY.
ACTIVITY_FEATURES = collect(activity.DECLARED, rhythm.DECLARED)
EVERY = collect(FEATURES, ACTIVITY_FEATURES)


def measures(features: tuple[Feature, ...] = FEATURES) -> tuple[Measure, ...]:
    """Every measure that the features read, once."""
    return tuple({m.name: m for feature in features for m in feature.measures}.values())


def named(names: Sequence[str]) -> tuple[Feature, ...]:
    """The features of these names, in this order.

    Raises
    ------
    KeyError
        If there is none of a name.
    """
    known = {feature.name: feature for feature in EVERY}
    return tuple(known[name] for name in names)


def dictionary(features: tuple[Feature, ...] = FEATURES) -> pl.DataFrame:
    """The data dictionary: name, unit, meaning, theme and what a silent customer gets, one row per feature."""
    return pl.DataFrame(
        [
            {
                "name": f.name,
                "unit": f.unit,
                "meaning": f.says,
                "theme": f.theme,
                "silent": f.silent,
                "type": str(f.dtype),
            }
            for f in features
        ]
    )


def registry_hash(features: tuple[Feature, ...] = FEATURES) -> str:
    """Fingerprint of the names, units and types, for a model to know what it was trained on."""
    contract = dictionary(features).select("name", "unit", "type")
    return hashlib.sha256(contract.write_csv().encode()).hexdigest()[:16]
