"""The score document: what a customer's score looks like over HTTP, as JSON and as a row of CSV."""

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import orjson
import polars as pl
from pydantic import BaseModel, Field, create_model

from fedelta.features.contract import BAD_WINDOWS, SCORES, STATUS_REASON, Status

# What each field means, in the order in which it is served: the columns of a scoring run, then provenance.
MEANING = {
    "customer_id": "the customer",
    "as_of": "the instant the score looks back from (UTC)",
    "horizon_days": "how many days ahead it looks",
    "churn_probability": "calibrated probability of churn within the horizon, 0 to 1",
    "churn_score": "the same risk on a scale of 0 to 100",
    "risk_tier": "low, medium, high or critical",
    "percentile": "share of scored customers at lower or equal risk, 0 to 100",
    "percentile_in_journey": "the same among customers on the same journey",
    "previous_probability": "churn_probability of the run before this one",
    "clv_expected": "expected spend within the horizon, in `currency`",
    "clv_low": "lower end of its 90% interval",
    "clv_high": "upper end of its 90% interval; 0 where nine such customers in ten spend nothing, though some spend",
    "historic_value": "spend so far, less what was given back; below 0 where more was",
    "historic_value_gross": "spend so far, whatever was given back",
    "currency": "currency of every amount",
    "value_at_risk": "chance of leaving × expected spend in the horizon × margin: what is at stake",
    "expected_orders": "expected number of days with a purchase (or what churn.activity declares) within the horizon",
    "expected_next_order_at": "when the next purchase (or what churn.activity declares) is expected",
    "p_alive": "probability that the customer has not already left in silence",
    "loyalty_class": "loyal, latent, spurious or none",
    "loyalty_score": "loyalty, 0 to 100",
    "persona": "the group of similar customers",
    "journey": "onboarding, use, maintenance or renewal",
    "journey_stage": "awareness, familiarity, consideration, purchase or loyalty",
    **{f"bad_experiences_{days}d": f"bad experiences in the last {days} days" for days in BAD_WINDOWS},
    "last_bad_experience_at": "when the last one happened",
    "last_bad_experience": "the rule it broke",
    "open_issue": "is something still unresolved",
    "experience_index": "good experiences out of a hundred, moved to what the base has where there were few",
    "pillar_integrity": "the same where trust was put to the test; null where it never was, as for all that follow",
    "pillar_resolution": "the same where something had to be put right",
    "pillar_expectations": "the same where a promise had to be kept",
    "pillar_empathy": "the same where the customer was heard and answered",
    "pillar_personalisation": "the same where it had to fit this customer",
    "pillar_time_and_effort": "the same where the customer's time and effort were at stake",
    "level_needs": "the same where the customer needed it to work",
    "level_ease": "the same where it had to be easy",
    "level_enjoyable": "the same where it could be enjoyed",
    "reasons": "why the score is what it is, strongest first: theme, text, contribution (below 0 it lowers the risk)",
    "action": "what to do",
    "expected_profit": "expected profit of doing it",
    "held_out": "in the group left alone so that the effect of contacting can be measured",
    "spared": "why not to be contacted now: opted out, contacted lately; null when they may be",
    "model_version": "the model that made the score",
    "status": "scored, or why not: too_new, no_history, already_churned, ended, erased",
    "status_reason": "the same in words; null when scored",
    "snapshot_id": "the scoring run",
}
CSV_COLUMNS = ("rank", *MEANING)

_CHUNK_ROWS = 500
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # full width too
_TYPES: dict[pl.DataType, type] = {pl.String(): str, pl.Float64(): float, pl.Int32(): int, pl.Boolean(): bool}


class Reason(BaseModel):
    """One reason of a score."""

    theme: str | None
    text: str | None
    contribution: float | None = Field(description="what it adds to the score, on the scale of log-odds")


def bodies(scores: pl.DataFrame, snapshot_id: str) -> list[bytes]:
    """One JSON document per row of ``scores`` (columns of ``SCORES``), in row order, encoded as orjson would.

    Polars encodes a whole column at once: 2 µs a document, where orjson over row dictionaries takes 12.
    """
    document = scores.with_columns(
        pl.col(pl.Datetime).dt.strftime("%Y-%m-%dT%H:%M:%S%.fZ"),
        pl.col("status").replace_strict(STATUS_REASON, default=None, return_dtype=pl.String).alias("status_reason"),
        pl.lit(snapshot_id).alias("snapshot_id"),
    )
    encoded = document.select(pl.struct(list(MEANING)).struct.json_encode().cast(pl.Binary)).to_series()
    return encoded.to_list()


def csv_chunks(rows: Iterable[tuple[int, bytes]]) -> Iterator[bytes]:
    """A CSV file (RFC 4180, UTF-8, header first) of (rank, document) rows, some hundreds of rows at a time.

    Text a spreadsheet would run as a formula gets an apostrophe in front; numbers stay as they are.
    """
    page = io.StringIO(newline="")
    writer = csv.writer(page)
    writer.writerow(CSV_COLUMNS)
    for count, (rank, body) in enumerate(rows, 1):
        document = orjson.loads(body)
        writer.writerow([rank, *(_cell(document.get(name)) for name in MEANING)])
        if count % _CHUNK_ROWS == 0:
            yield page.getvalue().encode()
            page.seek(0)
            page.truncate()
    yield page.getvalue().encode()


def _cell(value: object) -> object:
    if isinstance(value, list):
        value = " | ".join(f"{_pull(reason)}{reason['text']}" for reason in value if reason and reason["text"])
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and value.startswith(_FORMULA_STARTS):
        return f"'{value}"
    return value


def _pull(reason: dict[str, Any]) -> str:
    """Which way a reason moves the risk; nothing where that is unknown."""
    contribution = reason["contribution"]
    return "" if not contribution else "raises: " if contribution > 0 else "lowers: "


def _field(name: str) -> Any:
    dtype = SCORES.get(name, pl.String())
    if name == "status":
        return (Status, ...)
    if name in ("customer_id", "snapshot_id"):
        return (str, Field(description=MEANING[name]))
    kind: Any = (
        list[Reason] if isinstance(dtype, pl.List) else datetime if isinstance(dtype, pl.Datetime) else _TYPES[dtype]
    )
    return (kind | None, Field(description=MEANING[name]))


# For the OpenAPI description alone: documents are served as the bytes that were stored.
Score: type[BaseModel] = create_model(
    "Score", __doc__="The latest score of one customer.", **{name: _field(name) for name in MEANING}
)
