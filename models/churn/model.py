"""The churn model: candidates weighed where they could not know, refitted on everything, averaged and calibrated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from fedelta.features.errors import FedeltaError
from fedelta.models.churn.candidates import (
    Weighted,
    averaged,
    candidates,
    check_candidate,
    competing,
    fit_blend,
    fit_parts,
    log_odds,
)
from fedelta.models.churn.selection import ChurnResult, weigh
from fedelta.models.churn.settings import BadCandidate, ChurnSettings
from fedelta.models.churn.trees import Trees
from fedelta.models.encoding import Encoding
from fedelta.models.learning.boosting import side_by_side
from fedelta.models.learning.calibration import Calibrator, fit_calibrator
from fedelta.models.learning.competition import (
    IN_WORDS,
    Fold,
    How,
    customer_groups,
    folds_to_weigh,
    out_of_time_folds,
    predict_held_out,
    sampled_note,
)
from fedelta.models.learning.log_odds import prior_use, sigmoid
from fedelta.models.learning.season import NO_SEASON, Season, cutoff_of, fit_season, levelled, seasonal
from fedelta.models.learning.settings import Prior
from fedelta.models.metrics.calibration_line import clipped_logit
from fedelta.models.panel import Panel, floats
from fedelta.models.peers import Peers
from fedelta.models.rounding import probabilities
from fedelta.models.table import AnyTable

__all__ = [
    "ChurnModel", "Prior", "TooLittleData", "fit_churn", "out_of_time_folds", "too_little",
]  # fmt: skip

Floats = npt.NDArray[np.float64]


class TooLittleData(FedeltaError):
    """Fewer customers, outcomes or days than a model may be learned from."""


_SET = "set in params.yaml (churn.candidate), compared with none"


@dataclass(frozen=True)
class ChurnModel:
    """Candidates as a weighted sum of log-odds, calibrated, in season, with their training contract."""

    name: str  # the candidate, or "weighted_average" of several
    components: Weighted
    calibrator: Calibrator
    horizon_days: int
    lead_days: int
    selection: tuple[ChurnResult, ...] = ()  # every candidate's held-out result, simplest first
    note: str = ""  # how it was chosen, in words
    season: Season = NO_SEASON
    peers: tuple[Peers, ...] = ()  # what reasons are compared with; none, and they are given without

    def log_odds(self, table: AnyTable) -> Floats:
        """Log-odds of churn before calibration: the components', weighted (n_rows,)."""
        return log_odds(self.components, table)

    def churn_probability(self, table: AnyTable, *, log_odds: Floats | None = None) -> Floats:
        """Calibrated probability of churn within each row's horizon, shape (n_rows,).

        Parameters
        ----------
        table : DataFrame or Table of n_rows
            `cutoff`, features and prior columns in any order; others are ignored.
        log_odds : ndarray of shape (n_rows,), optional
            `log_odds(table)`, where the caller has it: the components then need not predict again.

        Raises
        ------
        MissingFeatures
            If `cutoff` or a column the model was trained on is absent.
        """
        calibrated = self.calibrator.apply(sigmoid(self.log_odds(table) if log_odds is None else log_odds))
        return probabilities(self.season.apply(calibrated, cutoff_of(table)))

    def shifts(self, table: AnyTable) -> tuple[Floats, Floats]:
        """What calibration and season add to `log_odds` (n_rows,): the sum is the log-odds of `churn_probability`."""
        raw = self.log_odds(table)
        calibrated = clipped_logit(self.calibrator.apply(sigmoid(raw)))
        return calibrated - raw, clipped_logit(self.churn_probability(table, log_odds=raw)) - calibrated

    @property
    def encoding(self) -> Encoding:
        """Every column any component reads, and the categories of those that are text."""
        read = [component.reads for _, component in self.components]
        names = dict.fromkeys(name for encoding in read for name in encoding.names)
        categories = {name: levels for encoding in read for name, levels in encoding.categories.items()}
        return Encoding(tuple(names), categories)

    @property
    def prior(self) -> Prior:
        """How BTYD enters: as the score that trees start from, or as columns among others."""
        starts = any(isinstance(part, Trees) and part.prior == "init_score" for _, part in self.components)
        return "init_score" if starts else "features"


def fit_churn(
    panel: Panel, settings: ChurnSettings, *, horizon_days: int, lead_days: int, threads: int = 2
) -> ChurnModel:
    """Weigh candidates and choose a calibrator on rows held out, and fit both on all of them.

    Candidates are compared, and calibration and season learned, on ``settings.search_customers`` customers at most.
    Below ``settings.minimum``, or where all rows have the same outcome, nothing is chosen: the model is the baseline
    that needs least.

    Raises
    ------
    TooLittleData
        If there is less than the minimum and the settings say to refuse.
    BadCandidate
        If the settings name a candidate that there is none of (`check_candidate`), or that these rows do not allow
        (`competing`).
    """
    check_candidate(settings)
    # BTYD predicts purchases or other activity; of a cancellation, or a label of the company, it is at most a hint.
    prior: Prior = prior_use(settings, panel, horizon_days) if settings.definition == "inactivity" else "features"
    names = competing(panel, settings, horizon_days)
    if lacking := too_little(panel, settings):
        if settings.too_little == "refuse":
            raise TooLittleData(
                f"Too little to learn from: {lacking}. Bring more history, lower churn.minimum, or set "
                "churn.too_little to baseline."
            )
        name = _baseline(names, settings)
        note = f"Too little to learn from: {lacking}. So the baseline is used."
        components = fit_blend({name: 1.0}, panel, settings, prior, threads)
        return ChurnModel(name, components, Calibrator(note="Not calibrated."), horizon_days, lead_days, (), note)
    if settings.candidate != "auto":
        if settings.candidate not in names:
            raise BadCandidate(
                f"churn.candidate is {settings.candidate}, which cannot answer for these rows: it needs "
                f"{candidates()[settings.candidate].needs}. It may be auto or one of {', '.join(names)}."
            )
        names = (settings.candidate,)
    in_season = seasonal(panel, horizon_days, lead_days)
    searched = panel.sample(settings.search_customers)
    tested = folds_to_weigh(searched, horizon_days, seasonal=in_season)
    held_out = _HeldOut.of(tested, names, settings, prior, threads, in_season=in_season)
    if held_out:
        weights, results, note = held_out.weigh()
    else:
        weights, results, note = {_baseline(names, settings): 1.0}, (), "No fold could test the candidates."
    if settings.candidate != "auto":
        results = tuple(replace(result, verdict=_SET) for result in results)
    components = fit_blend(weights, panel, settings, prior, threads)
    calibrator = held_out.calibrator(weights) if held_out else _UNTESTED
    known = held_out.parts if held_out else {}
    note += sampled_note(searched, panel)
    season = _season(searched, weights, calibrator, settings, prior, threads, known) if in_season else NO_SEASON
    used = next(iter(weights)) if len(weights) == 1 else "weighted_average"
    return ChurnModel(used, components, calibrator, horizon_days, lead_days, results, note, season)


def too_little(panel: Panel, settings: ChurnSettings) -> str:
    """What the training rows lack of the stated minimums, in words; empty if nothing."""
    least, churned = settings.minimum, panel.churned(settings.definition) > 0
    customer, tenure = panel.table["customer_id"], floats(panel.table, "tenure_days")
    if churned.all() or not churned.any():
        did = "churned" if churned.all() else "stayed"
        return f"all {len(churned):,} training rows have the same outcome ({did})"
    counts = [
        ("customers", customer.nunique(), least.customers),
        ("that churned", customer[churned].nunique(), least.positives),
        ("that stayed", customer[~churned].nunique(), least.negatives),
    ]
    if not panel.table["interaction_count"].isna().all():  # a table of customers has no history that could be short
        counts.append(("days of history", int(np.nanmax(tenure, initial=0)), least.span_days))
    return ", ".join(f"{found:,} {what} (at least {needed:,})" for what, found, needed in counts if found < needed)


_UNTESTED = Calibrator(
    note="Not calibrated: no training cutoff lies after the horizon of another, so nothing can be tested."
)

_ONE_STEP = Calibrator(
    note="Not calibrated: only one training cutoff lies after another's horizon, and one step in time may not come "
    "again."
)


@dataclass(frozen=True)
class _HeldOut:
    """What every candidate predicted of rows held out, and what came true."""

    how: How
    log_odds: dict[str, Floats]
    churned: Floats
    cutoff: npt.NDArray[np.intp]
    group: npt.NDArray[np.intp]  # number of the fold
    customer: npt.NDArray[np.str_]
    in_season: bool  # a season sets the level of every cutoff, so order and spread are what is compared
    event: bool
    parts: dict[tuple[pd.Timestamp, int | None], dict[str, Floats]]  # log-odds by the cutoff and group held out

    @classmethod
    def of(
        cls,
        tested: Sequence[Fold],
        names: Sequence[str],
        settings: ChurnSettings,
        prior: Prior,
        threads: int,
        *,
        in_season: bool,
    ) -> "_HeldOut | None":
        """Fit every candidate, with one seed, on every fold; None where no fold has both outcomes to learn from."""
        tested = [fold for fold in tested if fold.past.churned(settings.definition).std() > 0]
        if not tested:
            return None

        def predicted(fold: Fold) -> dict[str, Floats]:
            fitted = fit_parts(names, fold.past, replace(settings, seeds=1), prior, threads=1)
            return {part: component.log_odds(fold.present.table) for part, component in fitted.items()}

        parts, rows = predict_held_out(tested, predicted, threads)
        return cls(
            tested[0].how,
            {name: np.concatenate([averaged({name: 1.0}, fold) for fold in parts]) for name in names},
            np.concatenate([fold.present.churned(settings.definition) for fold in tested]),
            pd.factorize(rows["cutoff"], sort=True)[0],
            np.repeat(np.arange(len(tested)), [len(fold.present) for fold in tested]),
            rows["customer_id"].to_numpy(str),
            in_season,
            settings.definition == "event",
            {
                (fold.present.cutoffs[0], fold.group): held
                for fold, held in zip(tested, parts, strict=True)
                if fold.how == "other seasons"  # others may hold out several cutoffs at once
            },
        )

    def probability(self, weights: Mapping[str, float]) -> Floats:
        """What the weighted sum of log-odds predicts, with the level of every cutoff set right where a season does."""
        log_odds = np.sum([weight * self.log_odds[name] for name, weight in weights.items()], axis=0)
        blended = probabilities(sigmoid(log_odds))
        return levelled(self.churned, blended, self.cutoff, event=self.event) if self.in_season else blended

    def weigh(self) -> tuple[dict[str, float], tuple[ChurnResult, ...], str]:
        """The weights of the candidates, the result of each, and how that was tested."""
        forecasts = {name: self.probability({name: 1.0}) for name in self.log_odds}
        weights, results = weigh(self.churned, forecasts, self.customer)
        return weights, tuple(results), f"Tested on {len(self.churned):,} rows held out: {IN_WORDS[self.how]}."

    def calibrator(self, weights: Mapping[str, float]) -> Calibrator:
        """Learned where time was respected at two cutoffs or more or a season sets the level, or where there is but one
        cutoff, whose level is then the only one known.

        Otherwise the level of one season would be taken for that of the next. (From one step between two cutoffs a line
        was learned that repeats it: of course enrolments it turned .139 into .165, and .119 came.)
        """
        if self.how == "one cutoff ahead":
            return _ONE_STEP
        single = self.cutoff.max() == 0
        if self.how not in ("out of time", "other seasons") and not (single and self.how == "other customers"):
            return _UNTESTED
        fold = self.group if single else self.cutoff
        return fit_calibrator(self.probability(weights), self.churned, fold, customer=self.customer)


def _season(
    panel: Panel,
    weights: Mapping[str, float],
    calibrator: Calibrator,
    settings: ChurnSettings,
    prior: Prior,
    threads: int,
    held_out: Mapping[tuple[pd.Timestamp, int | None], Mapping[str, Floats]],
) -> Season:
    """The season in the errors of the model, calibrated.

    What parts of candidates predicted of rows that were held out to weigh them (``held_out``, by cutoff and group of
    customers) is not fitted again: those folds are the same as here (`folds` of other seasons).
    """
    group, cutoffs = customer_groups(panel.table["customer_id"]), panel.cutoffs
    of = {cutoff: (panel.table["cutoff"] == cutoff).to_numpy() for cutoff in cutoffs}
    known, unknown = np.zeros(len(panel)), np.zeros(len(panel))

    def forecast(task: tuple[int, pd.Timestamp | None]) -> None:
        number, cutoff = task
        rows, rest = group == number, group != number
        if cutoff is not None:
            rows, rest = rows & of[cutoff], rest & ~of[cutoff]
        past = panel.where(rest)
        if cutoff is not None and (cutoff, number) in held_out:
            log = averaged(weights, held_out[cutoff, number])
            probability = probabilities(calibrator.apply(sigmoid(log)))
        elif past.churned(settings.definition).std() > 0:
            parts = fit_blend(weights, past, replace(settings, seeds=1), prior, threads=1)
            probability = probabilities(calibrator.apply(sigmoid(log_odds(parts, panel.table[rows]))))
        else:
            probability = np.full(rows.sum(), past.churned(settings.definition).mean())
        (known if cutoff is None else unknown)[rows] = probability

    side_by_side(
        forecast, [(number, cutoff) for number in range(group.max() + 1) for cutoff in (None, *cutoffs)], threads
    )
    event = settings.definition != "inactivity"
    return fit_season(panel.churned(settings.definition), (known, unknown), panel.table["cutoff"], event=event)


def _baseline(names: Sequence[str], settings: ChurnSettings) -> str:
    """The candidate that needs least: BTYD's answer where there is one, else a rule of one column."""
    least: tuple[str, ...] = ("pareto_nbd", "hiatus", "logistic")
    if settings.definition != "inactivity":
        least = ("tenure", "constant", "logistic")
    return next((name for name in least if name in names), names[0])
