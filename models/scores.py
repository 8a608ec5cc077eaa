"""The scores of customers at one cutoff: columns, which become the table of a run, or rows where they are few."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from math import isnan
from typing import Any

import numpy as np
import polars as pl

from fedelta.features.contract import SCORES, SuppressionReason

Columns = dict[str, Any]  # of customers, each an array, a list or a series of shape (n_customers,)
_NO_ROW: dict[str, Any] = dict.fromkeys(SCORES)


@dataclass(frozen=True)
class Scores:
    """The scores of customers at one cutoff, and why others have none.

    Attributes
    ----------
    figures : dict of str to array, list or series
        Columns of ``features.contract.SCORES``, `customer_id` among them, of those who are scored. What is left out is
        null, as are NaN and None; times are in UTC without a zone.
    others : mapping of customer to str
        The status of those who are not.
    as_of : datetime
        In UTC, without a zone.
    suppressed : mapping of customer to str
        Who must not be contacted, and why.
    """

    figures: Columns
    others: Mapping[str, str]
    as_of: datetime
    horizon_days: int
    model_version: str
    suppressed: Mapping[str, SuppressionReason]

    def table(self) -> pl.DataFrame:
        """The columns of ``features.contract.SCORES``, sorted by customer_id."""
        tables = [
            pl.DataFrame(
                part, schema_overrides={name: _TYPES[name] for name in _TYPES if name in part}, nan_to_null=True
            ).select(_completing(frozenset(part)))
            for part in self._parts()
        ]
        return pl.concat(tables).sort("customer_id")

    def rows(self) -> Iterator[dict[str, Any]]:
        """The rows of the table, in any order and with times as in `figures`: a table of few customers takes longer."""
        for part in self._parts():
            names = [name for name in SCORES if name in part]
            for values in zip(*(_plain(name, part[name]) for name in names), strict=True):
                yield _NO_ROW | dict(zip(names, values, strict=True))

    def _parts(self) -> Iterator[Columns]:
        """Those who are scored, then the others, with what is the same of all or follows from their ids."""
        scored = self.figures["customer_id"] if self.figures else []
        yield self._completed(self.figures | {"customer_id": scored, "status": ["scored"] * len(scored)})
        if self.others:
            yield self._completed({"customer_id": list(self.others), "status": list(self.others.values())})

    def _completed(self, columns: Columns) -> Columns:
        ids = columns["customer_id"]
        return columns | {
            "as_of": np.full(len(ids), np.datetime64(self.as_of, "us")),
            "horizon_days": np.full(len(ids), self.horizon_days, np.int32),
            "suppression_reason": [self.suppressed.get(name) for name in ids],
            "model_version": [self.model_version] * len(ids),
        }


_TYPES = {name: SCORES[name] for name in ("customer_id", "status", "reasons", "next_categories")}


@cache
def _completing(columns: frozenset[str]) -> list[pl.Expr]:
    """The columns of the contract from those that are there."""
    return [
        (_typed(name) if name in columns else pl.lit(None)).cast(dtype).alias(name) for name, dtype in SCORES.items()
    ]


def _typed(name: str) -> pl.Expr:
    return pl.col(name).dt.replace_time_zone("UTC") if isinstance(SCORES[name], pl.Datetime) else pl.col(name)


def _plain(name: str, values: Any) -> list[Any]:
    """A column as Python has it, None for null."""
    if isinstance(values, pl.Series):
        return values.to_list()
    found: list[Any] = list(values) if isinstance(values, list) else values.tolist()
    if isinstance(values, list) or values.dtype.kind != "f":
        return found
    known = [None if isnan(one) else one for one in found]
    return [None if one is None else int(one) for one in known] if SCORES[name].is_integer() else known
