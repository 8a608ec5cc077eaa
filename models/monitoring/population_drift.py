"""Whether the customers to be scored are still those a model knows: features and scores, month by month."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from fedelta.models.encoding import Encoding
from fedelta.models.monitoring.drift import LEAST_PAST, Bins, Judged, judge, psi, psi_noise, shift, times_record

Floats = npt.NDArray[np.float64]

MONTH_DAYS = 28  # four weeks, so that thirteen months before is the same season and the same day of the week
YEAR = 13


@dataclass(frozen=True)
class Watch:
    """What is watched, and the cells it is counted in: fixed by the rows the model learned from."""

    encoding: Encoding
    bins: tuple[Bins, ...]  # of the columns of the encoding
    scores: Bins
    weights: Floats  # (n_columns,) the model's importance of each, summing to 1

    @classmethod
    def of(cls, learned: pd.DataFrame, probability: Floats, importance: Mapping[str, float]) -> "Watch":
        """Watch every column of `learned` (features alone) that tells its rows apart; `probability` is the model's."""
        encoding = Encoding.of(learned)
        weights = np.array([importance.get(name, 0.0) for name in encoding.names])
        bins = tuple(Bins.of(column) for column in encoding.matrix(learned).T)
        return cls(encoding, bins, Bins.of(probability), weights / (weights.sum() or 1.0))


@dataclass(frozen=True)
class Month:
    """The customers at one cutoff: the watched columns and the scores."""

    columns: Floats  # (n_rows, n_columns)
    scores: Floats  # (n_rows,)


@dataclass(frozen=True)
class FeatureDrift:
    """How a feature differs between two months; `shift` is None for categories and constants."""

    name: str
    importance: float
    psi: float
    shift: float | None
    null_share: float
    null_share_before: float
    times_record: float | None  # its change since last month over its largest before; None where the past is short


@dataclass(frozen=True)
class PopulationDrift:
    """What the newest month shows: against its reference `lag` months before, and since last month."""

    weighted: Judged  # mean PSI of the features by importance, against the reference
    scores: Judged  # PSI of the scores, against the reference
    single: Judged | None  # the feature whose change since last month is most out of its own ordinary
    features: tuple[FeatureDrift, ...]  # what weighs most first


def reference_lag(months: int, age_days: int) -> int:
    """How many months before the newest the reference lies: a year, if earlier years' changes tell what is usual.

    Otherwise the age of the model's newest training cutoff, in months, as far as the history goes.
    """
    if months >= YEAR + LEAST_PAST + 1:
        return YEAR
    return min(max(round(age_days / MONTH_DAYS), 1), months - 1)


def population_drift(watch: Watch, months: Sequence[Month], lag: int, chance: float) -> PopulationDrift:
    """Judge the newest month of at least `lag` + 1, newest first."""
    counts = [np.array([bins.counts(month.columns[:, i]) for month in months]) for i, bins in enumerate(watch.bins)]
    against = np.array([psi(held[lag:], held[:-lag]) for held in counts])
    since = np.array([psi(held[1:], held[:-1]) for held in counts])
    noise = np.array([psi_noise(held[1:2], held[:1])[0] for held in counts])
    scored = np.array([watch.scores.counts(month.scores) for month in months])
    enough = since.shape[1] > LEAST_PAST
    times = times_record(since, noise) if enough else None
    return PopulationDrift(
        judge(watch.weights @ against, chance),
        judge(psi(scored[lag:], scored[:-lag]), chance),
        judge(times.max(axis=0), chance) if times is not None else None,
        _features(watch, months[lag], months[0], against[:, 0], None if times is None else times[:, 0]),
    )


def _features(
    watch: Watch, reference: Month, present: Month, distance: Floats, times: Floats | None
) -> tuple[FeatureDrift, ...]:
    found = []
    for i, name in enumerate(watch.encoding.names):
        before, now = reference.columns[:, i], present.columns[:, i]
        found.append(
            FeatureDrift(
                name,
                float(watch.weights[i]),
                float(distance[i]),
                None if name in watch.encoding.categories else shift(before, now),
                float(np.isnan(now).mean()),
                float(np.isnan(before).mean()),
                None if times is None else float(times[i]),
            )
        )
    return tuple(sorted(found, key=lambda one: (-one.importance * one.psi, -one.psi, one.name)))
