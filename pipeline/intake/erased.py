"""Who was erased: of their rows nothing remains but a count.

The service keeps a list of keyed hashes, 64 hexadecimal digits each: 8 that name the key, and the HMAC-SHA256 of the id
in UTF-8 with it, cut to fit. `fedelta erase` and `fedelta export-erased` write it to `erased/`.
"""

# ruff: noqa: S608 - the SQL is ours, around a SELECT the source's author wrote to be run

import hashlib
import hmac
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import duckdb

from fedelta.features.errors import FedeltaError
from fedelta.pipeline.intake.raw_files import identifier, literal
from fedelta.pipeline.paths import ERASED

KEY = Path("data/serve/erasure.key")
KEY_VARIABLE = "FEDELTA_ERASURE_KEY"
REASON = "erased"  # why their rows are out of scope

_TABLE = "fedelta.erased"
_AT_ONCE = 100_000


class CannotLeaveOut(FedeltaError):
    """There is a list of who was erased, and not the key that it was made with."""


@dataclass(frozen=True)
class Erased:
    """Who was erased."""

    key: bytes
    hashes: frozenset[str]

    def __contains__(self, customer_id: object) -> bool:
        mac = hmac.digest(self.key, str(customer_id).encode(), "sha256").hex()
        return _name(self.key) + mac[:56] in self.hashes


def read_erased(folder: Path = ERASED) -> Erased | None:
    """Who was erased; None: nobody.

    Raises
    ------
    CannotLeaveOut
        If the key is missing, or another one.
    """
    hashes = frozenset(line for path in sorted(folder.glob("*.txt")) for line in path.read_text("ascii").split())
    if not hashes:
        return None
    path = Path(os.environ.get(KEY_VARIABLE) or KEY)
    try:
        key = path.read_bytes()
    except OSError as error:
        raise CannotLeaveOut(
            f"{folder}/ lists who was erased, but the key to it, {path}, cannot be read ({error.strerror}): bring it "
            f"from the service, or name it with {KEY_VARIABLE}."
        ) from None
    if any(not one.startswith(_name(key)) for one in hashes):
        raise CannotLeaveOut(
            f"{folder}/ lists who was erased, by another key than {path}: name the service's with {KEY_VARIABLE}."
        )
    return Erased(key, hashes)


def without_erased(connection: duckdb.DuckDBPyConnection, select: str, columns: Collection[str], erased: Erased) -> str:
    """``select`` with every row of who was erased emptied, and out of scope for that reason."""
    connection.execute(f"CREATE TABLE IF NOT EXISTS {_TABLE} (customer_id VARCHAR)")
    everybody = connection.cursor().execute(f"SELECT DISTINCT customer_id::VARCHAR FROM (\n{select}\n)")
    while some := everybody.fetchmany(_AT_ONCE):
        if gone := [(one,) for (one,) in some if one in erased]:
            connection.executemany(f"INSERT INTO {_TABLE} VALUES (?)", gone)
    emptied = ", ".join(
        f"CASE WHEN NOT gone THEN {identifier(name)} END AS {identifier(name)}"
        for name in columns
        if name != "out_of_scope"
    )
    before = "out_of_scope::VARCHAR" if "out_of_scope" in columns else "NULL"
    its = f"coalesce(customer_id::VARCHAR IN (SELECT customer_id FROM {_TABLE}), false)"
    return (
        f"SELECT {emptied}, CASE WHEN gone THEN {literal(REASON)} ELSE {before} END AS out_of_scope "
        f"FROM (SELECT *, {its} AS gone FROM (\n{select}\n))"
    )


def _name(key: bytes) -> str:
    """The first digits of every hash made with a key."""
    return hashlib.sha256(b"fedelta erasure key\0" + key).hexdigest()[:8]
