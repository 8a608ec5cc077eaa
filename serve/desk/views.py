"""Saved views: lists with a name, private or shared. A view is an address, so it shows whatever run is current."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Request, Response

from fedelta.serve.caller.auth import needs
from fedelta.serve.caller.problems import Problem
from fedelta.serve.caller.scopes import Caller
from fedelta.serve.desk.forms import field, posted
from fedelta.serve.desk.listed import Listed
from fedelta.serve.desk.page import Page, open_page
from fedelta.serve.operational.statements import Prepared
from fedelta.serve.operational.stored_sessions import Person
from fedelta.serve.operational.tables import now, views

MOST = 100  # of a person, and shown

router = APIRouter()

_VIEWS = Prepared(
    sa.select(views.c.view_id, views.c.name, views.c.query, views.c.shared, views.c.user_id)
    .where(views.c.tenant == sa.bindparam("tenant"), sa.or_(views.c.user_id == sa.bindparam("person"), views.c.shared))
    .order_by(sa.func.lower(views.c.name), views.c.view_id)
    .limit(MOST)
)


@dataclass(frozen=True)
class View:
    """A saved view; ``count``: how many customers it has now, None where it no longer can be shown."""

    view_id: int
    name: str
    query: str
    shared: bool
    own: bool
    count: int | None = None


async def views_of(page: Page) -> list[View]:
    """The views that the reader has, and those that others share, by name."""
    found = await page.store.read(lambda connection: stored_views(connection, page.person))
    return await page.store.off_loop(counted, page, found)


def stored_views(connection: sa.Connection, person: Person) -> list[View]:
    """As ``views_of``, still to be ``counted``."""
    rows = _VIEWS.rows(connection, tenant=person.tenant, person=person.user_id)
    return [View(number, name, query, bool(shared), by == person.user_id) for number, name, query, shared, by in rows]


def counted(page: Page, found: Iterable[View]) -> list[View]:
    """Views as pages show them."""
    return [replace(view, count=_count(page, view.query)) for view in found]


@router.post("/desk/views", include_in_schema=False)
async def save_view(request: Request, caller: Annotated[Caller, Depends(needs("read:list"))]) -> Response:
    """Give a list a name."""
    page, form = await open_page(request, caller), await posted(request)
    name, listed = field(form, "name", 100), Listed.stored(field(form, "query"), page.words)
    if not name:
        raise Problem(422, "invalid", page.words.gettext("A view needs a name."))
    mine = sa.select(sa.func.count()).where(views.c.user_id == page.person.user_id)
    row = {
        "tenant": page.person.tenant,
        "user_id": page.person.user_id,
        "name": name,
        "query": listed.text,
        "shared": field(form, "shared") == "yes",
        "created_at": now(),
    }

    def insert(connection: sa.Connection) -> None:
        if connection.execute(mine).scalar_one() >= MOST:
            raise Problem(422, "invalid", page.words.gettext("You have a hundred views: remove one first."))
        connection.execute(views.insert().values(row))

    await page.change("view.saved", name, insert, shared=row["shared"], **listed.noted)
    return page.to(f"/desk/customers?{listed.text}", page.words.gettext("The view is saved."))


@router.post("/desk/views/remove", include_in_schema=False)
async def remove_view(request: Request, caller: Annotated[Caller, Depends(needs("read:list"))]) -> Response:
    """Remove a view of the reader's own."""
    page, form = await open_page(request, caller), await posted(request)
    number = field(form, "view_id", 18)
    own = views.delete().where(views.c.user_id == page.person.user_id)

    def remove(connection: sa.Connection) -> None:
        if not number.isdecimal() or not connection.execute(own.where(views.c.view_id == int(number))).rowcount:
            raise Problem(404, "not-found", page.words.gettext("There is no such view of yours."))

    await page.change("view.removed", number, remove)
    return page.to("/desk/customers", page.words.gettext("The view is removed."))


def _count(page: Page, query: str) -> int | None:
    if page.latest is None:
        return None
    try:
        return Listed.stored(query, page.words).count(page.latest.file)
    except Problem:  # it was saved by another version
        return None
