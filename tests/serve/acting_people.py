"""Customers whom the tests of acting need, and who acts."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import sqlalchemy as sa
from scoring_runs import customer, reason

from fedelta.serve.acting.actor import Actor
from fedelta.serve.acting.run_cases import current_file
from fedelta.serve.operational.database import Database
from fedelta.serve.snapshots.read import SnapshotFile

T = TypeVar("T")


def planned(customer_id: str, **columns: object) -> dict[str, object]:
    """A customer to be contacted, for silence unless another reason is named."""
    why = [reason(code="silence", theme="rhythm", direction="raises"), reason(code="rest", direction="lowers")]
    return customer(
        customer_id, action="keep", best_action="keep", expected_profit=20.0, contact_cost=4.0, held_out=False,
        reasons=why,
    ) | columns  # fmt: skip


def held_out(customer_id: str, **columns: object) -> dict[str, object]:
    """A customer of the control group, who would be contacted but for that."""
    return planned(customer_id) | {"action": None, "held_out": True} | columns


def opted_out(customer_id: str) -> dict[str, object]:
    """A customer who does not want to be contacted."""
    return customer(customer_id, suppression_reason="opted out", held_out=False)


def vera(database: Database) -> Actor:
    """Who acts."""
    return Actor("default", "vera", database)


@contextmanager
def connected(database: Database) -> Iterator[sa.Connection]:
    """A transaction."""
    with database.engine() as engine, engine.begin() as connection:
        yield connection


def within(database: Database, act: Callable[[sa.Connection], T]) -> T:
    """What ``act`` returns, in one transaction."""
    with connected(database) as connection:
        return act(connection)


def current(database: Database, tenant: str = "default") -> SnapshotFile:
    """The current run of a tenant."""
    with database.engine() as engine:
        return current_file(engine, database, tenant)
