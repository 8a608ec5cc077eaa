"""Declared attributes of customers, as known at each cutoff."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from fedelta.features.contract import Pillar

PREFIX = "attribute_"
BAD_PREFIX = f"{PREFIX}bad_experience_"  # of columns that count bad experiences: their reasons name them as such


@dataclass(frozen=True)
class Attribute:
    """What is known of a customer beyond the contract, and since when."""

    name: str
    type: Literal["categorical", "numeric"]
    known_from: str | None  # a timestamp column of customers; None: static, known from the beginning
    says: str
    bad_experience: Pillar | None = None  # it counts bad experiences of this pillar
    protected: bool = False  # models may see it only where params say so (`fairness.allow`)
    fixed: bool = False  # nobody can act on it: never the first reason of a score; whatever is static is

    @property
    def column(self) -> str:
        """Name of its column in a feature table."""
        return (BAD_PREFIX if self.bad_experience else PREFIX) + self.name


def attributes_at(keys: pl.DataFrame, customers: pl.DataFrame, attributes: Sequence[Attribute]) -> pl.DataFrame:
    """Attributes of the rows of `keys` (customer_id, cutoff), in the columns they name, in row order.

    Null where the customer is unknown, the attribute is, or it became known only at the cutoff or later.
    """
    joined = keys.select("customer_id", "cutoff").join(customers, on="customer_id", how="left", maintain_order="left")
    return joined.select(
        _known(a).cast(pl.String if a.type == "categorical" else pl.Float64).alias(a.column) for a in attributes
    )


def _known(attribute: Attribute) -> pl.Expr:
    if attribute.known_from is None:
        return pl.col(attribute.name)
    return pl.when(pl.col(attribute.known_from) < pl.col("cutoff")).then(pl.col(attribute.name))
