"""What would have been: one customer's history with its last bad experience undone, or settled at once."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import polars as pl

from fedelta.features.annotate import annotate
from fedelta.features.errors import FedeltaError
from fedelta.features.experience_rules import ExperienceSettings

How = Literal["without", "resolved"]

CAUTION = "This is what the model associates with such a history, not an effect: it does not say what caused what."
PROMPT_HOURS = 1.0  # an answer within the hour is prompt
# What would have taken place had all gone well: it stays, made good. Everything else (a contact, a complaint, an error,
# an outage, a return, a bad review or survey) is there because something went wrong, and goes.
STAYS = frozenset({"purchase", "delivery", "visit", "enrolment", "renewal", "message", "response", "referral"})
SETTLED = ("contact", "complaint")


class NothingToChange(FedeltaError):
    """A history holds no bad experience that could be changed as asked."""


@dataclass(frozen=True)
class Change:
    """What was changed in a history."""

    how: How
    interaction_id: str
    occurred_at: datetime
    kind: str
    rule: str  # the gravest it broke
    done: str  # in words


def changed(
    events: pl.DataFrame, before: datetime, experience: ExperienceSettings, how: How
) -> tuple[pl.DataFrame, Change]:
    """The history of one customer before `before`, with its last bad experience changed.

    `without`: as if it had not happened. A delivery comes on time; a purchase, a visit and the like stay without their
    rating, wait and effort; whatever else it is, or what would still break a rule, is removed. What followed from it (a
    call about a late delivery) stays: nobody recorded that it followed. `resolved`: a contact or complaint counts as
    settled, answered within the hour where the time to the answer is known; after anything else comes a contact that
    settles it within the hour.

    Parameters
    ----------
    events : DataFrame
        Interactions of one customer (all columns of the contract), sorted by time and id.

    Raises
    ------
    NothingToChange
        If there is no bad experience, or `resolved` is asked of one that was settled.
    """
    events = events.filter(pl.col("occurred_at") < before)
    bad = annotate(events, experience).with_row_index("row").filter(pl.col("severity") > 0)
    if bad.is_empty():
        raise NothingToChange(f"There was no bad experience before {before:%Y-%m-%d}: there is nothing to change.")
    last = bad.row(-1, named=True)
    edit = _without if how == "without" else _resolved
    history, done = edit(events, int(last["row"]), experience)
    rule = str(last["bad_experience"])
    change = Change(how, last["interaction_id"], last["occurred_at"], last["kind"], rule, done)
    return history.filter(pl.col("occurred_at") < before), change


def _without(events: pl.DataFrame, row: int, experience: ExperienceSettings) -> tuple[pl.DataFrame, str]:
    event, kind = events[row], events["kind"][row]
    unknown = [pl.lit(None, event.schema[name]).alias(name) for name in ("rating", "resolved", "wait_hours", "effort")]
    good = event.with_columns(*unknown, delay_hours=pl.col("delay_hours").clip(upper_bound=0.0))
    history = _with(events, row, good)
    if kind not in STAYS or annotate(history, experience)["severity"][row] > 0:
        return _with(events, row, event.clear()), "removed"
    return history, "on time" if kind == "delivery" else "made good"


def _resolved(events: pl.DataFrame, row: int, _: ExperienceSettings) -> tuple[pl.DataFrame, str]:
    event = events[row]
    seen, answered = event.row(0, named=True), pl.col("wait_hours").clip(upper_bound=PROMPT_HOURS)
    settling = events[row:].filter(pl.col("kind").is_in(SETTLED), pl.col("resolved"))
    prompt = seen["kind"] not in SETTLED or (seen["wait_hours"] or 0.0) <= PROMPT_HOURS
    if prompt and not settling.is_empty():
        raise NothingToChange(
            f"The last bad experience ({seen['kind']} of {seen['occurred_at']:%Y-%m-%d}) was settled on "
            f"{settling['occurred_at'][0]:%Y-%m-%d}: there is nothing to change."
        )
    if seen["kind"] in SETTLED:
        settled = event.with_columns(resolved=pl.lit(True), wait_hours=answered)
        return _with(events, row, settled), "settled, and answered within the hour"
    contact = {
        "interaction_id": f"{seen['interaction_id']}, settled",
        "customer_id": seen["customer_id"],
        "occurred_at": seen["occurred_at"] + timedelta(hours=PROMPT_HOURS),
        "kind": "contact",
        "resolved": True,
        "wait_hours": 0.0,
    }
    added = pl.DataFrame([contact], schema=events.schema)
    history = pl.concat([events, added]).sort("occurred_at", "interaction_id")
    return history, "followed by a contact that settles it within the hour"


def _with(events: pl.DataFrame, row: int, put: pl.DataFrame) -> pl.DataFrame:
    """The events with others in place of one."""
    return pl.concat([events[:row], put, events[row + 1 :]])
