"""Whether scores on demand are those of the run to the last bit, over HTTP; and how long one takes under load.

    python -m benchmarks.serve_on_demand [--project .] [--customers 5000] [--rate 50] [--seconds 20] [--no-mlflow]

Of a scored project (`dvc repro`), published into a folder of its own and served by a process with two that score:

1. Customers of the project, with all that they went through, by `POST /v1/scores:compute`, a hundred at a time, beside
   `data/scores.parquet`; then some of them live, by `POST /v1/interactions` with nothing new to say (an interaction
   that the run has), beside the same.
2. Requests of one customer of about 50 interactions each: one after the other; at a steady rate, what half and 99 in
   100 take, each from when it was due, and what each takes of the CPU, all processes of the service together; and as
   many as the service answers, 64 at a time.
3. `mlflow models serve` on the same bundle, with two workers, which is given the features: one after the other, and as
   many as it answers; and how many times as fast the service is.
"""

import argparse
import asyncio
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import mlflow
import orjson
import polars as pl
import psutil

from fedelta.features.contract import INTERACTIONS
from fedelta.serve.caller.keys import create_key
from fedelta.serve.operational.database import Database
from fedelta.serve.snapshots.publish import publish

AT_ONCE, EVENTS, LIVE = 100, 50, 200
CONNECTIONS = 64  # that ask all the time, for throughput
COMPARED = ("previous_probability", "delta", "tier_changed_at", "live")  # what compares with the run before


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--project", type=Path, default=Path())
    parser.add_argument("--customers", type=int, default=5_000)
    parser.add_argument("--rate", type=float, default=50, help="requests a second")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--no-mlflow", action="store_true")
    asked = parser.parse_args()
    data = asked.project / "data"
    events = pl.read_parquet(data / "interactions" / "*.parquet").select(INTERACTIONS.names())
    requests = customers(events, pl.read_parquet(data / "customers.parquet"), data / "scoring", asked.customers)
    with tempfile.TemporaryDirectory() as folder:
        database = Database.at(f"sqlite:///{folder}/fedelta.db", Path(folder) / "snapshots")
        began = time.perf_counter()
        published = publish(
            data / "scores.parquet", database, bundle=data / "bundle", metrics=Path("none"),
            scoring=data / "scoring", interactions=data / "interactions", customers=data / "customers.parquet",
        )  # fmt: skip
        print(f"published in {time.perf_counter() - began:.1f} s: {published.not_computed or 'with its scoring'}")
        key, _ = create_key(database, "benchmark", ["read:score", "write:interactions"])
        with (
            served(database) as address,
            httpx.Client(base_url=address, headers={"X-API-Key": key}, timeout=120) as http,
        ):
            wrong = compare(http, requests)
            busiest = sorted(requests, key=lambda one: abs(len(one["interactions"]) - EVENTS))[:200]
            bodies = [orjson.dumps({"customers": [one]}) for one in busiest]
            ours = asyncio.run(load(Asked(address, "/v1/scores:compute", key), bodies, asked.rate, asked.seconds))
        if not asked.no_mlflow and (data / "features").is_dir():
            theirs = mlflow_serve(data, Path(folder), [one["customer_id"] for one in busiest[:30]], asked.seconds)
            print(
                f"times as fast as mlflow models serve: {theirs.one / ours.one:.1f} one after the other, "
                f"{ours.a_second / theirs.a_second:.1f} as many as are answered"
            )
    sys.exit(bool(wrong))


def customers(events: pl.DataFrame, known: pl.DataFrame, scoring: Path, number: int) -> list[dict[str, Any]]:
    """Customers as requests have them."""
    declared = json.loads((scoring / "settings.json").read_text())["attributes"]
    names = {one["name"] for one in declared} | {one["known_from"] for one in declared if one["known_from"]}
    ids = known["customer_id"].sort()
    ids = ids.gather_every(max(1, len(ids) // number)).head(number)
    about = {row["customer_id"]: row for row in known.filter(pl.col("customer_id").is_in(ids.implode())).to_dicts()}
    some = events.filter(pl.col("customer_id").is_in(ids.implode()))
    of = {str(name): part for (name,), part in some.partition_by("customer_id", as_dict=True).items()}
    return [
        {
            "customer_id": name,
            "attributes": {one: plain(about[name][one]) for one in names if about[name].get(one) is not None},
            "opted_out": about[name].get("opted_out"),
            "interactions": [
                {column: plain(value) for column, value in row.items() if value is not None and column != "customer_id"}
                for row in (of[name].to_dicts() if name in of else [])
            ],
        }
        for name in ids
    ]


def plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return value if isinstance(value, str | bool | int | float) else float(value)


def compare(http: httpx.Client, requests: Sequence[Mapping[str, Any]]) -> int:
    """How many customers differ from the run, in any bit; which fields do is printed."""
    on_demand: dict[str, Any] = {}
    for some in pieces(requests):
        answer = http.post("/v1/scores:compute", content=orjson.dumps({"customers": some})).raise_for_status()
        on_demand |= {one["customer_id"]: one["score"] for one in orjson.loads(answer.content)["results"]}
    of_run: dict[str, Any] = {}
    for ids in (list(on_demand)[first : first + 1000] for first in range(0, len(on_demand), 1000)):
        answer = http.post("/v1/scores:batch", json={"customer_ids": ids}).raise_for_status()
        of_run |= {one["customer_id"]: one["score"] for one in orjson.loads(answer.content)["results"]}
    wrong = differing(on_demand, of_run, "on demand")
    repeated = [
        {"customer_id": one["customer_id"], **first}
        for one in requests
        for first in one["interactions"][:1]
    ][:LIVE]  # fmt: skip
    answer = http.post("/v1/interactions?score=true", content=orjson.dumps({"interactions": repeated}))
    live = {one["customer_id"]: one["score"] for one in orjson.loads(answer.raise_for_status().content)["scores"]}
    return wrong + differing(live, of_run, "live")


def pieces(requests: Sequence[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    """So many customers that a body is not too large."""
    some: list[Mapping[str, Any]] = []
    size = 0
    for one in requests:
        more = len(orjson.dumps(one))
        if some and (len(some) == AT_ONCE or size + more > 900_000):
            yield some
            some, size = [], 0
        some.append(one)
        size += more
    yield some


def differing(found: Mapping[str, Any], expected: Mapping[str, Any], what: str) -> int:
    fields: dict[str, int] = {}
    wrong = 0
    for name, mine in found.items():
        theirs = expected[name]
        differ = [field for field in theirs if field not in COMPARED and mine[field] != theirs[field]]
        wrong += bool(differ)
        for field in differ:
            fields[field] = fields.get(field, 0) + 1
    print(f"{what}: {len(found):,} customers, {wrong} differ from the run {fields or ''}")
    return wrong


@dataclass(frozen=True)
class Speed:
    """What a request takes, in ms, and how many a second are answered."""

    one: float
    a_second: float


class Asked:
    """A route that is asked over connections that stay open.

    It takes next to nothing of the cores that it shares with what it asks; httpx took as much as the service.
    """

    def __init__(self, address: str, path: str, key: str = "") -> None:
        self._host, port = address.removeprefix("http://").rsplit(":", 1)
        self._port = int(port)
        self._head = f"POST {path} HTTP/1.1\r\nHost: {self._host}\r\nX-API-Key: {key}\r\n".encode()
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, body: bytes) -> None:
        self._free = [one for one in self._free if not one[0].at_eof()]  # the service closes those that are idle
        connection = self._free.pop() if self._free else await asyncio.open_connection(self._host, self._port)
        reader, writer = connection
        length = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        writer.write(self._head + length + body)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        found = re.search(rb"content-length: (\d+)", head)
        assert found is not None, head
        answer = await reader.readexactly(int(found[1]))
        assert head.startswith(b"http/1.1 200"), answer
        self._free.append(connection)

    async def one_by_one(self, bodies: Sequence[bytes]) -> float:
        """What half of the requests take at most, in ms."""
        taken = []
        for body in bodies:
            began = time.perf_counter()
            await self.ask(body)
            taken.append(1e3 * (time.perf_counter() - began))
        return statistics.median(taken)

    async def as_many(self, bodies: Sequence[bytes], seconds: float, connections: int) -> float:
        """How many requests a second are answered where so many are asked at a time."""
        end, answered = time.perf_counter() + seconds, 0
        turns = cycle(bodies)

        async def ask() -> None:
            nonlocal answered
            while time.perf_counter() < end:
                await self.ask(next(turns))
                answered += 1

        await asyncio.gather(*(ask() for _ in range(connections)))
        return answered / seconds

    def close(self) -> None:
        for _, writer in self._free:
            writer.close()


async def load(asked: Asked, bodies: Sequence[bytes], rate: float, seconds: float) -> Speed:
    """Print what requests take one after the other, and at a steady rate from when they are due."""
    await asked.one_by_one(bodies[:20])  # whatever is found once has been found
    one = await asked.one_by_one(bodies)
    print(f"one after the other: {one:.1f} ms")
    start, number = time.perf_counter() + 0.1, round(rate * seconds)

    async def due(place: int) -> float:
        when = start + place / rate
        await asyncio.sleep(when - time.perf_counter())
        await asked.ask(bodies[place % len(bodies)])
        return 1e3 * (time.perf_counter() - when)

    before = served_cpu()
    taken = sorted(await asyncio.gather(*map(due, range(number))))
    cpu = (served_cpu() - before) / number
    half, most = taken[len(taken) // 2], taken[int(len(taken) * 0.99)]
    print(
        f"{rate:g} requests a second, {number} in all: p50 {half:.1f} ms, p99 {most:.1f} ms; {cpu:.1f} ms of CPU each"
    )
    before = served_cpu()
    a_second = await asked.as_many(bodies, seconds, CONNECTIONS)
    cpu = (served_cpu() - before) / (a_second * seconds)
    print(f"{CONNECTIONS} at a time: {a_second:.0f} requests a second; {cpu:.1f} ms of CPU each")
    asked.close()
    return Speed(one, a_second)


def served_cpu() -> float:
    """CPU of the processes that are asked so far, in ms."""
    times = [child.cpu_times() for child in psutil.Process().children(recursive=True)]
    return 1e3 * sum(one.user + one.system for one in times)


def mlflow_serve(data: Path, folder: Path, ids: Sequence[str], seconds: float) -> Speed:
    """The same of `mlflow models serve`, features given."""
    model = folder / "model"
    mlflow.pyfunc.save_model(
        str(model), loader_module="fedelta.models.pyfunc", data_path=str(data / "bundle"), pip_requirements=[]
    )
    features = pl.scan_parquet(data / "features" / "*.parquet").filter(
        pl.col("role") == "score", pl.col("customer_id").is_in(list(ids))
    )
    rows = features.collect().to_pandas()
    splits = [rows.iloc[[place]].to_json(orient="split", date_format="iso") for place in range(len(rows))]
    bodies = [f'{{"dataframe_split": {split}}}'.encode() for split in splits]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(model), "--env-manager", "local",
               "--host", "127.0.0.1", "--port", str(port), "--workers", "2"]  # fmt: skip
    found = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    with subprocess.Popen(command, env=found, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            until = time.monotonic() + 120
            while time.monotonic() < until:
                try:
                    if httpx.get(f"http://127.0.0.1:{port}/ping").status_code == 200:
                        break
                except httpx.TransportError:
                    time.sleep(0.5)
            return asyncio.run(_mlflow_load(Asked(f"http://127.0.0.1:{port}", "/invocations"), bodies, seconds))
        finally:
            server.terminate()


async def _mlflow_load(asked: Asked, bodies: Sequence[bytes], seconds: float) -> Speed:
    await asked.one_by_one(bodies)
    one = await asked.one_by_one(bodies)
    a_second = await asked.as_many(bodies, seconds, 8)
    print(f"mlflow models serve, features given: {one:.1f} ms a request, 8 at a time {a_second:.0f} a second")
    asked.close()
    return Speed(one, a_second)


@contextmanager
def served(database: Database) -> Iterator[str]:
    """The address of a service, with two processes that score."""
    command = [
        sys.executable, "-m", "fedelta.cli", "serve", "--port", "0", "--access-log", "off", "--rate-per-second", "0",
        "--scoring-processes", "2", "--scoring-start", "startup", "--scoring-seconds", "60",
        "--database", database.url.render_as_string(hide_password=False),
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            address = re.search(r"http://\S+", server.stdout.readline())
            assert address is not None
            yield address[0]
        finally:
            server.terminate()
            server.wait(30)


if __name__ == "__main__":
    main()
