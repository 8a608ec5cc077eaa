"""Who was erased: the rows of a snapshot that are hidden until it is gone, and keyed hashes of ids, never the ids."""

import hashlib
import hmac
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
        if isinstance(value, dict):
            return {name: self.hidden(each) for name, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.hidden(each) for each in value]
        return self.key.hashed(value) if self.key is not None and value in self else value


NOBODY = Erased()
