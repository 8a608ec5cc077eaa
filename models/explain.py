"""Why a score is what it is: contributions to the log-odds by theme, each with a fact that a person knows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl

from fedelta.features.attributes import BAD_PREFIX, PREFIX
from fedelta.features.contract import SCORES
from fedelta.features.feature import Feature
from fedelta.features.registry import EVERY
from fedelta.models.churn.baselines import BASE
from fedelta.models.churn.candidates import contributions
from fedelta.models.churn.model import ChurnModel
from fedelta.models.learning.boosting import side_by_side
from fedelta.models.metrics.calibration_line import clipped_logit
from fedelta.models.peers import peers_of
from fedelta.models.reasons.customer import Customer, Rows
from fedelta.models.reasons.english import English
from fedelta.models.reasons.italian import Italian
from fedelta.models.reasons.subjects import Fact, neutral, subject_of, tell
from fedelta.models.reasons.wording import REST, Wording
from fedelta.models.rounding import FINEST, PREDICTED, significant
from fedelta.models.table import AnyTable, Table

Floats = npt.NDArray[np.float64]
Struct = dict[str, object]  # a reason, of the fields of SCORES["reasons"]

MOST_REASONS = 5
PRIOR = "rhythm"  # what buy-till-you-die models say is the customer's rhythm
_LEAST = 0.05  # log-odds: less is no reason
_LEAST_SHARE = 0.1  # of the strongest reason's contribution
_CHUNK_ROWS = 1_000  # explained at once: 200 columns of contributions and of facts
_FIXED = ("tenure", "enrolment", "channel", "ratings_given")  # subjects that nobody can act on, besides attributes
_ACTED_ON = ("experience", "ratings")  # themes that a person can do something about
_FRESH_DAYS = 180  # until then
_DTYPE = SCORES["reasons"]
_PRIOR_SAYS = {
    "pareto_p_alive": "chance of still being a customer, by the rhythm of purchases",
    "pareto_p_any": "chance of a purchase in the horizon, by the rhythm of purchases",
    "bg_p_any": "chance of a purchase in the horizon, by the rhythm of purchases, if customers leave after one",
    "pareto_expected_orders": "purchases to expect in the horizon, by the rhythm of purchases",
    "pareto_expected_spend": "money to expect in the horizon, by the rhythm of purchases",
}
_ACTIVITY_SAYS = {  # where activity is declared, these models count it
    name: words.replace("a purchase", "activity").replace("purchases", "activity")
    for name, words in _PRIOR_SAYS.items()
}
_FEATURES: Mapping[str, Feature] = {feature.name: feature for feature in EVERY}


def theme_of(name: str) -> str:
    """The theme a column's share of a score belongs to."""
    if name in _FEATURES:
        return _FEATURES[name].theme
    if name.startswith(BAD_PREFIX):
        return "experience"
    return "attributes" if name.startswith(PREFIX) else PRIOR


def says(name: str, activity: str = "purchase") -> str:
    """What a column means, in words; `activity` as of `models.panel.activity_in`."""
    if name in _FEATURES:
        return _FEATURES[name].says
    prior = _PRIOR_SAYS if activity == "purchase" else _ACTIVITY_SAYS
    return prior.get(name) or name.removeprefix(BAD_PREFIX).removeprefix(PREFIX).replace("_", " ")


def theme_contributions(model: ChurnModel, table: AnyTable) -> pd.DataFrame:
    """What each theme adds to the log-odds of churn before calibration: (n_rows, n_themes); rows sum to `log_odds`."""
    parts = contributions(model.components, table)
    out: dict[str, Floats] = {}
    for name, part in parts.items():
        theme = BASE if name == BASE else theme_of(name)
        out[theme] = out.get(theme, 0.0) + part
    return pd.DataFrame(out)


def reasons(
    model: ChurnModel,
    table: AnyTable,
    wording: Wording | None = None,
    *,
    probability: Floats | None = None,
    threads: int = 2,
) -> pl.Series:
    """Per row, why the score is what it is: what can be acted on, what else raises it, then what lowers it.

    A reason gathers what a theme's columns add to the log-odds (of attributes, each is by itself) and states a fact
    that pulls the same way, with its date. What nobody can act on (how long they are a customer, where they live) never
    comes first. What weighs little or has no fitting fact is gathered in a last reason with the code "rest", together
    with the usual level of risk, calibration and season: contributions sum to the log-odds of the probability.

    Parameters
    ----------
    table : DataFrame or Table of n_rows
        Rows of one cutoff: keys, features and prior columns.
    wording : Wording, optional
        What is called how in the source.
    probability : ndarray of shape (n_rows,), optional
        The published score, where it is not the model's own (`models.scoring.score`).

    Returns
    -------
    Series of length n_rows, of the type of ``SCORES["reasons"]``
        The same for a customer alone as among others. Memory is bounded by chunks of rows.
    """
    if not len(table):
        return pl.Series("reasons", [], dtype=_DTYPE)
    explain = partial(_of_chunk, model, Table.of(table), wording or Wording(), _score(model, table, probability))
    edges = [*range(0, len(table), _CHUNK_ROWS), len(table)]

    def column(between: tuple[int, int]) -> pl.Series:
        return pl.Series(explain(between), dtype=_DTYPE)

    return pl.concat(side_by_side(column, pairwise(edges), threads)).alias("reasons")


def reasons_of_few(
    model: ChurnModel, table: AnyTable, wording: Wording | None = None, *, probability: Floats | None = None
) -> list[list[Struct]]:
    """The same of few rows, as Python has them: a column takes longer to make."""
    if not len(table):
        return []
    score = _score(model, table, probability)
    return _of_chunk(model, Table.of(table), wording or Wording(), score, (0, len(table)))


def _score(model: ChurnModel, table: AnyTable, probability: Floats | None) -> Floats:
    """The log-odds that the contributions sum to."""
    given = model.churn_probability(table) if probability is None else probability
    return clipped_logit(np.asarray(given, np.float64))


@dataclass(frozen=True)
class _Group:
    """Columns that make one reason, by subject."""

    theme: str
    columns: npt.NDArray[np.intp]  # places in the contributions
    subjects: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class _Reason:
    theme: str
    contribution: float
    fact: Fact
    tier: int  # 0 can be acted on, 1 what the customer did, 2 cannot be changed
    value: float | None = None
    usual: float | None = None


def _of_chunk(
    model: ChurnModel, table: Table, wording: Wording, score: Floats, between: tuple[int, int]
) -> list[list[Struct]]:
    rows, held = slice(*between), table.where(slice(*between))
    parts = contributions(model.components, held)
    del parts[BASE]
    names, exact = tuple(parts), np.array(list(parts.values()), np.float64).reshape(len(parts), len(held)).T
    moved = significant(exact, PREDICTED, FINEST)
    groups = _groups(names)
    sums = [exact[:, group.columns].sum(axis=1) for group in groups]
    totals = significant(np.stack(sums, axis=1), PREDICTED, FINEST) if sums else np.empty((len(held), 0))
    read = Rows.of(held, wording)
    rhythm = next((number for number, group in enumerate(groups) if group.theme == PRIOR), None)
    out = []
    for place, (peers, target) in enumerate(zip(peers_of(model.peers, held), score[rows], strict=True)):
        customer = Customer(read, place, peers)
        found = _facts_of(customer, groups, totals[place], moved[place], names)
        chosen = _ordered(customer, found, 0.0 if rhythm is None else float(totals[place, rhythm]))
        rest = round(float(target) - sum(one.contribution for one in chosen), FINEST)
        out.append([_struct(one) for one in (*chosen, _Reason(REST, rest, Fact(REST), 2))])
    return out


@cache
def _groups(names: tuple[str, ...]) -> tuple[_Group, ...]:
    """A group per theme, and per attribute."""
    members: dict[tuple[str, str], list[int]] = {}
    for place, name in enumerate(names):
        theme = theme_of(name)
        members.setdefault((theme, name if name.startswith(PREFIX) else ""), []).append(place)
    groups = []
    for (theme, _), places in members.items():
        subjects: dict[str, list[int]] = {}
        for place in places:
            subjects.setdefault(subject_of(names[place]), []).append(place)
        groups.append(_Group(theme, np.array(places), {name: tuple(held) for name, held in subjects.items()}))
    return tuple(groups)


def _facts_of(
    customer: Customer, groups: Sequence[_Group], totals: Floats, moved: Floats, names: Sequence[str]
) -> list[_Reason]:
    """The groups that have a fact that pulls their way, strongest first."""
    out: list[_Reason] = []
    seen: set[object] = set()
    for number in np.argsort(-np.abs(totals), kind="stable").tolist():
        total, group = float(totals[number]), groups[number]
        if total == 0:
            continue
        sign = 1.0 if total > 0 else -1.0
        pulls = {subject: sum(sign * moved[at] for at in places) for subject, places in group.subjects.items()}
        for subject in sorted(pulls, key=lambda one: -pulls[one]):
            if pulls[subject] <= 0:
                break
            ranked = sorted(group.subjects[subject], key=lambda at: -sign * moved[at])
            columns = [names[at] for at in ranked if sign * moved[at] > 0]
            fact = _fact(customer, subject, columns, raising=total > 0)
            if fact and (about := fact.facts.get("what")) not in seen:
                if about not in (None, "purchase"):  # visits are stated once, orders by rhythm and by number
                    seen.add(about)
                out.append(_reason(customer, group.theme, total, fact, subject))
                break
    return out


def _fact(customer: Customer, subject: str, columns: Sequence[str], *, raising: bool) -> Fact | None:
    """The fact of a subject; of a feature that no sentence is known of, its description with its value."""
    if not subject.startswith("other:"):
        return tell(customer, subject, columns, raising=raising)
    name = columns[0]
    value, usual = customer.number(name), customer.usual(name)
    if usual is not None and usual.value == value:
        return None
    return Fact("attribute", {"says": says(name, customer.rows.activity), "value": value, "usual": usual}, name)


def _reason(customer: Customer, theme: str, total: float, fact: Fact, subject: str) -> _Reason:
    column = fact.column
    # Of customers with a history what they did comes first; of a table attributes are all that is known.
    known_by_attributes = customer.number("interaction_count") is None
    fixed = subject.split(":", maxsplit=1)[0] in _FIXED or column in customer.rows.wording.fixed
    fixed |= theme == "attributes" and not known_by_attributes
    fresh = fact.day is None or fact.day.ago <= _FRESH_DAYS
    tier = 2 if fixed else 0 if theme in _ACTED_ON and fresh else 1
    usual = customer.usual(column) if column else None
    return _Reason(
        theme, total, fact, tier, customer.number(column) if column else None, usual.value if usual else None
    )


def _ordered(customer: Customer, found: Sequence[_Reason], rhythm: float) -> list[_Reason]:
    """At most `MOST_REASONS`, in the order in which they are given; `rhythm` is what that theme adds."""
    raising = [one for one in found if one.contribution > 0]
    lowering = [one for one in found if one.contribution < 0]
    least = [max(_LEAST, _LEAST_SHARE * abs(held[0].contribution)) if held else 0.0 for held in (raising, lowering)]
    first = sorted((one for one in raising if one.contribution >= least[0]), key=lambda one: one.tier)
    then = [one for one in lowering if -one.contribution >= least[1]]
    if not first or first[0].tier == 2:
        # Nothing but what cannot be changed: a smaller fact comes before it, or the customer's rhythm.
        ahead = next((one for one in raising if one.tier < 2), None) or _rhythm_of(customer, found, rhythm)
        if ahead:
            first = [ahead, *first]
            then = [one for one in then if one.theme != ahead.theme]
    return [*first, *then][:MOST_REASONS]


def _rhythm_of(customer: Customer, found: Sequence[_Reason], contribution: float) -> _Reason | None:
    """How a customer's rhythm is, whichever way it pulls."""
    if known := next((one for one in found if one.theme == PRIOR), None):
        return known
    fact = neutral(customer)
    return _reason(customer, PRIOR, contribution, fact, "silence") if fact else None


def _struct(one: _Reason) -> Struct:
    facts = dict(one.fact.facts)
    return {
        "code": one.fact.code,
        "theme": one.theme,
        "text": getattr(English(), one.fact.code)(**facts),
        "text_it": getattr(Italian(), one.fact.code)(**facts),
        "direction": "raises" if one.contribution > 0 else "lowers" if one.contribution < 0 else "neither",
        "contribution": one.contribution,
        "value": one.value,
        "peer_median": one.usual,
        "date": one.fact.day.date if one.fact.day else None,
    }
