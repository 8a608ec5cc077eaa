"""Whether a source's SQL yields the same rows for the same files: DVC reruns it only when a file has changed.

The clock, chance and files that source.yaml does not name are refused. What depends on the order in which rows happen
to come is warned of, since their values may decide it all the same.
"""

import json
from collections.abc import Collection, Iterator
from typing import Any

import duckdb

from fedelta.pipeline.intake.section import SourceError

_SETTLED = {  # functions that DuckDB calls changeable, and that are not so here
    "current_database", "current_schema", "current_schemas", "current_setting", "error", "getvariable",
    "in_search_path", "vector_type",
}  # fmt: skip
_CLOCKS = {"current_localtime", "current_localtimestamp"}  # DuckDB calls them constant
_CLOCK_WORDS = {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"}  # without brackets
_MAKES_ROWS = {"generate_series", "json_each", "json_tree", "range", "repeat", "unnest"}  # of its arguments alone
_OF_AN_ORDER = {"array_agg", "first", "group_concat", "last", "list", "listagg", "string_agg"}
_APPROXIMATE = {"approx_quantile", "approx_top_k", "reservoir_quantile"}
_NUMBERING = {"first_value", "lag", "last_value", "lead", "nth_value", "ntile", "row_number"}

Node = dict[str, Any]


def must_be_repeatable(connection: duckdb.DuckDBPyConnection, select: str, what: str) -> None:
    """Refuse a SELECT that may yield other rows in the next run although no file has changed.

    `what` is the file of the SELECT, for messages.

    Raises
    ------
    SourceError
        If it asks for the time, draws at random, or reads what source.yaml does not name.
    """
    nodes = _nodes_of(connection, select)
    if changing := sorted({*_changing(connection, nodes)}):
        raise SourceError(
            f"{what} uses {', '.join(changing)}: each run would yield other rows of the same files, and DVC would not "
            "know. Write a date as a value (DATE '2024-01-31'), and make ids and samples of columns: "
            "md5(concat_ws('-', a, b)), hash(id) % 10 = 0."
        )
    if elsewhere := sorted({*_read_elsewhere(nodes)}):
        raise SourceError(
            f"{what} reads {', '.join(elsewhere)}, which is no table of source.yaml: DVC would not know when it "
            "changes. Name the file under `files` of source.yaml."
        )


def warning_of_order(connection: duckdb.DuckDBPyConnection, select: str, what: str) -> str | None:
    """A warning of what in a SELECT depends on the order of rows and names none."""
    if not (found := sorted({*_unordered(_nodes_of(connection, select))})):
        return None
    return (
        f"{what} uses {', '.join(found)} without an order that decides it: rows of a table have none, so the next run "
        "may yield others. Add ORDER BY within it."
    )


def _nodes_of(connection: duckdb.DuckDBPyConnection, select: str) -> list[Node]:
    """Every node of the parsed SELECT; none if DuckDB cannot say what it parsed."""
    row = connection.execute("SELECT json_serialize_sql(?)", [select]).fetchone()
    return [*_walk(json.loads(str(row[0])))] if row else []


def _walk(value: object) -> Iterator[Node]:
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _walk(part)


def _changing(connection: duckdb.DuckDBPyConnection, nodes: Collection[Node]) -> Iterator[str]:
    """What asks for the time or draws at random."""
    volatile, macros = _known_functions(connection)
    for node in nodes:
        name = str(node.get("function_name", "")).lower()
        if name in macros:
            inner = _nodes_of(connection, f"SELECT {macros[name]}")
            if any(_changing(connection, inner)):
                yield f"{name}()"
        elif name in volatile or (name == "age" and len(node["arguments"]) == 1):
            yield f"{name}()"
        if node.get("class") == "COLUMN_REF" and len(node["column_names"]) == 1:
            word = str(node["column_names"][0]).lower()
            if word in _CLOCK_WORDS and word not in _names(connection, nodes):
                yield word
        sample = node.get("sample")
        if isinstance(sample, dict) and not sample["repeatable"]:
            yield "a sample without REPEATABLE (SEED)"


def _known_functions(connection: duckdb.DuckDBPyConnection) -> tuple[set[str], dict[str, str]]:
    """DuckDB's functions that give other values for the same arguments; and its macros, each with its definition."""
    loaded = connection.execute("SELECT extension_name FROM duckdb_extensions() WHERE loaded ORDER BY ALL").fetchall()
    if (key := tuple(name for (name,) in loaded)) not in _known:  # to list them takes longer than to judge a table
        _known[key] = _listed_functions(connection)
    return _known[key]


_known: dict[tuple[str, ...], tuple[set[str], dict[str, str]]] = {}  # by the extensions that are loaded


def _listed_functions(connection: duckdb.DuckDBPyConnection) -> tuple[set[str], dict[str, str]]:
    rows = connection.execute(
        "SELECT function_name, macro_definition FROM duckdb_functions() "
        "WHERE schema_name <> 'fedelta' AND (stability <> 'CONSISTENT' OR function_type = 'macro')"
    ).fetchall()
    volatile = {name for name, macro in rows if macro is None} - _SETTLED | _CLOCKS
    return volatile, {name: macro for name, macro in rows if macro is not None and name not in volatile | _SETTLED}


def _names(connection: duckdb.DuckDBPyConnection, nodes: Collection[Node]) -> set[str]:
    """Names that a column has, of a table or in the SELECT: one called current_date is not the clock."""
    columns = connection.execute("SELECT DISTINCT lower(column_name) FROM duckdb_columns()").fetchall()
    aliases = (
        name
        for node in nodes
        if [str(part).lower() for part in node.get("column_names", ())] != [str(node.get("alias", "")).lower()]
        for name in (node.get("alias"), *(node.get("column_name_alias") or ()))
    )
    return {name for (name,) in columns} | {str(name).lower() for name in aliases if name}


def _read_elsewhere(nodes: Collection[Node]) -> Iterator[str]:
    for node in nodes:
        if node.get("type") == "TABLE_FUNCTION":
            name = str(node["function"]["function_name"]).lower()
            if name not in _MAKES_ROWS:
                yield f"{name}(…)"
        elif node.get("type") == "BASE_TABLE" and not str(node["table_name"]).replace("_", "").isalnum():
            yield repr(node["table_name"])


def _unordered(nodes: Collection[Node]) -> Iterator[str]:
    for node in nodes:
        name = str(node.get("function_name", "")).lower()
        if node.get("class") == "WINDOW":
            if name in _NUMBERING and not (node["orders"] or node["partitions"] or node["arg_orders"]):
                yield f"{name}() OVER ()"
        elif name in _APPROXIMATE or (name in _OF_AN_ORDER and not node["order_bys"]["orders"]):
            yield f"{name}()"
        modifiers = {str(part["type"]): part for part in node.get("modifiers") or ()}
        if "ORDER_MODIFIER" not in modifiers:
            if {"LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER"} & {*modifiers}:
                yield "LIMIT"
            if modifiers.get("DISTINCT_MODIFIER", {}).get("distinct_on_targets"):
                yield "DISTINCT ON"
