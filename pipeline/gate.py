"""Whether a challenger takes the champion's place: both judged on the same rows, later than all they learned from."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from models.bootstrap import Interval, Resampling, paired_difference
from models.metrics import CHURN_METRICS, ece
from pipeline.params import GateSettings

Floats = npt.NDArray[np.float64]

_SAME = {
    "source": "source",
    "definition": "churn definition",
    "horizon_days": "horizon",
    "lead_days": "lead time",
    "registry": "set of features",
}


@dataclass(frozen=True)
class Verdict:
    """Promoted or not, and why in words; the figures where there was something to compare."""

    promote: bool
    reason: str
    difference: Interval | None = None  # of gate.metric, challenger minus champion; below 0 the challenger is better
    ece: float | None = None  # the challenger's, on the same rows


@dataclass(frozen=True)
class Candidate:
    """What decides whether two models can be judged on the same rows: what each predicts, and from what."""

    facts: Mapping[str, object]  # the keys of _SAME
    learned_until: datetime | None = None  # when the last outcome it was trained on was known

    @classmethod
    def of(cls, contract: Mapping[str, Any], source: str) -> "Candidate":
        """A candidate from the contract (model.json) of its churn model."""
        known = [
            datetime.fromisoformat(fact["cutoff"]) + timedelta(days=fact["horizon_days"] + contract["lead_days"])
            for fact in contract["training"]
        ]
        return cls({"source": source, **{name: contract[name] for name in _SAME if name in contract}}, max(known))


def without_champion(churned: Floats, probability: Floats, settings: GateSettings) -> Verdict:
    """The first version is promoted: there is nothing to lose. An error of calibration above the limit is told."""
    error = ece(churned, probability)
    caveat = f", above gate.max_ece {settings.max_ece:g}: look before you use it" if error > settings.max_ece else ""
    return Verdict(True, f"there was no champion to beat; its ECE is {error:.4f}{caveat}", ece=error)


def incomparable(challenger: Candidate, champion: Candidate, cutoff: datetime) -> str | None:
    """Why the rows of an evaluation cutoff cannot judge both, or None if they can."""
    for name, words in _SAME.items():
        mine, its = challenger.facts.get(name), champion.facts.get(name)
        if mine != its:
            return f"the champion has another {words} ({its}, not {mine}), so the same rows cannot judge both"
    if champion.learned_until and champion.learned_until > cutoff:
        return (
            f"the champion learned from outcomes until {champion.learned_until:%Y-%m-%d}, after the evaluation cutoff "
            f"{cutoff:%Y-%m-%d}: for it these rows are not out of time"
        )
    return None


def judge(
    churned: Floats, challenger: Floats, champion: Floats, settings: GateSettings, resampling: Resampling
) -> Verdict:
    """Compare churn probabilities of the same rows by a paired bootstrap of the customers.

    The challenger wins if the interval of the difference lies wholly on its side and its calibration error is within
    ``max_ece``. A tie keeps the champion.
    """
    metric = settings.metric.replace("_", " ")
    difference = paired_difference(CHURN_METRICS[settings.metric], churned, challenger, champion, resampling=resampling)
    error = ece(churned, challenger)
    told = f"{metric} {difference.value:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}] against the champion on "
    told += f"{len(churned):,} customers"
    if difference.low > 0:
        return Verdict(False, f"{told}: the champion is better", difference, error)
    if not difference.high < 0:
        return Verdict(False, f"{told}: the interval includes 0, and a tie keeps the champion", difference, error)
    if not error <= settings.max_ece:
        told += f": better, but its ECE {error:.4f} is above gate.max_ece {settings.max_ece:g}"
        return Verdict(False, told, difference, error)
    return Verdict(True, f"{told}: better; its ECE is {error:.4f}", difference, error)
