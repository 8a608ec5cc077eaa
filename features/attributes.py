"""Declared attributes of customers, as known at each cutoff."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import polars as pl

PREFIX = "attribute_"


@dataclass(frozen=True)
class Attribute:
    """A column of `customers`: constant (`static`), or known only from the time in another column on."""

    type: Literal["categorical", "numeric"]
    static: bool = False
    known_from: str | None = None
    says: str = ""


def attributes_at(keys: pl.DataFrame, customers: pl.DataFrame, attributes: Mapping[str, Attribute]) -> pl.DataFrame:
    """Attributes of the rows of `keys` (customer_id, cutoff), one column `attribute_<name>` each, in row order.

    Null where the customer is unknown, the attribute is, or it became known only at the cutoff or later.
    """
    joined = keys.select("customer_id", "cutoff").join(customers, on="customer_id", how="left", maintain_order="left")
    return joined.select(
        _known(name, attribute).cast(pl.String if attribute.type == "categorical" else pl.Float64).alias(PREFIX + name)
        for name, attribute in attributes.items()
    )


def _known(name: str, attribute: Attribute) -> pl.Expr:
    if attribute.known_from is None:
        return pl.col(name)
    return pl.when(pl.col(attribute.known_from) < pl.col("cutoff")).then(pl.col(name))
