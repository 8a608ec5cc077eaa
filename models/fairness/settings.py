"""The section `fairness` of params.yaml."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from fedelta.features.ranges import Share


@dataclass(frozen=True)
class FairnessSettings:
    """Which protected attributes models may use all the same, and when a difference between groups is a warning.

    Attributes
    ----------
    allow : tuple of str
        Protected attributes that enter models like any other.
    least_customers : int
        Of a group; smaller groups are pooled.
    tolerance : float
        A mean probability that misses the observed rate by less is no warning, even if significant.
    least_ratio : float
        A group contacted at least so often as others of equal risk is no warning (the "four-fifths rule").
    """

    allow: tuple[str, ...] = ()
    least_customers: Annotated[int, Ge(20)] = 100
    tolerance: Share = 0.02
    least_ratio: Share = 0.8
