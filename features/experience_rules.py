"""What counts as a bad experience: named rules over the columns of an interaction."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

import numpy as np
import polars as pl
from polars.exceptions import PolarsError

from features.contract import INTERACTIONS
from features.errors import ExplainedError

Pillar = Literal["integrity", "resolution", "expectations", "empathy", "personalisation", "time_and_effort"]
Level = Literal["needs", "ease", "enjoyable"]


# What a rule may look at: ids tell nothing of an experience, and the shuffle's readers leave them on disk.
COLUMNS = pl.Schema({name: dtype for name, dtype in INTERACTIONS.items() if name != "interaction_id"})
# Operations of a Polars expression that look at other rows: of the future, or of another customer.
_LOOK_AROUND = frozenset({"Agg", "Over", "Len", "Quantile", "Rank", "Shift", "Gather"})


class BadRule(ExplainedError):
    """A rule of params.yaml cannot be evaluated."""


@dataclass(frozen=True)
class Rule:
    """One kind of bad experience: the predicate (SQL over interaction columns), and what it harms."""

    when: str
    pillar: Pillar
    level: Level
    severity: int


@dataclass(frozen=True)
class ExperienceSettings:
    """The rules by name, in the order in which they name an experience that breaks several."""

    rules: Mapping[str, Rule] = field(default_factory=dict)


def with_bad_experiences(events: pl.DataFrame, settings: ExperienceSettings) -> pl.DataFrame:
    """Add `bad_experience` (name of the gravest rule an event broke, or null) and `severity` (its severity, or 0).

    Raises
    ------
    BadRule
        If a rule is no predicate over the columns of an interaction, or fails on the values they hold.
    """
    names = list(settings.rules)
    predicates = {name: predicate(name, rule) for name, rule in settings.rules.items()}
    gravest_first = sorted(names, key=lambda name: -settings.rules[name].severity)
    code: pl.Expr = pl.lit(len(names), pl.UInt32)  # no rule
    # The last one wrapped around the others is asked first; a null (say, an unknown delay) is not bad.
    for name in reversed(gravest_first):
        code = pl.when(predicates[name]).then(pl.lit(names.index(name), pl.UInt32)).otherwise(code)
    try:
        codes = events.select(code=code)["code"] if len(events) else pl.Series("code", [], pl.UInt32)
    except PolarsError:
        for name, broken in predicates.items():
            _try_on(events, name, settings.rules[name], broken)
        raise
    if len(codes) != len(events):  # without rules the expression is one number
        codes = codes.new_from_index(0, len(events))
    severities = np.array([rule.severity for rule in settings.rules.values()] + [0], np.int64)
    return events.with_columns(
        pl.Series("bad_experience", [*names, None], pl.Enum(names)).gather(codes),
        pl.Series("severity", severities[codes.to_numpy()]),
    )


@cache
def predicate(name: str, rule: Rule) -> pl.Expr:
    """The rule as an expression, tried on an empty table so that a mistake is named before any data are read."""
    try:
        expression = pl.sql_expr(rule.when)
        kind = pl.DataFrame(schema=COLUMNS).select(expression.alias("broken")).schema["broken"]
        operations = set(_operations(json.loads(expression.meta.serialize(format="json"))))
    except (PolarsError, ValueError, TypeError) as error:
        raise BadRule(
            f"experience.rules.{name}: {rule.when!r} cannot be evaluated ({_first_line(error)}). It may use the "
            f"columns {', '.join(COLUMNS)}."
        ) from None
    if operations & _LOOK_AROUND:
        raise BadRule(
            f"experience.rules.{name}: {rule.when!r} looks at other interactions (an aggregate or a window); a rule "
            "may look only at the one it judges."
        )
    if kind != pl.Boolean:
        raise BadRule(f"experience.rules.{name}: {rule.when!r} yields {kind}; a rule must be true or false.")
    if rule.severity < 1:
        raise BadRule(f"experience.rules.{name}: severity is {rule.severity}; it must be 1 or more.")
    return expression


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


def _try_on(events: pl.DataFrame, name: str, rule: Rule, broken: pl.Expr) -> None:
    try:
        events.select(broken)
    except PolarsError as error:
        raise BadRule(
            f"experience.rules.{name}: {rule.when!r} cannot be evaluated on the data ({_first_line(error)}). Guard it: "
            "NULLIF(x, 0) against a division by zero, TRY_CAST against a text that is no number."
        ) from None


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
