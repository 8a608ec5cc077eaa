"""Received interactions leave the database when the pipeline has them: none is lost, nothing that is read changes."""

import random
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import orjson
import polars as pl
import pytest
import sqlalchemy as sa
from test_export_interactions import exported, row, store

from fedelta.features.contract import INTERACTIONS
from fedelta.serve import export_interactions
from fedelta.serve.export_interactions import ExportRefused, export
from fedelta.serve.live.rows import Posted, columns_of, table_of, whole
from fedelta.serve.operational.database import Database
from fedelta.serve.operational.erasures import make_key
from fedelta.serve.operational.pointer import kept
from fedelta.serve.operational.received import Remade, due, newest, received_of, scores_of, store_scores
from fedelta.serve.operational.tables import erasures, precisely, received_interactions, snapshots
from fedelta.serve.snapshots.histories import Histories, write_histories
from fedelta.serve.snapshots.parts import FOLDER

NOW = datetime.now(UTC)
PEOPLE = ("ann", "bob", "cid", "dan")
DOCUMENT = b'{"customer_id":"ann","risk_tier":"low","churn_probability":0.1}'


def ran(database: Database, number: int, rows: list[Posted], published: datetime, as_of: datetime) -> None:
    """A kept run with histories of these rows."""
    folder = database.snapshots / "default" / FOLDER / f"histories-{number}"
    made = folder.parent / f"data-{number}"
    for one in (folder, made):
        one.mkdir(parents=True)
    whole(table_of(columns_of([(one.customer_id, one) for one in rows]))).write_parquet(made / "part-0.parquet")
    write_histories(folder, made, made / "customers.parquet")
    names = {"context": "c", "bundle": "b", "histories": folder.name}
    with database.engine() as engine, engine.begin() as connection:
        connection.execute(
            snapshots.insert().values(
                tenant="default", snapshot_id=f"run-{number}", turn=number, as_of=as_of.isoformat(), customers=1,
                published_at=published.strftime("%Y-%m-%dT%H:%M:%SZ"), about=b"{}", about_digest="x",
                scoring=orjson.dumps(names).decode(),
            )
        )  # fmt: skip


def aged(database: Database, days: dict[str, float]) -> None:
    """Let interactions have been received so many days ago."""
    with database.engine() as engine, engine.begin() as connection:
        for name, ago in days.items():
            mine = received_interactions.c.interaction_id == name
            at = precisely(NOW - timedelta(days=ago))
            connection.execute(received_interactions.update().where(mine).values(received_at=at))


def there(database: Database) -> set[str]:
    with database.engine() as engine, engine.begin() as connection:
        return set(connection.execute(sa.select(received_interactions.c.interaction_id)).scalars())


def seen(database: Database) -> tuple[object, ...]:
    """Of each run what scores are made of and read from: all ids, who is due, the time, live scores."""
    found: list[object] = []
    with database.engine() as engine, engine.begin() as connection:
        for one in kept(connection):
            received = received_of(connection, "default", PEOPLE)
            assert one.scoring is not None
            name = orjson.loads(one.scoring)["histories"]
            with closing(Histories(database.snapshots / "default" / FOLDER / name)) as histories:
                known = set(histories.interactions(PEOPLE)["interaction_id"])
            live = scores_of(connection, one, PEOPLE)
            came = {orjson.loads(each)["interaction_id"] for rows in received.values() for each in rows}
            latest, ends = newest(connection, "default"), datetime.fromisoformat(one.as_of or "")
            at = max(ends, latest + timedelta(microseconds=1)) if latest else ends
            found.append((known | came, sorted(due(connection, one, 99)), at, sorted(map(repr, live))))
    return tuple(found)


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_lost_and_nothing_that_is_read_changes(database: Database, tmp_path: Path, seed: int) -> None:
    chance, folder = random.Random(seed), tmp_path / "received"
    ends = [NOW - timedelta(days=20), NOW - timedelta(days=5)]
    rows, received = [], {}
    for number in range(60):
        happened = NOW - timedelta(days=chance.uniform(1, 60))
        rows.append(row(number, chance.choice(PEOPLE), occurred_at=happened))
        received[f"r-{number}"] = chance.uniform(0, 60)
        if number == 29:
            store(database, *rows)
            export(database, folder)
    store(database, *rows[30:55])
    export(database, folder)
    store(database, *rows[55:])
    aged(database, received)
    first = [one for one in rows if chance.random() < 0.8]
    ran(database, 1, first, ends[0] + timedelta(hours=1), ends[0])
    then = [one for one in rows if one in first or chance.random() < 0.5]
    ran(database, 2, then, ends[1] + timedelta(hours=1), ends[1])
    with database.engine() as engine, engine.begin() as connection:
        counts = {name: len(each) for name, each in received_of(connection, "default", PEOPLE[:2]).items()}
        made = [Remade(name, count, DOCUMENT, None) for name, count in counts.items()]
        store_scores(connection, "default", "run-2", made)
    before, stored = seen(database), there(database)
    export(database, folder, keep_days=30)
    assert seen(database) == before
    assert sorted(exported(folder)) == sorted(received)  # each once, whatever the database still has
    gone = stored - there(database)
    mine = {one.interaction_id: one for one in first}
    assert gone == {
        name for name, ago in received.items() if ago > 30 and name in mine and mine[name].occurred_at < ends[0]
    }
    assert gone
    files = {path.name: path.read_bytes() for path in folder.glob("*.parquet")}
    export(database, folder, keep_days=30)  # and again
    assert {path.name: path.read_bytes() for path in folder.glob("*.parquet")} == files
    store(database, row(99, "ann", occurred_at=NOW - timedelta(minutes=1)))
    with database.engine() as engine, engine.begin() as connection:
        assert "ann" in due(connection, kept(connection)[0], 99)  # one more than her score knows
    export(database, folder, keep_days=30)
    assert sorted(exported(folder)) == sorted([*received, "r-99"])


@pytest.fixture
def pruned(database: Database, tmp_path: Path) -> Path:
    """The folder of an export all of whose interactions have left the database."""
    rows = [row(number, name, occurred_at=NOW - timedelta(days=50)) for number, name in enumerate(PEOPLE)]
    store(database, *rows)
    aged(database, {one.interaction_id: 40 for one in rows})
    export(database, tmp_path / "received")
    ran(database, 1, rows, NOW - timedelta(days=1), NOW - timedelta(days=1))
    export(database, tmp_path / "received", keep_days=30)
    assert there(database) == set()
    return tmp_path / "received"


def test_the_number_of_an_export_that_left_is_not_given_again_and_its_file_is_not_written_without_it(
    database: Database, pruned: Path
) -> None:
    store(database, row(7))
    assert [one.number for one in export(database, pruned)] == [1, 2]
    assert exported(pruned) == ["r-0", "r-1", "r-2", "r-3", "r-7"]
    (pruned / "received-000001.parquet").unlink()
    with pytest.raises(ExportRefused, match="restore"):
        export(database, pruned)


def test_who_is_erased_leaves_the_file_of_an_export_that_left_whatever_dies_on_the_way(
    database: Database, pruned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.engine() as engine, engine.begin() as connection:
        values = {"tenant": "default", "hashed_id": make_key(database).hashed("bob")}
        connection.execute(erasures.insert().values(**values, erased_at="2026-01-01T00:00:00Z", receipt="{}"))

    class Killed(BaseException):
        pass

    def dying(act: Callable[..., None], at: int) -> Callable[..., None]:
        calls = count(1)

        def die(*values: object, **named: object) -> None:
            if next(calls) == at:
                raise Killed
            act(*values, **named)

        return die

    for where, at in (("_move", 1), ("_move", 2), ("_move", 3), ("set_pruned", 1)):
        with monkeypatch.context() as patched:
            patched.setattr(export_interactions, where, dying(getattr(export_interactions, where), at))
            with pytest.raises(Killed):
                export(database, pruned)
    export(database, pruned)
    assert exported(pruned) == ["r-0", "r-2", "r-3"]
    assert [one.rows for one in export(database, pruned)] == [3]
    assert pl.read_parquet(pruned / "*.parquet").columns == INTERACTIONS.names()


def test_nothing_leaves_while_a_kept_run_has_no_histories(database: Database, tmp_path: Path) -> None:
    one = row(1, occurred_at=NOW - timedelta(days=50))
    store(database, one)
    aged(database, {"r-1": 40})
    ran(database, 1, [one], NOW - timedelta(days=1), NOW - timedelta(days=1))
    ran(database, 2, [one], NOW - timedelta(days=1), NOW - timedelta(days=1))
    with database.engine() as engine, engine.begin() as connection:
        connection.execute(snapshots.update().where(snapshots.c.turn == 1).values(scoring=None))
    export(database, tmp_path / "received", keep_days=30)
    assert there(database) == {"r-1"}
