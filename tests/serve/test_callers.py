"""Callers: looked up off the loop, remembered for two seconds, and forgotten when a key is revoked."""

import asyncio
import hashlib
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from fedelta.serve.caller.callers import REMEMBERED_SECONDS, Callers, CannotKnow, Refused
from fedelta.serve.operational.stored_keys import StoredKey
from fedelta.serve.store import Unavailable

KEY = b"fdl_0123456789_" + b"a" * 43


class Database:
    """Keys that can be revoked, a clock, and how often they were asked for."""

    def __init__(self) -> None:
        self.stored: StoredKey | None = StoredKey("crm", hashlib.sha256(KEY).digest(), frozenset({"read:score"}))
        self.now, self.asked, self.threads, self.down = 0.0, 0, set[int](), False

    def find(self, prefix: str) -> StoredKey | None:
        assert prefix == "fdl_0123456789"
        self.asked += 1
        self.threads.add(threading.get_ident())
        if self.down:
            raise Unavailable
        return self.stored

    def clock(self) -> float:
        return self.now


async def settled() -> None:
    for _ in range(100):
        await asyncio.sleep(0.001)


def test_a_revoked_key_is_refused_within_two_seconds_and_a_good_one_never_waits_again() -> None:
    async def story() -> None:
        database = Database()
        callers = Callers(database.find, clock=database.clock)
        assert callers.known(KEY) is None
        assert (await callers.identify(KEY)).name == "crm"
        for database.now in (0.5, 0.99):
            assert callers.known(KEY) is not None
        assert database.asked == 1
        database.now = 1.0
        assert callers.known(KEY) is not None  # and asks again, in the background
        await settled()
        assert database.asked == 2
        database.stored = None
        database.now = 2.5
        assert callers.known(KEY) is not None
        await settled()
        assert callers.known(KEY) is None
        with pytest.raises(Refused):
            await callers.identify(KEY)
        assert threading.get_ident() not in database.threads
        callers.close()

    assert REMEMBERED_SECONDS <= 2
    asyncio.run(story())


def test_a_good_key_serves_on_for_a_minute_while_the_database_is_away_and_no_new_one_does() -> None:
    async def story() -> None:
        database = Database()
        callers = Callers(database.find, clock=database.clock)
        await callers.identify(KEY)
        database.down = True
        for database.now in (5.0, 30.0, 59.0):
            assert callers.known(KEY) is None  # it is asked for every time
            assert (await callers.identify(KEY)).name == "crm"
        with pytest.raises(CannotKnow):
            await callers.identify(KEY[:-1] + b"b")
        database.now = 61.0
        with pytest.raises(CannotKnow):
            await callers.identify(KEY)
        database.down = False
        assert (await callers.identify(KEY)).name == "crm"
        callers.close()

    asyncio.run(story())


def test_a_key_ends_when_it_expires_though_it_was_good_a_second_ago() -> None:
    async def story() -> None:
        database = Database()
        assert database.stored is not None
        database.stored = replace(database.stored, expires_at=datetime.now(UTC) + timedelta(seconds=0.5))
        callers = Callers(database.find, clock=database.clock)
        await callers.identify(KEY)
        database.now = 0.3
        assert callers.known(KEY) is not None
        database.now, database.down = 0.6, True
        assert callers.known(KEY) is None
        with pytest.raises(CannotKnow):
            await callers.identify(KEY)
        callers.close()

    asyncio.run(story())


def test_many_requests_with_one_new_key_ask_once_and_none_holds_the_loop() -> None:
    async def story() -> None:
        database = Database()
        released = threading.Event()

        def slow(prefix: str) -> StoredKey | None:
            released.wait(10)
            return database.find(prefix)

        callers = Callers(slow)
        asking = [asyncio.create_task(callers.identify(KEY)) for _ in range(50)]
        began = time.monotonic()
        await settled()
        assert time.monotonic() - began < 10
        asking[0].cancel()  # the first one's client left: the others still get their answer
        released.set()
        found = await asyncio.gather(*asking[1:])
        assert {caller.name for caller in found} == {"crm"}
        assert database.asked == 1
        callers.close()

    asyncio.run(story())
