"""A page of the desk: who reads it, in which language, of which scoring run, and how its template is rendered."""

import gzip
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote, unquote

from fastapi import Request, Response

from fedelta.serve.acting.customers import storable
from fedelta.serve.caller.guard import address_of
from fedelta.serve.caller.problems import Problem
from fedelta.serve.caller.scopes import Caller, PersonScope
from fedelta.serve.desk.environment import environment
from fedelta.serve.desk.forms import form_token, secret_of
from fedelta.serve.desk.reports import about
from fedelta.serve.desk.words import N_, Words, preferred, words
from fedelta.serve.operational.pointer import record
from fedelta.serve.operational.stored_sessions import Person
from fedelta.serve.routes.staleness import age_of
from fedelta.serve.store import NothingPublished, Snapshot, Store

T = TypeVar("T")

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {"content-security-policy": POLICY, "referrer-policy": "same-origin", "vary": "accept-encoding, cookie"}
_WORTH_COMPRESSING = 1_000  # bytes


@dataclass(frozen=True)
class Entry:
    """An entry of the navigation."""

    path: str
    title: str
    scope: PersonScope


NAVIGATION = (
    Entry("/desk", N_("My day"), "read:list"),
    Entry("/desk/cases", N_("Cases"), "read:list"),
    Entry("/desk/customers", N_("Customers"), "read:list"),
    Entry("/desk/changes", N_("Changes"), "read:list"),
    Entry("/desk/base", N_("The base"), "read:list"),
    Entry("/desk/campaigns", N_("Campaigns"), "manage"),
    Entry("/desk/team", N_("Team"), "manage"),
    Entry("/desk/health", N_("Model health"), "read:list"),
)


@dataclass(frozen=True)
class Page:
    """What a route of the desk works with, and its template too, as ``page``."""

    request: Request
    caller: Caller
    words: Words
    latest: Snapshot | None  # None: nothing is published

    @property
    def store(self) -> Store:
        """Where everything is read from."""
        store: Store = self.request.app.state.store
        return store

    @property
    def person(self) -> Person:
        """Who reads it."""
        assert self.caller.person is not None
        return self.caller.person

    @property
    def snapshot(self) -> Snapshot:
        """The current scoring run. Raises ``NothingPublished``."""
        if self.latest is None:
            raise NothingPublished
        return self.latest

    @property
    def root(self) -> str:
        """What stands before every address."""
        root: str = self.request.scope.get("root_path", "")
        return root

    @property
    def navigation(self) -> list[Entry]:
        """The entries that the reader may open."""
        return [entry for entry in NAVIGATION if entry.scope in self.caller.scopes]

    @property
    def stale(self) -> bool:
        """Whether the scores are older than the service allows."""
        return self.latest is not None and bool(age_of(self.latest, self.request)["stale"])

    @property
    def alarms(self) -> int:
        """How many things the monitor found out of the ordinary."""
        return 0 if self.latest is None else len(about(self.latest.about).get("alarms") or ())

    @property
    def token(self) -> str:
        """A token for a form."""
        secret = secret_of(self.request)
        assert secret is not None
        return form_token(secret)

    @property
    def address(self) -> str:
        """Where it is, below the root, to come back to."""
        return address_of(self.request.scope).removeprefix(self.root)

    def may(self, scope: PersonScope) -> bool:
        """Whether the reader has the scope."""
        return scope in self.caller.scopes

    def here(self, path: str) -> bool:
        """Whether an entry of the navigation is the one that this page belongs to."""
        own = self.request.url.path.removeprefix(self.root)
        return own == path or (path != "/desk" and own.startswith(f"{path}/"))

    async def show(self, template: str, status: int = 200, **values: object) -> Response:
        """The rendered template."""
        return await self.store.off_loop(
            rendered, self.request, template, self.words, status, {"page": self, "root": self.root, **values}
        )

    def to(self, path: str, notice: str | None = None) -> Response:
        """Lead the browser on, after a form; a notice is shown there once."""
        response = Response(status_code=303, headers={"location": self.root + path})
        if notice:
            response.set_cookie("notice", quote(notice), max_age=60, path="/", httponly=True, samesite="lax")
        return response

    async def change(self, action: str, subject: str, make: Callable[..., T], **details: object) -> T:
        """Change something and leave a line in the audit, in one transaction: ``make`` takes the connection."""

        def both(connection: Any) -> T:
            made = make(connection)
            record(connection, self.person.tenant, self.person.email, action, subject, dict(details))
            return made

        self.request.scope["state"]["audited"] = True
        return await self.store.write(both)


async def open_page(request: Request, caller: Caller) -> Page:
    """The page that a signed-in reader asked for.

    Raises
    ------
    Problem
        422 if its address holds text that no database can store.
    """
    if not all(storable(str(each)) for each in (*request.query_params.values(), *request.path_params.values())):
        raise Problem(422, "invalid", "The address holds a character that cannot be stored.")
    store: Store = request.app.state.store
    try:
        latest = await store.current(caller.tenant)
    except NothingPublished:
        latest = None
    assert caller.person is not None
    language = caller.person.language or preferred(request.headers.get("accept-language", ""))
    return Page(request, caller, words(language), latest)


def rendered(request: Request, template: str, language: Words, status: int, values: Mapping[str, object]) -> Response:
    """A template as the answer to a request; compressed where the browser takes that."""
    notice = unquote(request.cookies.get("notice", ""))
    body = environment(language.language).get_template(template).render(values, notice=notice).encode()
    headers = dict(HEADERS)
    if len(body) > _WORTH_COMPRESSING and "gzip" in request.headers.get("accept-encoding", ""):
        body, headers["content-encoding"] = gzip.compress(body, 1, mtime=0), "gzip"
    response = Response(body, status, headers, "text/html")
    if notice:
        response.delete_cookie("notice", path="/", httponly=True, samesite="lax")
    return response
