"""Errors whose message tells the user everything: what was expected, what came, what to do."""

from collections.abc import Iterable
from difflib import get_close_matches


class FedeltaError(Exception):
    """Shown as one line, without a traceback."""


def meant(name: str, known: Iterable[str]) -> str:
    """The question whether a known name was meant, where one is spelt much like `name`; else nothing."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.75)
    return f" Did you mean {close[0]}?" if close else ""


def yaml_mistake(error: Exception) -> str:
    """What a YAML parser complains of and in which line, without its excerpts and its advice to programmers."""
    problem, mark = getattr(error, "problem", None), getattr(error, "problem_mark", None)
    if not problem or mark is None:
        return " ".join(str(error).split())
    return f"line {mark.line + 1}, column {mark.column + 1}: {' '.join(str(problem).split())}"
