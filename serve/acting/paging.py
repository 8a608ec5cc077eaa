"""Pages of rows by keyset: each begins after the last row of the one before, whatever was added meanwhile."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import orjson
import sqlalchemy as sa

from fedelta.serve.snapshots.listing import InvalidCursor

MOST_ROWS = 1_000


@dataclass(frozen=True)
class Order:
    """By a value that is never null, then by ``number``, which is unique and ascends."""

    value: sa.ColumnElement[object]
    number: sa.ColumnElement[int]
    descending: bool = False

    def page(
        self, connection: sa.Connection, rows: sa.Select[tuple[object, ...]], limit: int, after: str | None, of: str
    ) -> tuple[Sequence[sa.RowMapping], str | None]:
        """The first rows after a cursor, and the cursor of what follows; None: nothing does.

        Parameters
        ----------
        of : what the rows are chosen by, as text: a cursor holds for the same only

        Raises
        ------
        InvalidCursor
            If the cursor is not one that was given out for it.
        """
        if after is not None:
            value, number = _opened(after, of, self.value.type.python_type)
            beyond = self.value < value if self.descending else self.value > value
            rows = rows.where(sa.or_(beyond, sa.and_(self.value == value, self.number > number)))
        first = self.value.desc() if self.descending else self.value
        rows = rows.add_columns(self.value.label("_value")).order_by(first, self.number).limit(limit + 1)
        found = connection.execute(rows).mappings().all()
        last = found[limit - 1] if len(found) > limit else None
        return found[:limit], None if last is None else _sealed([last["_value"], last["id"]], of)


def _sealed(place: list[object], of: str) -> str:
    text = orjson.dumps(place)
    return f"{base64.urlsafe_b64encode(text).decode().rstrip('=')}.{_seal(text, of)}"


def _opened(cursor: str, of: str, kind: type) -> tuple[object, int]:
    """The value, of a kind, and the number that a cursor holds: its seal is no secret, so anything may be sealed."""
    body, _, seal = cursor.partition(".")
    try:
        text = base64.urlsafe_b64decode(body.encode("ascii") + b"=" * (-len(body) % 4))
        if seal != _seal(text, of):
            raise ValueError
        value, number = orjson.loads(text)
        if type(value) is not kind or type(number) is not int or not 0 <= number < 2**63 or "\0" in str(value):
            raise ValueError
    except (ValueError, TypeError):
        raise InvalidCursor(
            "This is no cursor of this list: take it from `next` and keep the filters, or leave it out to start again."
        ) from None
    return value, number


def _seal(text: bytes, of: str) -> str:
    return hashlib.sha256(text + of.encode("utf-8", "surrogatepass")).hexdigest()[:20]
