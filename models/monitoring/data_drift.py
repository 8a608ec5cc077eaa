"""Whether the data come in as usual: volumes, what is left unknown, and how often experience is bad, month by month."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.stats import nbinom

from fedelta.models.monitoring.drift import Judged, judge, standard_errors

Floats = npt.NDArray[np.float64]

WEEKS = 4  # of a month: whole weeks, so that no month has more weekends than another


@dataclass(frozen=True)
class Track:
    """A count per month, newest first: a volume, or a share of other counts."""

    name: str
    hits: Floats  # (n_months,)
    trials: Floats | None = None  # (n_months,); None for a volume

    @property
    def levels(self) -> Floats:
        """Log of the volume, so that growth is even; arcsine of the share, whose noise is (Anscombe 1948)."""
        if self.trials is None:
            return np.asarray(np.log(self.hits + 0.5))
        return np.asarray(2 * np.arcsin(np.sqrt((self.hits + 3 / 8) / (self.trials + 3 / 4))))

    @property
    def noise(self) -> Floats:
        """Variance of the levels if every count came by itself."""
        return np.asarray(1 / ((self.hits if self.trials is None else self.trials) + 0.5))

    def value_at(self, month: int) -> float:
        """The volume per week, or the share, of a month."""
        if self.trials is None:
            return float(self.hits[month] / WEEKS)
        return float(self.hits[month] / self.trials[month]) if self.trials[month] else 0.0


@dataclass(frozen=True)
class Surprise:
    """How far a track moved between two months, and how many standard errors that is from its usual move."""

    name: str
    present: float  # per week, or a share
    reference: float
    standard_errors: float


def tracks(volumes: pl.DataFrame, bad: pl.DataFrame, months: int, columns: Collection[str]) -> list[Track]:
    """The tracks of all interactions, of kinds, channels, unknown values by kind, and rules broken.

    Parameters
    ----------
    volumes : DataFrame of month, kind, channel, n, and the number of known values of each of ``columns``
        Months count back from 0, the newest. A column is followed for the kinds that ever fill it.
    bad : DataFrame of month, kind, rule, n
        Bad experiences by the rule that names them. A rule is followed among the kinds in which it is ever broken.
    """
    total = _monthly(volumes, "n", months)
    found = [Track("interactions", total)]
    found += [Track(f"kind {kind}", _monthly(rows, "n", months)) for kind, rows in _by(volumes, "kind")]
    found += [Track(f"channel {name}", _monthly(rows, "n", months)) for name, rows in _by(volumes, "channel")]
    for kind, rows in _by(volumes, "kind"):
        n = _monthly(rows, "n", months)
        known = {column: _monthly(rows, column, months) for column in columns}
        found += [Track(f"{kind} without {name}", n - held, n) for name, held in known.items() if held.any()]
    found.append(Track("bad experiences", _monthly(bad, "n", months), total))
    for rule, rows in _by(bad, "rule"):
        among = volumes.filter(pl.col("kind").is_in(rows["kind"].unique().implode()))
        found.append(Track(f"rule {rule}", _monthly(rows, "n", months), _monthly(among, "n", months)))
    return found


def surprises(found: Sequence[Track], lag: int, chance: float) -> tuple[Judged, list[Surprise]]:
    """The largest move of all tracks, judged by the largest of earlier months; and every track's, largest first."""
    levels, noise = (np.array([getattr(track, name) for track in found]) for name in ("levels", "noise"))
    errors = standard_errors(levels[:, :-lag] - levels[:, lag:], noise[:, :-lag] + noise[:, lag:])
    moved = [
        Surprise(track.name, track.value_at(0), track.value_at(lag), float(error))
        for track, error in zip(found, errors[:, 0], strict=True)
    ]
    ranked = sorted(moved, key=lambda one: (-abs(one.standard_errors), one.name))
    return judge(np.abs(errors).max(axis=0), chance), ranked


def newcomers(found: Sequence[Track], chance: float) -> dict[str, int]:
    """Kinds and channels first met in the newest month, and how many rows, where that is no luck of a rare one.

    Of a kind not met in m months, the next brings c rows or more with the chance of a negative binomial (a Poisson rate
    under the prior of Jeffreys).
    """
    first = [track for track in found if track.trials is None and not track.hits[1:].any()]
    return {
        track.name: int(track.hits[0])
        for track in first
        if nbinom.sf(track.hits[0] - 1, 0.5, 1 - 1 / len(track.hits)) < chance
    }


def _by(table: pl.DataFrame, name: str) -> list[tuple[str, pl.DataFrame]]:
    parts = table.filter(pl.col(name).is_not_null()).partition_by(name, as_dict=True)
    return sorted((str(key[0]), rows) for key, rows in parts.items())


def _monthly(rows: pl.DataFrame, column: str, months: int) -> Floats:
    out = np.zeros(months)
    np.add.at(out, rows["month"].to_numpy(), rows[column].to_numpy())
    return out
