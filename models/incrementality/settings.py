"""The section `measure` of params.yaml."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fedelta.features.ranges import OpenShare


@dataclass(frozen=True)
class MeasureSettings:
    """Share held out of each campaign that draws its own control group; others go by `policy.holdout`."""

    held_out: Mapping[str, OpenShare] = field(default_factory=dict)
