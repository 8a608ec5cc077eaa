"""Typed settings: params.yaml in, frozen dataclasses out, unknown keys refused."""

import dataclasses
import math
import operator
import re
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from features.cutoffs import CutoffSettings
from features.errors import ExplainedError, meant, yaml_mistake
from features.experience_rules import ExperienceSettings
from models.policy import PolicySettings
from models.settings import (
    ChurnSettings,
    ClvSettings,
    LoyaltySettings,
    MonitorSettings,
    PersonaSettings,
    TuneSettings,
)
from pipeline.paths import PARAMS


class BadParams(ExplainedError):
    """params.yaml cannot be read as settings."""


@dataclass(frozen=True)
class EngineSettings:
    """How much of the machine a run may use."""

    backend: Literal["duckdb"] = "duckdb"
    memory_limit: str = "2GB"
    workers: int = 2
    buckets: int = 16


@dataclass(frozen=True)
class EvaluateSettings:
    """How sure the report wants to be."""

    bootstrap: int = 200
    seed: int = 7


@dataclass(frozen=True)
class GateSettings:
    """When a challenger may become champion."""

    metric: Literal["log_loss", "brier"] = "log_loss"
    max_ece: float = 0.1


@dataclass(frozen=True)
class LeakCheckSettings:
    """What looks like the outcome and was found to be honestly known before it."""

    accept: tuple[str, ...] = ()  # columns, attributes or kinds


@dataclass(frozen=True)
class Params:
    """Everything in params.yaml."""

    source: str
    data: str
    horizon_days: int
    lead_days: int
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
    monitor: MonitorSettings = field(default_factory=MonitorSettings)
    leak_check: LeakCheckSettings = field(default_factory=LeakCheckSettings)


def load_params(path: Path = PARAMS) -> Params:
    """Settings of this project.

    Raises
    ------
    BadParams
        If the file is absent or not YAML, or a key is unknown, missing, of another type than its field or out of range.
    """
    try:
        raw = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadParams(f"There is no {path} here. Run fedelta in the project's folder.") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise BadParams(f"{path} is not YAML: {yaml_mistake(error)}.") from None
    params = typing.cast("Params", _read(Params, raw, at=""))
    _check(params)
    return params


@dataclass(frozen=True)
class _Range:
    """The values that a number may take; no infinity and no NaN among them."""

    least: float = -math.inf
    above: float = -math.inf
    most: float = math.inf
    below: float = math.inf

    def holds(self, value: float) -> bool:
        return self.least <= value <= self.most and self.above < value < self.below

    def __str__(self) -> str:
        limits = (("at least", self.least), ("above", self.above), ("at most", self.most), ("below", self.below))
        return " and ".join(f"{word} {limit}" for word, limit in limits if math.isfinite(limit))


_SOME, _ANY, _SHARE = _Range(least=1), _Range(least=0), _Range(least=0, most=1)
_PART = _Range(above=0, most=1)  # of something, and never nothing
_DAYS = _Range(least=1, most=36_525)
_SEED = _Range(least=0, most=2**31 - 1)
_GROWN = {
    "trees": _SOME,
    "learning_rate": _PART,
    "leaves": _Range(least=2, most=131_072),  # LightGBM's own limits
    "min_rows_share": _SHARE,
    "min_rows": _SOME,
    "row_share": _PART,
    "column_share": _PART,
    "l2": _ANY,
}
_RANGES = {
    "horizon_days": _DAYS,
    "lead_days": _Range(least=0, most=36_525),
    "cutoffs.step_days": _Range(least=1, most=3_650),
    "cutoffs.train": _Range(least=1, most=100),
    "cutoffs.min_history_days": _DAYS,
    "engine.workers": _SOME,
    "engine.buckets": _SOME,
    **{f"{section}.{name}": held for section in ("churn", "churn.deep", "clv") for name, held in _GROWN.items()},
    "churn.seeds": _SOME,
    "churn.minimum.customers": _ANY,
    "churn.minimum.positives": _ANY,
    "churn.minimum.negatives": _ANY,
    "churn.minimum.span_days": _ANY,
    "clv.seeds": _SOME,
    "clv.tweedie_power": _Range(above=1, below=2),
    "personas.kept_within": _ANY,
    "personas.seed": _SEED,
    "monitor.customers": _SOME,
    "monitor.false_alarms": _Range(least=0, below=12),
    "monitor.tolerance": _SHARE,
    "tune.seed": _SEED,
    "evaluate.bootstrap": _Range(least=20),
    "evaluate.seed": _SEED,
    "policy.margin": _PART,
    "policy.explained": _ANY,
    "policy.cooldown_days": _Range(least=0, most=36_525),
    "gate.max_ece": _SHARE,
}
_MEMORY = re.compile(r"(?=.*[1-9])\d+(\.\d+)? ?([KMGT](i?B)?|%)", re.IGNORECASE)


def _check(params: Params) -> None:
    params.experience.check()
    for name, held in _RANGES.items():
        value = operator.attrgetter(name)(params)
        if isinstance(value, int | float) and not held.holds(value):
            raise BadParams(f"params.yaml: {name} is {value}; it must be {held}.")
    if not _MEMORY.fullmatch(params.engine.memory_limit):
        raise BadParams(f"params.yaml: engine.memory_limit is {params.engine.memory_limit!r}; it must be as 2GB is.")


def _read(kind: object, value: object, at: str) -> object:
    """`value` of a YAML document as an instance of `kind`; `at` is its dotted place, for messages."""
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _read_section(kind, value, at)
    origin = typing.get_origin(kind)
    if origin is Literal:
        if value not in typing.get_args(kind):
            raise BadParams(
                f"params.yaml: {at} is {value!r}; it must be one of {', '.join(map(str, typing.get_args(kind)))}."
            )
        return value
    if origin is types.UnionType:
        return _read_union(kind, value, at)
    if origin in (dict, typing.get_origin(typing.Mapping[str, int])):
        if not isinstance(value, dict):
            raise BadParams(f"params.yaml: {at} is {value!r}; it must be a section of names and values.")
        inner = typing.get_args(kind)[1]
        return {str(k): _read(inner, v, f"{at}.{k}") for k, v in value.items()}
    if origin is tuple:
        return _read_list(kind, value, at)
    number = float(value) if kind is float and type(value) is int else value
    return number if _fits(kind, number) else _refuse(kind, value, at)


def _read_list(kind: object, value: object, at: str) -> object:
    if not isinstance(value, list):
        raise BadParams(f"params.yaml: {at} is {value!r}; it must be a list, such as [{value}].")
    inner = typing.get_args(kind)[0]
    return tuple(_read(inner, item, f"{at}[{number}]") for number, item in enumerate(value))


def _read_union(kind: object, value: object, at: str) -> object:
    kinds = typing.get_args(kind)
    if isinstance(value, list) and (lists := [k for k in kinds if typing.get_origin(k) is tuple]):
        return _read(lists[0], value, at)
    if type(value) is int and int not in kinds and float in kinds:
        return float(value)
    return value if any(_fits(k, value) for k in kinds) else _refuse(kind, value, at)


def _fits(kind: object, value: object) -> bool:
    return value is None if kind is type(None) else isinstance(kind, type) and type(value) is kind


def _refuse(kind: object, value: object, at: str) -> typing.NoReturn:
    name = getattr(kind, "__name__", str(kind))
    raise BadParams(f"params.yaml: {at} is {value!r} ({type(value).__name__}); it must be of type {name}.")


def _read_section(kind: type, value: object, at: str) -> object:
    place = f"{at}: " if at else ""
    if not isinstance(value, dict):
        raise BadParams(f"params.yaml: {at or 'the file'} must be a section of settings; it is {value!r}.")
    fields = {f.name: f for f in dataclasses.fields(kind)}
    if unknown := sorted(map(str, set(value) - set(fields))):
        question = meant(unknown[0], fields)
        raise BadParams(f"params.yaml: {place}unknown {', '.join(unknown)}.{question} Known: {', '.join(fields)}.")
    required = {
        n for n, f in fields.items() if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    }
    if missing := sorted(required - set(value)):
        raise BadParams(f"params.yaml: {place}{', '.join(missing)} missing.")
    hints = typing.get_type_hints(kind)
    return kind(**{n: _read(hints[n], v, f"{at}.{n}" if at else n) for n, v in value.items()})
