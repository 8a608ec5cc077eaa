"""How old the scores are, and whether that is too old."""

import os
from typing import Any

from pydantic import BaseModel, Field

from fedelta.features.errors import FedeltaError
from fedelta.serve.store import Snapshot

VARIABLE = "FEDELTA_STALE_AFTER_HOURS"
DEFAULT_HOURS = 24.0


class BadStaleness(FedeltaError):
    """The variable holds no number of hours."""


class Age(BaseModel):
    """How long ago the scores were published."""

    age_seconds: int = Field(description="since the scores were published")
    stale: bool = Field(description=f"whether that is more than {VARIABLE} allows (default: {DEFAULT_HOURS:g} hours)")


def stale_after_hours() -> float:
    """From which age on scores are stale.

    Raises
    ------
    BadStaleness
        If the variable holds no number of hours.
    """
    given = os.environ.get(VARIABLE)
    try:
        hours = DEFAULT_HOURS if given is None else float(given)
    except ValueError:
        hours = -1.0
    if not hours > 0:
        raise BadStaleness(f"{VARIABLE} is a number of hours above 0, such as 24; got {given!r}.")
    return hours


def age_of(snapshot: Snapshot) -> dict[str, Any]:
    """The fields of ``Age``."""
    age = snapshot.age_seconds()
    return {"age_seconds": int(age), "stale": age > stale_after_hours() * 3_600}
