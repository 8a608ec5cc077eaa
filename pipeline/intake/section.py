"""A mapping of a source's YAML, read key by key: what is missing, of the wrong kind or not asked for is refused."""

import datetime as dt
from typing import Any, Literal, NoReturn

from fedelta.features.errors import FedeltaError, meant


class SourceError(FedeltaError):
    """A source, or the raw files behind it, cannot be read. The message is one line and says what to do."""


class Section:
    """A mapping of a YAML document that is read key by key; `close` refuses the keys nobody asked for."""

    def __init__(self, place: str, value: object) -> None:
        if not isinstance(value, dict):
            raise SourceError(f"{place} must be a section of names and values; it is {value!r}.")
        self.place = place
        self._values = {str(key): item for key, item in value.items()}
        self._read: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._values)

    def has(self, key: str) -> bool:
        return key in self._values

    def get(self, key: str, default: object) -> object:
        self._read.add(key)
        value = self._values.get(key)
        return default if value is None else value

    def like(self, key: str, default: Any) -> Any:
        """The value of `key`, of the type of `default`."""
        value = self.get(key, default)
        if type(value) is not type(default):
            self.refuse(key, value, {str: "text", bool: "true or false", int: "a whole number"}[type(default)])
        return value

    def text(self, key: str, default: str | None = None) -> str:
        value = self.get(key, default)
        if not isinstance(value, str) or (default is None and not value.strip()):
            self.refuse(key, value, "text")
        return value

    def whole(self, key: str, default: int, *, least: int) -> int:
        value = self.get(key, default)
        if type(value) is not int or value < least:
            self.refuse(key, value, f"a whole number of at least {least}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.refuse(key, value, "a list of texts")
        return tuple(value)

    def date_or_latest(self, key: str) -> dt.date | Literal["latest"]:
        value = self.get(key, "latest")
        if type(value) is dt.date:
            return value
        if value == "latest":
            return "latest"
        try:
            return dt.date.fromisoformat(value if isinstance(value, str) else "")
        except ValueError:
            self.refuse(key, value, "a date (2026-01-31) or 'latest'")

    def date(self, key: str) -> dt.date:
        """The date of `key`, which must be there; a date in quotes is one too."""
        value = self.get(key, None)
        try:
            read = dt.date.fromisoformat(value) if isinstance(value, str) else value
        except ValueError:
            read = None
        if type(read) is not dt.date:
            self.refuse(key, value, "a date (2026-01-31): the last day that the table describes")
        return read

    def number_or_dates(self, key: str, default: int) -> int | tuple[str, ...]:
        value = self.get(key, default)
        if not isinstance(value, list):
            return self.whole(key, default, least=1)
        try:
            return tuple(dt.date.fromisoformat(str(item)).isoformat() for item in value)
        except ValueError:
            self.refuse(key, value, "a number or a list of dates")

    def among(self, key: str, value: object, choices: tuple[str, ...]) -> str:
        if not isinstance(value, str) or value not in choices:
            self.refuse(key, value, f"one of {', '.join(choices)}")
        return value

    def mapping(self, key: str) -> dict[str, object]:
        value = self.get(key, {})
        if not isinstance(value, dict):
            self.refuse(key, value, "a section of names and values")
        return {str(name): item for name, item in value.items()}

    def section(self, key: str) -> "Section":
        return Section(f"{self.place}: {key}", self.mapping(key))

    def sections(self, key: str) -> dict[str, "Section"]:
        return {name: Section(f"{self.place}: {key}.{name}", item) for name, item in self.mapping(key).items()}

    def refuse(self, key: str, came: object, wanted: str) -> NoReturn:
        raise SourceError(f"{self.place}: {key} is {came!r}; it must be {wanted}.")

    def close(self, advice: str = "") -> None:
        """Refuse what nobody asked for: most often a misspelt key."""
        if unknown := sorted(set(self._values) - self._read):
            question = meant(unknown[0], self._read)
            advice = advice or f"Known: {', '.join(sorted(self._read))}."
            raise SourceError(f"{self.place}: unknown {', '.join(unknown)}.{question} {advice}")
