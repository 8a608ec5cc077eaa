"""Interactions as they come over HTTP: the columns of the contract, each within what `ingest` would take."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated, Any

import polars as pl
from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, TypeAdapter, ValidationError

from fedelta.features.contract import INTERACTIONS, REQUIRED

_FIRST = datetime(1970, 1, 2, tzinfo=UTC)  # the day before stands for no date
_LAST = datetime(2100, 1, 1, tzinfo=UTC)
_MONEY = Decimal("0.0001")


def _in_utc(at: datetime) -> datetime:
    if not _FIRST <= at < _LAST:
        raise ValueError("a time from 1970-01-02 to 2099 was expected")
    return at.astimezone(UTC)


Time = Annotated[AwareDatetime, AfterValidator(_in_utc)]
Id = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
_Word = Annotated[str, Field(min_length=1, max_length=100)]
_Share = Annotated[float, Field(ge=0, le=1)]


class Interaction(BaseModel):
    """Something that happened to a customer; what is left out or null is unknown."""

    model_config = {"extra": "forbid", "strict": True, "allow_inf_nan": False}
    interaction_id: Id = Field(description="Unique; a second interaction of the same id is a duplicate.")
    occurred_at: Time
    kind: _Word = Field(description="purchase, return, complaint, …: a kind of the source.")
    channel: _Word | None = None
    amount: Annotated[float, Field(ge=0, lt=1e12)] | None = Field(None, description="In the source's currency.")
    rating: _Share | None = Field(None, description="From 0, worst, to 1, best.")
    resolved: bool | None = Field(None, description="Whether the contact or complaint was settled.")
    wait_hours: Annotated[float, Field(ge=0)] | None = None
    delay_hours: float | None = Field(None, description="Delivered minus promised; negative is early.")
    effort: _Share | None = Field(None, description="From 0, none, to 1, most.")
    reach: Annotated[int, Field(ge=0, lt=2**63)] | None = Field(None, description="How many people saw it.")
    topic: Annotated[str, Field(max_length=1_000)] | None = Field(
        None, description="Of a purchase the categories of what was bought, with | between them."
    )
    margin: Annotated[float, Field(gt=-1e12, lt=1e12)] | None = Field(None, description="The amount without its costs.")
    known_at: Time | None = Field(None, description="When the company learned of it, where that is later.")


class Posted(Interaction):
    """An interaction, and whose it was."""

    customer_id: Id


# Columns by name, each a list: how rows go to the processes that score, and what takes least to make a table of.
Columns = dict[str, list[Any]]


def columns_of(rows: Sequence[tuple[str, Interaction]]) -> Columns:
    """The interactions of (customer, interaction) pairs; columns that nobody gave are left out."""
    given = {*REQUIRED}.union(*(row.model_fields_set for _, row in rows)) - {"customer_id"}
    columns: Columns = {"customer_id": [customer_id for customer_id, _ in rows]}
    for name in INTERACTIONS:
        if name in given:
            columns[name] = [getattr(row, name) for _, row in rows]
    for name in ("amount", "margin"):
        if name in columns:
            columns[name] = [_money(value) for value in columns[name]]
    return columns


def table_of(columns: Mapping[str, Sequence[Any]]) -> pl.DataFrame:
    """What `columns_of` made as a table of the contract's types, as far as it has the columns."""
    schema = {name: INTERACTIONS[name] for name in INTERACTIONS if name in columns}
    return pl.DataFrame({name: columns[name] for name in schema}, schema=schema)


def whole(table: pl.DataFrame) -> pl.DataFrame:
    """The table with all columns of the contract."""
    return table.select(
        (pl.col(name) if name in table.columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in INTERACTIONS.items()
    )


def joined(parts: Sequence[Columns]) -> Columns:
    """Rows below each other; what a part lacks is null in its rows."""
    names = dict.fromkeys(name for part in parts for name in part)
    return {
        name: [value for part in parts for value in part.get(name) or [None] * len(part["customer_id"])]
        for name in names
    }


def _money(value: float | None) -> Decimal | None:
    return None if value is None else Decimal(repr(value)).quantize(_MONEY, ROUND_HALF_UP)


Body = TypeAdapter[Any]


def validated(body: Body, content: bytes) -> Any:
    """The content of a request as its model has it.

    Raises
    ------
    RequestValidationError
        If it is not JSON, or not what the model allows.
    """
    try:
        return body.validate_json(content)
    except ValidationError as error:
        faults = error.errors(include_input=False, include_context=False, include_url=False)
        raise RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in faults[:50]]) from None
