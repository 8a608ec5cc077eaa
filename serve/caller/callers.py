"""Who asks: the caller behind a key, a token or a session of the desk, remembered for two seconds at most."""

import asyncio
import hashlib
import hmac
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from fedelta.features.errors import FedeltaError
from fedelta.serve.caller.scopes import ROLES, Caller
from fedelta.serve.caller.settings import TokenSettings
from fedelta.serve.caller.tokens import NoIssuer, TokenRefused, Tokens
from fedelta.serve.operational.stored_keys import StoredKey
from fedelta.serve.operational.stored_sessions import Person
from fedelta.serve.store import Unavailable

REMEMBERED_SECONDS = 2.0  # within which a revocation works
_RENEW_SECONDS = 1.0
_GRACE_SECONDS = 60.0  # that a good key serves on while the database is away: nobody can revoke it there meanwhile
_MOST_REMEMBERED = 10_000
_PREFIX_LENGTH = len("fdl_") + 10
_KEY = re.compile(r"fdl_[0-9a-f]{10}_[A-Za-z0-9_-]{43}")
_SESSION = re.compile(r"fds_[A-Za-z0-9_-]{43}")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{2,}\.[A-Za-z0-9_-]{2,}\.[A-Za-z0-9_-]*")


class Refused(FedeltaError):
    """No key, token or session that is good; the message is for its sender."""


class CannotKnow(FedeltaError):
    """The database or the issuer of tokens cannot be asked just now."""


@dataclass(slots=True)
class _Known:
    caller: Caller
    renew: float  # from when it is looked up again, while it still counts
    until: float  # monotonic
    ends: float  # the latest, while the database is away


class Callers:
    """Finds callers. A known one is renewed in the background, so that no request of a busy caller waits for it.

    Parameters
    ----------
    find : callable
        The stored key of a prefix, None if there is none or it was revoked; run in a thread of ours, never on the loop.
    find_session : callable
        The person signed in by the secret of a SHA-256 and the session's end, None if nobody is; run as ``find`` is.
    """

    def __init__(
        self,
        find: Callable[[str], StoredKey | None],
        tokens: TokenSettings | None = None,
        clock: Callable[[], float] = time.monotonic,
        find_session: Callable[[bytes], tuple[Person, datetime] | None] = lambda _digest: None,
    ) -> None:
        self._find, self._find_session, self._clock = find, find_session, clock
        self._threads = ThreadPoolExecutor(2, "fedelta-callers")
        self._of_issuer = ThreadPoolExecutor(1, "fedelta-issuer")  # its own: no key waits for an issuer's answer
        self._tokens = Tokens(tokens, self._of_issuer) if tokens else None
        self._known: dict[bytes, _Known] = {}
        self._asking: dict[bytes, asyncio.Task[Caller]] = {}

    def known(self, credential: bytes) -> Caller | None:
        """The caller, if it was found good within two seconds; costs a hash."""
        digest = hashlib.sha256(credential).digest()
        if (known := self._known.get(digest)) is None:
            return None
        now = self._clock()
        if now >= known.until:
            return None
        if now >= known.renew:
            known.renew = known.until
            self._ask(credential, digest)
        return known.caller

    def seen(self, credential: bytes) -> bool:
        """Whether it was good when it was last looked up."""
        return hashlib.sha256(credential).digest() in self._known

    async def identify(self, credential: bytes) -> Caller:
        """The caller; requests that ask for the same at once share one look-up.

        Raises
        ------
        Refused, CannotKnow
        """
        return await asyncio.shield(self._ask(credential, hashlib.sha256(credential).digest()))

    def forget(self, credential: bytes) -> None:
        """Look it up anew when it is next shown; other processes do so within two seconds."""
        self._known.pop(hashlib.sha256(credential).digest(), None)

    def close(self) -> None:
        """End the threads."""
        for threads in (self._threads, self._of_issuer):
            threads.shutdown(wait=False, cancel_futures=True)

    def _ask(self, credential: bytes, digest: bytes) -> "asyncio.Task[Caller]":
        if (asking := self._asking.get(digest)) is None:
            asking = self._asking[digest] = asyncio.get_running_loop().create_task(self._look_up(credential, digest))
            asking.add_done_callback(lambda task: self._asked(digest, task))
        return asking

    def _asked(self, digest: bytes, task: "asyncio.Task[Caller]") -> None:
        self._asking.pop(digest, None)
        if not task.cancelled():
            task.exception()  # whoever waits gets it, and nobody has to

    async def _look_up(self, credential: bytes, digest: bytes) -> Caller:
        try:
            text = credential.decode("ascii")
        except UnicodeDecodeError:
            raise Refused(_UNKNOWN) from None
        began = self._clock()  # before the look-up: what is revoked while it runs counts from here
        try:
            if _KEY.fullmatch(text):
                caller, left = await self._holder(text, digest)
            elif _SESSION.fullmatch(text):
                caller, left = await self._signed_in(digest)
            elif self._tokens is not None and _TOKEN.fullmatch(text):
                caller, ends = await self._tokens.caller(text)
                left = ends - time.time()
            else:
                raise Refused(_UNKNOWN)
        except Refused:
            self._known.pop(digest, None)
            raise
        except TokenRefused as error:
            self._known.pop(digest, None)
            raise Refused(f"The token is refused: {error}.") from None
        except (Unavailable, NoIssuer) as error:
            if (known := self._known.get(digest)) is not None and (now := self._clock()) < known.ends:
                known.until = min(now + REMEMBERED_SECONDS, known.ends)
                known.renew = min(now + _RENEW_SECONDS, known.until)
                return known.caller
            raise CannotKnow from error
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        until = began + min(REMEMBERED_SECONDS, left)
        self._known[digest] = _Known(
            caller, min(began + _RENEW_SECONDS, until), until, began + min(_GRACE_SECONDS, left)
        )
        return caller

    async def _holder(self, key: str, digest: bytes) -> tuple[Caller, float]:
        """Who holds this key, and for how many seconds it is still good."""
        found = await asyncio.get_running_loop().run_in_executor(self._threads, self._find, key[:_PREFIX_LENGTH])
        if found is None or not hmac.compare_digest(found.digest, digest):
            raise Refused(_UNKNOWN)
        left = float("inf") if found.expires_at is None else found.expires_at.timestamp() - time.time()
        return Caller(found.tenant, found.name, found.scopes, digest[:8], found.rate_per_second), left

    async def _signed_in(self, digest: bytes) -> tuple[Caller, float]:
        """Whose session this is, and for how many seconds it goes on."""
        found = await asyncio.get_running_loop().run_in_executor(self._threads, self._find_session, digest)
        if found is None:
            raise Refused("The session has ended: sign in again.")
        person, ends = found
        scopes = ROLES.get(person.role, frozenset())  # type: ignore[call-overload]  # of a newer version: nothing
        return Caller(person.tenant, person.email, scopes, digest[:8], person=person), ends.timestamp() - time.time()


_UNKNOWN = "The key is unknown, expired or revoked: make one with `fedelta keys create`."
