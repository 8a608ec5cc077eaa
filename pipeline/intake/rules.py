"""The rules of the contract: which columns a table has, of what kind, and what no row of it may be."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from fedelta.features.contract import INTERACTIONS, LABELS, REQUIRED, TREATMENTS, TREATMENTS_NEEDED, Arm
from fedelta.pipeline.intake.raw_files import identifier, literal
from fedelta.pipeline.intake.sources import Source

Kind = Literal["text", "time", "date", "money", "number", "whole", "flag", "opt_out"]
_SQL_TYPE: Mapping[Kind, str] = {
    "text": "VARCHAR",
    "time": "TIMESTAMPTZ",
    "date": "DATE",
    "money": "DECIMAL(18, 4)",
    "number": "DOUBLE",
    "whole": "BIGINT",
    "flag": "BOOLEAN",
    "opt_out": "BOOLEAN",
}
WORDS: Mapping[Kind, str] = {
    "text": "text",
    "time": "a time",
    "date": "a date",
    "money": "an amount",
    "number": "a number",
    "whole": "a whole number",
    "flag": "true or false",
    "opt_out": "yes or no",
}
_CONTRACT_KIND: Mapping[str, Kind] = {
    "String": "text", "Datetime": "time", "Date": "date", "Decimal": "money", "Float64": "number", "Int64": "whole",
    "Boolean": "flag",
}  # fmt: skip


@dataclass(frozen=True)
class Column:
    """A column of a table of the contract."""

    name: str
    kind: Kind
    required: bool = False

    @property
    def sql_type(self) -> str:
        return _SQL_TYPE[self.kind]


@dataclass(frozen=True)
class Rule:
    """A condition no row may meet, and the reason given if one does. Both are SQL over typed columns and `raw`."""

    name: str
    column: str  # a rule on a column the source does not yield is not asked
    broken: str
    reason: str


INTERACTION_COLUMNS = tuple(
    Column(name, _CONTRACT_KIND[type(dtype).__name__], required=name in REQUIRED)
    for name, dtype in INTERACTIONS.items()
)

LABEL_COLUMNS = tuple(
    Column(name, _CONTRACT_KIND[type(dtype).__name__], required=name in ("customer_id", "as_of", "churned"))
    for name, dtype in LABELS.items()
)

TREATMENT_COLUMNS = tuple(
    Column(name, _CONTRACT_KIND[type(dtype).__name__], required=name in TREATMENTS_NEEDED)
    for name, dtype in TREATMENTS.items()
)
OPT_OUT = Column("opted_out", "opt_out")


def customer_columns(source: Source) -> tuple[Column, ...]:
    """Columns of the customers table: the contract's, those of a table with labels, the declared attributes, and the
    times they are known from."""
    columns = [
        Column("customer_id", "text", required=True),
        Column("signed_up_at", "time"),
        OPT_OUT,
    ]
    if source.kind == "table":
        columns += [Column("churned", "flag"), Column("spend", "number"), Column("value", "number")]
    columns += [
        Column(a.name, "text" if a.type == "categorical" else "number", required=True) for a in source.attributes
    ]
    since = sorted({a.known_from for a in source.attributes if a.known_from} - {"signed_up_at"})
    return (*columns, *(Column(name, "time", required=True) for name in since))


def interaction_rules(source: Source, now: datetime) -> tuple[Rule, ...]:
    """Rules of one interaction; `now` plus a day is where the future begins."""
    return (
        *(_missing(name) for name in REQUIRED),
        _unknown("kind", source.all_kinds),
        _unknown("channel", tuple(source.all_channels)),
        *_time_bounds("occurred_at", "1970-01-01", now),
        Rule(
            "placeholder_date",
            "occurred_at",
            "occurred_at < TIMESTAMPTZ '1970-01-02 00:00:00+00'",
            came_as("occurred_at", "a date: 1970-01-01 stands for none"),
        ),
        _not_yet("known_at", now),
        Rule("amount_not_finite", "amount", "NOT isfinite(amount_given)", came_as("amount", "a finite amount")),
        Rule(
            "amount_negative",
            "amount",
            "amount_given < 0",
            came_as("amount", "at least 0: a return's amount is what was given back"),
        ),
        Rule(
            "amount_absurd",
            "amount",
            "amount_given IS NOT NULL AND (amount_given >= 1e14 OR amount IS NULL)",
            came_as("amount", "an amount of at most 14 digits"),
        ),
        Rule(
            "rating_out_of_range",
            "rating",
            "NOT rating BETWEEN 0 AND 1",
            came_as("rating", "rescaled to 0 worst, 1 best"),
        ),
        Rule("effort_out_of_range", "effort", "NOT effort BETWEEN 0 AND 1", came_as("effort", "between 0 and 1")),
        Rule("wait_negative", "wait_hours", "wait_hours < 0", came_as("wait_hours", "at least 0 hours")),
        *(Rule("not_finite", c, f"NOT isfinite({c})", came_as(c, "finite")) for c in ("wait_hours", "delay_hours")),
        Rule("reach_negative", "reach", "reach < 0", came_as("reach", "at least 0 people")),
    )


def customer_rules(source: Source, now: datetime) -> tuple[Rule, ...]:
    """Rules of one customer."""
    money = ["spend", "value"] if source.kind == "table" else []
    numbers = [*money, *(a.name for a in source.attributes if a.type == "numeric")]
    return (
        _missing("customer_id"),
        *_time_bounds("signed_up_at", "1900-01-01", now),
        *(Rule("not_finite", n, f"NOT isfinite({identifier(n)})", came_as(n, "finite")) for n in numbers),
        *(Rule("number_absurd", n, f"abs({identifier(n)}) >= 1e30", came_as(n, "below 1e30")) for n in numbers),
        *(Rule(f"{n}_negative", n, f"{n} < 0", came_as(n, "at least 0, in the source's currency")) for n in money),
        *(
            Rule(
                "attribute_without_time",
                a.name,
                f"{identifier(a.name)} IS NOT NULL AND {identifier(a.known_from)} IS NULL",
                literal(f"{a.name} is given but {a.known_from}, from when it was known, is missing"),
            )
            for a in source.attributes
            if a.known_from
        ),
    )


def label_rules(now: datetime) -> tuple[Rule, ...]:
    """Rules of one label."""
    return (
        *(_missing(column.name) for column in LABEL_COLUMNS if column.required),
        *_time_bounds("as_of", "1970-01-01", now),
        Rule("spend_negative", "spend", "spend < 0", came_as("spend", "at least 0")),
        Rule(
            "known_too_early",
            "known_at",
            "known_at < timezone('UTC', as_of::TIMESTAMP)",
            came_as("known_at", "as_of or later: an outcome comes after the date it is about"),
        ),
    )


def treatment_rules(now: datetime) -> tuple[Rule, ...]:
    """Rules of one treatment."""
    return (
        *(_missing(name) for name in TREATMENTS_NEEDED),
        Rule(
            "unknown_arm",
            "arm",
            f"arm NOT IN ({words_of(get_args(Arm))})",
            came_as("arm", " or ".join(get_args(Arm))),
        ),
        *_time_bounds("treated_at", "1970-01-01", now),
        *(
            Rule(
                f"{name}_negative", name, f"NOT isfinite({name}) OR {name} < 0", came_as(name, "at least 0 and finite")
            )
            for name in ("cost", "expected_value")
        ),
        Rule(
            "probability_out_of_range",
            "churn_probability",
            "NOT churn_probability BETWEEN 0 AND 1",
            came_as("churn_probability", "between 0 and 1"),
        ),
    )


def _missing(name: str) -> Rule:
    return Rule(f"missing_{name}", name, f"{name} IS NULL", literal(f"{name} is empty"))


def _unknown(name: str, known: Sequence[str]) -> Rule:
    listed = ", ".join(literal(k) for k in known)
    return Rule(
        f"unknown_{name}",
        name,
        f"{name} NOT IN ({listed})",
        came_as(name, "one that the contract or source.yaml knows"),
    )


def _time_bounds(name: str, first: str, now: datetime) -> Iterator[Rule]:
    yield Rule(
        "before_" + first[:4], name, f"{name} < TIMESTAMPTZ '{first} 00:00:00+00'", came_as(name, f"{first} or later")
    )
    yield _not_yet(name, now)


def _not_yet(name: str, now: datetime) -> Rule:
    return Rule(
        "in_the_future",
        name,
        f"{name} > TIMESTAMPTZ '{now.isoformat(sep=' ')}' + INTERVAL 1 DAY",
        came_as(name, "at most a day ahead of now"),
    )


def came_as(name: str, wanted: str) -> str:
    return f"{literal(name + ' is ')} || raw.{identifier(name)}::VARCHAR || {literal('; it must be ' + wanted)}"


def words_of(words: Sequence[str]) -> str:
    return ", ".join(literal(word) for word in words)
