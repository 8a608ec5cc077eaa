"""``/desk/settings``: the reader's language, shortcuts and password."""

from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Request, Response

from fedelta.serve.caller.auth import needs
from fedelta.serve.caller.callers import Callers
from fedelta.serve.caller.problems import Problem
from fedelta.serve.caller.scopes import Caller
from fedelta.serve.desk.forms import field, posted, secret_of
from fedelta.serve.desk.page import open_page
from fedelta.serve.desk.passwords import LONGEST, SHORTEST, hashed
from fedelta.serve.desk.sessions import who_has
from fedelta.serve.desk.sign_in import may_try
from fedelta.serve.desk.words import LANGUAGES, words
from fedelta.serve.operational.stored_sessions import session_digest
from fedelta.serve.operational.tables import sessions, users

router = APIRouter()


@router.get("/desk/settings", include_in_schema=False)
async def show_settings(request: Request, caller: Annotated[Caller, Depends(needs("read:list"))]) -> Response:
    """Show the reader's settings."""
    page = await open_page(request, caller)
    return await page.show("settings.html.jinja", languages=LANGUAGES, shortest=SHORTEST)


@router.post("/desk/settings", include_in_schema=False)
async def save_settings(request: Request, caller: Annotated[Caller, Depends(needs("read:list"))]) -> Response:
    """Store the reader's language and whether shortcuts are on."""
    page, form = await open_page(request, caller), await posted(request)
    language = field(form, "language") or None
    if language is not None and language not in LANGUAGES:
        raise Problem(422, "invalid", page.words.gettext("That language is not there."))
    values = {"language": language, "shortcuts": field(form, "shortcuts") == "yes"}
    own = users.update().where(users.c.user_id == page.person.user_id).values(values)
    await page.change("user.settings", page.person.email, lambda connection: connection.execute(own), **values)
    _forget(request)
    return page.to("/desk/settings", (words(language) if language else page.words).gettext("The settings are saved."))


@router.post("/desk/settings/password", include_in_schema=False)
async def change_password(request: Request, caller: Annotated[Caller, Depends(needs("read:list"))]) -> Response:
    """Store another password, and end the reader's other sessions."""
    page, form = await open_page(request, caller), await posted(request)
    person, new = page.person, str(form.get("new", ""))
    if not SHORTEST <= len(new) <= LONGEST:
        message = page.words.gettext("A password has %(least)s characters or more.")
        raise Problem(422, "invalid", message % {"least": SHORTEST})
    old = str(form.get("old", ""))[:LONGEST]
    if not may_try(request, person.email):
        raise Problem(429, "too-many-requests", page.words.gettext("Too many attempts. Try again in a few minutes."))
    if await page.store.read(lambda connection: who_has(connection, person.email, old)) is None:
        raise Problem(422, "invalid", page.words.gettext("The present password is another one."))
    secret = secret_of(request)
    assert secret is not None
    kept = await page.store.off_loop(hashed, new)
    others = sa.and_(sessions.c.user_id == person.user_id, sessions.c.digest != session_digest(secret.decode()))

    def change(connection: sa.Connection) -> None:
        connection.execute(users.update().where(users.c.user_id == person.user_id).values(password=kept))
        connection.execute(sessions.delete().where(others))

    await page.change("user.password_changed", person.email, change)
    return page.to("/desk/settings", page.words.gettext("The password is changed."))


def _forget(request: Request) -> None:
    """Have the session looked up anew, so that the next page is of the new settings."""
    callers: Callers = request.app.state.callers
    secret = secret_of(request)
    assert secret is not None
    callers.forget(secret)
