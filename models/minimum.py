"""How much there must be to learn from."""

from dataclasses import dataclass

from fedelta.features.ranges import WholeNumber


@dataclass(frozen=True)
class Minimum:
    """Below any of these nothing is learned."""

    customers: WholeNumber = 200
    positives: WholeNumber = 50  # customers with a training row that churned
    negatives: WholeNumber = 50  # customers with one that did not
    span_days: WholeNumber = 60  # from the first known purchase to the last training cutoff
