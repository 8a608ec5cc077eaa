"""What makes a row unfit: the rules of the contract, and the SQL that applies them to what a source's SELECT yields.

A row that breaks a rule is kept apart with the rule's name, the reason in words and the row as it came. The first rule
broken is the one reported. A row the source calls out of scope is not judged.
"""

# ruff: noqa: S608 - the SQL is ours, around a SELECT the source's author wrote to be run

from collections.abc import Mapping, Sequence

from fedelta.pipeline.intake.raw_files import identifier, literal
from fedelta.pipeline.intake.rules import OPT_OUT, WORDS, Column, Rule, came_as, words_of
from fedelta.pipeline.intake.section import SourceError

HELPERS = ("out_of_scope", "unreadable", "source_row")
VERDICT = ("out_of_scope", "rule", "reason", "source_row", "source_text")

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
_IDS = ("interaction_id", "customer_id")
_EXACT_BELOW = {"FLOAT": 2**24, "DOUBLE": 2**53}
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
        *(_digits_lost(name, came[name]) for name in _IDS if came.get(name) in _EXACT_BELOW),
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
        return f"CASE WHEN {text} IS NOT NULL THEN {text} NOT IN ({words_of(_NO)}) END AS {name}"
    if column.kind == "flag" and came[column.name].startswith(_NUMERIC):  # a cast makes true of whatever is not 0
        return f"CASE raw.{name} WHEN 1 THEN true WHEN 0 THEN false END AS {name}"
    if column.kind != "text":
        given = _given(column.name, came)
        if column.kind == "flag" and came[column.name] == "VARCHAR":  # pandas writes 1.0 for 1 beside missing values
            given = rf"regexp_replace({given}, '^([01])\.0+$', '\1')"
        return f"TRY_CAST({given} AS {column.sql_type}) AS {name}"
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
    known = words_of((*_NO, *_YES))
    return f"CASE WHEN {_opt_out_text()} NOT IN ({known}) THEN raw.{identifier(OPT_OUT.name)}::VARCHAR END"


def _unreadable(column: Column, came: Mapping[str, str]) -> Rule:
    typed = "amount_given" if column.name == "amount" else identifier(column.name)
    return Rule(
        "unreadable",
        column.name,
        f"{typed} IS NULL AND {_given(column.name, came)} IS NOT NULL",
        came_as(column.name, WORDS[column.kind]),
    )


def _digits_lost(name: str, kind: str) -> Rule:
    """A fraction tells whole numbers apart up to a limit: beyond it different ids are one."""
    wanted = "text, or whole numbers: as a fraction its last digits are lost, and different ids are one"
    return Rule(
        "id_digits_lost", name, f"isnan(raw.{name}) OR abs(raw.{name}) >= {_EXACT_BELOW[kind]}", came_as(name, wanted)
    )


def _first_broken(rules: Sequence[Rule], then: Sequence[str]) -> str:
    whens = " ".join(f"WHEN {rule.broken} THEN {value}" for rule, value in zip(rules, then, strict=True))
    return f"CASE {whens} END"
