"""The types of events, and the body that one is sent as."""

from typing import Literal, get_args

import orjson

EventType = Literal[
    "score.tier_changed", "customer.entered_view", "snapshot.published", "model.promoted", "drift.alert"
]
TYPES: tuple[EventType, ...] = get_args(EventType)


def body_of(kind: str, created_at: str, payload: str) -> bytes:
    """The body of a message: ``type``, ``timestamp`` (when it happened) and ``data``."""
    return b'{"type":%b,"timestamp":%b,"data":%b}' % (orjson.dumps(kind), orjson.dumps(created_at), payload.encode())
