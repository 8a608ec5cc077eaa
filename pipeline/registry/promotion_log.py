"""The log of promotions: what each decision made of the champion, and what follows from all of them. No MLflow here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Outcome = Literal["promoted", "not promoted", "rolled back"]


@dataclass(frozen=True)
class Decision:
    """An entry of the log, which is never changed: what was decided on a version, and who is champion since."""

    outcome: Outcome
    version: str  # promoted or not, or the one rolled back
    bundle: str  # its bundle
    champion: str | None  # the version that is champion from then on
    champion_bundle: str | None
    previous: str | None  # the version that a rollback would bring back
    because: str
    by: str  # the gate, or the name of a person
    figures: Mapping[str, float] = field(default_factory=dict)
    key: str = ""  # of what the gate looked at, so that it says the same thing once
    registry: str = ""  # which registered model it is about: when that was created, as one deleted is made anew
    at: datetime | None = None  # UTC, by the clock of who decided; None until logged


def moves(decisions: Sequence[Decision]) -> list[Decision]:
    """The decisions that changed the champion, oldest first as given."""
    return [decision for decision in decisions if decision.outcome != "not promoted"]


def champion_at(decisions: Sequence[Decision], at: datetime) -> Decision | None:
    """The decision by which the champion of an instant was champion; None before there was any."""
    return next((d for d in reversed(moves(decisions)) if d.at is not None and d.at <= at), None)


def champions(decisions: Sequence[Decision]) -> list[str]:
    """The versions that rollbacks would bring back one after the other, the present champion last.

    A version rolled back leaves the row: rolling back twice goes back twice, and never forth.
    """
    row: list[str] = []
    for decision in moves(decisions):
        if decision.outcome == "promoted":
            row.append(decision.version)
        else:
            while row and row[-1] != decision.champion:
                row.pop()
            if not row and decision.champion:  # a champion made by hand, which the log had not seen
                row.append(decision.champion)
    return row


def rolled_back(decisions: Sequence[Decision], version: str) -> Decision | None:
    """The decision that rolled a version back, if nobody promoted it since."""
    about = [decision for decision in moves(decisions) if decision.version == version]
    return about[-1] if about and about[-1].outcome == "rolled back" else None
