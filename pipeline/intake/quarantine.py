"""What makes a row unfit: the rules of the contract, and the SQL that applies them to what a source's SELECT yields.

A row that breaks a rule is kept apart with the rule's name, the reason in words and the row as it came. The first rule
broken is the one reported. A row the source calls out of scope is not judged.
"""

# ruff: noqa: S608 - the SQL is ours, around a SELECT the source's author wrote to be run

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from fedelta.features.contract import INTERACTIONS, LABELS, REQUIRED, TREATMENTS, TREATMENTS_NEEDED, Arm
from fedelta.pipeline.intake.raw_files import identifier, literal
from fedelta.pipeline.intake.section import SourceError
from fedelta.pipeline.intake.sources import Source

HELPERS = ("out_of_scope", "unreadable", "source_row")
VERDICT = ("out_of_scope", "rule", "reason", "source_row", "source_text")

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
_WORDS: Mapping[Kind, str] = {
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

_NUMERIC = (
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "HUGEINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
    "UHUGEINT",
    "FLOAT",
    "DOUBLE",
    "DECIMAL",
)
OPT_OUT = Column("opted_out", "opt_out")
OPT_OUT_AS_CAME = "opted_out_as_came"  # of a staged row: the value, where it is neither yes nor no
KNOWN_LONG_BEFORE = "known_long_before"  # of a staged interaction: it says so of itself a year before it happened
# What is read as no; everything else that is there counts as opted out.
_NO = (
    "no", "n", "false", "f", "0", "off", "nein", "non", "nee", "nej", "nei", "nie", "ne", "não", "nao", "faux",
    "falsch", "falso", "нет", "いいえ", "否", "subscribed", "opted in", "opted-in", "opt-in", "opt in",
)  # fmt: skip
# What is read as yes, and so no cause for a warning.
_YES = (
    "yes", "y", "true", "t", "1", "on", "ja", "j", "oui", "si", "sì", "sí", "s", "sim", "tak", "ano", "да", "はい",
    "是", "vrai", "wahr", "vero", "verdadero", "verdadeiro", "unsubscribed", "opted out", "opted-out", "opt-out",
    "opt out", "optout",
)  # fmt: skip


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
            _came("occurred_at", "a date: 1970-01-01 stands for none"),
        ),
        _not_yet("known_at", now),
        Rule("amount_not_finite", "amount", "NOT isfinite(amount_given)", _came("amount", "a finite amount")),
        Rule(
            "amount_negative",
            "amount",
            "amount_given < 0",
            _came("amount", "at least 0: a return's amount is what was given back"),
        ),
        Rule(
            "amount_absurd",
            "amount",
            "amount_given IS NOT NULL AND (amount_given >= 1e14 OR amount IS NULL)",
            _came("amount", "an amount of at most 14 digits"),
        ),
        Rule(
            "rating_out_of_range",
            "rating",
            "NOT rating BETWEEN 0 AND 1",
            _came("rating", "rescaled to 0 worst, 1 best"),
        ),
        Rule("effort_out_of_range", "effort", "NOT effort BETWEEN 0 AND 1", _came("effort", "between 0 and 1")),
        Rule("wait_negative", "wait_hours", "wait_hours < 0", _came("wait_hours", "at least 0 hours")),
        *(Rule("not_finite", c, f"NOT isfinite({c})", _came(c, "finite")) for c in ("wait_hours", "delay_hours")),
        Rule("reach_negative", "reach", "reach < 0", _came("reach", "at least 0 people")),
    )


def customer_rules(source: Source, now: datetime) -> tuple[Rule, ...]:
    """Rules of one customer."""
    money = ["spend", "value"] if source.kind == "table" else []
    numbers = [*money, *(a.name for a in source.attributes if a.type == "numeric")]
    return (
        _missing("customer_id"),
        *_time_bounds("signed_up_at", "1900-01-01", now),
        *(Rule("not_finite", n, f"NOT isfinite({identifier(n)})", _came(n, "finite")) for n in numbers),
        *(Rule(f"{n}_negative", n, f"{n} < 0", _came(n, "at least 0, in the source's currency")) for n in money),
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
        Rule("spend_negative", "spend", "spend < 0", _came("spend", "at least 0")),
        Rule(
            "known_too_early",
            "known_at",
            "known_at < timezone('UTC', as_of::TIMESTAMP)",
            _came("known_at", "as_of or later: an outcome comes after the date it is about"),
        ),
    )


def treatment_rules(now: datetime) -> tuple[Rule, ...]:
    """Rules of one treatment."""
    return (
        *(_missing(name) for name in TREATMENTS_NEEDED),
        Rule(
            "unknown_arm",
            "arm",
            f"arm NOT IN ({_words(get_args(Arm))})",
            _came("arm", " or ".join(get_args(Arm))),
        ),
        *_time_bounds("treated_at", "1970-01-01", now),
        *(
            Rule(f"{name}_negative", name, f"NOT isfinite({name}) OR {name} < 0", _came(name, "at least 0 and finite"))
            for name in ("cost", "expected_value")
        ),
        Rule(
            "probability_out_of_range",
            "churn_probability",
            "NOT churn_probability BETWEEN 0 AND 1",
            _came("churn_probability", "between 0 and 1"),
        ),
    )


def judged(select: str, came: Mapping[str, str], columns: Sequence[Column], rules: Sequence[Rule], what: str) -> str:
    """SQL that yields `columns` typed, and the VERDICT on each row of `select`.

    Parameters
    ----------
    select : str
        The source's SELECT.
    came : mapping of column to SQL type
        What the SELECT yields.
    what : str
        The file of the SELECT, for messages.

    Raises
    ------
    SourceError
        If the SELECT lacks a required column, yields an unknown one, or a time that is none.
    """
    _check_columns(came, columns, what)
    present = [column for column in columns if column.name in came]
    typed = [_typed(column, came) for column in columns]
    if "amount" in came:
        typed.append(f"TRY_CAST({_given('amount', came)} AS DOUBLE) AS amount_given")
    elif any(column.kind == "money" for column in columns):
        typed.append("NULL::DOUBLE AS amount_given")
    if any(column.kind == "opt_out" for column in columns):
        typed.append(f"{_opt_out_as_came(came)} AS {OPT_OUT_AS_CAME}")
    helpers = [f"{_given(h, came)}::VARCHAR AS {h}" if h in came else f"NULL::VARCHAR AS {h}" for h in HELPERS]
    every = [
        Rule("unreadable", "unreadable", "unreadable IS NOT NULL", "unreadable"),
        *(_unreadable(column, came) for column in present if column.kind not in ("text", "opt_out")),
        *(rule for rule in rules if rule.column in came),
    ]
    rule = _first_broken(every, [literal(r.name) for r in every])
    reason = _first_broken(every, [r.reason for r in every])
    listed = ", ".join(_listed(column, columns) for column in columns)
    return (
        f"SELECT {listed}, out_of_scope, rule, CASE WHEN rule IS NOT NULL THEN {reason} END AS reason, source_row, "
        "CASE WHEN rule IS NOT NULL OR out_of_scope IS NOT NULL THEN to_json(raw)::VARCHAR END AS source_text "
        f"FROM (SELECT *, CASE WHEN out_of_scope IS NULL THEN {rule} END AS rule "
        f"FROM (SELECT raw, {', '.join(typed + helpers)} FROM (\n{select}\n) AS raw))"
    )


def _listed(column: Column, columns: Sequence[Column]) -> str:
    """The column as it is staged."""
    if column.name == "known_at" and any(c.name == "occurred_at" for c in columns):  # kept only where it is later
        long_before = f"known_at < occurred_at - INTERVAL 1 YEAR AS {KNOWN_LONG_BEFORE}"
        return f"{long_before}, CASE WHEN known_at > occurred_at THEN known_at END AS known_at"
    return f"{OPT_OUT_AS_CAME}, opted_out" if column.kind == "opt_out" else identifier(column.name)


def _check_columns(came: Mapping[str, str], columns: Sequence[Column], what: str) -> None:
    names = [column.name for column in columns]
    if missing := [column.name for column in columns if column.required and column.name not in came]:
        raise SourceError(f"{what} yields no {', '.join(missing)}. It yields {', '.join(came)}; add what is missing.")
    if unknown := [name for name in came if name not in {*names, *HELPERS}]:
        hint = (
            "Declare it under attributes in source.yaml (of a log, with `static: true` or `known_from`), or drop it"
            if "signed_up_at" in names
            else "Rename it or leave it out"
        )
        raise SourceError(
            f"{what} yields {', '.join(unknown)}, which nothing knows. {hint}. Known: {', '.join(names)}."
        )
    for column in columns:
        kind = came.get(column.name, "VARCHAR")
        if column.kind in ("time", "date") and not kind.startswith(("VARCHAR", "DATE", "TIMESTAMP", '"NULL"')):
            raise SourceError(
                f"{what} yields {column.name} as {kind}; it must be a timestamp, a date or text. "
                "Seconds since 1970 become one with to_timestamp(x), milliseconds with to_timestamp(x / 1000)."
            )


def _given(name: str, came: Mapping[str, str]) -> str:
    """The value as it came, an empty text as null."""
    return f"nullif(trim(raw.{identifier(name)}), '')" if came[name] == "VARCHAR" else f"raw.{identifier(name)}"


def _typed(column: Column, came: Mapping[str, str]) -> str:
    name = identifier(column.name)
    if column.name not in came:
        return f"NULL::{column.sql_type} AS {name}"
    if column.kind == "date":
        return f"{_date(_given(column.name, came), came[column.name])} AS {name}"
    if column.kind == "opt_out":
        text = _opt_out_text()
        return f"CASE WHEN {text} IS NOT NULL THEN {text} NOT IN ({_words(_NO)}) END AS {name}"
    if column.kind == "flag" and came[column.name].startswith(_NUMERIC):  # a cast makes true of whatever is not 0
        return f"CASE raw.{name} WHEN 1 THEN true WHEN 0 THEN false END AS {name}"
    if column.kind != "text":
        return f"TRY_CAST({_given(column.name, came)} AS {column.sql_type}) AS {name}"
    text = f"raw.{name}::VARCHAR"
    return f"CASE WHEN trim({text}) <> '' THEN {text} END AS {name}"  # spaces around an id are part of it


def _date(given: str, kind: str) -> str:
    """A date as it is; of an instant, the date (UTC) of the last midnight before it, which sees nothing after it."""
    of_instant = f"timezone('UTC', TRY_CAST({given} AS TIMESTAMPTZ))::DATE"
    if kind == "VARCHAR":
        return f"CASE WHEN length({given}) <= 10 THEN TRY_CAST({given} AS DATE) ELSE {of_instant} END"
    return f"TRY_CAST({given} AS DATE)" if kind in ("DATE", '"NULL"') else of_instant


def _opt_out_text() -> str:
    """The opt-out in small letters without blanks around it; a number without its decimals; null where it is empty."""
    text = f"raw.{identifier(OPT_OUT.name)}::VARCHAR"
    bare = rf"regexp_replace({text}, '^[\s\p{{Z}}]+|[\s\p{{Z}}]+$', '', 'g')"
    return rf"nullif(regexp_replace(lower({bare}), '^([01])\.0*$', '\1'), '')"


def _opt_out_as_came(came: Mapping[str, str]) -> str:
    if OPT_OUT.name not in came:
        return "NULL::VARCHAR"
    return (
        f"CASE WHEN {_opt_out_text()} NOT IN ({_words((*_NO, *_YES))}) THEN raw.{identifier(OPT_OUT.name)}::VARCHAR END"
    )


def _words(words: Sequence[str]) -> str:
    return ", ".join(literal(word) for word in words)


def _unreadable(column: Column, came: Mapping[str, str]) -> Rule:
    typed = "amount_given" if column.name == "amount" else identifier(column.name)
    return Rule(
        "unreadable",
        column.name,
        f"{typed} IS NULL AND {_given(column.name, came)} IS NOT NULL",
        _came(column.name, _WORDS[column.kind]),
    )


def _missing(name: str) -> Rule:
    return Rule(f"missing_{name}", name, f"{name} IS NULL", literal(f"{name} is empty"))


def _unknown(name: str, known: Sequence[str]) -> Rule:
    listed = ", ".join(literal(k) for k in known)
    return Rule(
        f"unknown_{name}", name, f"{name} NOT IN ({listed})", _came(name, "one that the contract or source.yaml knows")
    )


def _time_bounds(name: str, first: str, now: datetime) -> Iterator[Rule]:
    yield Rule(
        "before_" + first[:4], name, f"{name} < TIMESTAMPTZ '{first} 00:00:00+00'", _came(name, f"{first} or later")
    )
    yield _not_yet(name, now)


def _not_yet(name: str, now: datetime) -> Rule:
    return Rule(
        "in_the_future",
        name,
        f"{name} > TIMESTAMPTZ '{now.isoformat(sep=' ')}' + INTERVAL 1 DAY",
        _came(name, "at most a day ahead of now"),
    )


def _came(name: str, wanted: str) -> str:
    return f"{literal(name + ' is ')} || raw.{identifier(name)}::VARCHAR || {literal('; it must be ' + wanted)}"


def _first_broken(rules: Sequence[Rule], then: Sequence[str]) -> str:
    whens = " ".join(f"WHEN {rule.broken} THEN {value}" for rule, value in zip(rules, then, strict=True))
    return f"CASE {whens} END"
