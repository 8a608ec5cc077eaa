"""Scores as pages show them: documents of a snapshot, their reasons in the reader's language."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from fedelta.serve.desk.words import Words
from fedelta.serve.store import Snapshot

Score = Mapping[str, Any]  # a score document, as serve.snapshots.document.MEANING has it


@dataclass(frozen=True)
class Reason:
    """A reason of a score."""

    text: str
    raises: bool
    code: str
    theme: str | None
    contribution: float
    value: float | None
    peer_median: float | None
    date: str | None


def scores(snapshot: Snapshot, rows: Iterable[int]) -> list[Score]:
    """The latest scores of the customers at some rows of the scores file."""
    return [orjson.loads(document) for document in documents(snapshot, rows)]


def documents(snapshot: Snapshot, rows: Iterable[int]) -> Iterator[bytes]:
    """As ``scores``, as they are stored."""
    live = snapshot.live.by_row
    return (live.get(row) or snapshot.file.body(row) for row in rows)


def reasons(score: Score, words: Words) -> list[Reason]:
    """The reasons of a score in words, those first that raise the risk; the rest of it is none."""
    text = "text_it" if words.language == "it" else "text"
    found = [
        Reason(
            each.get(text) or each["text"],
            (each["contribution"] or 0.0) > 0 if each["direction"] is None else each["direction"] == "raises",
            each["code"],
            each["theme"],
            each["contribution"] or 0.0,
            each["value"],
            each["peer_median"],
            each["date"],
        )
        for each in score["reasons"] or ()
        if each["text"] and each["code"] != "rest"
    ]
    return sorted(found, key=lambda reason: not reason.raises)
