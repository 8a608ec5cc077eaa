"""What the service holds: the current snapshots, followed while they are switched, and what is written."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest
import sqlalchemy as sa
from operational_databases import url_of
from postgres import Server, running
from scoring_runs import Publish, customer, many

from fedelta.serve.operational import pointer
from fedelta.serve.operational.database import Database
from fedelta.serve.operational.tables import audit
from fedelta.serve.snapshots.exports import ndjson
from fedelta.serve.snapshots.listing import AtRisk
from fedelta.serve.snapshots.pages import page, whole
from fedelta.serve.snapshots.publish import publish
from fedelta.serve.store import SnapshotGone, Store, Unavailable

ROWS = 400
SWAPS = 100


def test_threads_that_ask_at_once_share_one_engine(sqlite_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    engines = []

    def slowly(database: Database, **options: Any) -> sa.Engine:
        time.sleep(0.05)
        engines.append(connect(database, **options))
        return engines[-1]

    connect = Database.connect
    monkeypatch.setattr(Database, "connect", slowly)
    store = Store(sqlite_database)
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(store.key, ["a"] * 8)) == [None] * 8
    store.close()
    assert len(engines) == 1


def test_what_a_thread_writes_is_ended_before_the_store_is_closed(database: Database) -> None:
    store, entered, may_end = Store(database), threading.Event(), threading.Event()
    wrote: list[int] = []

    def change(connection: sa.Connection) -> None:
        entered.set()
        assert may_end.wait(10)
        wrote.append(connection.execute(sa.text("SELECT 1")).scalar_one())

    with ThreadPoolExecutor(2) as threads:
        writing = threads.submit(store.written, change)
        assert entered.wait(10)
        closing = threads.submit(store.close)
        time.sleep(0.1)
        assert not closing.done()
        may_end.set()
        writing.result(10)
        closing.result(10)
    assert wrote == [1]
    with pytest.raises(Unavailable, match="has ended"):
        store.written(change)


def test_a_hundred_swaps_fail_no_read_and_mix_no_snapshots(database: Database, tmp_path: Path) -> None:
    runs = []
    for version in ("m1", "m2"):
        many(ROWS, version).write_parquet(tmp_path / "scores.parquet")
        runs.append(publish(tmp_path / "scores.parquet", database).snapshot_id)
    ids = [f"c{i:06}" for i in range(0, ROWS, 7)]
    done = threading.Event()
    seen: list[str] = []

    def swap() -> None:
        with database.engine() as engine:
            for turn in range(SWAPS):
                with engine.begin() as connection:
                    document = pointer.about(connection, "default", runs[turn % 2])
                    assert document is not None
                    pointer.switch(connection, "default", runs[turn % 2], document, actor="tests", scoring=None)
        done.set()

    async def read() -> None:
        store = Store(database, look_again=0.001)
        async with store.following():
            while not done.is_set():
                snapshot = await store.current("default")
                batch = await store.off_loop(snapshot.file.views, ids)
                rows, _ = await store.off_loop(page, snapshot.file, AtRisk(), 0, 20)
                one = snapshot.file.find(ids[0])
                assert one is not None
                bodies = [one, *batch.values(), *(snapshot.file.body(row) for _, row in rows)]
                assert {orjson.loads(body)["snapshot_id"] for body in bodies} == {snapshot.snapshot_id}
                assert len(bodies) == 1 + len(ids) + 20
                seen.append(snapshot.snapshot_id)
        store.close()

    swapper = threading.Thread(target=swap)
    swapper.start()
    asyncio.run(read())
    swapper.join()
    assert set(seen) == set(runs)
    assert sum(one != other for one, other in pairwise(seen)) >= 5


def test_an_export_that_is_broken_off_leaves_nothing_open(database: Database, publish_customers: Publish) -> None:
    publish_customers(*(customer(f"c{i}") for i in range(3_000)))

    async def begun() -> None:
        store = Store(database)
        snapshot = await store.current("default")
        pieces = ndjson(snapshot.file, *whole(snapshot.file, AtRisk(), 0, None))
        assert next(pieces).count(b"\n") == 1_000
        del pieces
        await store.write(lambda connection: pointer.record(connection, "default", "me", "x", "y", {}))
        store.close()

    asyncio.run(begun())
    with database.engine() as engine, engine.begin() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(audit)).scalar_one() == 2


def test_a_snapshot_is_kept_by_its_name_until_it_is_retired(database: Database, publish_customers: Publish) -> None:
    first = publish_customers(customer("ann", value_at_risk=1.0)).snapshot_id
    for stake in (2.0, 3.0):
        publish_customers(customer("ann", value_at_risk=stake))

    async def kept() -> str:
        store = Store(database)
        try:
            return (await store.kept("default", first)).snapshot_id
        finally:
            store.close()

    assert asyncio.run(kept()) == first
    publish_customers(customer("ann", value_at_risk=4.0))
    with pytest.raises(SnapshotGone):
        asyncio.run(kept())


def test_a_server_that_is_killed_stops_no_read_and_is_found_again_when_it_is_back(
    needs_system: object, tmp_path: Path
) -> None:
    """Acknowledged writes are there after a kill; reads go on meanwhile."""
    programs = needs_system("postgresql")  # type: ignore[operator]
    with running(programs) as server:
        killed_and_back(server, tmp_path)


def killed_and_back(server: Server, tmp_path: Path) -> None:
    database = Database.at(url_of(server, "postgres"), tmp_path / "snapshots")
    many(ROWS, "m1").write_parquet(tmp_path / "scores.parquet")
    publish(tmp_path / "scores.parquet", database)

    async def live() -> None:
        store = Store(database, look_again=0.05)
        async with store.following():
            snapshot = await store.current("default")
            await store.write(lambda connection: pointer.record(connection, "default", "me", "before", "y", {}))
            server.kill()
            with pytest.raises(Unavailable):
                await store.write(lambda connection: pointer.record(connection, "default", "me", "lost", "y", {}))
            await asyncio.sleep(0.3)
            assert store.fault is not None
            assert (await store.current("default")).file.find("c000001") == snapshot.file.find("c000001")
            server.start()
            await store.write(lambda connection: pointer.record(connection, "default", "me", "after", "y", {}))
            await asyncio.sleep(0.3)
            assert store.fault is None
            lines = sa.select(audit.c.action).where(audit.c.actor == "me").order_by(audit.c.id)
            assert await store.read(lambda c: c.execute(lines).scalars().all()) == ["before", "after"]
        store.close()

    asyncio.run(live())
