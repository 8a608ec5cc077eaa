"""Channels: where the customer meets us, and how many ways."""

from dataclasses import replace
from functools import partial

import numpy as np
import polars as pl

from fedelta.features.contract import CHANNELS
from fedelta.features.feature import Family, Feature, quotient
from fedelta.features.history import Floats, Measure, View

_family = Family("channels")

THROUGH = {
    name: Measure(
        f"channel_{name}", pl.col("channel") == name, "count", f"interactions through {name.replace('_', ' ')}"
    )
    for name in CHANNELS
}
KNOWN = Measure("channel_known", pl.col("channel").is_not_null(), "count", "interactions whose channel is known")
DIGITAL = Measure("digital", pl.col("is_digital"), "count", "interactions through a digital channel")


def _share(view: View, through: Measure) -> Floats:
    return view.keep("share", through, 365, lambda: quotient(view.count(through, 365), view.count(KNOWN, 365)))


def _entropy(view: View) -> Floats:
    """Shannon entropy (1948) of the channels used, in bits; null when none was."""
    total = np.zeros(len(view.start))
    for through in THROUGH.values():
        share = _share(view, through)
        used = np.flatnonzero(share > 0)
        total[used] -= share[used] * np.log2(share[used])
    return np.where(view.count(KNOWN, 365) > 0, total, np.nan)


def _distinct(view: View) -> Floats:
    used = [view.count(measure, 365) > 0 for measure in THROUGH.values()]
    return np.asarray(np.sum(used, axis=0), np.float64)


FEATURES: tuple[Feature, ...] = (
    *(
        replace(
            _family.of(
                f"{name}_share_365d",
                "share",
                f"share of {through.says}, last 365 days",
                (through, KNOWN),
                partial(_share, through=through),
            ),
            windows=(365,),
        )
        for name, through in THROUGH.items()
    ),
    _family.ratio(
        "digital_share_365d", DIGITAL, KNOWN, 365, "share of interactions through digital channels, last 365 days"
    ),
    _family.ratio(
        "digital_share_90d", DIGITAL, KNOWN, 90, "share of interactions through digital channels, last 90 days"
    ),
    _family.of(
        "channel_entropy_365d",
        "ratio",
        "variety of channels used in the last 365 days, in bits (0: always the same)",
        (*THROUGH.values(), KNOWN),
        _entropy,
    ),
    _family.of(
        "channel_count_365d",
        "count",
        "different channels used in the last 365 days",
        tuple(THROUGH.values()),
        _distinct,
        "0",
    ),
    _family.of(
        "last_channel_digital",
        "share",
        "whether the last interaction was through a digital channel (1) or a physical one (0)",
        (DIGITAL, KNOWN),
        lambda view: view.last_value(DIGITAL, KNOWN),
    ),
)
