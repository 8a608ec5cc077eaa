"""Churn and value from a data frame, in memory: what the stages of the pipeline do, without a project around it.

>>> import fedelta
>>> from fedelta.frames import example
>>> interactions = example()
>>> model = fedelta.fit(
...     interactions, horizon_days=60, clv=None, cutoffs=fedelta.CutoffSettings(train=2),
...     churn=fedelta.ChurnSettings(candidate="logistic"),
... )
>>> model.score(interactions).columns
['customer_id', 'as_of', 'status', 'churn_probability']
>>> round(model.evaluation["churn"]["chosen"]["auc"]["value"], 2)
0.95
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal, TypeVar, cast

import numpy as np
import pandas as pd
import polars as pl

from fedelta.features.contract import DIGITAL_CHANNELS, KINDS, SCORES
from fedelta.features.cutoffs import BadCutoff, Cutoff, CutoffSettings, Fit, believed_times, calendar, value_calendar
from fedelta.features.errors import FedeltaError
from fedelta.features.experience_rules import ExperienceSettings, Rule
from fedelta.features.interaction_frames import BadInteractions, interactions_of
from fedelta.features.kernel import KernelSettings, features_at
from fedelta.models.btyd.purchase_prior import PurchasePrior, at_horizon, fit_priors, prior_columns, priors_before
from fedelta.models.churn.baselines import fit_baselines
from fedelta.models.churn.model import ChurnModel, fit_churn
from fedelta.models.churn.settings import ChurnSettings
from fedelta.models.evaluation import evaluate
from fedelta.models.explain import reasons
from fedelta.models.learning.cross_fitting import copies_as_one
from fedelta.models.metrics.bootstrap import Resampling
from fedelta.models.panel import ORDER, Panel, to_pandas
from fedelta.models.peers import fit_peers
from fedelta.models.reasons.wording import Wording
from fedelta.models.value.model import ClvModel, fit_clv
from fedelta.models.value.settings import ClvSettings

__all__ = [
    "BadInteractions", "ChurnSettings", "ClvSettings", "CutoffSettings", "ExperienceSettings", "FedeltaError", "Model",
    "Rule", "example", "fit",
]  # fmt: skip

Frame = TypeVar("Frame", bound=pd.DataFrame | pl.DataFrame)
Touch = Literal["digital", "physical"]

_DAY_US = 86_400_000_000
_LARGEST_SUM = 9 * 10**14  # of a customer's money
_USUAL_CLV = ClvSettings()


class NobodyToScore(FedeltaError):
    """No customer has a history before the instant asked for."""


@dataclass(frozen=True)
class Model:
    """Models of churn and value of one company, fitted on a frame of its interactions by `fit`.

    Attributes
    ----------
    churn : ChurnModel
        The churn model that scores: fitted on everything whose outcome is known.
    clv : ClvModel or None
        That of spend within a horizon of its own (``clv.horizon_days``); None where no money is known, or none was
        asked for.
    evaluation : mapping or None
        How the same recipe, fitted on the past alone, did at the last cutoff whose horizon is over: for instance
        ``model.evaluation["churn"]["chosen"]["auc"]["value"]``; each figure with its 95% interval (``low``, ``high``),
        and the baselines beside ``chosen``. None where the history is too short for such a cutoff.
    cutoffs : tuple of Cutoff
        The instants learned from, evaluated at and scored.
    """

    churn: ChurnModel
    clv: ClvModel | None
    evaluation: Mapping[str, Any] | None
    cutoffs: tuple[Cutoff, ...]
    settings: KernelSettings
    kinds: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    priors: Mapping[pd.Timestamp, PurchasePrior] = field(default_factory=dict, repr=False)

    @property
    def as_of(self) -> datetime:
        """The first midnight (UTC) after the interactions that it was fitted on, or the `score_at` of its cutoffs."""
        return self.cutoffs[-1].at

    def score(self, interactions: Frame, as_of: str | date | datetime | None = None, *, explain: bool = False) -> Frame:
        """Score every customer with a history.

        Parameters
        ----------
        interactions : pandas or Polars DataFrame of shape (n_interactions, n_columns)
            As for `fit`: whole histories, of as many customers as you like.
        as_of : str, date or datetime, optional
            The midnight (UTC) to score at, such as ``"2026-01-31"``: nothing that happened then or later is looked at.
            By default that of the fit (`as_of`).
        explain : bool
            Whether to add `reasons`: per customer up to five and the rest, each a sentence with its fact and its date,
            and what it contributes to the log-odds (``fedelta.features.contract.REASON``).

        Returns
        -------
        DataFrame of shape (n_customers, n_columns)
            Of the library of `interactions`, sorted by `customer_id`: `as_of`; `status`, "scored" or why a customer is
            not; `churn_probability` within the horizon; and, where the model knows of money, `clv_expected` with its
            90% interval from `clv_low` to `clv_high`, in the currency of the amounts, over ``clv.horizon_days``.

        Raises
        ------
        BadInteractions
            If the frame does not keep the contract.
        BadCutoff
            If `as_of` is no midnight, or before every cutoff at which purchases were modelled.
        NobodyToScore
            If nobody has a history before it.
        """
        at = self.as_of if as_of is None else _midnight(as_of)
        last = self.cutoffs[-1]
        cutoff = Cutoff(at, last.horizon_days, last.lead_days, "score")
        table, _ = features_at(_read(interactions, self.kinds, self.channels), (cutoff,), self.settings)
        if table.is_empty():
            raise NobodyToScore(
                f"No customer has an interaction before {at:%Y-%m-%d}. Bring earlier interactions, or score later."
            )
        scores = self._scored(to_pandas(table), explain=explain)
        return cast("Frame", _as_pandas(scores) if isinstance(interactions, pd.DataFrame) else scores)

    def _scored(self, table: pd.DataFrame, *, explain: bool) -> pl.DataFrame:
        rows = table[table["status"] == "scored"]
        rows = rows.join(self._prior_columns(rows))
        found: dict[str, object] = {"churn_probability": self.churn.churn_probability(rows)}
        if self.clv:
            days = self.clv.horizon_days
            valued = rows if rows.empty else at_horizon(rows, self._prior(rows), days)
            low, high = self.clv.interval(valued)
            found |= {"clv_expected": self.clv.expected_spend(valued), "clv_low": low, "clv_high": high}
        if explain:
            found["reasons"] = reasons(self.churn, rows, self._wording)
        figures = pl.DataFrame({"customer_id": pl.Series(rows["customer_id"].to_list(), dtype=pl.String), **found})
        keys = pl.DataFrame({name: table[name].to_list() for name in ("customer_id", "status")})
        at = pl.lit(table["cutoff"].iloc[0].to_pydatetime()).dt.replace_time_zone("UTC").cast(SCORES["as_of"])
        every = keys.select("customer_id", at.alias("as_of"), "status").join(figures, on="customer_id", how="left")
        return every.with_columns(pl.col(pl.Float64).fill_nan(None)).sort("customer_id")

    @property
    def _wording(self) -> Wording:
        relationship, rules = self.settings.relationship, self.settings.experience.rules
        event = relationship.definition == "event"
        return Wording(activity=relationship.activity, event=event, rules=Wording.of_rules(rules))

    def _prior_columns(self, rows: pd.DataFrame) -> pd.DataFrame:
        return prior_columns(None if rows.empty else self._prior(rows), rows)

    def _prior(self, rows: pd.DataFrame) -> PurchasePrior | None:
        """The purchase models of the rows' one cutoff."""
        if not self.priors:
            return None
        fits = sorted(self.priors)
        number = int(priors_before(self.priors, rows["cutoff"])[0])
        if number < 0:
            raise BadCutoff(
                f"as_of is {rows['cutoff'].iloc[0]:%Y-%m-%d}, before every cutoff that the model knows; the first is "
                f"{fits[0]:%Y-%m-%d}. Score at that or later."
            )
        return self.priors[fits[number]]


def fit(
    interactions: pd.DataFrame | pl.DataFrame,
    *,
    horizon_days: int = 90,
    lead_days: int = 0,
    cutoffs: CutoffSettings | None = None,
    churn: ChurnSettings | None = None,
    clv: ClvSettings | None = _USUAL_CLV,
    experience: ExperienceSettings | None = None,
    kinds: Collection[str] = (),
    channels: Mapping[str, Touch] | None = None,
    resampling: Resampling | None = None,
    threads: int = 2,
) -> Model:
    """Learn from interactions who leaves within a horizon, and what customers spend in it.

    The steps are those of ``fedelta run``: features at cutoffs that step back from the end of the data;
    buy-till-you-die models; two fits by one recipe, one measured out of time and one delivered.

    Parameters
    ----------
    interactions : pandas or Polars DataFrame of shape (n_interactions, n_columns)
        One row per interaction: `customer_id` (text or whole numbers), `occurred_at` (times; without a zone: UTC) and
        `kind` (purchase, return, visit, contact, …). Optional: `interaction_id`, `channel`, `amount`, `rating`,
        `resolved`, `wait_hours`, `delay_hours`, `effort`, `reach`, `topic`, `margin` and `known_at`, as
        ``fedelta.features.contract.INTERACTIONS`` says. It is not changed.
    horizon_days : int
        Days ahead within which a customer who does nothing has left.
    lead_days : int
        Days between a cutoff and its horizon.
    cutoffs : CutoffSettings, optional
        How many instants to learn from, and how far apart.
    churn : ChurnSettings, optional
        What leaving means, which candidates compete, and how trees are grown. `definition` may be "inactivity" or
        "event"; a company's own labels need a project.
    clv : ClvSettings or None
        How the model of spend is grown; None for no such model.
    experience : ExperienceSettings, optional
        Rules of what a bad experience is; none by default.
    kinds : collection of str
        Kinds of interaction besides those of the contract.
    channels : mapping of str to "digital" or "physical", optional
        Channels besides those of the contract.
    resampling : Resampling, optional
        For the intervals of `Model.evaluation`; 200 resamples of the customers by default.
    threads : int
        Boosters grown at once. The model does not depend on it.

    Returns
    -------
    Model

    Raises
    ------
    BadInteractions
        If the frame does not keep the contract.
    TooLittleHistory
        If the interactions span too short a time for the horizon.
    FedeltaError
        If settings do not go together, or nobody can be learned from.

    Examples
    --------
    >>> interactions = example()
    >>> model = fit(
    ...     interactions, horizon_days=60, cutoffs=CutoffSettings(train=2), churn=ChurnSettings(candidate="logistic")
    ... )
    >>> model.score(interactions, as_of="2025-12-01", explain=True).columns
    ['customer_id', 'as_of', 'status', 'churn_probability', 'clv_expected', 'clv_low', 'clv_high', 'reasons']
    """
    churn, cutoffs, channels = churn or ChurnSettings(), cutoffs or CutoffSettings(), channels or {}
    if churn.definition == "declared":
        raise FedeltaError(
            "churn.definition is declared; a frame brings no labels. It must be inactivity or event, or make a project "
            "(`fedelta init`) with a labels.sql."
        )
    experience = experience or ExperienceSettings()
    experience.check()
    churn.relationship.check((*KINDS, *kinds))
    events = _read(interactions, tuple(kinds), tuple(channels))
    digital = (*DIGITAL_CHANNELS, *(name for name, touch in channels.items() if touch == "digital"))
    settings = KernelSettings(experience, digital, relationship=churn.relationship)
    span, pays = _span(events), churn.relationship.activity_pays
    at = calendar(*span, cutoffs, horizon_days=horizon_days, lead_days=lead_days)
    rows, priors = _Rows.at(events, at, settings, pays)
    of_value, days = rows, clv.horizon(horizon_days) if clv else horizon_days
    if (of_clv := value_calendar(*span, cutoffs, at, days=days)) != at:
        of_value, _ = _Rows.at(events, [c for c in of_clv if c.role != "score"], settings, pays, priors)

    recipe = {"horizon_days": horizon_days, "lead_days": lead_days, "threads": threads}
    delivered = rows.training("delivered")
    if not len(delivered):
        raise NobodyToScore(
            "No customer can be learned from: at no training cutoff does anybody count as a customer. Check the kinds "
            "of the interactions against churn.activity and churn.definition."
        )
    model = _churn(delivered, churn, recipe)
    value = _value(of_value.training("delivered"), clv, recipe, days)
    evaluation = None
    if (rows.features["role"] == "evaluate").any():
        past = rows.training("evaluated")
        evaluation = evaluate(
            rows.evaluated(),
            _churn(past, churn, recipe),
            fit_baselines(past, churn.definition),
            _value(of_value.training("evaluated"), clv, recipe, days),
            resampling or Resampling(200, seed=7),
            churn.definition,
            of_value=of_value.evaluated(),
        ).report
    fits = {pd.Timestamp(day): prior for day, prior in priors.items()}
    return Model(model, value, evaluation, at, settings, tuple(kinds), tuple(channels), fits)


def example(customers: int = 300, seed: int = 1) -> pl.DataFrame:
    """Interactions of a made-up shop over a year and a half, up to 2026: purchases until each customer leaves, visits.

    >>> example(2).columns
    ['customer_id', 'occurred_at', 'kind', 'amount']
    """
    chance = np.random.default_rng(seed)
    begin, days = datetime(2024, 7, 1, tzinfo=UTC), 549
    rows: list[tuple[str, datetime, str, float | None]] = []
    for number in range(customers):
        day, pace, leaves = chance.uniform(0, 400), chance.gamma(3, 8) + 3, chance.exponential(250) + 20
        ends = min(day + leaves, days)
        while day < ends:
            at = begin + timedelta(days=float(day))
            rows.append((f"c{number:04}", at, "purchase", round(float(chance.lognormal(3, 0.5)), 2)))
            rows.append((f"c{number:04}", at - timedelta(hours=1), "visit", None))
            day += chance.exponential(pace)
    names = ["customer_id", "occurred_at", "kind", "amount"]
    frame = pl.DataFrame(rows, schema=names, orient="row", infer_schema_length=None)
    return frame.with_columns(pl.col("occurred_at").cast(pl.Datetime("us", "UTC")))


@dataclass(frozen=True)
class _Rows:
    """Features and outcomes of the same rows, and what purchase models say of some of them."""

    features: pl.DataFrame
    labels: pl.DataFrame
    prior: pd.DataFrame

    @classmethod
    def at(
        cls,
        events: pl.DataFrame,
        cutoffs: Sequence[Cutoff],
        settings: KernelSettings,
        pays: bool,
        fitted: Mapping[str, PurchasePrior] | None = None,
    ) -> tuple["_Rows", dict[str, PurchasePrior]]:
        """The rows at cutoffs, and the purchase models by cutoff: those `fitted` already, or new ones."""
        features, labels = features_at(events, cutoffs, settings)
        priors, columns = fit_priors(to_pandas(features), money=pays, fitted=fitted)
        return cls(features, labels, columns), priors

    def training(self, fit: Fit) -> Panel:
        """The rows that a fit learns from."""
        which = pl.col("refit") if fit == "delivered" else pl.col("role").is_in(["train", "refit"])
        return self.panel(which).training(fit)

    def evaluated(self) -> Panel:
        """The rows to be measured on."""
        return self.panel(pl.col("role") == "evaluate").of_role("evaluate")

    def panel(self, which: pl.Expr) -> Panel:
        chosen = self.features.select(which).to_series()
        prior = pl.from_pandas(self.prior).with_columns(pl.col("cutoff").cast(self.features.schema["cutoff"]))
        table = self.features.filter(chosen).join(prior, on=list(ORDER), how="left", maintain_order="left")
        return Panel(to_pandas(table), to_pandas(self.labels.filter(chosen).drop(ORDER)))


def _churn(panel: Panel, settings: ChurnSettings, recipe: Mapping[str, int]) -> ChurnModel:
    """The churn model of training rows, as the stage `train_churn` fits it."""
    model = fit_churn(copies_as_one(panel), settings, **recipe)
    return replace(model, peers=fit_peers(panel.table, model.encoding))


def _value(panel: Panel, settings: ClvSettings | None, recipe: Mapping[str, int], days: int) -> ClvModel | None:
    """The model of value of training rows, as the stage `train_clv` fits it."""
    return fit_clv(copies_as_one(panel), settings, **{**recipe, "horizon_days": days}) if settings else None


def _read(frame: pd.DataFrame | pl.DataFrame, kinds: Collection[str], channels: Collection[str]) -> pl.DataFrame:
    if isinstance(frame, pd.DataFrame):
        try:
            frame = pl.from_pandas(_without_zones(frame).reset_index(drop=True))
        except (pl.exceptions.PolarsError, TypeError, ValueError) as error:  # pyarrow's are of these
            raise BadInteractions(
                f"The interactions cannot be read: {' '.join(str(error).split())}. Each column must be of one type."
            ) from None
    if not isinstance(frame, pl.DataFrame):
        raise BadInteractions(
            f"The interactions are a {type(frame).__name__}; they must be a pandas or Polars DataFrame."
        )
    events = interactions_of(frame, kinds, channels)
    _must_add_up(events)
    return events


def _must_add_up(events: pl.DataFrame) -> None:
    """Refuse amounts whose sum for a customer is beyond whole numbers of 1/10,000 in 64 bits: it would be another."""
    money = pl.col("amount", "margin").cast(pl.Float64).abs().sum()
    totals = events.group_by("customer_id").agg(money).filter(pl.max_horizontal("amount", "margin") >= _LARGEST_SUM)
    if len(totals):
        raise BadInteractions(
            f"The amounts or margins of {len(totals):,} customers, such as {totals['customer_id'].min()!r}, add up to "
            f"{_LARGEST_SUM:,} and more, beyond what is added exactly. Correct them, or give them in a larger unit."
        )


def _without_zones(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with its times in UTC, without a zone: how pandas hands on those with a zone is about to change."""
    zoned = [name for name, dtype in frame.dtypes.items() if isinstance(dtype, pd.DatetimeTZDtype)]
    return frame.assign(**{str(name): frame[name].dt.tz_convert(None) for name in zoned})


def _span(events: pl.DataFrame) -> tuple[datetime, datetime]:
    """Time of the first and of the last interaction, but for stray dates (`features.cutoffs.believed_times`)."""
    at = pl.col("occurred_at")
    days = events.group_by(day=at.dt.epoch("us") // _DAY_US).agg(n=pl.len(), first=at.min(), last=at.max()).sort("day")
    return believed_times(days.rows())


def _midnight(as_of: str | date | datetime) -> datetime:
    try:
        found = datetime.fromisoformat(as_of) if isinstance(as_of, str) else as_of
    except ValueError:
        raise BadCutoff(f"as_of is {as_of!r}; it must be a date, such as 2026-01-31.") from None
    if not isinstance(found, datetime):
        return datetime.combine(found, time(), UTC)
    found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    if found.time() != time():
        raise BadCutoff(f"as_of is {as_of}; it must be a midnight (UTC), such as 2026-01-31.")
    return datetime(found.year, found.month, found.day, tzinfo=UTC)


def _as_pandas(scores: pl.DataFrame) -> pd.DataFrame:
    frame = scores.drop("reasons", strict=False).to_pandas()
    return frame.assign(reasons=scores["reasons"].to_list()) if "reasons" in scores.columns else frame
