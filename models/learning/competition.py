"""How candidates of churn and value compete: which rows are held out, and each candidate's result on them.

A fold holds out one cutoff and one group of customers, so that neither time nor acquaintance helps. What it learns from
are rows of other customers, at cutoffs that come as near to the task as the history allows:

- ``other seasons``: where a season sets the level of each cutoff (``learning.season``), all other cutoffs: who has
  seen only a part of the year would be judged by what it could not know. (In simulated companies with seasons
  Pareto/NBD was chosen over trees that had two cutoffs of one autumn: log loss .37, where trees of the whole year
  reach .30.)
- ``out of time``: outcomes were known by the cutoff held out;
- ``earlier``: horizons are of full length but overlap: learned from are earlier cutoffs;
- ``one cutoff ahead``: either of the two, where only one cutoff can be held out. That is one step in time, learned from
  a part of the rows, and its luck is in no resample of the customers; so other customers at the same cutoffs, learned
  from all of them, count as well. (Without them, of course enrolments at two cutoffs the days since the last activity
  alone had all the weight: AUC of the next presentation .50 where a regression reaches .65.)
- ``other customers``: a single cutoff; or training horizons are shorter than the one to be scored and all end
  together, so that no cutoff comes after another's outcome. Then the longest horizons are tested, those nearest to the
  task, and models without the horizon as input do not compete: the step to the longer one rests on BTYD's answer.
  (Tried and dropped: learning from the shorter horizons only and testing the step itself. So little is then learned
  from that on CDNOW the choice fell on BG/NBD alone, against an earlier backtest and figures known of that split.)
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from fedelta.models.learning.boosting import side_by_side
from fedelta.models.metrics.bootstrap import Interval
from fedelta.models.panel import Panel, horizon_end

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Name = TypeVar("Name", bound=str)
How = Literal["other seasons", "out of time", "earlier", "one cutoff ahead", "other customers"]

IN_WORDS: Mapping[How, str] = {  # how rows were held out, for a reader of the figures
    "other seasons": (
        "other seasons. Learned from were other customers at all other cutoffs, later ones too, and the level at every "
        "cutoff was set to what came there: the figures compare candidates, and are not those to expect in use, for "
        "which see the evaluation"
    ),
    "out of time": "out of time, by what was known at each cutoff",
    "earlier": "by earlier cutoffs, though horizons overlap",
    "one cutoff ahead": (
        "those of one cutoff by what was known at it, and other customers than those learned from at all cutoffs, as "
        "one step in time alone says little"
    ),
    "other customers": "of other customers than those learned from, at the same cutoffs",
}

_CUTOFFS = 3  # held out: the last ones, or those of the longest horizons
HALVES = 2
_SMALL = 5_000  # customers; with fewer, a fold learns from two thirds of them instead of half


@dataclass(frozen=True)
class Fold:
    """Rows to learn from and rows to be tested on."""

    how: How
    past: Panel
    present: Panel
    group: int | None = None  # of customers (`customer_groups`), those of the present


@dataclass(frozen=True)
class CandidateResult:
    """A candidate's held-out result: what follows from it, and the figures of its subclass."""

    candidate: str
    verdict: str

    def to_dict(self) -> dict[str, object]:
        """As JSON."""
        return {name: value.as_dict() if isinstance(value, Interval) else value for name, value in vars(self).items()}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Back from JSON."""
        held: dict[str, Any] = {n: _interval(v) if isinstance(v, dict) else v for n, v in document.items()}
        return cls(**held)


def folds(
    panel: Panel, horizon_days: int, *, seasonal: bool = False, cutoffs: int = _CUTOFFS, groups: int | None = None
) -> list[Fold]:
    """The folds of a training panel; empty where nobody would be left to learn from or to test on.

    Parameters
    ----------
    panel, horizon_days
        Rows to learn from, and the horizon to be predicted.
    seasonal
        Whether a season sets the level of each cutoff.
    cutoffs
        So many of them are held out, the last ones.
    groups
        So many groups of customers are held out; None is every group in turn.
    """
    how, held_out = _held_out(panel, horizon_days, seasonal, cutoffs)
    return _folds(panel, how, held_out, groups)


def folds_to_weigh(panel: Panel, horizon_days: int, *, seasonal: bool = False) -> list[Fold]:
    """Those of `folds`; where they hold out one cutoff of several, other customers at all cutoffs as well."""
    how, held_out = _held_out(panel, horizon_days, seasonal, _CUTOFFS)
    if how in ("out of time", "earlier") and len(held_out) == 1:
        everybody = np.ones(len(panel), bool)
        return _folds(panel, "one cutoff ahead", [*held_out, (everybody, everybody)])
    return _folds(panel, how, held_out)


def customer_groups(customer: pd.Series) -> npt.NDArray[np.intp]:
    """The group of each row's customer (n_rows,): two groups, three of a small base."""
    codes, ids = pd.factorize(customer, sort=True)
    number = min(HALVES if len(ids) >= _SMALL else 3, len(ids))
    return np.asarray(np.random.default_rng(1).permutation(len(ids))[codes] % number, np.intp)


def out_of_time_folds(panel: Panel, most: int = _CUTOFFS) -> Iterator[tuple[Panel, Panel]]:
    """For each of the last cutoffs: the rows whose outcome was known by then, and the rows at it."""
    known = horizon_end(panel.table)
    for cutoff in panel.cutoffs[-most:]:
        past = (known <= cutoff).to_numpy()
        if past.any():
            yield panel.where(past), panel.where(panel.table["cutoff"] == cutoff)


def predict_held_out(
    tested: Sequence[Fold], predict: Callable[[Fold], dict[Name, Floats]], threads: int
) -> tuple[list[dict[Name, Floats]], pd.DataFrame]:
    """What candidates predict of the rows of each fold, and the `cutoff` and `customer_id` of all rows, in order."""
    predicted = side_by_side(predict, tested, threads)
    return predicted, pd.concat([fold.present.table[["cutoff", "customer_id"]] for fold in tested])


def sampled_note(sample: Panel, panel: Panel) -> str:
    """In words, that candidates were compared on a sample of the customers; empty if on all of them."""
    if sample is panel:
        return ""
    counts = tuple(rows.table["customer_id"].nunique() for rows in (sample, panel))
    return " Candidates were compared on a sample: {:,} of {:,} customers.".format(*counts)


def _folds(panel: Panel, how: How, held_out: Sequence[tuple[Mask, Mask]], groups: int | None = None) -> list[Fold]:
    """The pairs of rows to test on and to learn from, with customers parted."""
    group = customer_groups(panel.table["customer_id"])
    out = []
    for at, known in held_out:
        for number in range(groups or group.max() + 1):
            past, present = known & (group != number), at & (group == number)
            if past.any() and present.any():
                out.append(Fold(how, panel.where(past), panel.where(present), number))
    return out


def _held_out(panel: Panel, horizon_days: int, seasonal: bool, most: int) -> tuple[How, list[tuple[Mask, Mask]]]:
    """How rows are held out, and pairs of the rows to test on and those to learn from, before customers are parted."""
    table = panel.table
    horizon = table.groupby("cutoff")["horizon_days"].first()
    last = [cutoff for cutoff in panel.cutoffs if horizon[cutoff] >= horizon_days][-most:]
    at = {cutoff: (table["cutoff"] == cutoff).to_numpy() for cutoff in last}
    if seasonal:
        return "other seasons", [(at[cutoff], ~at[cutoff]) for cutoff in last]
    for how, before in (("out of time", horizon_end(table)), ("earlier", table["cutoff"] + pd.Timedelta(days=1))):
        pairs = [(at[cutoff], (before <= cutoff).to_numpy()) for cutoff in last]
        if known := [pair for pair in pairs if pair[1].any()]:
            return how, known  # type: ignore[return-value]
    longest = horizon.sort_values(ascending=False, kind="stable").index[:most]
    return "other customers", [(table["cutoff"].isin(longest).to_numpy(), np.ones(len(table), bool))]


def _interval(held: Mapping[str, float | None]) -> Interval:
    value, low, high = (np.nan if (end := held[name]) is None else end for name in ("value", "low", "high"))
    return Interval(value, low, high)
