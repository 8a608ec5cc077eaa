"""Statements that both kinds of database take."""

import json

import pytest
import sqlalchemy as sa

from fedelta.serve.operational.database import Database
from fedelta.serve.operational.statements import Prepared, among
from fedelta.serve.operational.tables import tenants

NAMES = ["o'hara", 'a "b", c', "عميل", "x%", "[]"]


@pytest.mark.parametrize("wanted", [[], NAMES[:1], NAMES, ["nobody", *NAMES[1:3]]])
def test_a_prepared_statement_finds_texts_among_however_many(database: Database, wanted: list[str]) -> None:
    found = Prepared(sa.select(tenants.c.tenant).where(among(tenants.c.tenant, "wanted"), tenants.c.created_at == ""))
    with database.engine() as engine, engine.begin() as connection:
        connection.execute(tenants.insert(), [{"tenant": name, "created_at": ""} for name in NAMES])
        twice = [found.rows(connection, wanted=json.dumps(wanted)) for _ in range(2)]
    for rows in twice:
        assert sorted(name for (name,) in rows) == sorted(set(wanted) & set(NAMES))
