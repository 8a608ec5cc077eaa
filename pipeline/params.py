"""Typed settings: params.yaml in, frozen dataclasses out, unknown keys refused."""

import dataclasses
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from features.cutoffs import CutoffSettings
from features.errors import ExplainedError
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


def load_params(path: Path = PARAMS) -> Params:
    """Settings of this project.

    Raises
    ------
    BadParams
        If the file is absent or not YAML, or a key is unknown, missing or of another type than its field.
    """
    try:
        raw = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadParams(f"There is no {path} here. Run fedelta in the project's folder.") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise BadParams(f"{path} is not YAML: {error}".replace("\n", " ")) from None
    params = typing.cast("Params", _read(Params, raw, at=""))
    _check(params)
    return params


def _check(params: Params) -> None:
    params.experience.check()
    for name, value, least in (
        ("horizon_days", params.horizon_days, 1),
        ("lead_days", params.lead_days, 0),
        ("cutoffs.step_days", params.cutoffs.step_days, 1),
        ("cutoffs.train", params.cutoffs.train, 1),
        ("cutoffs.min_history_days", params.cutoffs.min_history_days, 1),
        ("engine.workers", params.engine.workers, 1),
        ("engine.buckets", params.engine.buckets, 1),
        ("evaluate.bootstrap", params.evaluate.bootstrap, 20),
        ("monitor.customers", params.monitor.customers, 1),
        ("monitor.false_alarms", params.monitor.false_alarms, 0),
        ("tune.trials", params.tune.trials, 1),
        ("tune.seconds", params.tune.seconds, 1),
        ("tune.customers", params.tune.customers, 1),
    ):
        if value < least:
            raise BadParams(f"params.yaml: {name} is {value}; it must be at least {least}.")


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
    if kind is float and type(value) is int:
        return float(value)
    return value if _fits(kind, value) else _refuse(kind, value, at)


def _read_union(kind: object, value: object, at: str) -> object:
    kinds = typing.get_args(kind)
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
        raise BadParams(f"params.yaml: {place}unknown {', '.join(unknown)}. Known: {', '.join(fields)}.")
    required = {
        n for n, f in fields.items() if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    }
    if missing := sorted(required - set(value)):
        raise BadParams(f"params.yaml: {place}{', '.join(missing)} missing.")
    hints = typing.get_type_hints(kind)
    return kind(**{n: _read(hints[n], v, f"{at}.{n}" if at else n) for n, v in value.items()})
