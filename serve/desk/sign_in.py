"""Signing in and out."""

import hashlib
import hmac
import logging
import secrets
from typing import Annotated
from urllib.parse import quote, unquote

from fastapi import APIRouter, Depends, Request, Response

from fedelta.serve.caller.auth import needs
from fedelta.serve.caller.callers import Callers
from fedelta.serve.caller.guard import COOKIES, DESK, SIGN_IN
from fedelta.serve.caller.peers import network_of
from fedelta.serve.caller.problems import Problem
from fedelta.serve.caller.rates import Rates
from fedelta.serve.caller.scopes import Caller
from fedelta.serve.desk import sessions
from fedelta.serve.desk.forms import field, form_token, is_of_desk, posted, secret_of
from fedelta.serve.desk.openid import Attempt, NotVouchedFor, Provider
from fedelta.serve.desk.page import rendered
from fedelta.serve.desk.passwords import LONGEST
from fedelta.serve.desk.words import Words, preferred, words
from fedelta.serve.operational.stored_sessions import Person
from fedelta.serve.store import Store

_HOUR = 3_600
_AT_ISSUER = 600  # seconds
# Attempts that may come at once, and in an hour: of an address at one user, at one user, of an address.
_LIMITS = {"both": (10, 30), "user": (50, 100), "peer": (100, 600)}

router = APIRouter()
_log = logging.getLogger("fedelta.serve")


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
    if not may_try(request, email):
        return _form(request, language, language.gettext("Too many attempts. Try again in a few minutes."), email, 429)
    person = await store.read(lambda connection: sessions.who_has(connection, email, password))
    if person is None:
        return _form(request, language, language.gettext("This address and password do not match."), email, 422)
    return await _begun(request, person, field(form, "next"), _form_cookie(request))


@router.get("/desk/sign-in/openid", include_in_schema=False)
async def sign_in_elsewhere(request: Request) -> Response:
    """Send the browser to the identity provider."""
    if not may_try(request, None):
        language = _words(request)
        return _form(request, language, language.gettext("Too many attempts. Try again in a few minutes."), "", 429)
    attempt = Attempt.begun(_wanted(request, request.query_params.get("next", "")))
    try:
        address = await _provider(request).address(attempt, _back(request))
    except NotVouchedFor as error:
        return _not_vouched_for(request, error)
    response = Response(status_code=303, headers={"location": address, "cache-control": "no-store"})
    _set(response, request, _openid_cookie(request), quote(attempt.text), _AT_ISSUER)
    return response


@router.get("/desk/sign-in/openid/back", include_in_schema=False)
async def come_back(request: Request) -> Response:
    """Begin a session for whom the identity provider vouches for, if that is a user."""
    provider, store = _provider(request), request.app.state.store
    attempt = Attempt.kept(unquote(request.cookies.get(_openid_cookie(request), "")))
    asked = request.query_params
    try:
        if attempt is None or not hmac.compare_digest(asked.get("state", "").encode(), attempt.state.encode()):
            raise NotVouchedFor("The browser came back from another attempt.")
        if "code" not in asked:
            raise NotVouchedFor(f"The issuer refused: {asked.get('error', '')[:100]!r}.")
        email = await provider.email(attempt, asked["code"], _back(request))
    except NotVouchedFor as error:
        return _not_vouched_for(request, error)
    person = await store.read(lambda connection: sessions.vouched_for(connection, email))
    if person is None:
        language = _words(request)
        return _form(request, language, language.gettext("You are not a user here. Ask to be added."), "", 403)
    return await _begun(request, person, attempt.wanted, _openid_cookie(request))


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


async def _begun(request: Request, person: Person, wanted: str, used_cookie: str) -> Response:
    """A session is begun, under a new secret: lead the browser on."""
    store, before = request.app.state.store, secret_of(request)
    secret = await store.write(lambda connection: sessions.begin(connection, person, before))
    response = Response(status_code=303, headers={"location": _wanted(request, wanted)})
    _set(response, request, COOKIES[request.url.scheme], secret, sessions.HOURS * _HOUR)
    response.delete_cookie(used_cookie, path="/", secure=request.url.scheme == "https", httponly=True)
    return response


def _provider(request: Request) -> Provider:
    provider: Provider | None = request.app.state.openid
    if provider is None:
        raise Problem(404, "not-found", "No identity provider is configured.")
    return provider


def _not_vouched_for(request: Request, error: NotVouchedFor) -> Response:
    _log.warning("Signing in by OpenID Connect failed: %s", error)
    language = _words(request)
    return _form(request, language, language.gettext("That sign-in did not work. Try again."), "", 403)


def _back(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}{request.scope.get('root_path', '')}{SIGN_IN}/openid/back"


def _openid_cookie(request: Request) -> str:
    return f"{COOKIES[request.url.scheme]}-openid"


def _form(request: Request, language: Words, fault: str = "", email: str = "", status: int = 200) -> Response:
    cookie = request.cookies.get(_form_cookie(request)) or secrets.token_urlsafe(24)
    values = {
        "root": request.scope.get("root_path", ""),
        "token": form_token(cookie.encode()),
        "wanted": request.query_params.get("next", ""),
        "fault": fault,
        "provider": provider.name if (provider := request.app.state.openid) else None,
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
    root: str = request.scope.get("root_path", "")
    return address if address.startswith(root) and is_of_desk(address.removeprefix(root)) else root + DESK


def may_try(request: Request, email: str | None) -> bool:
    """Whether another attempt may be made, at a user or (None) at whom the identity provider vouches for: counted."""
    rates: Rates = request.app.state.rates
    peer = network_of(request.client.host if request.client else "")
    of = {"peer": peer}
    if email is not None:
        user = email.strip().lower()
        of |= {"both": f"{peer}\0{user}", "user": user}
    verdicts = [
        rates.take(hashlib.blake2b(who.encode(), digest_size=8, person=b"sign-in").digest(), hourly / _HOUR, burst)
        for who, (burst, hourly) in ((who, _LIMITS[kind]) for kind, who in of.items())
    ]
    return all(verdict.allowed for verdict in verdicts)
