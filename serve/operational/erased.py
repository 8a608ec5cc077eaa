"""Who was erased: the rows of a snapshot that are hidden until it is gone, and keyed hashes of ids, never the ids."""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_KEY_DIGITS = 8


@dataclass(frozen=True, slots=True)
class ErasureKey:
    """The secret by which ids are hashed: without it nobody can try ids until one fits."""

    secret: bytes

    @property
    def name(self) -> str:
        """The first digits of every hash made with it."""
        return hashlib.sha256(b"fedelta erasure key\0" + self.secret).hexdigest()[:_KEY_DIGITS]

    def hashed(self, customer_id: str) -> str:
        """64 hexadecimal digits: the key's name, then HMAC-SHA256 of the id in UTF-8, cut to fit."""
        mac = hmac.digest(self.secret, customer_id.encode("utf-8", "surrogatepass"), "sha256").hex()
        return self.name + mac[: 64 - _KEY_DIGITS]


@dataclass(frozen=True, slots=True)
class Erased:
    """Those who were erased: their rows in one snapshot, and the hashes of all of them."""

    rows: frozenset[int] = frozenset()
    hashes: frozenset[str] = frozenset()
    key: ErasureKey | None = None

    def __contains__(self, customer_id: object) -> bool:
        return (
            bool(self.hashes)
            and self.key is not None
            and isinstance(customer_id, str)
            and self.key.hashed(customer_id) in self.hashes
        )

    def hidden(self, value: Any) -> Any:
        """A document with the hash of each in the place of their id."""
        return replaced(value, lambda one: self.key.hashed(one) if self.key is not None and one in self else one)


def replaced(value: Any, text: Callable[[str], str]) -> Any:
    """A document of JSON with another text for each of its texts; the names of fields stay."""
    if isinstance(value, dict):
        return {name: replaced(each, text) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [replaced(each, text) for each in value]
    return text(value) if isinstance(value, str) else value


NOBODY = Erased()
