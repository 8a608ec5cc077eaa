"""Typed settings: params.yaml in, frozen dataclasses out, unknown keys refused.

A section is a dataclass beside the code that uses it, with the range of each number in its type
(``Annotated[int, Ge(1)]``); pydantic checks them all, strictly: no text becomes a number.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

from annotated_types import Ge, Interval, MinLen
from pydantic import AfterValidator, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from fedelta.features.cutoffs import BadCutoff, CutoffSettings, score_cutoff
from fedelta.features.errors import FedeltaError, meant, yaml_mistake
from fedelta.features.experience_rules import ExperienceSettings
from fedelta.features.ranges import DayCount, DaysOrNone, Seed, Share
from fedelta.models.churn.settings import ChurnSettings, TuneSettings
from fedelta.models.fairness.settings import FairnessSettings
from fedelta.models.incrementality.settings import MeasureSettings
from fedelta.models.loyalty.settings import LoyaltySettings, PersonaSettings
from fedelta.models.monitoring.settings import MonitorSettings
from fedelta.models.next_purchase.settings import NextSettings
from fedelta.models.policy.settings import PolicySettings
from fedelta.models.value.settings import ClvSettings
from fedelta.pipeline.paths import PARAMS


class BadParams(FedeltaError):
    """params.yaml cannot be read as settings."""


def _memory(text: str) -> str:
    if not _MEMORY.fullmatch(text):
        raise ValueError("it must be as 2GB is")
    return text


Memory = Annotated[str, AfterValidator(_memory)]


@dataclass(frozen=True)
class SparkSettings:
    """Which Spark cluster a run uses, and how it is set up."""

    master: Annotated[str, MinLen(1)] = "local[2]"
    conf: Mapping[str, str | int | bool] = field(default_factory=dict)  # Spark's own settings, by their names


@dataclass(frozen=True)
class EngineSettings:
    """How much of the machine a run may use, or which cluster."""

    backend: Literal["duckdb", "spark"] = "duckdb"
    spark: SparkSettings = field(default_factory=SparkSettings)
    memory_limit: Memory = "2GB"
    workers: Annotated[int, Interval(ge=1, le=1024)] = 2
    buckets: Annotated[int, Interval(ge=1, le=65_536)] = 16  # at least; more where one would hold too many interactions
    sample_customers: Annotated[int, Ge(100)] = 40_000  # of a larger base, a sample, where figures need no more
    learn_customers: Annotated[int, Ge(100)] | None = 200_000  # whom models of churn and value learn from, at most


@dataclass(frozen=True)
class EvaluateSettings:
    """How certain the report wants to be."""

    bootstrap: Annotated[int, Ge(20)] = 200
    seed: Seed = 7


@dataclass(frozen=True)
class GateSettings:
    """When a challenger may become champion."""

    metric: Literal["log_loss", "brier"] = "log_loss"
    max_ece: Share = 0.1


@dataclass(frozen=True)
class LeakCheckSettings:
    """What looks like the outcome and was found to be honestly known before it."""

    accept: tuple[str, ...] = ()  # columns, attributes or kinds


@dataclass(frozen=True)
class Params:
    """Everything in params.yaml."""

    source: str
    data: str
    horizon_days: DayCount
    lead_days: DaysOrNone
    cutoffs: CutoffSettings
    engine: EngineSettings
    experience: ExperienceSettings
    churn: ChurnSettings
    clv: ClvSettings
    evaluate: EvaluateSettings
    policy: PolicySettings
    gate: GateSettings
    loyalty: LoyaltySettings = field(default_factory=LoyaltySettings)
    personas: PersonaSettings = field(default_factory=PersonaSettings)
    tune: TuneSettings = field(default_factory=TuneSettings)
    next: NextSettings = field(default_factory=NextSettings)
    monitor: MonitorSettings = field(default_factory=MonitorSettings)
    leak_check: LeakCheckSettings = field(default_factory=LeakCheckSettings)
    measure: MeasureSettings = field(default_factory=MeasureSettings)
    fairness: FairnessSettings = field(default_factory=FairnessSettings)

    @property
    def value_days(self) -> int:
        """Days that expected value is of."""
        return self.clv.horizon(self.horizon_days)


_MEMORY = re.compile(r"(?=.*[1-9])\d+(\.\d+)? ?([KMGT](i?B)?|%)", re.IGNORECASE)


def load_params(path: Path = PARAMS) -> Params:
    """Settings of this project.

    Raises
    ------
    BadParams
        If the file is absent or not YAML, or a key is unknown, missing, of another type than its field or out of range.
    FedeltaError
        If settings that are each in range do not go together, such as risk tiers that do not ascend.
    """
    try:
        raw = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
        # As JSON, which has no tuples and dates: pydantic's strict mode takes lists and text for them there.
        document = json.dumps(raw, default=str)
    except FileNotFoundError:
        raise BadParams(f"There is no {path} here. Run fedelta in the project's folder.") from None
    except (YAMLError, ValueError, TypeError, RecursionError) as error:  # also a date that is none
        raise BadParams(f"{path} is not YAML: {yaml_mistake(error)}.") from None
    try:
        params = _adapter().validate_json(document, strict=True, extra="forbid")
    except ValidationError as error:
        raise _explained(error.errors(include_url=False), raw) from None
    try:
        score_cutoff(params.cutoffs, datetime.now(UTC))  # whatever the data, it is a date or none
    except BadCutoff as error:
        raise BadParams(f"{path}: {error}") from None
    params.experience.check()
    if params.churn.candidate != "auto" or params.churn.candidate_settings:
        _check_candidate(params.churn, raw)
    return params


def _check_candidate(churn: ChurnSettings, raw: object) -> None:
    """Refuse a candidate that cannot be used, and settings of one that are of another type or out of range."""
    from fedelta.models.churn.candidates import candidates, check_candidate  # noqa: PLC0415 - slow to import

    check_candidate(churn)
    for name, values in churn.candidate_settings.items():
        kind: Any = candidates()[name].settings
        try:
            TypeAdapter(kind).validate_json(json.dumps(values), strict=True, extra="forbid")
        except ValidationError as error:
            at = ("churn", "candidate_settings", name)
            found = [ErrorDetails(**{**held, "loc": (*at, *held["loc"])}) for held in error.errors(include_url=False)]
            raise _explained(found, raw, {at: kind}) from None


@cache
def _adapter() -> TypeAdapter[Params]:
    return TypeAdapter(Params)


def _explained(
    errors: Sequence[ErrorDetails], raw: object, sections: Mapping[tuple[str | int, ...], Any] | None = None
) -> FedeltaError:
    """The first thing that is wrong, in words: where, what came and what is allowed.

    ``sections``: dataclasses of sections that `Params` does not know, by their place.
    """
    # A key misspelt is unknown, and missing too: the first says more.
    first = next((error for error in errors if error["type"] == "unexpected_keyword_argument"), errors[0])
    at, value = _place(first["loc"], raw)
    if isinstance(why := first.get("ctx", {}).get("error"), FedeltaError):
        return why
    return BadParams(
        f"params.yaml: {_in_words(first, at, value, [e['type'] for e in errors if _same(e, first)], sections or {})}"
    )


def _in_words(  # noqa: PLR0911 - a line per kind of mistake
    error: ErrorDetails,
    at: tuple[str | int, ...],
    value: object,
    kinds: Sequence[str],
    sections: Mapping[tuple[str | int, ...], Any],
) -> str:
    name, kind = _dotted(at), error["type"]
    if kind in ("missing", "unexpected_keyword_argument"):
        last, section = str(error["loc"][-1]), _dotted(at[:-1])
        place = f"{section}: " if section else ""
        if kind == "missing":
            return f"{place}{last} missing."
        known = [field.name for field in fields(_type_at(at[:-1], sections))]
        return f"{place}unknown {last}.{meant(last, known)} Known: {', '.join(known)}."
    if kind == "dataclass_type":
        return f"{name or 'the file'} must be a section of settings; it is {value!r}."
    came = f"{name} is {value!r}"
    if kind == "dict_type":
        return f"{came}; it must be a section of names and values."
    if kind == "literal_error":
        allowed = error["ctx"]["expected"].replace(" or ", ", ").replace("'", "")
        return f"{came}; it must be one of {allowed}."
    if limits := _limits(_type_at(at, sections)) if kind.startswith(("greater", "less")) else "":
        return f"{came}; it must be {limits}."
    if types := [_TYPES[kind] for kind in kinds if kind in _TYPES]:
        return f"{came} ({type(value).__name__}); it must be of type {' or '.join(dict.fromkeys(types))}."
    return f"{came}; {error['msg'].removeprefix('Value error, ')}."


_TYPES = {
    "int_type": "int", "int_from_float": "int", "float_type": "float", "finite_number": "a finite float",
    "string_type": "str", "bool_type": "bool", "tuple_type": "list", "none_required": "null",
}  # fmt: skip


def _same(one: ErrorDetails, other: ErrorDetails) -> bool:
    """Whether two errors are of the same value, which fits none of several types."""
    return one["input"] is other["input"] or one["loc"][:-1] == other["loc"][:-1]


def _place(loc: Sequence[str | int], raw: Any) -> tuple[tuple[str | int, ...], object]:
    """The keys of a location, without the names of types among them, and what stands there."""
    at: list[str | int] = []
    step: Any
    for step in loc:
        if (isinstance(raw, Mapping) and step in raw) or (
            isinstance(raw, list) and isinstance(step, int) and step < len(raw)
        ):
            raw = raw[step]
        elif not isinstance(raw, Mapping) or step is not loc[-1]:
            continue  # the name of a type
        at.append(step)
    return tuple(at), raw


def _dotted(at: Sequence[str | int]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in at).removeprefix(".")


def _type_at(at: Sequence[str | int], sections: Mapping[tuple[str | int, ...], Any]) -> Any:
    """The annotated type of a setting: of the value, in a section of names and values."""
    kind: Any = Params
    for number, step in enumerate(at):
        if section := sections.get(tuple(at[: number + 1])):
            kind = section
            continue
        kind = get_type_hints(kind, include_extras=True)[str(step)] if is_dataclass(kind) else get_args(kind)[-1]
    return kind


def _limits(kind: Any) -> str:
    """The range of a number, in words; empty if it has none."""
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    found = [
        f"{words[name]} {limit}"
        for alternative in (kind, *get_args(kind))
        for held in getattr(alternative, "__metadata__", ())
        for name in words
        if (limit := getattr(held, name, None)) is not None and math.isfinite(limit)
    ]
    return " and ".join(dict.fromkeys(found))
