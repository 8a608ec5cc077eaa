"""The churn models that compete, simplest first, and the components they are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from fedelta.models.churn.baselines import BASE, BASELINES, RULES, Logistic, btyd_log_odds, fit_baseline, rules
from fedelta.models.churn.settings import BTYD, LIGHTGBM_DEFAULTS, CandidateName, ChurnSettings
from fedelta.models.encoding import Encoding
from fedelta.models.learning.boosting import Ensemble, fit_ensemble
from fedelta.models.learning.settings import BoostingSettings
from fedelta.models.panel import PRIOR_FEATURES, Panel, feature_columns

Floats = npt.NDArray[np.float64]
Prior = Literal["features", "init_score"]

CANDIDATES: tuple[CandidateName, ...] = get_args(CandidateName)  # a tie goes to the one that comes first
_AVERAGED: tuple[CandidateName, ...] = ("logistic", "lightgbm")  # whose log-odds `blend` averages


class Component(Protocol):
    """What a churn model adds up: log-odds of churn within each row's horizon, and what each column adds to them."""

    def log_odds(self, table: pd.DataFrame) -> Floats:
        """Log-odds of churn (n_rows,)."""
        ...

    def contributions(self, table: pd.DataFrame) -> Mapping[str, Floats]:
        """What each column adds in every row (n_rows,), and `base`; they sum to the log-odds."""
        ...

    @property
    def reads(self) -> Encoding:
        """The columns read, and the categories of those that are text."""
        ...


@dataclass(frozen=True)
class Btyd:
    """A buy-till-you-die model's own answer at the row's horizon: ``model`` is pareto or bg."""

    model: Literal["pareto", "bg"]

    def log_odds(self, table: pd.DataFrame) -> Floats:
        """Log-odds of no purchase (n_rows,)."""
        return btyd_log_odds(table, self.model)

    def contributions(self, table: pd.DataFrame) -> dict[str, Floats]:
        """All of it is the one column's."""
        return {BASE: np.zeros(len(table)), self._column: self.log_odds(table)}

    @property
    def reads(self) -> Encoding:
        """The chance of any purchase."""
        return Encoding((self._column,), {})

    @property
    def _column(self) -> str:
        return f"{self.model}_p_any"


@dataclass(frozen=True)
class Regression:
    """A logistic regression as a component."""

    logistic: Logistic

    def log_odds(self, table: pd.DataFrame) -> Floats:
        """Log-odds of churn (n_rows,)."""
        return self.logistic.log_odds(table)

    def contributions(self, table: pd.DataFrame) -> dict[str, Floats]:
        """Coefficient times the distance from the mean."""
        return self.logistic.contributions(table)

    @property
    def reads(self) -> Encoding:
        """The columns of its terms."""
        terms = self.logistic.terms
        levels = {t.column: tuple(o.level for o in terms if o.column == t.column) for t in terms if t.how == "is"}
        return Encoding(tuple(dict.fromkeys(column for term in terms for column in term.columns)), levels)


@dataclass(frozen=True)
class Trees:
    """A boosted ensemble that has BTYD's answers among its features, or starts from one of them."""

    ensemble: Ensemble
    encoding: Encoding
    prior: Prior

    def log_odds(self, table: pd.DataFrame) -> Floats:
        """Log-odds of churn (n_rows,): the trees', plus the prior's where they start from it."""
        raw = self.ensemble.raw(self.encoding.matrix(table))
        return raw + btyd_log_odds(table, "pareto") if self.prior == "init_score" else raw

    def contributions(self, table: pd.DataFrame) -> dict[str, Floats]:
        """LightGBM's own (Lundberg et al. 2020, TreeSHAP), and the prior's log-odds as a column of their own."""
        parts = self.ensemble.contributions(self.encoding.matrix(table))
        out = dict(zip((*self.encoding.names, BASE), parts.T, strict=True))
        return out | {"pareto_p_any": btyd_log_odds(table, "pareto")} if self.prior == "init_score" else out

    @property
    def reads(self) -> Encoding:
        """The encoding, and the prior's column where the trees start from it."""
        extra = ("pareto_p_any",) if self.prior == "init_score" else ()
        return Encoding((*self.encoding.names, *extra), self.encoding.categories)


Weighted = tuple[tuple[float, Component], ...]


def competing(panel: Panel, settings: ChurnSettings, horizon_days: int) -> tuple[CandidateName, ...]:
    """The candidates that these rows allow, simplest first.

    BTYD needs an answer for every row and predicts activity, not cancellations. A rule of one column needs more than
    one value of it, and horizons as long as the scored one, as it does not know of any; so do trees of little restraint
    and the mean with trees: on short horizons they lost.
    """
    table = panel.table
    left_out: set[str] = {rule for rule, column in rules(table).items() if table[column].nunique() < 2}
    if settings.definition != "inactivity" or table["pareto_p_any"].isna().any():
        left_out |= set(BTYD)
    if (table["horizon_days"] < horizon_days).any():
        left_out |= {"constant", *RULES, "blend", "lightgbm_large", "lightgbm_defaults"}
    return tuple(name for name in CANDIDATES if name not in left_out)


def fit_parts(
    names: Sequence[CandidateName], panel: Panel, settings: ChurnSettings, prior: Prior, threads: int
) -> dict[CandidateName, Component]:
    """Fit on the same rows what candidates are made of; what two of them share is fitted once."""
    return {part: _fit(part, panel, settings, prior, threads) for part in _parts(dict.fromkeys(names, 1.0))}


def averaged(weights: Mapping[CandidateName, float], parts: Mapping[CandidateName, Floats]) -> Floats:
    """The weighted sum of candidates' log-odds (n_rows,), from those of their parts: as `fit_blend`, bit for bit."""
    return np.asarray(sum(weight * parts[part] for part, weight in _parts(weights).items()), np.float64)


def fit_blend(
    weights: Mapping[CandidateName, float], panel: Panel, settings: ChurnSettings, prior: Prior, threads: int
) -> Weighted:
    """Fit the candidates that have a weight, for their log-odds to be averaged with it."""
    return tuple((weight, _fit(part, panel, settings, prior, threads)) for part, weight in _parts(weights).items())


def _parts(weights: Mapping[CandidateName, float]) -> dict[CandidateName, float]:
    """The weights of what is fitted: a mean is its parts."""
    total: dict[CandidateName, float] = {}
    for name, weight in weights.items():
        parts = _AVERAGED if name == "blend" else (name,)
        for part in parts:
            total[part] = total.get(part, 0.0) + weight / len(parts)
    return total


def log_odds(components: Weighted, table: pd.DataFrame) -> Floats:
    """The weighted sum of the components' log-odds (n_rows,)."""
    return np.asarray(sum(weight * component.log_odds(table) for weight, component in components), np.float64)


def contributions(components: Weighted, table: pd.DataFrame) -> pd.DataFrame:
    """The weighted sum of the components' contributions: columns and `base`, (n_rows, n_columns)."""
    total = {BASE: np.zeros(len(table))}
    for weight, component in components:
        for name, part in component.contributions(table).items():
            total[name] = total.get(name, 0.0) + weight * part
    return pd.DataFrame(total, index=table.index)


def large(settings: ChurnSettings) -> ChurnSettings:
    """The settings with those of the candidate `lightgbm_large` in their place."""
    own: dict[str, Any] = {name: value for name, value in vars(settings.lightgbm_large).items() if value is not None}
    return replace(settings, **own)


def _fit(name: CandidateName, panel: Panel, settings: ChurnSettings, prior: Prior, threads: int) -> Component:
    if name == "bg_nbd":
        return Btyd("bg")
    if name == "pareto_nbd":
        return Btyd("pareto")
    if name in BASELINES:
        return Regression(fit_baseline(name, panel, settings.definition))
    grown = {"lightgbm": settings, "lightgbm_large": large(settings), "lightgbm_defaults": LIGHTGBM_DEFAULTS}[name]
    return grow(panel, panel.churned(settings.definition), grown, prior, threads)


def grow(panel: Panel, churned: Floats, settings: BoostingSettings, prior: Prior, threads: int) -> Trees:
    """A boosted ensemble of the rows."""
    table = panel.table
    columns = feature_columns(table) + (list(PRIOR_FEATURES) if prior == "features" else [])
    encoding = Encoding.of(table[columns])
    init = btyd_log_odds(table, "pareto") if prior == "init_score" else None
    matrix = encoding.matrix(table)
    return Trees(
        fit_ensemble(matrix, churned, encoding, settings, "binary", init_score=init, threads=threads), encoding, prior
    )


def component_to_dict(component: Component) -> dict[str, object]:
    """As JSON; boosters apart (see ``models.bundle``)."""
    if isinstance(component, Btyd):
        return {"kind": "btyd", "model": component.model}
    if isinstance(component, Regression):
        return {"kind": "logistic", **component.logistic.to_dict()}
    assert isinstance(component, Trees)
    return {"kind": "lightgbm", "prior": component.prior, "encoding": component.encoding.to_dict()}


def component_from_dict(document: Mapping[str, Any], ensemble: Ensemble | None) -> Component:
    """Back from JSON, and the boosters where the component has any."""
    held = {name: value for name, value in document.items() if name not in ("kind", "weight")}
    if document["kind"] == "btyd":
        return Btyd(held["model"])
    if document["kind"] == "logistic":
        return Regression(Logistic.from_dict(held))
    assert ensemble is not None
    return Trees(ensemble, Encoding.from_dict(held["encoding"]), held["prior"])
