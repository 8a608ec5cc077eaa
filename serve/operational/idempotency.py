"""Requests that are carried out once, however often they are sent: by a key that their sender made."""

import hashlib
from collections.abc import Callable

import sqlalchemy as sa

from fedelta.features.errors import FedeltaError
from fedelta.serve.operational.tables import idempotency_keys, now


class KeyReused(FedeltaError):
    """The idempotency key came before, with another request."""


def once(
    connection: sa.Connection,
    tenant: str,
    caller: str,
    operation: str,
    key: str,
    request: bytes,
    act: Callable[[], str],
) -> tuple[str, bool]:
    """What ``act`` answers; or what it answered when the same request came before, and that it did (True).

    All is one transaction with what ``act`` writes: if that fails, the key is as if it never came. A second request
    with the same key waits for the first.

    Raises
    ------
    KeyReused
        If the key came before with another request.
    """
    table, digest = idempotency_keys, hashlib.sha256(request).hexdigest()
    row = {"tenant": tenant, "caller": caller[:100], "operation": operation, "key": key}
    which = sa.and_(*(table.c[name] == value for name, value in row.items()))
    try:
        with connection.begin_nested():
            connection.execute(table.insert().values(row | {"digest": digest, "answer": "", "created_at": now()}))
    except sa.exc.IntegrityError:
        before = connection.execute(sa.select(table.c.digest, table.c.answer).where(which)).first()
        if before is None:  # something else is wrong, such as the tenant
            raise
        if before.digest != digest:
            raise KeyReused(
                f"The Idempotency-Key {key!r} came before with another request: make a new key for each."
            ) from None
        return before.answer, True
    answer = act()
    connection.execute(table.update().where(which).values(answer=answer))
    return answer, False
