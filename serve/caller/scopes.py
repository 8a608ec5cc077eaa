"""What a caller may do."""

from dataclasses import dataclass
from typing import Literal, get_args

Scope = Literal[
    "read:score", "read:list", "read:metrics", "write:interactions", "write:cases", "write:outcome", "erase", "admin"
]
SCOPES: tuple[Scope, ...] = get_args(Scope)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks."""

    tenant: str
    name: str
    scopes: frozenset[str]
    identity: bytes  # 8 bytes: what the rate is counted by
    rate_per_second: float | None = None  # None: as the settings have it
