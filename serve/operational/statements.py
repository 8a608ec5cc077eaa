"""Statements of bounded size."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

AT_ONCE = 500
T = TypeVar("T")


def in_parts(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """As many at once as one statement takes."""
    for start in range(0, len(values), AT_ONCE):
        yield values[start : start + AT_ONCE]
