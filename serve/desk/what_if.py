"""``/desk/what-if/ID``: the score of a customer had the last bad experience not been, or been settled at once."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

import orjson
from fastapi import APIRouter, Depends, Request, Response

from fedelta.features.contract import INTERACTIONS
from fedelta.serve.caller.auth import needs
from fedelta.serve.caller.problems import Problem
from fedelta.serve.caller.scopes import Caller
from fedelta.serve.desk.lived import interactions_of
from fedelta.serve.desk.page import Page, open_page
from fedelta.serve.desk.scored import Score
from fedelta.serve.desk.words import N_
from fedelta.serve.live.pool import Busy, NotEquipped, Pool
from fedelta.serve.live.rows import Columns
from fedelta.serve.live.worker import Batch, CannotScore, Customer
from fedelta.serve.operational.received import received_of
from fedelta.serve.snapshots.histories import Histories
from fedelta.serve.snapshots.parts import Parts

WAYS: dict[Literal["without", "resolved"], str] = {
    "without": N_("Without it"),
    "resolved": N_("Settled at once"),
}

router = APIRouter()


@dataclass(frozen=True)
class Otherwise:
    """A score that would have been; None where there is nothing to change that way."""

    title: str
    score: Score | None


@router.get("/desk/what-if/{customer_id:path}", include_in_schema=False)
async def show_what_if(
    customer_id: str, request: Request, caller: Annotated[Caller, Depends(needs("read:score"))]
) -> Response:
    """Show what the model associates with the history, had its last bad experience been otherwise."""
    page = await open_page(request, caller)
    found = await page.store.off_loop(page.snapshot.documents, [customer_id])
    if customer_id not in found or (parts := scorable(page)) is None:
        raise Problem(404, "not-found", page.words.gettext("There is no such page."))
    received = await page.store.read(lambda connection: received_of(connection, caller.tenant, [customer_id]))
    known = await page.store.off_loop(_known, page, parts, customer_id, received.get(customer_id, ()))
    score = orjson.loads(found[customer_id])
    as_of = datetime.fromisoformat(score["as_of"])
    scores = [Otherwise(title, await _scored(page, parts, *known, as_of, how)) for how, title in WAYS.items()]
    return await page.show("what_if.html.jinja", customer_id=customer_id, score=score, otherwise=scores)


def scorable(page: Page) -> Parts | None:
    """What the current run is scored by, with histories, where this service can score; else None."""
    pool: Pool = page.request.app.state.pool
    try:
        pool.check()
    except NotEquipped:
        return None
    parts = page.snapshot.parts
    return parts if parts is not None and parts.histories is not None else None


async def _scored(
    page: Page, parts: Parts, customer: Customer, rows: Columns, as_of: datetime, how: Literal["without", "resolved"]
) -> Score | None:
    pool: Pool = page.request.app.state.pool
    batch = Batch(parts, page.snapshot.snapshot_id, (customer,), rows, as_of, explain=False, what_if=how)
    try:
        (answer,) = await pool.score(batch)
    except CannotScore:
        return None
    except Busy:
        raise Problem(
            503, "unavailable", page.words.gettext("Too much waits to be scored just now. Try again in a moment.")
        ) from None
    score: Score = orjson.loads(answer.document)
    return score


def _known(page: Page, parts: Parts, customer_id: str, received: Sequence[bytes]) -> tuple[Customer, Columns]:
    """A customer, and what the customer went through."""
    assert parts.histories is not None
    with closing(Histories(Path(parts.histories))) as histories:
        customers = histories.customers([customer_id])
    row = next(iter(customers.to_dicts()), {}) if customers is not None else {}
    attributes = {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in row.items()
        if name not in {"customer_id", "opted_out"}
    }
    lived = interactions_of(page, customer_id, received, None)
    columns = {name: [each[name] for each in lived] for name in INTERACTIONS if name != "customer_id"}
    for name in ("amount", "margin"):
        columns[name] = [None if value is None else Decimal(str(value)) for value in columns[name]]
    return Customer(customer_id, attributes, row.get("opted_out")), {
        "customer_id": [customer_id] * len(lived),
        **columns,
    }
