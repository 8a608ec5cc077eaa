"""``/desk/customers``: the list, and its export."""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal, get_args

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse

from fedelta.features.contract import RISK_TIERS, Action
from fedelta.serve.acting.notes import find_notes
from fedelta.serve.acting.playbooks import list_playbooks
from fedelta.serve.caller.auth import needs
from fedelta.serve.caller.problems import Problem
from fedelta.serve.caller.scopes import Caller
from fedelta.serve.desk.cases import cases_of, owners
from fedelta.serve.desk.listed import COLUMNS, ROWS, TABS, Column, Listed, Tab
from fedelta.serve.desk.page import Page, open_page
from fedelta.serve.desk.rows import About, rows
from fedelta.serve.desk.scored import documents
from fedelta.serve.desk.views import counted, stored_views
from fedelta.serve.desk.words import N_
from fedelta.serve.routes.at_risk import MEDIA_TYPES
from fedelta.serve.snapshots import exports
from fedelta.serve.snapshots.listing import Journey, JourneyStage, LoyaltyClass, Position, cursor, read_cursor
from fedelta.serve.snapshots.read import SnapshotFile
from fedelta.serve.snapshots.spreadsheet import MOST_ROWS
from fedelta.serve.store import Snapshot

NOTES = 20  # that hold what is searched for
SORTS = {
    "value_at_risk": N_("Most at stake"),
    "probability": N_("Highest risk"),
    "delta": N_("Risk rose most"),
    "expected_profit": N_("Most profit from a contact"),
}
# The columns of an export, by those that are shown: those of CSV.
EXPORTED: dict[Column, tuple[str, ...]] = {
    "risk": ("churn_probability", "risk_tier", "previous_probability", "delta"),
    "value": ("value_at_risk", "win_back_value", "currency"),
    "clv": ("clv_expected", "clv_low", "clv_high", "clv_horizon_days"),
    "spent": ("historic_value",),
    "reasons": ("reasons",),
    "bad": ("last_bad_experience_at", "last_bad_experience", "open_issue"),
    "case": (),
    "action": ("action", "offer", "expected_profit", "contact_on"),
    "next": ("expected_next_order_at", "next_categories"),
    "journey": ("journey", "journey_stage"),
    "persona": ("persona",),
    "loyalty": ("loyalty_class", "loyalty_score"),
    "team": ("team",),
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

router = APIRouter()


@dataclass(frozen=True)
class Seen:
    """A page of the list. ``following`` continues it; ``counts`` are those of the tabs."""

    ids: list[str]
    documents: list[bytes]
    total: int
    counts: dict[Tab, int]
    following: str | None


@router.get("/desk/customers", include_in_schema=False)
async def list_customers(request: Request, caller: Annotated[Caller, Depends(needs("read:list"))]) -> Response:
    """Show a page of the list."""
    page = await open_page(request, caller)
    listed = Listed.asked(request, page.words)
    request.scope["state"]["audit"] = listed.noted
    after, snapshot = 0, page.snapshot
    if listed.query.cursor:
        at = read_cursor(listed.query.cursor, listed.query.wanted())
        after, snapshot = at.rank, await page.store.kept(caller.tenant, at.snapshot_id)
    seen = await page.store.off_loop(_seen, page, snapshot, listed, after)
    searched = None if after else listed.query.q
    held, people, playbooks, notes, views = await page.store.read(
        lambda connection: (
            cases_of(connection, caller.tenant, seen.ids),
            owners(connection, caller.tenant),
            list(list_playbooks(connection, caller.tenant)),
            find_notes(connection, caller.tenant, searched, NOTES) if searched else [],
            stored_views(connection, page.person),
        )
    )
    facets = _facets(snapshot.file)
    columns = tuple((name, page.words.gettext(COLUMNS[name])) for name in listed.columns)
    about = About(
        page.words.language,
        page.root,
        columns,
        listed.query.shown == "probably_gone",
        page.may("write:cases"),
    )
    due = {name: (people.get(case.owner, case.owner) if case.owner else "", case.due_on) for name, case in held.items()}
    return await page.show(
        "customers.html.jinja",
        listed=listed,
        seen=seen,
        rows=partial(rows, snapshot.file, about, listed.text, zip(seen.documents, map(due.get, seen.ids), strict=True)),
        begun=not after,
        owners=people,
        playbooks=playbooks,
        notes=notes,
        most_notes=NOTES,
        columns=columns,
        all_columns=COLUMNS,
        tabs=TABS,
        sorts=SORTS,
        facets=facets,
        chips=_chips(page, listed, facets),
        views=await page.store.off_loop(counted, page, views) if views else [],
    )


@router.get("/desk/customers.{form}", include_in_schema=False)
async def export_customers(
    form: Literal["csv", "xlsx"], request: Request, caller: Annotated[Caller, Depends(needs("read:list"))]
) -> Response:
    """Send the whole list as a file, with the columns that are shown: a list to contact customers by.

    Nobody is in it who must not be contacted: the control group, who opted out and who was contacted lately.
    """
    page = await open_page(request, caller)
    listed = Listed.asked(request, page.words)
    file = page.snapshot.file
    ranks, rows = await page.store.off_loop(listed.whole, file, to_contact=True)
    if form == "xlsx" and len(rows) > MOST_ROWS:
        message = page.words.gettext("A sheet holds %(most)s customers, and these are more: take CSV.")
        raise Problem(422, "invalid", message % {"most": page.words.number(MOST_ROWS)})
    names = ("customer_id", *(name for column in listed.columns for name in EXPORTED[column]))
    request.scope["state"]["audit"] = {**listed.noted, "customers": len(rows), "columns": names}
    pieces = (
        exports.csv(file, ranks, rows, names, bom=True) if form == "csv" else exports.xlsx(file, ranks, rows, names)
    )
    headers = {"content-disposition": f'attachment; filename="customers-{page.snapshot.snapshot_id}.{form}"'}
    return StreamingResponse(_sent(page, pieces), headers=headers, media_type=MEDIA_TYPES[form])


async def _sent(page: Page, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    while (piece := await page.store.off_loop(next, pieces, None)) is not None:
        yield piece


def _seen(page: Page, snapshot: Snapshot, listed: Listed, after: int) -> Seen:
    file = snapshot.file
    found, total = listed.page(file, after, ROWS + 1)
    shown = found[:ROWS]
    places = [row for _, row in shown]
    ids = file.column("customer_id").gather(file.column("position").gather(places)).to_list()
    following = None
    if len(found) > ROWS:
        following = cursor(listed.query.wanted(), Position(snapshot.snapshot_id, shown[-1][0]))
    return Seen(ids, list(documents(snapshot, places)), total, listed.counts(file), following)


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


def _chips(page: Page, listed: Listed, facets: list[Facet]) -> list[tuple[str, str]]:
    """The filters that are set: in words, and the list's query string without each."""
    titles = {name: title for name, title, _ in facets}
    words, query = page.words, listed.query
    say = words.gettext
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
