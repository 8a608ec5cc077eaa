"""What counts as a bad experience: named rules over the columns of an interaction."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import polars as pl
from polars.exceptions import PolarsError

from features.contract import INTERACTIONS

Pillar = Literal["integrity", "resolution", "expectations", "empathy", "personalisation", "time_and_effort"]
Level = Literal["needs", "ease", "enjoyable"]


class BadRule(ValueError):
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
        If a rule is no predicate over the columns of an interaction.
    """
    name: pl.Expr = pl.lit(None, pl.String)
    severity: pl.Expr = pl.lit(0, pl.Int64)
    # The gravest rule is asked first; a null (say, an unknown delay) is not bad.
    for rule_name, rule in sorted(settings.rules.items(), key=lambda item: item[1].severity):
        broken = predicate(rule_name, rule)
        name = pl.when(broken).then(pl.lit(rule_name)).otherwise(name)
        severity = pl.when(broken).then(pl.lit(rule.severity, pl.Int64)).otherwise(severity)
    return events.with_columns(bad_experience=name, severity=severity)


def predicate(name: str, rule: Rule) -> pl.Expr:
    """The rule as an expression, tried on an empty table so that a mistake is named before any data are read."""
    try:
        expression = pl.sql_expr(rule.when)
        kind = pl.DataFrame(schema=INTERACTIONS).select(expression.alias("broken")).schema["broken"]
    except (PolarsError, ValueError, TypeError) as error:
        said = str(error).splitlines()[0]
        raise BadRule(
            f"experience.rules.{name}: {rule.when!r} cannot be evaluated ({said}). It may use the columns "
            f"{', '.join(INTERACTIONS)}."
        ) from None
    if kind != pl.Boolean:
        raise BadRule(f"experience.rules.{name}: {rule.when!r} yields {kind}; a rule must be true or false.")
    if rule.severity < 1:
        raise BadRule(f"experience.rules.{name}: severity is {rule.severity}; it must be 1 or more.")
    return expression
