"""``/desk/digests``: which views the reader hears of, and when; links that end it without signing in."""

from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Request, Response

from fedelta.serve.caller.auth import needs
from fedelta.serve.caller.problems import Problem
from fedelta.serve.caller.scopes import Caller
from fedelta.serve.desk.digests import KINDS, PATH, unsubscribe
from fedelta.serve.desk.forms import field, posted
from fedelta.serve.desk.page import open_page, rendered
from fedelta.serve.desk.views import views_of
from fedelta.serve.desk.words import preferred, words
from fedelta.serve.operational.tables import now, subscriptions, views
from fedelta.serve.store import Store

router = APIRouter()


@router.get("/desk/digests", include_in_schema=False)
async def show_digests(request: Request, caller: Annotated[Caller, Depends(needs("read:list"))]) -> Response:
    """Show what the reader hears of."""
    page = await open_page(request, caller)
    own = (
        sa.select(subscriptions, views.c.name)
        .join(views, views.c.view_id == subscriptions.c.view_id)
        .where(subscriptions.c.user_id == page.person.user_id)
        .order_by(subscriptions.c.subscription_id)
    )
    found = await page.store.read(lambda connection: connection.execute(own).all())
    return await page.show("digests.html.jinja", found=found, views=await views_of(page), kinds=KINDS)


@router.post("/desk/digests", include_in_schema=False)
async def subscribe(request: Request, caller: Annotated[Caller, Depends(needs("read:list"))]) -> Response:
    """Have the reader hear of a view."""
    page, form = await open_page(request, caller), await posted(request)
    zone, hour, view = field(form, "zone", 60), field(form, "hour", 2), field(form, "view_id", 15)
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Problem(422, "invalid", page.words.gettext("That time zone is not known.")) from None
    allowed = {str(one.view_id) for one in await views_of(page)}
    kind = field(form, "kind", 10)
    if view not in allowed or kind not in KINDS or not hour.isdecimal() or int(hour) > 23:
        raise Problem(422, "invalid", page.words.gettext("Choose a view, what of it, and an hour."))
    row = {
        "tenant": page.person.tenant, "user_id": page.person.user_id, "view_id": int(view), "kind": kind,
        "days": "12345" if field(form, "weekdays") == "yes" else "1234567", "hour": int(hour), "time_zone": zone,
        "reported_at": None, "reported_in": page.snapshot.snapshot_id, "created_at": now(),
    }  # fmt: skip
    same = sa.and_(*(subscriptions.c[name] == row[name] for name in ("user_id", "view_id", "kind")))

    def insert(connection: sa.Connection) -> None:
        connection.execute(subscriptions.delete().where(same))
        connection.execute(subscriptions.insert().values(row))

    await page.change("digest.subscribed", view, insert, kind=kind)
    return page.to("/desk/digests", page.words.gettext("You will hear of it."))


@router.post("/desk/digests/remove", include_in_schema=False)
async def remove(request: Request, caller: Annotated[Caller, Depends(needs("read:list"))]) -> Response:
    """Have the reader hear of a view no more."""
    page, form = await open_page(request, caller), await posted(request)
    number = field(form, "subscription_id", 15)
    own = subscriptions.delete().where(subscriptions.c.user_id == page.person.user_id)

    def delete(connection: sa.Connection) -> None:
        if (
            not number.isdecimal()
            or not connection.execute(own.where(subscriptions.c.subscription_id == int(number))).rowcount
        ):
            raise Problem(404, "not-found", page.words.gettext("There is no such digest of yours."))

    await page.change("digest.removed", number, delete)
    return page.to("/desk/digests", page.words.gettext("You will hear of it no more."))


@router.get(f"{PATH}/{{token}}", include_in_schema=False)
async def ask(token: str, request: Request) -> Response:
    """Ask whether to end a subscription: opening a link changes nothing, since programs open links too."""
    return _bare(request, done=False)


@router.post(f"{PATH}/{{token}}", include_in_schema=False)
async def end(token: str, request: Request) -> Response:
    """End a subscription: the button of a mail program sends this (RFC 8058), without signing in."""
    store: Store = request.app.state.store
    if not await store.write(lambda connection: unsubscribe(connection, token)):
        raise Problem(404, "not-found", "There is no such link of ours.")
    return _bare(request, done=True)


def _bare(request: Request, *, done: bool) -> Response:
    spoken = words(preferred(request.headers.get("accept-language", "")))
    values = {"root": request.scope.get("root_path", ""), "done": done, "path": request.url.path}
    return rendered(request, "unsubscribe.html.jinja", spoken, 200, values)
