"""Which settings of params.yaml a stage reads: noted as it runs."""

import dataclasses
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from fedelta.pipeline import params
from fedelta.pipeline.params import Params


class Noted:
    """Settings by their path in params.yaml, as `churn.definition`, that were read since they were last cleared."""

    def __init__(self) -> None:
        self.read: set[str] = set()
        self._paths: dict[int, str] = {}
        self._held: list[Any] = []  # so that no other object takes an id
        self._on = False

    def load(self, *given: Any, **named: Any) -> Params:
        """`load_params`, whose own checks read every setting and are not noted."""
        self._on = False
        loaded = params.load_params(*given, **named)
        self._name(loaded, "")
        self._on = True
        return loaded

    def _name(self, value: Any, path: str) -> None:
        begin = f"{path}." if path else ""
        if dataclasses.is_dataclass(value):
            self._paths[id(value)] = begin
            self._held.append(value)
            for one in dataclasses.fields(value):
                self._name(getattr(value, one.name), begin + one.name)
        elif isinstance(value, Mapping):
            for name, one in value.items():
                self._name(one, f"{begin}{name}")

    def note(self, owner: Any, name: str, value: Any) -> None:
        """A field was read; one that holds settings counts when one of those is."""
        begin = self._paths.get(id(owner))
        if self._on and begin is not None and not dataclasses.is_dataclass(value):
            self.read.add(begin + name)


@contextmanager
def noted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Noted]:
    """Note what is read of settings within, by every module of the project that has been imported."""
    notes = Noted()
    with monkeypatch.context() as patched:
        for module in [*sys.modules.values()]:
            if getattr(module, "load_params", None) is params.load_params and module is not params:
                patched.setattr(module, "load_params", notes.load)
        for kind in _kinds():
            patched.setattr(kind, "__getattribute__", _noting(kind, notes))
        yield notes


def _kinds() -> set[type]:
    """The classes of settings."""
    found: set[type] = set()
    waiting: list[Any] = [params.load_params()]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            waiting += value.values()
        elif dataclasses.is_dataclass(value):
            found.add(type(value))
            waiting += [getattr(value, one.name) for one in dataclasses.fields(value)]
    return found


def _noting(kind: type, notes: Noted) -> Callable[[Any, str], Any]:
    names = {one.name for one in dataclasses.fields(kind)}

    def get(owner: Any, name: str) -> Any:
        value = object.__getattribute__(owner, name)
        if name in names:
            notes.note(owner, name, value)
        return value

    return get
