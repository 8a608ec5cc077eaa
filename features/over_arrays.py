"""Polars expressions evaluated over arrays: those that measures and rules are usually made of, null by null as there.

Of few events Polars takes longer to begin than to evaluate, and evaluates each expression for itself; here what
expressions have in common is evaluated once. What is not known here, Polars evaluates.
"""

import json
import operator
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from fedelta.features.few_events import Column, FewEvents, NotEvaluated

Evaluate: TypeAlias = Callable[[FewEvents], Column]
_Operation: TypeAlias = Callable[..., Column]
_Node: TypeAlias = Mapping[str, Any]  # of a serialised expression

_NOWHERE = -2  # the number of a text that no event has
_LARGEST = 2.0**63


def over_arrays(expression: pl.Expr) -> Evaluate:
    """How an expression is evaluated at few events: to the values that Polars gives, null as unknown."""

    def by_polars(events: FewEvents) -> Column:
        found = events.table.select(pl.first().alias("every event"), value=expression)["value"]
        dtype = np.bool_ if found.dtype == pl.Boolean else np.float64 if found.dtype.is_float() else np.int64
        return Column.of_numbers(found.to_list(), dtype)

    try:
        known = _compiled(expression.meta.serialize(format="json"))
    except (NotEvaluated, ValueError, pl.exceptions.PolarsError):
        return by_polars

    def evaluate(events: FewEvents) -> Column:
        try:
            return known(events)
        except NotEvaluated:
            return by_polars(events)

    return evaluate


@cache
def _compiled(text: str) -> Evaluate:
    """How a serialised expression is evaluated; the same for the same text, so that it is evaluated once."""
    node: _Node = json.loads(text)
    (kind, held), *_ = node.items()
    match kind:
        case "Column":
            return lambda events: events[held]
        case "Literal":
            value = _value(node)
            if not isinstance(value, bool):
                raise NotEvaluated(text)
            return lambda events: Column(np.full(len(events), value))
        case "BinaryExpr":
            return _binary(held["op"], held["left"], held["right"])
        case "Function":
            return _function(held["function"], held["input"])
        case "Cast" if held["dtype"] in ({"Literal": "Boolean"}, {"Literal": "Int64"}):
            return _kept(_as_boolean if held["dtype"]["Literal"] == "Boolean" else _as_integer, held["expr"])
        case "Ternary" if held["falsy"] == {"Literal": {"Scalar": {"Null": "Null"}}}:
            return _kept(_where, held["predicate"], held["truthy"])
    raise NotEvaluated(text)


def _kept(operation: _Operation, *inputs: _Node) -> Evaluate:
    """An operation on what is evaluated of its inputs, kept with the events."""
    of = [_compiled(json.dumps(one)) for one in inputs]

    def evaluate(events: FewEvents) -> Column:
        if (found := events.evaluated.get(evaluate)) is None:
            found = events.evaluated[evaluate] = operation(*[one(events) for one in of])
        return found

    return evaluate


def _binary(name: str, left: _Node, right: _Node) -> Evaluate:
    if name in ("And", "Or"):
        return _kept(_and if name == "And" else _or, left, right)
    if "Literal" not in right:
        if name not in _BETWEEN:
            raise NotEvaluated(name)
        return _kept(lambda one, other: _between(_BETWEEN[name], one, other), left, right)
    value = _value(right)
    if name in _COMPARED and (name in ("Eq", "NotEq") or not isinstance(value, str | bool)):
        return _kept(lambda column: _compared(name, column, value), left)
    if name in _CALCULATED and isinstance(value, int | float) and value > 0:
        return _kept(lambda column: _calculated(name, column, value), left)
    raise NotEvaluated(name)


def _function(function: Any, inputs: list[_Node]) -> Evaluate:
    operation: _Operation | None = None
    match function:
        case {"Boolean": {"IsIn": {"nulls_equal": False}}} | {"Sql": {"IsIn": {"nulls_equal": False}}}:
            operation = partial(_among, names=_texts(inputs[1]))
        case {"Boolean": str(name)} if name in _ASKED:
            operation = _ASKED[name]
        case {"Sql": {"Binary": str(name)}} if name in _COMPARED and "Literal" in inputs[1]:
            return _binary(name, *inputs)
        case {"Round": {"decimals": 0, "mode": "HalfToEven"}}:
            operation = _rounded
        case {"Clip": {"has_min": True, "has_max": True}}:
            operation = partial(_clipped, low=_value(inputs[1]), high=_value(inputs[2]))
        case {"Pow": "Generic"} if _value(inputs[1]) == 2:
            operation = _squared
        case {"TemporalExpr": {"TimeStamp": "Microseconds"}}:
            operation = _integer
        case "Shift" if _value(inputs[1]) == 1:
            operation = _shifted
    if operation is None:
        raise NotEvaluated(str(function))
    return _kept(operation, inputs[0])


def _value(node: _Node) -> Any:
    """The value of a literal."""
    match node:
        case {"Literal": {"Dyn": {"Int": int(value)} | {"Float": float(value)}}}:
            return value
        case {"Literal": {"Scalar": {"String": str(value)} | {"Boolean": bool(value)}}}:
            return value
        case {"Literal": {"Scalar": {"Decimal": [int(digits), _, int(scale)]}}}:
            return digits / 10**scale
    raise NotEvaluated(str(node))


def _texts(node: _Node) -> frozenset[str]:
    """The texts of a list: Polars writes it as a stream of Arrow."""
    match node:
        case {"Literal": {"Series": stream} | {"Scalar": {"List": stream}}}:
            texts = pa.ipc.open_stream(bytes(stream)).read_all().column(0).to_pylist()
            if len(texts) == 1 and isinstance(texts[0], list):
                (texts,) = texts
            if all(isinstance(one, str) for one in texts):
                return frozenset(texts)
    raise NotEvaluated(str(node)[:100])


def _text(column: Column) -> Column:
    if column.names is None:
        raise NotEvaluated("no text")
    return column


def _of_kind(column: Column, kinds: str) -> Column:
    if column.names is not None or column.values.dtype.kind not in kinds:
        raise NotEvaluated(f"none of {kinds}")
    return column


def _integer(column: Column) -> Column:
    return _of_kind(column, "i")


def _float(column: Column) -> Column:
    return _of_kind(column, "f")


def _boolean(column: Column) -> Column:
    return _of_kind(column, "b")


# Polars takes NaN for greater than any number, and equal to itself.
_COMPARED: Mapping[str, Callable[[Any, Any], Any]] = {
    "Eq": operator.eq,
    "NotEq": operator.ne,
    "Lt": operator.lt,
    "LtEq": operator.le,
    "Gt": lambda values, value: ~(values <= value),
    "GtEq": lambda values, value: ~(values < value),
}
_BETWEEN: Mapping[str, Callable[[Any, Any], Any]] = {"NotEq": operator.ne, "Minus": operator.sub}  # of whole numbers
_CALCULATED: Mapping[str, tuple[Callable[[Any, Any], Any], Callable[[Column], Column]]] = {
    "Multiply": (operator.mul, _float),
    "FloorDivide": (operator.floordiv, _integer),
}


def _compared(name: str, column: Column, value: Any) -> Column:
    if isinstance(value, str):
        value = (_text(column).names or {}).get(value, _NOWHERE)
    else:
        _of_kind(column, "b" if isinstance(value, bool) else "f" if isinstance(value, float) else "if")
    return _known_true(_COMPARED[name](column.values, value), column.known)


def _calculated(name: str, column: Column, value: float) -> Column:
    calculate, of_kind = _CALCULATED[name]
    if name == "FloorDivide" and not isinstance(value, int):
        raise NotEvaluated(name)
    return Column(calculate(of_kind(column).values, value), column.known)


def _between(calculate: Callable[[Any, Any], Any], one: Column, other: Column) -> Column:
    values = calculate(_integer(one).values, _integer(other).values)
    return Column.where(values, _both(one.known, other.known))


def _known_true(values: npt.NDArray[np.bool_], known: npt.NDArray[np.bool_] | None) -> Column:
    return Column(values) if known is None else Column(values & known, known)


def _both(one: npt.NDArray[np.bool_] | None, other: npt.NDArray[np.bool_] | None) -> npt.NDArray[np.bool_] | None:
    """Where both are known."""
    return other if one is None else one if other is None else one & other


def _and(one: Column, other: Column) -> Column:
    """Kleene's: false and unknown is false."""
    values = _boolean(one).values & _boolean(other).values
    if one.known is None and other.known is None:
        return Column(values)
    decided = [~side.values if side.known is None else side.known & ~side.values for side in (one, other)]
    return Column(values, values | decided[0] | decided[1])


def _or(one: Column, other: Column) -> Column:
    """Kleene's: true or unknown is true."""
    values = _boolean(one).values | _boolean(other).values
    known = _both(one.known, other.known)
    return Column(values, None if known is None else values | known)


def _not(column: Column) -> Column:
    return _known_true(~_boolean(column).values, column.known)


def _is_known(column: Column) -> Column:
    return Column(np.ones(len(column.values), np.bool_) if column.known is None else column.known)


_ASKED: Mapping[str, _Operation] = {
    "Not": _not,
    "IsNull": lambda column: Column(~_is_known(column).values),
    "IsNotNull": _is_known,
    "IsFinite": lambda column: _known_true(np.isfinite(_float(column).values), column.known),
}


def _among(column: Column, names: frozenset[str]) -> Column:
    return Column(_text(column).among(names), column.known)


def _rounded(column: Column) -> Column:
    return Column(np.rint(_float(column).values), column.known)


def _clipped(column: Column, low: float, high: float) -> Column:
    return Column.where(_float(column).values.clip(low, high), column.known)


def _squared(column: Column) -> Column:
    return Column(_integer(column).values ** 2, column.known)


def _as_boolean(column: Column) -> Column:
    return _boolean(column)


def _as_integer(column: Column) -> Column:
    values = _float(column).values
    if not (np.abs(values) < _LARGEST).all():
        raise NotEvaluated("beyond whole numbers")  # Polars says so in its own words
    return Column(values.astype(np.int64), column.known)


def _where(predicate: Column, truthy: Column) -> Column:
    """The values where the predicate holds; elsewhere unknown."""
    if truthy.names is not None:
        raise NotEvaluated("text")
    return Column.where(truthy.values, _both(_boolean(predicate).values, truthy.known))


def _shifted(column: Column) -> Column:
    """The value at the event before; of the first unknown."""
    values, known = np.roll(_of_kind(column, "bif").values, 1), np.roll(_is_known(column).values, 1)
    known[:1] = False
    return Column.where(values, known)
