"""What counts as a bad experience: named rules over the columns of an interaction."""

import json
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import polars as pl
from polars.exceptions import PolarsError

from fedelta.features.contract import INTERACTIONS, LEVELS, PILLARS, Level, Pillar
from fedelta.features.errors import FedeltaError, meant
from fedelta.features.few_events import FewEvents
from fedelta.features.look_back import BASES, LOOK_BACK, with_look_back
from fedelta.features.over_arrays import Evaluate, over_arrays

Language = Literal["en", "it"]  # of what is shown to people
LANGUAGES: tuple[Language, ...] = get_args(Language)
# What a rule may look at. Ids tell nothing of an experience, nor when it became known, and readers leave them on disk.
COLUMNS = pl.Schema(
    {**{n: dtype for n, dtype in INTERACTIONS.items() if n not in ("interaction_id", "known_at")}, **LOOK_BACK}
)
# Operations of a Polars expression that look at other rows: of the future, or of another customer.
_LOOK_AROUND = frozenset({"Agg", "Over", "Len", "Quantile", "Rank", "Shift", "Gather"})
_EVERY = "every event"
_MOST_REACH = 9_999  # more readers weigh no more: five times the severity


class BadRule(FedeltaError):
    """A rule or another setting of experience cannot be used."""


@dataclass(frozen=True)
class Rule:
    """One kind of bad experience: the predicate (SQL over interaction columns), and what it harms.

    Attributes
    ----------
    severity : int
        Points, 1 or more. With ``weighted_by: reach`` an experience that r people saw weighs
        severity x (1 + log10(1 + r)) points, at most five times the severity, rounded so that sums stay exact.
    among : str
        The touchpoints at which the rule could have been broken: there a customer's experience is good or bad. One that
        breaks the rule is always among them.
    says : mapping of language to str
        What to call it where a reason or a page names it, such as ``{"en": "late delivery"}``; else its name.
    """

    when: str
    pillar: Pillar
    level: Level
    severity: int
    among: str = "TRUE"
    weighted_by: Literal["nothing", "reach"] = "nothing"
    says: Mapping[Language, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class ExperienceSettings:
    """The rules by name, in the order in which they name an experience that breaks several; and how it fades.

    Attributes
    ----------
    half_life_days : float
        After so long an experience weighs half in the decayed severity.
    recovery_days : float
        A resolved contact within so long makes an experience good.
    repeat_days : float
        A failure within so long of the one before is a repeat.
    """

    rules: Mapping[str, Rule] = field(default_factory=dict)
    half_life_days: float = 60.0
    recovery_days: float = 30.0
    repeat_days: float = 14.0

    def __post_init__(self) -> None:
        """Refuse a span of time that is none."""
        for name in ("half_life_days", "recovery_days", "repeat_days"):
            days = getattr(self, name)
            if not (math.isfinite(days) and 0 < days <= 36_525):
                raise BadRule(f"experience.{name} is {days}; it must be more than 0 and at most 36525 days.")

    def check(self) -> None:
        """Try every rule on an empty table, so that a mistake is named before any data are read.

        Raises
        ------
        BadRule
            If a rule is no predicate over `COLUMNS`, or its severity is below 1.
        """
        for name, rule in self.rules.items():
            predicate(name, rule)
            exercising(name, rule)


def never_true(settings: ExperienceSettings, kinds: Collection[str], channels: Collection[str]) -> list[str]:
    """Warnings of rules that ask for a kind or channel that no interaction of the source can have."""
    found = []
    for name, rule in settings.rules.items():
        for column, known in (("kind", kinds), ("channel", channels)):
            asked = {word for text in (rule.when, rule.among) for word in _compared(column, text)}
            found += [
                f"experience.rules.{name} asks for the {column} {word!r}, which the source does not have."
                f"{meant(word, known)} Correct the rule, or declare it under `{column}s` in source.yaml."
                for word in sorted(asked - {*known})
            ]
    return found


def _compared(column: str, text: str) -> set[str]:
    """The texts that a predicate compares a column with."""
    one, several = rf"\b{column}\s*(?:=|<>|!=)\s*('[^']*')", rf"\b{column}\s+(?:NOT\s+)?IN\s*\(([^)]*)\)"
    places = [place for pattern in (one, several) for place in re.findall(pattern, text, re.IGNORECASE)]
    return {word for place in places for word in re.findall(r"'([^']*)'", place)}


def with_bad_experiences(events: pl.DataFrame, settings: ExperienceSettings) -> pl.DataFrame:
    """Add `bad_experience` (name of the gravest rule an event broke, or null) and `severity` (its severity, or 0).

    `events` are interactions of whole customers, sorted by customer and time, with the columns the rules name.

    Raises
    ------
    BadRule
        If a rule is no predicate over the columns of an interaction, or fails on the values they hold.
    """
    rule, severity, _ = judged(events, settings)
    return events.with_columns(named_rules(rule, settings), pl.Series("severity", severity))


def judged(
    events: pl.DataFrame, settings: ExperienceSettings, further: Mapping[str, pl.Expr] = MappingProxyType({})
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64], pl.DataFrame]:
    """The number of the gravest rule that each event broke (that of rules where it broke none), its severity, and what
    else is asked of the events.
    """
    found = _judge(events, settings, {"rule": _gravest(tuple(settings.rules.items())), **further})
    rule = found.drop_in_place("rule").to_numpy()
    points = _severities(lambda rows: _reach(events, rows), rule, list(settings.rules.values()))
    return rule, points, found


def judged_few(events: FewEvents, settings: ExperienceSettings) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """The same of few events: the number of the gravest rule that each broke, and its severity."""
    rules = tuple(settings.rules.items())
    rule = np.full(len(events), len(rules), np.uint32)
    for number, _ in reversed(_gravest_first(rules)):
        rule[_marks(events, *_over_arrays(*rules[number]).bad)] = number
    return rule, _severities(lambda rows: events["reach"].values[rows], rule, list(settings.rules.values()))


def named_rules(rule: npt.NDArray[np.uint32], settings: ExperienceSettings) -> pl.Series:
    """`bad_experience`: the name of each event's rule, null where it broke none."""
    names = tuple(settings.rules)
    return numbered("bad_experience", names, names)[rule]


@cache
def numbered(name: str, texts: tuple[str, ...], categories: tuple[str, ...]) -> pl.Series:
    """A text of each rule, to look up by its number; null by that of no rule."""
    return pl.Series(name, [*texts, None], pl.Enum(categories))


@cache
def _gravest(rules: tuple[tuple[str, Rule], ...]) -> pl.Expr:
    """The number of the gravest rule that an event broke; the number of rules where it broke none."""
    code: pl.Expr = pl.lit(len(rules), pl.UInt32)  # no rule
    # The last one wrapped around the others is asked first; a null (say, an unknown delay) is not bad.
    for number, (name, rule) in reversed(_gravest_first(rules)):
        code = pl.when(predicate(name, rule)).then(pl.lit(number, pl.UInt32)).otherwise(code)
    return code


@cache
def _gravest_first(rules: tuple[tuple[str, Rule], ...]) -> list[tuple[int, tuple[str, Rule]]]:
    return sorted(enumerate(rules), key=lambda one: -one[1][1].severity)


def broken(events: pl.DataFrame, settings: ExperienceSettings) -> pl.DataFrame:
    """Every rule as a boolean column: whether each event broke it. Events as for `with_bad_experiences`."""
    rules = settings.rules.items()
    return _judge(events, settings, {name: predicate(name, rule).fill_null(False) for name, rule in rules})


def exercised(events: pl.DataFrame, settings: ExperienceSettings) -> pl.DataFrame:
    """What each event put to the test, and where it failed. Events as for `with_bad_experiences`.

    Returns
    -------
    DataFrame of shape (n_events, 18)
        For each of `PILLARS` and `LEVELS` two columns of 0 and 1 (UInt8), in the order of the events: `{name}_bad`, the
        event broke a rule of it; `{name}_exercised`, it could have (`Rule.among`) or did. Exercised and not bad is
        good. An event counts once, however many rules of a pillar it breaks.
    """
    found = _judge(events, settings, _tested(tuple(settings.rules.items())))
    marks = _by_pillar({column.name: column.to_numpy() for column in found}, settings, len(events))
    return pl.DataFrame({name: values.view(np.uint8) for name, values in marks.items()})


def exercised_few(events: FewEvents, settings: ExperienceSettings) -> dict[str, npt.NDArray[np.bool_]]:
    """The same of few events, as true and false (n_events,)."""
    marks: dict[str, npt.NDArray[np.bool_]] = {}
    for number, (name, rule) in enumerate(settings.rules.items()):
        marks[f"bad {number}"] = _marks(events, *_over_arrays(name, rule).bad)
        marks[f"among {number}"] = _marks(events, *_over_arrays(name, rule).among)
    return _by_pillar(marks, settings, len(events))


def _marks(events: FewEvents, place: str, text: str, evaluate: Evaluate) -> npt.NDArray[np.bool_]:
    """Whether each event is as a predicate of a rule says; false where nobody knows."""
    try:
        return np.asarray(evaluate(events).values, np.bool_)
    except PolarsError as error:
        raise _fails(place, text, error) from None


def _by_pillar(
    marks: Mapping[str, npt.NDArray[np.bool_]], settings: ExperienceSettings, events: int
) -> dict[str, npt.NDArray[np.bool_]]:
    """From what each rule tests to what each pillar and level does."""
    columns: dict[str, npt.NDArray[np.bool_]] = {}
    for name in (*PILLARS, *LEVELS):
        own = [number for number, rule in enumerate(settings.rules.values()) if name in (rule.pillar, rule.level)]
        bad = np.zeros(events, np.bool_)
        for number in own:
            bad |= marks[f"bad {number}"]
        exercised = bad.copy()
        for number in own:
            exercised |= marks[f"among {number}"]
        columns |= {f"{name}_bad": bad, f"{name}_exercised": exercised}
    return columns


@cache
def _tested(rules: tuple[tuple[str, Rule], ...]) -> Mapping[str, pl.Expr]:
    """Whether an event broke each rule, and whether it could have."""
    bad = {f"bad {number}": predicate(name, rule) for number, (name, rule) in enumerate(rules)}
    among = {f"among {number}": exercising(name, rule) for number, (name, rule) in enumerate(rules)}
    return {name: expression.fill_null(False) for name, expression in {**bad, **among}.items()}


@dataclass(frozen=True)
class _OverArrays:
    """A rule as it is evaluated over arrays, each predicate with its place and text."""

    bad: tuple[str, str, Evaluate]
    among: tuple[str, str, Evaluate]


@cache
def _over_arrays(name: str, rule: Rule) -> _OverArrays:
    place = f"experience.rules.{name}"
    return _OverArrays(
        (place, rule.when, over_arrays(predicate(name, rule))),
        (f"{place}.among", rule.among, over_arrays(exercising(name, rule))),
    )


@cache
def predicate(name: str, rule: Rule) -> pl.Expr:
    """The rule as an expression, tried on an empty table so that a mistake is named before any data are read."""
    if rule.severity < 1:
        raise BadRule(f"experience.rules.{name}: severity is {rule.severity}; it must be 1 or more.")
    return _expression(f"experience.rules.{name}", rule.when)


@cache
def exercising(name: str, rule: Rule) -> pl.Expr:
    """The touchpoints at which the rule could have been broken, likewise tried."""
    return _expression(f"experience.rules.{name}.among", rule.among)


def columns_of(settings: ExperienceSettings) -> set[str]:
    """The columns of an interaction that `with_bad_experiences` reads."""
    named = _named(tuple(settings.rules.items()))
    weights = {rule.weighted_by for rule in settings.rules.values()} - {"nothing"}
    return {base for column in named for base in BASES.get(column, (column,))} | weights


@cache
def _named(rules: tuple[tuple[str, Rule], ...], *, among: bool = False) -> frozenset[str]:
    """The columns that rules name: to ask an expression takes longer than to judge a customer's events."""
    asked = [predicate(*rule) for rule in rules] + [exercising(*rule) for rule in rules if among]
    return frozenset(name for expression in asked for name in expression.meta.root_names())


def _expression(place: str, text: str) -> pl.Expr:
    try:
        expression = pl.sql_expr(text)
        kind = pl.DataFrame(schema=COLUMNS).select(expression.alias("broken")).schema["broken"]
        operations = set(_operations(json.loads(expression.meta.serialize(format="json"))))
    except (PolarsError, ValueError, TypeError) as error:
        raise BadRule(
            f"{place}: {text!r} cannot be evaluated ({_first_line(error)}). It may use the columns "
            f"{', '.join(COLUMNS)}."
        ) from None
    if operations & _LOOK_AROUND:
        raise BadRule(
            f"{place}: {text!r} looks at other interactions (an aggregate or a window); a rule may look only at "
            f"the one it judges, and back through {', '.join(LOOK_BACK)}."
        )
    if kind != pl.Boolean:
        raise BadRule(f"{place}: {text!r} yields {kind}; a rule must be true or false.")
    return expression


def _judge(events: pl.DataFrame, settings: ExperienceSettings, asked: Mapping[str, pl.Expr]) -> pl.DataFrame:
    """The expressions asked, one row per event; where one fails, the rule that is at fault is named."""
    known = with_look_back(events, _named(tuple(settings.rules.items()), among=True))
    try:
        return pl.DataFrame(
            known.select(pl.first().alias(_EVERY), **asked).get_columns()[1:]
        )  # a literal is of all rows
    except PolarsError:
        for name, rule in settings.rules.items():
            _try_on(known, f"experience.rules.{name}", rule.when, predicate(name, rule))
            _try_on(known, f"experience.rules.{name}.among", rule.among, exercising(name, rule))
        raise


def _try_on(events: pl.DataFrame, place: str, text: str, expression: pl.Expr) -> None:
    try:
        events.select(expression)
    except PolarsError as error:
        raise _fails(place, text, error) from None


def _fails(place: str, text: str, error: PolarsError) -> BadRule:
    return BadRule(
        f"{place}: {text!r} cannot be evaluated on the data ({_first_line(error)}). Guard it: "
        "NULLIF(x, 0) against a division by zero, TRY_CAST against a text that is no number."
    )


def _severities(
    reach: Callable[[npt.NDArray[np.intp]], npt.NDArray[np.int64]],
    codes: npt.NDArray[np.uint32],
    rules: list[Rule],
) -> npt.NDArray[np.int64]:
    """Points of each event: those of the rule it broke, more where many saw it; 0 where it broke none.

    `reach` is that of the events at some rows, 0 where it is unknown.
    """
    points = np.array([rule.severity for rule in rules] + [0], np.int64)[codes]
    weighted = [code for code, rule in enumerate(rules) if rule.weighted_by == "reach"]
    if weighted and len(rows := np.flatnonzero(np.isin(codes, weighted))):
        seen_by = reach(rows).clip(0, _MOST_REACH)
        points[rows] = np.rint(points[rows] * (1 + np.log10(1 + seen_by)))
    return points


def _reach(events: pl.DataFrame, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.int64]:
    return events["reach"].gather(rows).fill_null(0).to_numpy()


def _operations(node: object) -> Iterator[str]:
    """What a serialised expression does; the name of a column and the value of a literal do nothing."""
    if isinstance(node, dict):
        for name, held in node.items():
            yield str(name)
            if name not in ("Column", "Literal"):
                yield from _operations(held)
    elif isinstance(node, list):
        for held in node:
            yield from _operations(held)
    elif isinstance(node, str):
        yield node


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
