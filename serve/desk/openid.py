"""Signing in by OpenID Connect: the authorization code flow with PKCE (RFC 7636), at one configured issuer.

Whoever the issuer vouches for by a verified e-mail address must be a user here; nobody is made one by signing in.
"""

import asyncio
import base64
import hashlib
import hmac
import logging
import secrets
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import orjson

from fedelta.features.errors import FedeltaError
from fedelta.serve.caller.settings import OpenIdSettings, TokenSettings, is_safe
from fedelta.serve.caller.tokens import FETCH_SECONDS, NoIssuer, TokenRefused, Tokens, fetched

_log = logging.getLogger("fedelta.serve")


class NotVouchedFor(FedeltaError):
    """The issuer did not say who it is; the message, for the log, says what came instead."""


@dataclass(frozen=True)
class Attempt:
    """What a browser keeps while it is at the issuer."""

    state: str
    nonce: str
    verifier: str
    wanted: str  # the page to go on to

    @classmethod
    def begun(cls, wanted: str) -> "Attempt":
        """A new one."""
        return cls(secrets.token_urlsafe(24), secrets.token_urlsafe(24), secrets.token_urlsafe(48), wanted)

    @classmethod
    def kept(cls, text: str) -> "Attempt | None":
        """The one that ``text`` keeps; None where it keeps none."""
        parts = text.split(" ")
        return cls(*parts) if len(parts) == 4 else None

    @property
    def text(self) -> str:
        """It, to be kept."""
        return f"{self.state} {self.nonce} {self.verifier} {self.wanted}"


class Provider:
    """An issuer. What it publishes about itself is fetched when somebody first signs in, and again if that failed."""

    def __init__(self, settings: OpenIdSettings) -> None:
        self.name = settings.name
        self._settings = settings
        self._threads = ThreadPoolExecutor(4, "fedelta-openid")  # its own: nothing else waits for an issuer's answer
        self._about: Mapping[str, str] | None = None
        self._tokens: Tokens | None = None

    async def address(self, attempt: Attempt, back: str) -> str:
        """Where to send the browser. ``back`` is our address that it comes back to. Raises ``NotVouchedFor``."""
        about, _ = await self._known()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(attempt.verifier.encode()).digest()).decode().rstrip("=")
        asked = {
            "response_type": "code", "client_id": self._settings.client_id, "redirect_uri": back,
            "scope": "openid email", "state": attempt.state, "nonce": attempt.nonce,
            "code_challenge": challenge, "code_challenge_method": "S256",
        }  # fmt: skip
        endpoint = about["authorization_endpoint"]
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}"

    async def email(self, attempt: Attempt, code: str, back: str) -> str:
        """The verified e-mail address behind a code that the browser brought back.

        Raises
        ------
        NotVouchedFor
            If there is none.
        """
        about, tokens = await self._known()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": back,
            "code_verifier": attempt.verifier,
        }
        secret = f"{quote(self._settings.client_id, safe='')}:{quote(self._settings.client_secret, safe='')}"
        request = urllib.request.Request(  # noqa: S310 (the scheme was checked)
            about["token_endpoint"],
            urlencode(form).encode(),
            {"Authorization": f"Basic {base64.b64encode(secret.encode()).decode()}", "Accept": "application/json"},
        )
        answer = await self._asked(request)
        try:
            claims = await tokens.claims(str(answer.get("id_token", "")))
        except (TokenRefused, NoIssuer) as error:
            raise NotVouchedFor(f"The ID token is refused: {error}.") from error
        if not hmac.compare_digest(str(claims.get("nonce", "")), attempt.nonce):
            raise NotVouchedFor("The ID token is of another attempt.")
        if claims.get("email_verified") is not True or not isinstance(claims.get("email"), str):
            raise NotVouchedFor("The ID token names no verified e-mail address.")
        return str(claims["email"])

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _known(self) -> tuple[Mapping[str, str], Tokens]:
        """What the issuer publishes about itself (OpenID Connect Discovery 1.0), and its keys."""
        if self._about is None or self._tokens is None:
            issuer = self._settings.issuer
            about = await self._asked(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
            places = [about.get(name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
            if about.get("issuer") != issuer or not all(isinstance(each, str) and is_safe(each) for each in places):
                raise NotVouchedFor(f"What {issuer} publishes about itself is of another issuer, or incomplete.")
            keys = TokenSettings(issuer, self._settings.client_id, str(about["jwks_uri"]))
            self._about, self._tokens = about, Tokens(keys, self._threads)
        return self._about, self._tokens

    async def _asked(self, what: "str | urllib.request.Request") -> Mapping[str, Any]:
        try:
            asked = asyncio.get_running_loop().run_in_executor(self._threads, fetched, what)
            answer = orjson.loads(await asyncio.wait_for(asked, FETCH_SECONDS))
        except (OSError, ValueError) as error:
            raise NotVouchedFor(f"The issuer did not answer as it should ({type(error).__name__}).") from error
        if not isinstance(answer, dict):
            raise NotVouchedFor("The issuer did not answer with an object.")
        return answer
