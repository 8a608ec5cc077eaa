"""``/desk/customers``: the list, and its export."""

from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse

from fedelta.serve.acting.notes import find_notes
from fedelta.serve.acting.playbooks import list_playbooks
from fedelta.serve.caller.auth import needs
from fedelta.serve.caller.problems import Problem
from fedelta.serve.caller.scopes import Caller
from fedelta.serve.desk.cases import cases_of, owners
from fedelta.serve.desk.list_page import NOTES, Seen, pieces
from fedelta.serve.desk.listed import ROWS, Column, Listed
from fedelta.serve.desk.page import Page, answered, open_page
from fedelta.serve.desk.rows import Due
from fedelta.serve.desk.views import counted, stored_views
from fedelta.serve.routes.at_risk import MEDIA_TYPES
from fedelta.serve.routes.direct import direct
from fedelta.serve.snapshots import exports
from fedelta.serve.snapshots.kept import Kept
from fedelta.serve.snapshots.listing import Position, cursor, read_cursor
from fedelta.serve.snapshots.read import SnapshotFile
from fedelta.serve.snapshots.spreadsheet import MOST_ROWS
from fedelta.serve.store import Snapshot

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

router = APIRouter()
_ids: Kept[list[str]] = Kept(1_000)  # of pages


async def list_customers(request: Request, caller: Annotated[Caller, Depends(needs("read:list"))]) -> Response:
    """Show a page of the list."""
    page = await open_page(request, caller)
    listed = Listed.asked(request, page.words)
    request.scope["state"]["audit"] = listed.noted
    after, snapshot = 0, page.snapshot
    if listed.query.cursor:
        at = read_cursor(listed.query.cursor, listed.wanted)
        after, snapshot = at.rank, await page.store.kept(caller.tenant, at.snapshot_id)
    return await page.store.off_loop(_shown, page, snapshot, listed, after)


def add_routes(router: APIRouter) -> None:
    """Add the route of the list to the service's own: an included router would match its path anew."""
    router.add_api_route(
        "/desk/customers",
        list_customers,
        methods=["GET"],
        include_in_schema=False,
        route_class_override=direct(list_customers, "read:list"),
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


def _shown(page: Page, snapshot: Snapshot, listed: Listed, after: int) -> Response:
    """The page of the list after a rank. For worker threads: what it waits for, it waits for in one of them."""
    made = pieces(snapshot.file, _seen(page, snapshot, listed, after))
    return answered(page.request, 200, partial(made.plain, page.token), partial(made.gzipped, page.token))


def _seen(page: Page, snapshot: Snapshot, listed: Listed, after: int) -> Seen:
    file, tenant = snapshot.file, page.caller.tenant
    found, total = listed.page(file, after, ROWS + 1)
    shown = found[:ROWS]
    places = tuple(row for _, row in shown)
    ids = _ids.get(file, places, partial(_ids_at, file, places))
    searched = None if after else listed.query.q

    def ask(connection: sa.Connection) -> tuple[Any, ...]:
        return (
            cases_of(connection, tenant, ids),
            owners(connection, tenant),
            list_playbooks(connection, tenant),
            find_notes(connection, tenant, searched, NOTES) if searched else (),
            stored_views(connection, page.person),
        )

    cases, people, playbooks, notes, views = page.store.answered(ask)
    following = None
    if len(found) > ROWS:
        following = cursor(listed.wanted, Position(snapshot.snapshot_id, shown[-1][0]))
    due: dict[str, Due] = {
        name: (people.get(owner, owner) if owner else "", due_on) for name, (owner, due_on) in cases.items()
    }
    return Seen(
        page.frame,
        page.words.language,
        listed,
        not after,
        total,
        tuple(listed.counts(file).values()),
        following,
        places,
        tuple(map(snapshot.live.by_row.get, places)),
        tuple(map(due.get, ids)),
        tuple(people.items()),
        tuple(playbooks),
        tuple(notes),
        tuple(counted(page, views)),
    )


def _ids_at(file: SnapshotFile, places: tuple[int, ...]) -> list[str]:
    """The ids of the customers at rows of the scores file."""
    return file.column("customer_id").gather(file.column("position").gather(list(places))).to_list()
