"""Signing in and out."""

import hashlib
import secrets
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from fedelta.serve.caller.auth import needs
from fedelta.serve.caller.callers import Callers
from fedelta.serve.caller.guard import COOKIES, DESK, SIGN_IN
from fedelta.serve.caller.peers import network_of
from fedelta.serve.caller.rates import Rates
from fedelta.serve.caller.scopes import Caller
from fedelta.serve.desk import sessions
from fedelta.serve.desk.forms import field, form_token, posted, secret_of
from fedelta.serve.desk.page import rendered
from fedelta.serve.desk.passwords import LONGEST
from fedelta.serve.desk.words import Words, preferred, words
from fedelta.serve.store import Store

_HOUR = 3_600
# Attempts that may come at once, and in an hour: of an address at one user, at one user, of an address.
_LIMITS = {"both": (10, 30), "user": (50, 100), "peer": (100, 600)}

router = APIRouter()


@router.get(SIGN_IN, include_in_schema=False)
async def show_sign_in(request: Request) -> Response:
    """Ask for e-mail address and password."""
    return _form(request, _words(request))


@router.post(SIGN_IN, include_in_schema=False)
async def sign_in(request: Request) -> Response:
    """Begin a session, under a new secret."""
    store: Store = request.app.state.store
    form = await posted(request, request.cookies.get(_form_cookie(request), "").encode() or secrets.token_bytes())
    email, password, language = field(form, "email", 200), str(form.get("password", ""))[:LONGEST], _words(request)
    if not _may_try(request, email):
        return _form(request, language, language.gettext("Too many attempts. Try again in a few minutes."), email, 429)
    person = await store.read(lambda connection: sessions.who_has(connection, email, password))
    if person is None:
        return _form(request, language, language.gettext("This address and password do not match."), email, 422)
    before = secret_of(request)
    secret = await store.write(lambda connection: sessions.begin(connection, person, before))
    response = Response(status_code=303, headers={"location": _wanted(request, field(form, "next"))})
    _set(response, request, COOKIES[request.url.scheme], secret, sessions.HOURS * _HOUR)
    response.delete_cookie(_form_cookie(request), path="/", secure=request.url.scheme == "https", httponly=True)
    return response


@router.post("/desk/sign-out", include_in_schema=False)
async def sign_out(request: Request, _caller: Annotated[Caller, Depends(needs("read:list"))]) -> Response:
    """End the session."""
    await posted(request)
    secret = secret_of(request)
    assert secret is not None
    store: Store = request.app.state.store
    await store.write(lambda connection: sessions.end(connection, secret))
    callers: Callers = request.app.state.callers
    callers.forget(secret)
    response = Response(status_code=303, headers={"location": request.scope.get("root_path", "") + SIGN_IN})
    response.delete_cookie(COOKIES[request.url.scheme], path="/", secure=request.url.scheme == "https", httponly=True)
    return response


def _form(request: Request, language: Words, fault: str = "", email: str = "", status: int = 200) -> Response:
    cookie = request.cookies.get(_form_cookie(request)) or secrets.token_urlsafe(24)
    values = {
        "root": request.scope.get("root_path", ""),
        "token": form_token(cookie.encode()),
        "wanted": request.query_params.get("next", ""),
        "fault": fault,
        "email": email,
    }
    response = rendered(request, "sign_in.html.jinja", language, status, values)
    response.headers["cache-control"] = "no-store"
    _set(response, request, _form_cookie(request), cookie, _HOUR)
    return response


def _set(response: Response, request: Request, name: str, value: str, seconds: int) -> None:
    secure = request.url.scheme == "https"
    response.set_cookie(name, value, max_age=seconds, path="/", secure=secure, httponly=True, samesite="lax")


def _form_cookie(request: Request) -> str:
    return f"{COOKIES[request.url.scheme]}-form"


def _words(request: Request) -> Words:
    return words(preferred(request.headers.get("accept-language", "")))


def _wanted(request: Request, address: str) -> str:
    """Where to go on: the page of the desk that was asked for first, no address of anybody else."""
    own: str = request.scope.get("root_path", "") + DESK
    good = address == own or address.startswith((f"{own}/", f"{own}?"))
    return address if good and address.isprintable() and "\\" not in address else own


def _may_try(request: Request, email: str) -> bool:
    """Whether another attempt may be made, which is counted."""
    rates: Rates = request.app.state.rates
    peer = network_of(request.client.host if request.client else "")
    user = email.strip().lower()
    of = {"both": f"{peer}\0{user}", "user": user, "peer": peer}
    verdicts = [
        rates.take(hashlib.blake2b(of[kind].encode(), digest_size=8, person=b"sign-in").digest(), hourly / _HOUR, burst)
        for kind, (burst, hourly) in _LIMITS.items()
    ]
    return all(verdict.allowed for verdict in verdicts)
