"""How old the scores are, and whether that is too old."""

from typing import Any

from fastapi import Request
from pydantic import BaseModel, Field

from fedelta.serve.store import Snapshot


class Age(BaseModel):
    """How long ago the scores were published."""

    age_seconds: int = Field(description="since the scores were published")
    stale: bool = Field(description="whether that is more than the service's --stale-after-hours allows (default: 24)")


def age_of(snapshot: Snapshot, request: Request) -> dict[str, Any]:
    """The fields of ``Age``, by the settings of the application that was asked."""
    age, hours = snapshot.age_seconds(), request.app.state.stale_after_hours
    return {"age_seconds": int(age), "stale": age > hours * 3_600}
