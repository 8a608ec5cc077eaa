"""What a list of customers at risk is asked for, and the cursor that continues it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from fedelta.features.errors import FedeltaError

Sort = Literal["value_at_risk", "probability", "delta", "expected_profit"]
Aside = Literal["exclude", "only", "include"]
Presence = Literal["probably_here", "probably_gone"]
LoyaltyClass = Literal["loyal", "latent", "spurious", "none"]
Journey = Literal["onboarding", "use", "maintenance", "renewal"]
JourneyStage = Literal["awareness", "familiarity", "consideration", "purchase", "loyalty"]
AnyOf = Literal["risk_tier", "loyalty_class", "persona", "channel", "journey", "journey_stage", "action", "team"]


@dataclass(frozen=True)
class Filters:
    """Which scored customers.

    A customer without the value that a filter asks for does not pass it. ``held_out`` null counts as not held out,
    ``suppression_reason`` null as free to be contacted. ``any_of`` maps a column of the scores to the values allowed;
    ``reason_codes`` and ``themes`` ask for at least one such reason each. ``presence`` parts customers at a probability
    of 0.5 that they are still here. The last three are of the operational database (`serve.acting.narrowing`): who owns
    an open case of the customer, and in how many days they were contacted or not.
    """

    min_probability: float | None = None
    min_clv: float | None = None
    min_value_at_risk: float | None = None
    holdout: Aside = "exclude"
    suppressed: Aside = "exclude"
    any_of: Mapping[AnyOf, Sequence[str]] = field(default_factory=dict)
    open_issue: bool | None = None
    reason_codes: Sequence[str] = ()
    themes: Sequence[str] = ()
    tier_changed_since: datetime | None = None
    presence: Presence | None = None
    min_delta: float | None = None
    owners: Sequence[str] = ()
    contacted_within: int | None = None
    not_contacted_within: int | None = None

    def key(self) -> str:
        """The same text for the same customers."""
        chosen = sorted((name, sorted(set(values))) for name, values in self.any_of.items() if values)
        numbers = (self.min_probability, self.min_clv, self.min_value_at_risk, self.min_delta)
        since = self.tier_changed_since and self.tier_changed_since.timestamp()
        reasons = (sorted(set(self.reason_codes)), sorted(set(self.themes)))
        acting = (sorted(set(self.owners)), self.contacted_within, self.not_contacted_within)
        text = repr((numbers, self.holdout, self.suppressed, chosen, self.open_issue, reasons, since, self.presence))
        return text if acting == ([], None, None) else f"{text} {acting!r}"


@dataclass(frozen=True)
class AtRisk:
    """Which customers, and in what order: descending, ties by customer_id, nulls last."""

    filters: Filters = field(default_factory=Filters)
    sort: Sort = "value_at_risk"


@dataclass(frozen=True)
class Position:
    """A place in a list: the last rank seen, in one snapshot."""

    snapshot_id: str
    rank: int


class InvalidCursor(FedeltaError):
    """The cursor is none of ours, or belongs to other filters."""


def cursor(wanted: AtRisk, at: Position) -> str:
    """The text that continues the list ``wanted`` after ``at``; it holds for the same filters and sort only."""
    return f"{at.snapshot_id}.{at.rank}.{_seal(wanted, at)}"


def read_cursor(text: str, wanted: AtRisk) -> Position:
    """The place a cursor stands for.

    The seal catches a cursor that was cut, altered or moved to other filters. It is no secret and need not be: a
    forged cursor could only name another place of a list that the key may read anyway.

    Raises
    ------
    InvalidCursor
        If it is not what ``cursor`` made for ``wanted``.
    """
    snapshot_id, _, rest = text.partition(".")
    rank, _, seal = rest.partition(".")
    if not (snapshot_id and rank.isascii() and rank.isdigit() and len(rank) < 16):
        raise InvalidCursor("This is no cursor of this list: take it from `next`, or leave it out to start again.")
    at = Position(snapshot_id, int(rank))
    if seal != _seal(wanted, at):
        raise InvalidCursor(
            "The cursor was altered, or made for other filters or another sort: "
            "keep them the same from page to page, or leave the cursor out to start again."
        )
    return at


def _seal(wanted: AtRisk, at: Position) -> str:
    text = repr((at.snapshot_id, at.rank, wanted.sort, wanted.filters.key()))
    return hashlib.sha256(text.encode()).hexdigest()[:20]
