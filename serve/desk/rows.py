"""Rows of the list as markup, kept: people come back to a list from a customer, and several look at one list."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote

import orjson
from markupsafe import Markup

from fedelta.serve.desk.environment import environment
from fedelta.serve.desk.scored import reasons
from fedelta.serve.desk.words import words
from fedelta.serve.snapshots.kept import Kept
from fedelta.serve.snapshots.read import SnapshotFile

MOST_REASONS = 3  # of a customer
_LIST = "<list>"  # stands in kept rows for the list they are seen in; what is escaped is never this

Due = tuple[str, str | None]  # the owner's name, empty for nobody, and the day that a case is due


@dataclass(frozen=True)
class About:
    """What rows of lists have in common; ``columns``: name and title."""

    language: str
    root: str
    columns: tuple[tuple[str, str], ...]
    gone: bool
    acts: bool


_kept: Kept[Markup] = Kept(5_000)  # 15 MB of a scoring run


def row(about: About, document: bytes, case: Due | None) -> Markup:
    """The row of a customer, of whom this is the score."""
    score = orjson.loads(document)
    first = reasons(score, words(about.language))[:MOST_REASONS]
    template = environment(about.language).get_template("rows.html.jinja")
    found: Markup = template.module.row(about, score, first, case, _LIST)  # type: ignore[attr-defined]
    return found


def rows(file: SnapshotFile, about: About, listed: str, shown: Iterable[tuple[bytes, Due | None]]) -> Markup:
    """The rows of customers of a scoring run, who are seen in the list of this query string."""
    text = "".join(_kept.get(file, (about, *one), partial(row, about, *one)) for one in shown)
    return Markup(text.replace(_LIST, quote(listed, safe="")))  # noqa: S704 (escaped by the template, and quoted)
