"""What a process that scores does. Only here does the service use the scorer, and with it the extra `score`."""

import gc
import os
import signal
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from multiprocessing import parent_process
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import orjson
import polars as pl
from pydantic import TypeAdapter

from fedelta.features.attributes import Attribute
from fedelta.features.contract import INTERACTIONS
from fedelta.features.errors import FedeltaError
from fedelta.serve.live.rows import Columns, Posted, columns_of, table_of, whole
from fedelta.serve.snapshots.document import document_of
from fedelta.serve.snapshots.histories import Histories
from fedelta.serve.snapshots.parts import Parts

if TYPE_CHECKING:
    from fedelta.features.experience_rules import ExperienceSettings
    from fedelta.models.scoring import Customers
    from fedelta.scoring.histories import Interactions
    from fedelta.scoring.scorer import Scorer

_POSTED = TypeAdapter(list[Posted])
_KEPT = 3  # snapshots whose models stay loaded


class CannotScore(FedeltaError):
    """What a snapshot is scored by cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Customer:
    """A customer to be scored by interactions that were given."""

    customer_id: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    opted_out: bool | None = None
    given: frozenset[str] | None = None  # the columns that came with the request; None: those of the interactions


@dataclass(frozen=True)
class Batch:
    """Customers who are scored together, each id once."""

    parts: Parts
    snapshot_id: str
    customers: tuple[Customer, ...]
    interactions: Columns
    as_of: datetime | None = None  # None: the run's
    explain: bool | None = None
    what_if: Literal["without", "resolved"] | None = None  # the last bad experience of each had been changed so


@dataclass(frozen=True)
class Again:
    """Customers whose scores are made anew, from what the run knew of them and what was received since."""

    parts: Parts
    snapshot_id: str
    customers: tuple[str, ...]
    received: tuple[bytes, ...]  # interactions as JSON, of these customers
    newest: datetime | None  # from when the latest interaction of all customers counts: the scores are as of then
    before: Mapping[str, bytes]  # the documents of the snapshot, of those who have one


@dataclass(frozen=True)
class Answer:
    """The score of a customer: its document, as it is served, and warnings by kind where there are any."""

    customer_id: str
    document: bytes
    status: str
    as_of: datetime
    warnings: Mapping[str, Sequence[str]]


@dataclass
class _Loaded:
    scorer: "Scorer"
    histories: Histories | None


_loaded: OrderedDict[Parts, _Loaded] = OrderedDict()


def begin() -> None:
    """Prepare the process: one thread each for Polars and LightGBM, no signals of the terminal, end with the parent."""
    os.environ |= {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="fedelta-parent", daemon=True).start()


def warm(parts: Parts) -> None:
    """Load what a snapshot is scored by.

    Raises
    ------
    CannotScore
        If it cannot be used.
    """
    _load(parts)


def compute(batch: Batch) -> list[Answer]:
    """Score customers by the interactions given, and by nothing else.

    Raises
    ------
    CannotScore
        If what the snapshot is scored by cannot be used.
    """
    scorer = _load(batch.parts).scorer
    settings = scorer.context.settings
    attributes, strange = _attributes(batch.customers, settings.attributes, batch.as_of or settings.as_of)
    events: Interactions = batch.interactions
    if batch.what_if is not None:
        events = _changed(
            table_of(batch.interactions), batch.what_if, batch.as_of or settings.as_of, settings.experience
        )
    return _scored(scorer, batch, events, attributes, strange)


def _changed(
    events: pl.DataFrame, how: Literal["without", "resolved"], as_of: datetime, experience: "ExperienceSettings"
) -> pl.DataFrame:
    """The histories with the last bad experience of each changed, as ``models.what_if`` has it."""
    from fedelta.models.what_if import changed  # noqa: PLC0415 (the process that serves must not load it)

    whole = events.with_columns(
        pl.lit(None, dtype).alias(name) for name, dtype in INTERACTIONS.items() if name not in events.columns
    ).select(INTERACTIONS.names())
    parts = whole.sort("customer_id", "occurred_at", "interaction_id").partition_by("customer_id")
    try:
        return pl.concat([changed(part, as_of, experience, how)[0] for part in parts])
    except FedeltaError as error:
        raise CannotScore(str(error)) from None


def recompute(again: Again) -> list[Answer]:
    """Score customers by their whole histories.

    The time of the scores is the later of the run's and of the newest interaction, which counts; of an interaction that
    is in the history too, the history's is taken. Compared are they with the snapshot's.

    Raises
    ------
    CannotScore
        If what the snapshot is scored by cannot be used.
    """
    loaded = _load(again.parts)
    scorer, known = loaded.scorer, None
    posted = _POSTED.validate_json(b"[%b]" % b",".join(again.received))
    received = table_of(columns_of([(row.customer_id, row) for row in posted]))
    events = whole(received)
    if loaded.histories is not None:
        history = loaded.histories.interactions(again.customers)
        events = pl.concat([history, events.join(history, on="interaction_id", how="anti")])
        known = loaded.histories.customers(again.customers)
    at = scorer.context.settings.as_of
    if again.newest is not None:
        at = max(at, again.newest + timedelta(microseconds=1))
    batch = Batch(again.parts, again.snapshot_id, (), {}, at)
    return _scored(scorer, batch, events, known, {}, {name: orjson.loads(one) for name, one in again.before.items()})


def _scored(
    scorer: "Scorer",
    batch: Batch,
    events: "Interactions",
    attributes: "Customers | None",
    strange: Mapping[str, list[str]],
    before: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[Answer]:
    try:
        given = {one.customer_id: one.given for one in batch.customers if one.given is not None}
        found = scorer.score(events, attributes, batch.as_of, batch.explain, given=given)
    except FedeltaError as error:
        raise CannotScore(str(error)) from None
    answers = []
    for row in found.scores.rows():
        customer_id, status = row["customer_id"], row["status"]
        document = document_of(row | _compared(row, (before or {}).get(customer_id)), batch.snapshot_id)
        warnings: dict[str, Sequence[str]] = {}
        if (one := found.warnings.get(customer_id)) is not None:
            warnings = {"missing": one.missing, "out_of_range": one.out_of_range, "unknown": one.unknown}
        if customer_id in strange:
            warnings["unknown"] = (*warnings.get("unknown", ()), *strange[customer_id])
        as_of = row["as_of"].replace(tzinfo=UTC)
        answers.append(Answer(customer_id, document, status, as_of, {k: v for k, v in warnings.items() if v}))
    return answers


def _compared(row: Mapping[str, Any], before: Mapping[str, Any] | None) -> dict[str, Any]:
    """The score beside the document that it takes the place of: what a publish adds by comparing."""
    if before is None:
        return dict.fromkeys(("previous_probability", "delta", "tier_changed_at"))
    now, was, tier, tier_before = (
        row["churn_probability"],
        before.get("churn_probability"),
        row["risk_tier"],
        before.get("risk_tier"),
    )
    return {
        "previous_probability": was,
        "delta": None if now is None or was is None else now - was,
        "tier_changed_at": row["as_of"]
        if None not in (tier, tier_before) and tier != tier_before
        else before.get("tier_changed_at"),
    }


def _attributes(
    customers: Sequence[Customer], declared: Sequence[Attribute], as_of: datetime
) -> tuple[dict[str, list[Any]], dict[str, list[str]]]:
    """What was given of the customers, typed as the source declares it; and what it does not declare, by customer.

    An attribute that was given without the time from which it is known counts as known.
    """
    strange: dict[str, list[str]] = {}
    since = {one.known_from for one in declared if one.known_from}
    types: dict[str, Any] = {one.name: pl.String if one.type == "categorical" else pl.Float64 for one in declared}
    types |= dict.fromkeys(since, pl.Datetime("us", "UTC"))
    columns: dict[str, list[Any]] = {name: [] for name in types}
    for customer in customers:
        for name, value in customer.attributes.items():
            if value is not None and _as(types.get(name), value) is None:
                strange.setdefault(customer.customer_id, []).append(f"{name}={value}")
        for name, dtype in types.items():
            value = _as(dtype, customer.attributes.get(name))
            columns[name].append(as_of - timedelta(microseconds=1) if name in since and value is None else value)
    columns |= {"customer_id": [one.customer_id for one in customers], "opted_out": [o.opted_out for o in customers]}
    return columns, strange


def _as(dtype: Any, value: Any) -> Any:
    """The value as this type has it; None where it is no such value."""
    if dtype is pl.String:
        return value if isinstance(value, str) else None
    if dtype is pl.Float64:
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    if dtype is not None and isinstance(value, str):
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            return None
        return at if at.tzinfo is not None else None
    return None


def _load(parts: Parts) -> _Loaded:
    if (found := _loaded.get(parts)) is None:
        try:
            from fedelta.scoring.scorer import Scorer  # noqa: PLC0415 (the process that serves must not load it)

            scorer = Scorer.load(Path(parts.context), Path(parts.bundle))
            histories = Histories(Path(parts.histories)) if parts.histories else None
        except ModuleNotFoundError as error:
            raise CannotScore(f"Scoring needs {error.name}: install the extra `score` beside `serve`.") from None
        except (FedeltaError, OSError) as error:
            raise CannotScore(str(error)) from None
        found = _loaded[parts] = _Loaded(scorer, histories)
        while len(_loaded) > _KEPT:
            _, old = _loaded.popitem(last=False)
            if old.histories is not None:
                old.histories.close()
        _settle()
    _loaded.move_to_end(parts)
    return found


def _settle() -> None:
    """Take what was loaded for lasting: to look through it for garbage would hold up a request now and then."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def _end_with_parent() -> None:
    """A process whose parent was killed would wait for work for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(0)
