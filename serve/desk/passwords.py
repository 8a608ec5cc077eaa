"""Passwords: kept as Argon2id (RFC 9106), with the least cost that OWASP recommends."""

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

SHORTEST, LONGEST = 12, 200  # characters

_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
_NOBODYS = _hasher.hash("of nobody")


def hashed(password: str) -> str:
    """What is kept of a password. It takes some 30 ms, so it is for worker threads."""
    return _hasher.hash(password)


def is_right(kept: str | None, password: str) -> bool:
    """Whether the password is the one that was kept; it takes as long where none was."""
    try:
        _hasher.verify(kept or _NOBODYS, password)
    except (VerifyMismatchError, InvalidHashError):
        return False
    return kept is not None
