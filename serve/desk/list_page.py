"""A page of the list as it is sent, kept: people come back to a list from a customer, and several look at one list."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import get_args

from fedelta.features.contract import RISK_TIERS, Action
from fedelta.serve.acting.notes import Note
from fedelta.serve.desk.environment import environment
from fedelta.serve.desk.frame import Frame
from fedelta.serve.desk.listed import COLUMNS, TABS, Listed
from fedelta.serve.desk.pieces import TOKEN, Pieces
from fedelta.serve.desk.rows import About, Due, rows
from fedelta.serve.desk.views import View
from fedelta.serve.desk.words import N_, Words, words
from fedelta.serve.snapshots.kept import Kept
from fedelta.serve.snapshots.listing import Journey, JourneyStage, LoyaltyClass
from fedelta.serve.snapshots.read import SnapshotFile

NOTES = 20  # that hold what is searched for
SORTS = {
    "value_at_risk": N_("Most at stake"),
    "probability": N_("Highest risk"),
    "delta": N_("Risk rose most"),
    "expected_profit": N_("Most profit from a contact"),
}
# Filters by a column of the run: parameter, title, and values in our order (without one: in that of the alphabet).
FACETS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "risk_tier": ("tier", N_("Risk"), RISK_TIERS[::-1]),
    "journey": ("journey", N_("Journey"), get_args(Journey)),
    "journey_stage": ("journey_stage", N_("Stage"), get_args(JourneyStage)),
    "loyalty_class": ("loyalty_class", N_("Loyalty"), get_args(LoyaltyClass)),
    "action": ("action", N_("Suggested action"), get_args(Action)),
    "persona": ("persona", N_("Persona"), ()),
    "channel": ("channel", N_("Channel"), ()),
    "team": ("team", N_("Team"), ()),
}

Facet = tuple[str, str, Sequence[str]]


@dataclass(frozen=True)
class Seen:
    """All that a page of the list shows, beside what its scoring run says of the customers at ``places``.

    Two that are equal look the same, but for the token of their forms. What comes by customer is in their order.
    """

    frame: Frame
    language: str
    listed: Listed
    begun: bool  # whether it is the first page
    total: int
    counts: tuple[int, ...]  # of the tabs
    following: str | None  # continues it
    places: tuple[int, ...]  # rows of the scores file
    anew: tuple[bytes | None, ...]  # the document of each, where it was made anew since the run
    due: tuple[Due | None, ...]
    owners: tuple[tuple[str, str], ...]  # address and name
    playbooks: tuple[str, ...]
    notes: tuple[tuple[str, Note], ...]  # that hold what is searched for, each with its customer
    views: tuple[View, ...]


_kept: Kept[Pieces] = Kept(200)  # 15 MB of a scoring run


def pieces(file: SnapshotFile, seen: Seen) -> Pieces:
    """The page."""
    return _kept.get(file, seen, partial(_rendered, file, seen))


def _rendered(file: SnapshotFile, seen: Seen) -> Pieces:
    spoken, listed = words(seen.language), seen.listed
    facets = _facets(file)
    columns = tuple((name, spoken.gettext(COLUMNS[name])) for name in listed.columns)
    gone, acts = listed.query.shown == "probably_gone", seen.frame.may("write:cases")
    about = About(seen.language, seen.frame.root, columns, gone, acts)
    documents = (anew or file.body(place) for place, anew in zip(seen.places, seen.anew, strict=True))
    page = (
        environment(seen.language)
        .get_template("customers.html.jinja")
        .render(
            frame=seen.frame,
            token=TOKEN,
            root=seen.frame.root,
            listed=listed,
            seen=seen,
            rows=rows(file, about, listed.text, zip(documents, seen.due, strict=True)),
            names=dict(seen.owners),
            most_notes=NOTES,
            columns=columns,
            all_columns=COLUMNS,
            tabs=TABS,
            sorts=SORTS,
            facets=facets,
            chips=_chips(spoken, listed, facets),
        )
    )
    return Pieces(page)


def _facets(file: SnapshotFile) -> list[Facet]:
    """The filters by values that the run has: parameter, title, values."""
    found: list[Facet] = [
        (name, title, [each for each in order if each in met] if order else met)
        for column, (name, title, order) in FACETS.items()
        if (met := file.names.get(column, []))
    ]
    if themes := file.reasons_met("theme"):
        found.append(("theme", N_("Reason about"), themes))
    return found


def _chips(words: Words, listed: Listed, facets: list[Facet]) -> list[tuple[str, str]]:
    """The filters that are set: in words, and the list's query string without each."""
    titles = {name: title for name, title, _ in facets}
    query, say = listed.query, words.gettext
    texts = {
        "min_probability": lambda: say("Risk of %(share)s or more") % {"share": words.share(query.min_probability)},
        "min_value_at_risk": lambda: say("At stake %(amount)s or more")
        % {"amount": words.number(query.min_value_at_risk)},
        "min_clv": lambda: say("Expected spend %(amount)s or more") % {"amount": words.number(query.min_clv)},
        "min_delta": lambda: say("Risk up by %(points)s points or more")
        % {"points": words.number(100 * (query.min_delta or 0))},
        "q": lambda: say("Id with “%(text)s”") % {"text": query.q},
        "tier_changed_since": lambda: say("Tier changed since %(day)s") % {"day": words.day(query.tier_changed_since)},
        "has_open_issue": lambda: say("With an open issue") if query.has_open_issue else say("Without an open issue"),
        "holdout": lambda: {
            "exclude": say("Without the control group"), "only": say("Control group only"),
            "include": say("With the control group"),
        }[query.holdout],
        "suppressed": lambda: {
            "exclude": say("Without who must not be contacted"), "only": say("Only who must not be contacted"),
            "include": say("With who must not be contacted"),
        }[query.suppressed],
    }  # fmt: skip
    found = []
    for name, value in listed.items:
        if name in titles:
            text = f"{say(titles[name])}: {words.value(value)}"
        elif name in texts:
            text = texts[name]()
        else:
            continue
        found.append((text, listed.without(name, value)))
    return found
