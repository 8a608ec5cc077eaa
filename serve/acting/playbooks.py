"""Playbooks: named steps, each some days after the start."""

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import sqlalchemy as sa
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from fedelta.serve.acting.actor import Actor
from fedelta.serve.acting.customers import Text
from fedelta.serve.acting.refusals import NotAllowed
from fedelta.serve.operational.database import Database
from fedelta.serve.operational.statements import Prepared
from fedelta.serve.operational.tables import DEFAULT_TENANT, playbooks
from fedelta.serve.operational.tenants import ensure


class Step(BaseModel):
    """What is to be done, and how many days after the start it is due."""

    model_config = {"extra": "forbid", "frozen": True}
    name: Text = Field(min_length=1, max_length=200)
    after_days: int = Field(ge=0, le=3_650)

    def due(self, started: date) -> date:
        """The day it is due."""
        return started + timedelta(days=self.after_days)


Json = dict[str, object]
_STEPS = TypeAdapter(list[Step])
_FILE = TypeAdapter(dict[str, list[Step]])
_EVERY = Prepared(
    sa.select(playbooks.c.name, playbooks.c.steps)
    .where(playbooks.c.tenant == sa.bindparam("tenant"))
    .order_by(playbooks.c.name)
)


def main(path: Path | None, database_url: str | None, *, tenant: str = DEFAULT_TENANT) -> dict[str, list[Json]]:
    """Store the playbooks of a file, if one is named; those there are.

    Raises
    ------
    NotAllowed, DatabaseError
    """
    database = Database.at(database_url)
    database.migrate()
    with database.engine() as engine, engine.begin() as connection:
        if path is not None:
            ensure(connection, tenant)
            store_playbooks(connection, Actor(tenant, "fedelta cases playbooks", database), read_playbooks(path))
        found = list_playbooks(connection, tenant)
    return {name: [step.model_dump() for step in steps] for name, steps in found.items()}


def read_playbooks(path: Path) -> dict[str, list[Step]]:
    """The playbooks of a JSON file: ``{"NAME": [{"name": "call", "after_days": 0}, …]}``.

    Raises
    ------
    NotAllowed
        If it cannot be read as such.
    """
    try:
        found = _FILE.validate_json(path.read_bytes())
    except ValidationError as error:
        fault = error.errors()[0]
        raise NotAllowed(f"{path} holds no playbooks: {'.'.join(map(str, fault['loc']))}: {fault['msg']}.") from error
    for name, steps in found.items():
        if not (steps and 0 < len(name) <= 60):
            raise NotAllowed(f"{path}: a playbook has a name of 1 to 60 characters and a step or more; see {name!r}.")
    return found


def store_playbooks(connection: sa.Connection, actor: Actor, found: dict[str, list[Step]]) -> None:
    """Make these the playbooks of the tenant. Cases that follow one that is gone keep their step."""
    connection.execute(playbooks.delete().where(playbooks.c.tenant == actor.tenant))
    if found:
        rows = [
            {"tenant": actor.tenant, "name": name, "steps": _STEPS.dump_json(steps).decode()}
            for name, steps in found.items()
        ]
        connection.execute(playbooks.insert(), rows)
    actor.note(connection, "playbooks.stored", "", names=sorted(found))


def list_playbooks(connection: sa.Connection, tenant: str) -> dict[str, list[Step]]:
    """The playbooks of a tenant, by name."""
    return {name: _STEPS.validate_json(steps) for name, steps in _EVERY.rows(connection, tenant=tenant)}


def steps_of(connection: sa.Connection, tenant: str, name: str | None) -> Sequence[Step]:
    """The steps of a playbook; none of none.

    Raises
    ------
    NotAllowed
        If there is no such playbook.
    """
    if name is None:
        return ()
    found = list_playbooks(connection, tenant)
    if name not in found:
        known = f"those there are: {', '.join(found)}" if found else "there is none yet"
        raise NotAllowed(f"There is no playbook {name!r}; {known}. `fedelta cases playbooks FILE` stores them.")
    return found[name]
