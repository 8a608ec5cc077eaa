"""What a customer went through: as the run knew it, and what was received since."""

from collections.abc import Iterable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from fedelta.features.contract import INTERACTIONS
from fedelta.serve.desk.page import Page
from fedelta.serve.snapshots.histories import Histories

MOST = 200  # interactions that a page shows

Interaction = dict[str, Any]  # in the columns of features.contract.INTERACTIONS


def interactions_of(
    page: Page, customer_id: str, received: Iterable[bytes], most: int | None = MOST
) -> list[Interaction]:
    """The latest interactions of a customer in order of time, each id once; None: all of them.

    Parameters
    ----------
    received : rows as JSON, as ``serve.operational.received`` has them
    """
    found: dict[str, Interaction] = {}
    parts = page.snapshot.parts
    if parts is not None and parts.histories is not None:
        with closing(Histories(Path(parts.histories))) as histories:
            found = {row["interaction_id"]: row for row in histories.interactions([customer_id]).to_dicts()}
    for text in received:
        row = dict.fromkeys(INTERACTIONS) | orjson.loads(text)
        row |= {name: datetime.fromisoformat(row[name]) for name in ("occurred_at", "known_at") if row[name]}
        found.setdefault(row["interaction_id"], row)
    ordered = sorted(found.values(), key=lambda row: (row["occurred_at"], row["interaction_id"]))
    return ordered if most is None else ordered[-most:]
