"""JSON Web Tokens of one configured issuer: checked against its published keys (JWKS), which are kept and renewed."""

import asyncio
import hashlib
import logging
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from http.client import HTTPResponse
from typing import Any

import jwt
import orjson

from fedelta.features.errors import FedeltaError
from fedelta.serve.caller.scopes import SCOPES, Caller
from fedelta.serve.caller.settings import TokenSettings
from fedelta.serve.operational.tenants import is_name

_RENEW_SECONDS = 300.0
_AGAIN_SECONDS = 10.0  # after keys that could not be fetched, or a token of a key we do not have
_KEEP_SECONDS = 86_400.0  # the last keys serve this long while the issuer cannot be reached
_DOCUMENT_BYTES = 1_000_000
FETCH_SECONDS = 5.0  # that an issuer has to answer
_LATEST = 2**53  # seconds since 1970 of a token that ends later
_CURVES = {"RS256": ("RSA", None), "ES256": ("EC", "P-256"), "EdDSA": ("OKP", None)}
_log = logging.getLogger("fedelta.serve")


class TokenRefused(FedeltaError):
    """The token is not good; the message says why, for its sender."""


class NoIssuer(FedeltaError):
    """The keys of the issuer could not be fetched yet."""


class Tokens:
    """Checks tokens. Keys are fetched by a thread, at most every ten seconds whatever tokens come."""

    def __init__(
        self, settings: TokenSettings, executor: Executor, fetch: Callable[[str], bytes] | None = None
    ) -> None:
        self._settings, self._executor, self._fetch = settings, executor, fetch or fetched
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._fetched_at = self._asked_at = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    async def caller(self, token: str) -> tuple[Caller, float]:
        """The holder of a good token, and when the token ends (seconds since 1970). Raises as ``claims``."""
        claims = await self.claims(token)
        return self._caller(claims), min(int(claims["exp"]), _LATEST) + self._settings.leeway_seconds

    async def claims(self, token: str) -> Mapping[str, Any]:
        """What a good token says.

        Raises
        ------
        TokenRefused
            If it is not good.
        NoIssuer
            If that cannot be known now.
        """
        try:
            header = jwt.get_unverified_header(token)
        except jwt.InvalidTokenError:
            raise TokenRefused("it cannot be read") from None
        algorithm, key_id = header.get("alg"), header.get("kid")
        if algorithm not in self._settings.algorithms:
            raise TokenRefused(f"it must be signed by {', '.join(self._settings.algorithms)}")
        key = await self._key(key_id if isinstance(key_id, str) else None)
        kind, curve = _CURVES[algorithm]
        if key.key_type != kind or (curve and key._jwk_data.get("crv") != curve):
            raise TokenRefused("its algorithm is not that of the issuer's key")
        try:
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=[algorithm],
                audience=self._settings.audience,
                issuer=self._settings.issuer,
                leeway=self._settings.leeway_seconds,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.ExpiredSignatureError:
            raise TokenRefused("it has expired") from None
        except jwt.InvalidTokenError as error:
            raise TokenRefused(_REASONS.get(type(error), "it is not valid")) from None
        return claims

    def _caller(self, claims: Mapping[str, Any]) -> Caller:
        tenant, subject = claims.get(self._settings.tenant_claim), str(claims["sub"])
        if not isinstance(tenant, str) or not is_name(tenant):
            raise TokenRefused(f"it names no tenant in the claim {self._settings.tenant_claim!r}")
        if not subject or not subject.isprintable():
            raise TokenRefused("it names nobody in the claim 'sub'")
        named = claims.get(self._settings.scope_claim, ())
        scopes = named.split() if isinstance(named, str) else named
        known = (
            frozenset(scope for scope in scopes if scope in SCOPES) if isinstance(scopes, list | tuple) else frozenset()
        )
        identity = hashlib.sha256(f"{self._settings.issuer}\0{tenant}\0{subject}".encode()).digest()[:8]
        return Caller(tenant, subject[:100], known, identity)

    async def _key(self, key_id: str | None) -> jwt.PyJWK:
        age = time.monotonic() - self._fetched_at
        if (key := self._keys.get(key_id)) is not None and age < _KEEP_SECONDS:
            if age > _RENEW_SECONDS:
                self._renew()  # this token does not wait for it
            return key
        if (fetching := self._renew()) is not None:
            await asyncio.wait({fetching}, timeout=FETCH_SECONDS)
        if (key := self._keys.get(key_id)) is not None:
            return key
        if not self._keys:
            raise NoIssuer
        raise TokenRefused("its key is none of the issuer's")

    def _renew(self) -> "asyncio.Task[None] | None":
        """The task that fetches the keys, None if that was done just now."""
        if self._fetching is None or self._fetching.done():
            if time.monotonic() - self._asked_at < _AGAIN_SECONDS:
                return None
            self._asked_at = time.monotonic()
            self._fetching = asyncio.get_running_loop().create_task(self._load())
        return self._fetching

    async def _load(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            document = await loop.run_in_executor(self._executor, self._fetch, self._settings.jwks_url)
            keys: dict[str | None, jwt.PyJWK] = {}
            for each in orjson.loads(document)["keys"]:
                if each.get("kty") in {"RSA", "EC", "OKP"} and each.get("use", "sig") == "sig":
                    try:
                        keys[each.get("kid")] = jwt.PyJWK(each)
                    except jwt.PyJWTError:
                        continue  # of a kind we take no tokens by
        except Exception as error:
            _log.warning("The keys of the token issuer cannot be fetched (%s): the last ones serve on.", error)
            return
        if keys:
            self._keys, self._fetched_at = keys, time.monotonic()


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_given: object, **_named: object) -> None:
        """An issuer's keys come from the address that was configured, from no other."""


def fetched(url: str | urllib.request.Request) -> bytes:
    """What an address answers, without following it elsewhere; it waits, so it is for worker threads."""
    deadline = time.monotonic() + FETCH_SECONDS
    opener = urllib.request.build_opener(_NoRedirects)
    with opener.open(url, timeout=FETCH_SECONDS) as answer:  # the scheme is checked where it is set
        return b"".join(_pieces(answer, deadline))


def _pieces(answer: HTTPResponse, deadline: float) -> Iterator[bytes]:
    """A document as it comes: what comes a byte now and then has its deadline too."""
    left = _DOCUMENT_BYTES
    while piece := answer.read1(left + 1):
        if (left := left - len(piece)) < 0:
            raise ValueError("the document is larger than 1 MB")
        if time.monotonic() > deadline:
            raise TimeoutError("it comes too slowly")
        yield piece


_REASONS: dict[type[Exception], str] = {
    jwt.ImmatureSignatureError: "it is not valid yet",
    jwt.InvalidAudienceError: "it is for another audience",
    jwt.InvalidIssuerError: "it is of another issuer",
    jwt.InvalidSignatureError: "its signature is wrong",
    jwt.MissingRequiredClaimError: "it lacks one of the claims exp, iss, aud and sub",
}
