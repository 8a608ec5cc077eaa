"""What a caller may do."""

from dataclasses import dataclass
from typing import Literal, get_args

from fedelta.serve.operational.stored_sessions import Person

Scope = Literal[
    "read:score", "read:list", "read:metrics", "write:interactions", "write:cases", "write:outcome", "erase", "admin"
]
SCOPES: tuple[Scope, ...] = get_args(Scope)  # of keys and tokens
PersonScope = Literal[Scope, "manage"]  # manage: campaigns, outcomes from a file and the team, at the desk

# What people may do at the desk. Each role may what those before it may.
Role = Literal["viewer", "agent", "manager", "admin"]
_READS: tuple[PersonScope, ...] = ("read:score", "read:list")
_ACTS: tuple[PersonScope, ...] = (*_READS, "write:cases", "write:outcome")
_MANAGES: tuple[PersonScope, ...] = (*_ACTS, "manage")
ROLES: dict[Role, frozenset[PersonScope]] = {
    "viewer": frozenset(_READS),
    "agent": frozenset(_ACTS),
    "manager": frozenset(_MANAGES),
    "admin": frozenset((*_MANAGES, "admin")),
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks."""

    tenant: str
    name: str
    scopes: frozenset[str]
    identity: bytes  # 8 bytes: what the rate is counted by
    rate_per_second: float | None = None  # None: as the settings have it
    person: Person | None = None  # who is signed in to the desk; None of keys and tokens
