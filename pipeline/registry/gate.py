"""Whether a challenger takes the champion's place: both judged on the same rows, later than all they learned from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from fedelta.models.metrics.bootstrap import Interval, Resampling, paired_difference
from fedelta.models.metrics.metrics import CHURN_METRICS, ece, empc, normalised_gini
from fedelta.pipeline.params import GateSettings

Floats = npt.NDArray[np.float64]

_WORDS = {"log_loss": "log loss", "brier": "Brier score", "empc": "EMPC", "clv_gini": "CLV Gini"}
FEWEST_COMMON = 100  # customers, of whom two sets of predictions may be compared
BY_HAND = "If it should be champion all the same: `fedelta promote --because REASON`"
_SAME = {
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
    differences: Mapping[str, Interval] = field(default_factory=dict)  # by metric, challenger minus champion
    ece: float | None = None  # the challenger's, on the same rows


@dataclass(frozen=True)
class Predictions:
    """What a model says of the rows both are judged on, arrays of shape (n_rows,); `spend` is None without money."""

    churn: Floats
    spend: Floats | None = None


@dataclass(frozen=True)
class Candidate:
    """What decides whether two models can be judged on the same rows: what each predicts, and from what."""

    facts: Mapping[str, object]  # the keys of _SAME
    learned_until: datetime | None = None  # when the last outcome it was trained on was known

    @classmethod
    def of(cls, contract: Mapping[str, Any]) -> "Candidate":
        """A candidate from the contract (model.json) of its churn model."""
        return cls({name: contract[name] for name in _SAME if name in contract}, learned_until(contract))


def learned_until(contract: Mapping[str, Any]) -> datetime:
    """When the last outcome that a model was trained on was known, by its contract (UTC, without a zone)."""
    return max(
        datetime.fromisoformat(fact["cutoff"]) + timedelta(days=fact["horizon_days"] + contract["lead_days"])
        for fact in contract["training"]
    )


def predictions(evaluation: pl.DataFrame, churn: str = "churn_chosen", spend: str = "clv_chosen") -> Predictions:
    """Two columns of an evaluation table (data/evaluation.parquet), each of its own rows; no spend where the bundle
    predicts none.
    """
    money = evaluation[spend].drop_nulls().to_numpy() if "clv_chosen" in evaluation.columns else None
    return Predictions(evaluation[churn].drop_nulls().to_numpy(), money)


def happened(evaluation: pl.DataFrame) -> Predictions:
    """What came of the rows of an evaluation table."""
    return predictions(evaluation, "churned", "spend_in_horizon")


def common(challenger: pl.DataFrame, champion: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame] | str:
    """The rows of two evaluation tables that both models predicted without having learned from them.

    For cross-fitted predictions, of which each is by a model that had not seen the customer: there is no later cutoff
    that could judge both models. Rows are of the same customer and outcome; both tables come in the same order.

    Parameters
    ----------
    challenger, champion : DataFrames of shape (n, ...) and (m, ...)
        As data/evaluation.parquet: `customer_id`, at most once each, `churned`, `churn_chosen` and, with money,
        `spend_in_horizon` and `clv_chosen`.

    Returns
    -------
    tuple of two DataFrames of k <= min(n, m) rows, or str
        Why they cannot be compared, in words.
    """
    outcome = [
        name for name in ("churned", "spend_in_horizon") if name in challenger.columns and name in champion.columns
    ]
    keys = ["customer_id", *outcome]
    if any(table["customer_id"].is_duplicated().any() for table in (challenger, champion)):
        return f"a customer is in one of the evaluations twice, so the rows cannot be matched. {BY_HAND}"
    both = [
        one.join(other.select(keys), on=keys, how="semi").sort("customer_id")
        for one, other in ((challenger, champion), (champion, challenger))
    ]
    if both[0].height < FEWEST_COMMON or both[0]["churned"].n_unique() < 2:
        return (
            f"{both[0].height:,} customers with the same outcome are in both evaluations, of "
            f"{min(challenger.height, champion.height):,}; a comparison takes {FEWEST_COMMON}, some of whom left and "
            f"some stayed. {BY_HAND}"
        )
    return both[0], both[1]


def without_champion(churned: Floats, probability: Floats, settings: GateSettings) -> Verdict:
    """The first version is promoted: there is nothing to lose. A calibration error above the limit is reported."""
    error = ece(churned, probability)
    caveat = f", above gate.max_ece {settings.max_ece:g}: look before you use it" if error > settings.max_ece else ""
    return Verdict(True, f"there was no champion to beat; its ECE is {error:.4f}{caveat}", ece=error)


def incomparable(challenger: Candidate, champion: Candidate, cutoff: datetime | None) -> str | None:
    """Why the rows of an evaluation cutoff cannot judge both, and what to do; None if they can.

    Without a cutoff both are judged by predictions that are stored, so that their features may differ.
    """
    for name, words in _SAME.items():
        mine, its = challenger.facts.get(name), champion.facts.get(name)
        if mine != its and not (name == "registry" and cutoff is None):
            return (
                f"the champion has another {words} ({its}, not {mine}), so the same rows cannot judge both. {BY_HAND}"
            )
    if cutoff and champion.learned_until and champion.learned_until > cutoff:
        return (
            f"the champion learned from outcomes until {champion.learned_until:%Y-%m-%d}, after the evaluation cutoff "
            f"{cutoff:%Y-%m-%d}: for it these rows are not out of time. Score at a later date, so that the evaluation "
            f"moves on. {BY_HAND}"
        )
    return None


def judge(
    happened: Predictions,
    challenger: Predictions,
    champion: Predictions,
    settings: GateSettings,
    resampling: Resampling,
) -> Verdict:
    """Compare predictions of the same rows by a paired bootstrap of the customers.

    The challenger wins if it is significantly better by `gate.metric` (the 95% interval of the difference lies wholly
    on its side), not significantly worse by EMPC or by the Gini of spend, and calibrated within `gate.max_ece`. A tie
    keeps the champion.
    """
    differences = {
        settings.metric: paired_difference(
            CHURN_METRICS[settings.metric], happened.churn, challenger.churn, champion.churn, resampling=resampling
        ),
        "empc": paired_difference(empc, happened.churn, challenger.churn, champion.churn, resampling=resampling),
    }
    if happened.spend is not None and challenger.spend is not None and champion.spend is not None:
        differences["clv_gini"] = paired_difference(
            normalised_gini, happened.spend, challenger.spend, champion.spend, resampling=resampling
        )
    error = ece(happened.churn, challenger.churn)
    text = "; ".join(_in_words(name, interval) for name, interval in differences.items())
    text += f"; against the champion on {len(happened.churn):,} customers"
    if why := _against(differences, settings.metric):
        return Verdict(False, f"{text}: {why}", differences, error)
    if challenger.spend is None and champion.spend is not None:
        why = "better at churn, but the champion predicts spend and the challenger does not"
        return Verdict(False, f"{text}: {why}", differences, error)
    if not error <= settings.max_ece:
        text += f": better, but its ECE {error:.4f} is above gate.max_ece {settings.max_ece:g}"
        return Verdict(False, text, differences, error)
    return Verdict(True, f"{text}: better; its ECE is {error:.4f}", differences, error)


def _against(differences: Mapping[str, Interval], metric: str) -> str | None:
    """Why the figures do not let the challenger pass; None if they do. Losses and errors are better low."""
    decisive = differences[metric]
    if decisive.low > 0:
        return "the champion is better"
    if not decisive.high < 0:
        return "the interval includes 0, and a tie keeps the champion"
    worse = [_WORDS[name] for name in ("empc", "clv_gini") if name in differences and differences[name].high < 0]
    return f"better by {_WORDS[metric]}, but significantly worse by {' and '.join(worse)}" if worse else None


def _in_words(name: str, difference: Interval) -> str:
    if not np.isfinite(difference.value):
        return f"{_WORDS[name]} has no meaning here"
    return f"{_WORDS[name]} {difference.value:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}]"
