"""Which media type a request would rather have."""

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import TypeVar

Name = TypeVar("Name", bound=str)


def preferred(accept: str, offered: Mapping[Name, str]) -> Name:
    """The offered form that an Accept header ranks highest (RFC 9110, section 12.5.1); the first of equals."""
    quality = _weights(accept[:1_000])
    return max(offered, key=lambda name: quality.get(offered[name], 0.0))


@lru_cache(maxsize=256)
def _weights(accept: str) -> Mapping[str, float]:
    weights = {}
    for part in accept.split(","):
        media, *settings = (piece.strip().lower() for piece in part.split(";"))
        weight = next((setting[2:] for setting in settings if setting.startswith("q=")), "1")
        weights[media] = float(weight) if weight.replace(".", "", 1).isdecimal() else 0.0
    return MappingProxyType(weights)
