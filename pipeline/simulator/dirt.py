"""What goes wrong in a company's files, counted: duplicates, broken lines, impossible values, test accounts.

Every flaw is a row of its own beside the true ones, with exactly one thing wrong, so the true history stays whole and
the outcome of each row at ingest is known.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import polars as pl

from fedelta.pipeline.simulator.company import Company

DUPLICATE_SHARE = 0.002
FLAW_ID = 900_000_000  # ids from here on are flawed rows


@dataclass(frozen=True)
class Flaw:
    """Rows with one thing wrong: copies of true rows, with new ids and these columns overwritten.

    ``name`` is the rule of the contract they break.
    """

    name: str
    change: Mapping[str, str | int | None]
    rows: int = 24
    out_of_scope: bool = False


@dataclass(frozen=True)
class Soiled:
    """A file with its dirt; ``broken_lines`` are inserted into the text, ``last_line`` ends it without a newline."""

    table: pl.DataFrame
    broken_lines: tuple[str, ...]
    last_line: str | None
    outcome: Mapping[str, int]


FLAWS: Mapping[str, tuple[Flaw, ...]] = MappingProxyType(
    {
        "orders": (
            Flaw("amount_negative", {"gross": "-19.90"}, rows=36),
            Flaw("amount_absurd", {"gross": "999999999999999999.00"}),
            Flaw("unreadable", {"gross": "on request"}),
            Flaw("unknown_channel", {"shop": "Kiosk 7"}),
            Flaw("missing_customer_id", {"customer": None}, rows=40),
            Flaw("in_the_future", {"placed_at": "2099-01-01 10:00:00"}),
            Flaw("test_account", {"customer": "test-checkout"}, rows=30, out_of_scope=True),
        ),
        "web_events": (
            Flaw("missing_customer_id", {"customer": None}, rows=48),
            Flaw("unknown_kind", {"event": "heartbeat"}),
            Flaw("test_account", {"customer": "test-monitor"}, rows=60, out_of_scope=True),
        ),
        "support_tickets": (
            Flaw("unknown_channel", {"desk": "Fax"}),
            Flaw("unreadable", {"first_answer_hours": "soon"}),
            Flaw("wait_negative", {"first_answer_hours": "-3"}),
        ),
        "deliveries": (Flaw("unreadable", {"delivered_at": "31/12/2023"}, rows=30),),
        "reviews": (Flaw("rating_out_of_range", {"stars": 11}), Flaw("reach_negative", {"views": -1}, rows=12)),
        "surveys": (Flaw("rating_out_of_range", {"nps": "55"}),),
    }
)  # fmt: skip
BROKEN_LINES = 12  # of each sort
BROKEN_FILES = ("orders", "support_tickets", "deliveries")


def soil(company: Company, name: str, clean: pl.DataFrame) -> Soiled:
    """Add a file's dirt after its true rows; a file without true rows gets no flawed copies.

    ``outcome`` counts rows by what ingest should make of them: ``valid``, ``duplicate``, ``out_of_scope``,
    ``malformed_line`` and each rule broken by name.
    """
    if name == "treatments":  # the log of campaigns is kept by a tool of its own, and is clean
        return Soiled(clean, (), None, {"valid": clean.height})
    rng = company.rng(f"dirt in {name}")
    twice = np.sort(rng.choice(clean.height, round(clean.height * DUPLICATE_SHARE), replace=False))
    outcome = {"valid": clean.height, "duplicate": len(twice), "out_of_scope": 0}
    parts, next_id = [clean, clean[twice]], FLAW_ID
    for flaw in FLAWS.get(name, ()):
        copies = clean[rng.integers(clean.height, size=flaw.rows)] if clean.height else clean
        parts.append(_flawed(copies, flaw, next_id))
        next_id += copies.height
        outcome["out_of_scope" if flaw.out_of_scope else flaw.name] = copies.height
    lines, last = _broken_lines(clean) if name in BROKEN_FILES else ((), None)
    if lines:
        outcome["malformed_line"] = len(lines) + 1
    return Soiled(pl.concat(parts), lines, last, outcome)


def _flawed(copies: pl.DataFrame, flaw: Flaw, first_id: int) -> pl.DataFrame:
    name = copies.columns[0]
    ids = pl.Series(name, np.arange(first_id, first_id + copies.height)).cast(copies.schema[name])
    values = [pl.lit(value, dtype=copies.schema[column]).alias(column) for column, value in flaw.change.items()]
    return copies.with_columns(ids, *values)


def _broken_lines(clean: pl.DataFrame) -> tuple[tuple[str, ...], str]:
    """Lines with too few and too many fields, and a last one whose quote never closes."""
    fields = [f"broken {column}" for column in clean.columns]
    short = tuple(",".join([str(FLAW_ID + row), *fields[1:-2]]) for row in range(BROKEN_LINES))
    long = tuple(",".join([str(FLAW_ID + row), *fields[1:], "surplus"]) for row in range(BROKEN_LINES))
    return short + long, f'{FLAW_ID},"{",".join(fields[1:])}'
