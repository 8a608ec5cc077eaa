"""What every model must beat: a constant, rules of one column, logistic regression, BTYD alone, business as before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.linear_model import LogisticRegression

from fedelta.features.attributes import PREFIX
from fedelta.models.encoding import MissingFeatures
from fedelta.models.learning.log_odds import rounded_logit, sigmoid
from fedelta.models.panel import Panel, activity_in, floats
from fedelta.models.rounding import FINEST, FITTED, significant
from fedelta.models.table import AnyTable

Floats = npt.NDArray[np.float64]
How = Literal["plain", "log", "logit", "is", "unknown"]

BASE = "base"  # what every customer gets
# Ridge on standardised terms. In young bases histories grow beyond those learned from: a strong penalty keeps the line
# from running away. Chosen in ten backtests of five sources at cutoffs before those reported.
_RIDGE_C = 0.02
_BEYOND = 0.5  # standard deviations by which a value may lie outside those learned from
_COMMON_SHARE = 0.01  # of the rows must hold a category for it to have a weight of its own

# Not the time since the first purchase: at the scored cutoff it is longer than any learned from, and the line runs on.
_LOGGED = (
    "days_since_last_purchase", "purchase_day_count", "purchase_count_90d", "purchase_count_365d", "spend",
    "spend_365d", "mean_spend", "pareto_expected_orders", "pareto_expected_spend",
)  # fmt: skip
_LOGITS = ("pareto_p_any", "bg_p_any", "pareto_p_alive")
# After a long silence BTYD gives up those who bought often well before those who bought once, and so does the ratio of
# the silence to the usual gap; yet good customers come back. So beyond these both say no more; docs/quality.md tells
# how they were chosen.
_OVERDUE_GAPS = 4.0
_LEAST_CHANCE = 0.05
# A cancellation is not the absence of purchases: how long and how actively somebody is a customer, what went wrong, and
# purchases as one activity of several. BTYD's answers are left out, as they are about purchases.
_EVENT_LOGGED = (
    "tenure_days", "days_since_last_interaction", "interaction_count_90d", "interaction_count_365d",
    "days_since_last_purchase", "purchase_count_90d", "purchase_count_365d", "purchase_day_count", "spend_365d",
    "bad_experience_count", "bad_experience_count_90d", "contact_count_90d",
)  # fmt: skip
_CUSTOMER_FOLDS = 3
_FEW_ROWS = 1_000  # whose texts Python numbers in less time than pandas
_NO_CODE = -2  # of a category that no row has; -1 is null

# The simplest models, by the one column that each looks at. `constant` looks at none: it is the base rate.
RULES: Mapping[str, str] = {
    "tenure": "tenure_days",
    "days_since_last_activity": "days_since_last_interaction",
    "past_outcome_rate": "past_outcome_rate",
    "hiatus": "days_since_last_purchase",  # or of what counts as activity: `rules`
}
BASELINES = ("constant", *RULES, "logistic")


@dataclass(frozen=True)
class Term:
    """One column as a regression reads it: itself, its log(1 + x), its logit, if it ``is`` a category, or is unknown.

    A logarithm may end at a highest value, or be multiplied by that of another column. A logit ends at a chance of .05.
    """

    column: str
    how: How = "plain"
    level: str = ""
    most: float | None = None
    times: str = ""

    def of(self, table: AnyTable) -> Floats:
        """The term of every row (n_rows,); NaN where the column is null, but a category is then simply not met."""
        return values_of(table, [self])[self]

    def _of_numbers(self, table: AnyTable) -> Floats:
        values = floats(table, self.column)
        if self.how == "unknown":
            return np.asarray(np.isnan(values), np.float64)
        if self.how == "log":
            other = np.log1p(np.maximum(floats(table, self.times), 0)) if self.times else 1.0
            return np.asarray(np.log1p(np.clip(values, 0, self.most)) * other, np.float64)
        return rounded_logit(np.maximum(values, _LEAST_CHANCE)) if self.how == "logit" else values

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it is computed from."""
        return (self.column, self.times) if self.times else (self.column,)


@dataclass(frozen=True)
class Logistic:
    """A fitted logistic regression of churn on standardised terms; what is unknown counts as average.

    A term goes at most half a standard deviation beyond its values in the training rows: a line learned from silences
    of four weeks knows nothing of silences of a day. (Members of an airline, whose data come by the month: tenure alone
    had a log loss of .113 without limits and .105 with them. No room at all made ties of the longest silences, and AUC
    fell by .007 to .023 on sparse sets.)
    """

    terms: tuple[Term, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float

    def log_odds(self, table: AnyTable) -> Floats:
        """Log-odds of churn within each row's horizon (n_rows,)."""
        return self._sum(values_of(table, self.terms), len(table))

    def churn_probability(self, table: AnyTable) -> Floats:
        """Probability of churn within each row's horizon (n_rows,)."""
        return sigmoid(self.log_odds(table))

    def contributions(self, table: AnyTable) -> dict[str, Floats]:
        """What each column adds to the log-odds, against an average customer; `base` is the rest. They sum to it."""
        out = {BASE: np.full(len(table), self.intercept)}
        for term, part in zip(self.terms, self._parts(values_of(table, self.terms)), strict=True):
            out[term.column] = out.get(term.column, 0.0) + part
        return out

    def to_dict(self) -> dict[str, object]:
        """As JSON."""
        held: dict[str, object] = {n: list(v) if isinstance(v, tuple) else v for n, v in vars(self).items()}
        return {**held, "terms": [list(vars(term).values()) for term in self.terms]}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "Logistic":
        """Back from JSON."""
        low, high, mean, deviation, weights = (
            tuple(document[name]) for name in ("low", "high", "mean", "deviation", "weights")
        )
        terms = tuple(Term(*held) for held in document["terms"])
        return cls(terms, low, high, mean, deviation, weights, document["intercept"])

    def _sum(self, values: Mapping[Term, Floats], rows: int) -> Floats:
        """Log-odds of churn (n_rows,) from the values of the terms."""
        return np.asarray(sum(self._parts(values), np.full(rows, self.intercept)), np.float64)

    def _parts(self, values: Mapping[Term, Floats]) -> list[Floats]:
        """What each term adds, one array of shape (n_rows,) each."""
        fitted = zip(self.terms, self.low, self.high, self.mean, self.deviation, self.weights, strict=True)
        return [
            _known((np.minimum(np.maximum(values[term], low), high) - mean) / scale) * weight
            for term, low, high, mean, scale, weight in fitted
        ]


def _known(standardised: Floats) -> Floats:
    """Finite numbers with the average, 0, for NaN: of few rows `numpy.nan_to_num` takes five times as long."""
    return np.where(np.isnan(standardised), 0.0, standardised)


def values_of(table: AnyTable, terms: Sequence[Term]) -> dict[Term, Floats]:
    """Every term of every row, (n_rows,) each, as `Term.of`: a column of text is read once for all its categories.

    Raises
    ------
    MissingFeatures
        If a column that a term reads is absent.
    """
    if missing := sorted({column for term in terms for column in term.columns if column not in table}):
        raise MissingFeatures(
            f"The model needs {missing}, which the table lacks. Rebuild it with `dvc repro build_features`, or "
            "retrain on the new feature set."
        )
    found: dict[Term, Floats] = {}
    texts: dict[str, tuple[npt.NDArray[np.intp], dict[str, int]]] = {}
    for term in terms:
        if term.how != "is":
            found[term] = term._of_numbers(table)
            continue
        if term.column not in texts:
            texts[term.column] = _numbered(table[term.column])
        codes, code_of = texts[term.column]
        found[term] = np.asarray(codes == code_of.get(term.level, _NO_CODE), np.float64)
    return found


def _numbered(column: pd.Series | npt.NDArray[np.object_]) -> tuple[npt.NDArray[np.intp], dict[str, int]]:
    """A number of each text (n_rows,), and the texts by number."""
    if isinstance(column, np.ndarray) and len(column) < _FEW_ROWS:
        texts = column.tolist()
        numbers = {one: number for number, one in enumerate(one for one in dict.fromkeys(texts) if one is not None)}
        return np.array([numbers.get(one, -1) for one in texts], np.intp), numbers
    codes, levels = pd.factorize(column.astype("string") if isinstance(column, pd.Series) else column)
    return codes, {str(level): code for code, level in enumerate(levels)}


def rules(table: AnyTable) -> dict[str, str]:
    """`RULES` for a table: silence is that of the declared activity."""
    return {**RULES, "hiatus": f"days_since_last_{activity_in(table)}"}


def fit_baseline(name: str, panel: Panel, definition: str) -> Logistic:
    """One of ``BASELINES``, fitted on the rows of a panel.

    ``constant`` is their base rate; a rule knows one column (``RULES``): the longer the silence, the likelier gone;
    ``logistic`` is `fit_logistic`.
    """
    if name == "logistic":
        return fit_logistic(panel, definition)
    if name == "constant":
        return _fit(panel, definition, ())
    column = rules(panel.table)[name]
    return _fit(panel, definition, [Term(column, "plain" if name == "past_outcome_rate" else "log")])


def fit_baselines(panel: Panel, definition: str) -> dict[str, Logistic]:
    """Those of ``BASELINES`` that say something: a rule is left out where its column has one value or none."""
    one_value = {name for name, column in rules(panel.table).items() if panel.table[column].nunique() < 2}
    return {name: fit_baseline(name, panel, definition) for name in BASELINES if name not in one_value}


def fit_hiatus(panel: Panel, definition: str) -> Logistic:
    """The rule every shop knows (the longer since the last activity, the likelier gone), with its level fitted."""
    return fit_baseline("hiatus", panel, definition)


def fit_logistic(panel: Panel, definition: str) -> Logistic:
    """Regularised logistic regression on logs of recency, frequency and money, BTYD's answers and attributes.

    Where churn is not silence it knows tenure, activity and bad experiences instead of BTYD's answers, and attributes
    only if with them it predicts better for customers held out: cancellations are few, and categories many.
    """
    what = activity_in(panel.table)
    days, silence = f"{what}_day_count", f"days_since_last_{what}"
    attributes = [
        term for name in panel.table.columns if str(name).startswith(PREFIX) for term in _attribute(panel.table[name])
    ]
    if definition != "inactivity":
        named = [
            *(Term(name, "log") for name in _EVENT_LOGGED),
            Term("days_since_last_purchase", "unknown"),
            Term("past_outcome_rate"),
        ]
        more = [*named, *attributes]
        values = values_of(panel.table, more)
        better = bool(attributes) and _better(values, panel, definition, more, named)
        return _fit_values(values, panel.churned(definition), more if better else named)
    named = [
        *(Term(name.replace("purchase", what), "log") for name in _LOGGED),
        Term(f"{what}_overdue_ratio", "log", most=_OVERDUE_GAPS),
        *(Term(name, "log", times=days) for name in (silence, days)),
        *(Term(name, "logit") for name in _LOGITS),
    ]
    return _fit(panel, definition, [*named, *attributes])


def btyd_churn(table: pd.DataFrame, model: str) -> Floats:
    """Probability of no purchase in the row's horizon by BTYD: `model` is pareto or bg."""
    return np.clip(1.0 - floats(table, f"{model}_p_any"), 1e-6, 1 - 1e-6)


def _fit(panel: Panel, definition: str, terms: Sequence[Term]) -> Logistic:
    return _fit_values(values_of(panel.table, terms), panel.churned(definition), terms)


def _fit_values(of: Mapping[Term, Floats], churned: Floats, terms: Sequence[Term]) -> Logistic:
    """A regression of churn (n_rows,) on the values of terms, (n_rows,) each."""
    values = np.column_stack([of[term] for term in terms]) if terms else np.zeros((len(churned), 0))
    known = [i for i, column in enumerate(values.T) if np.unique(column[~np.isnan(column)]).size > 1]
    if not known or churned.min() == churned.max():
        return Logistic((), (), (), (), (), (), float(rounded_logit(np.array([churned.mean()]))[0]))
    values, kept = values[:, known], tuple(terms[i] for i in known)
    mean, deviation, low, high = (
        significant(np.asarray(figure(values, axis=0)), FITTED)
        for figure in (np.nanmean, np.nanstd, np.nanmin, np.nanmax)
    )
    low, high = low - _BEYOND * deviation, high + _BEYOND * deviation
    # Newton's method ends at the optimum to the last digits, where the default stops short of it.
    regression = LogisticRegression(C=_RIDGE_C, solver="newton-cholesky", tol=1e-8).fit(
        np.nan_to_num((values - mean) / deviation), churned
    )
    return Logistic(
        kept,
        tuple(low.tolist()),
        tuple(high.tolist()),
        tuple(mean.tolist()),
        tuple(deviation.tolist()),
        tuple(significant(np.asarray(regression.coef_[0]), FITTED, FINEST).tolist()),
        significant(float(regression.intercept_[0]), FITTED, FINEST),
    )


def _better(
    values: Mapping[Term, Floats], panel: Panel, definition: str, terms: Sequence[Term], others: Sequence[Term]
) -> bool:
    """Whether some terms have a lower log loss than others on customers who are left out of the fit in turn."""
    churned = panel.churned(definition)
    fold = pd.factorize(panel.table["customer_id"], sort=True)[0] % _CUSTOMER_FOLDS
    losses = np.zeros(2)
    for number in range(_CUSTOMER_FOLDS):
        known, held_out = fold != number, fold == number
        if not 0 < churned[known].mean() < 1 or not held_out.any():
            return False
        past, present = ({term: held[rows] for term, held in values.items()} for rows in (known, held_out))
        sign = 1 - 2 * churned[held_out]
        for which, tried in enumerate((terms, others)):
            log_odds = _fit_values(past, churned[known], tried)._sum(present, int(held_out.sum()))
            losses[which] += np.logaddexp(0, sign * log_odds).sum()
    return bool(losses[0] < losses[1])


def _attribute(column: pd.Series) -> list[Term]:
    if pd.api.types.is_numeric_dtype(column):
        return [Term(str(column.name))]
    counts = column.astype("string").value_counts()
    common = sorted(counts.index[counts >= max(20, _COMMON_SHARE * len(column))])
    return [Term(str(column.name), "is", level) for level in common]
