"""One JSON line per request, and our other log lines as JSON. Templates of routes, never paths: no customer's id."""

import logging
import sys
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import orjson

from fedelta.serve.caller.batches import Batches

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "fedelta.serve.caller.access_log.JsonLines"}},
    "handlers": {"error": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stderr"}},
    "loggers": {
        "uvicorn": {"handlers": ["error"], "level": "WARNING", "propagate": False},
        "fedelta": {"handlers": ["error"], "level": "INFO", "propagate": False},
    },
}


class Line(NamedTuple):
    """What is logged of one request."""

    at: float  # seconds since 1970
    request_id: str
    method: str
    route: str | None  # the template; None where there is no route
    status: int
    milliseconds: float
    caller: str | None
    tenant: str | None
    peer: str
    sent: int  # bytes of the body
    complete: bool  # False when the client left first


class AccessLog:
    """Lines of requests, written by a thread. A line that finds a full queue is dropped and counted."""

    def __init__(self, to: str, lost: Callable[[str, int], None] | None = None, *, most: int = 50_000) -> None:
        self._file: TextIO = sys.stderr if to == "-" else Path(to).open("a", encoding="utf-8")  # noqa: SIM115 (open as long as we are)
        self._own = to != "-"
        self._lines: Batches[Line] = Batches("access log", self._write, most=most, lost=lost)
        self.add = self._lines.add

    @property
    def dropped(self) -> int:
        """Lines that were not written."""
        return self._lines.dropped

    def close(self) -> None:
        """Write what is left."""
        self._lines.close()
        if self._own:
            self._file.close()

    def _write(self, lines: list[Line]) -> None:
        self._file.write("".join([_text(line) for line in lines]))
        self._file.flush()


class JsonLines(logging.Formatter):
    """A record as one JSON line. Of an exception: its kind and where it came from; its words might hold data."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        line: dict[str, object] = {
            "at": _time(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info and (error := record.exc_info[1]) is not None:
            line["exception"] = type(error).__qualname__
            line["trace"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames(error)]
        return orjson.dumps(line).decode()


def frames(error: BaseException) -> Sequence[traceback.FrameSummary]:
    """Where an exception came from, the innermost last."""
    return traceback.extract_tb(error.__traceback__)


def _text(line: Line) -> str:
    document = line._asdict()
    document["at"] = _time(line.at)
    document["milliseconds"] = round(line.milliseconds, 3)
    return orjson.dumps(document).decode() + "\n"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
