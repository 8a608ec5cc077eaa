"""A page of the desk: who reads it, in which language, of which scoring run, and how its template is rendered."""

import gzip
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import quote, unquote

from fastapi import Request, Response

from fedelta.serve.acting.customers import storable
from fedelta.serve.caller.guard import address_of
from fedelta.serve.caller.problems import Problem
from fedelta.serve.caller.scopes import Caller, PersonScope
from fedelta.serve.desk.environment import environment
from fedelta.serve.desk.forms import form_token, secret_of
from fedelta.serve.desk.frame import Frame
from fedelta.serve.desk.reports import about
from fedelta.serve.desk.words import Words, preferred, words
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

    @cached_property
    def frame(self) -> Frame:
        """What stands around its content."""
        latest = self.latest
        return Frame(
            self.root,
            self.request.url.path.removeprefix(self.root),
            self.person,
            self.caller.scopes,
            None if latest is None else latest.pointer,
            latest is not None and bool(age_of(latest, self.request)["stale"]),
            0 if latest is None else len(about(latest.about).get("alarms") or ()),
            notice_of(self.request),
        )

    @cached_property
    def token(self) -> str:
        """The token of its forms."""
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

    async def show(self, template: str, status: int = 200, **values: object) -> Response:
        """The rendered template."""
        return await self.store.off_loop(
            rendered,
            self.request,
            template,
            self.words,
            status,
            {"page": self, "frame": self.frame, "token": self.token, "root": self.root, **values},
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
    """A template as the answer to a request."""
    body = environment(language.language).get_template(template).render(values).encode()
    return answered(request, status, lambda: body, lambda: gzip.compress(body, 1, mtime=0))


def answered(request: Request, status: int, plain: Callable[[], bytes], gzipped: Callable[[], bytes]) -> Response:
    """A page as the answer to a request, compressed where the browser takes that."""
    headers = dict(HEADERS)
    if "gzip" in request.headers.get("accept-encoding", ""):
        body, headers["content-encoding"] = gzipped(), "gzip"
    else:
        body = plain()
    response = Response(body, status, headers, "text/html")
    if notice_of(request):
        response.delete_cookie("notice", path="/", httponly=True, samesite="lax")
    return response


def notice_of(request: Request) -> str:
    """What a form before left to show, once; empty where there is nothing."""
    return unquote(request.cookies.get("notice", ""))
