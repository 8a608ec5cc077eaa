"""Whether scores on demand are those of the run to the last bit, over HTTP; and how long one takes under load.

    python -m benchmarks.serve_on_demand [--project .] [--customers 5000] [--rate 50] [--seconds 20] [--no-mlflow]

Of a scored project (`dvc repro`), published into a folder of its own and served by a process with two that score:

1. Customers of the project, with all that they went through, by `POST /v1/scores:compute`, a hundred at a time, beside
   `data/scores.parquet`; then some of them live, by `POST /v1/interactions` with nothing new to say (an interaction
   that the run has), beside the same.
2. Requests at a steady rate, each one customer of about 50 interactions: what half and 99 in 100 take. A request
   counts from when it was due, whether a connection was free or not.
3. `mlflow models serve` on the same bundle, one request after the other, which is given the features.
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
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import mlflow
import orjson
import polars as pl

from fedelta.features.contract import INTERACTIONS
from fedelta.serve.caller.keys import create_key
from fedelta.serve.operational.database import Database
from fedelta.serve.snapshots.publish import publish

AT_ONCE, EVENTS, LIVE = 100, 50, 200
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
            asyncio.run(load(address, key, busiest, asked.rate, asked.seconds))
        if not asked.no_mlflow and (data / "features").is_dir():
            mlflow_serve(data, Path(folder), [one["customer_id"] for one in busiest[:30]])
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


async def load(address: str, key: str, requests: Sequence[Mapping[str, Any]], rate: float, seconds: float) -> None:
    """Ask at a steady rate, and print what requests take from when they are due."""
    bodies = [orjson.dumps({"customers": [one]}) for one in requests]
    limits = httpx.Limits(max_connections=100)
    taken: list[float] = []
    async with httpx.AsyncClient(base_url=address, headers={"X-API-Key": key}, timeout=60, limits=limits) as http:

        async def ask(body: bytes, due: float) -> None:
            await asyncio.sleep(due - time.perf_counter())
            (await http.post("/v1/scores:compute", content=body)).raise_for_status()
            taken.append(1e3 * (time.perf_counter() - due))

        for body in bodies[:20]:
            await ask(body, time.perf_counter())
        print(f"one after the other: {statistics.median(taken):.1f} ms")
        taken.clear()
        start = time.perf_counter() + 0.1
        number = round(rate * seconds)
        await asyncio.gather(*(ask(bodies[n % len(bodies)], start + n / rate) for n in range(number)))
    taken.sort()
    half, most = taken[len(taken) // 2], taken[int(len(taken) * 0.99)]
    print(f"{rate:g} requests a second, {number} in all: p50 {half:.1f} ms, p99 {most:.1f} ms")


def mlflow_serve(data: Path, folder: Path, ids: Sequence[str]) -> None:
    """What one request to `mlflow models serve` takes, features given."""
    model = folder / "model"
    mlflow.pyfunc.save_model(
        str(model), loader_module="fedelta.models.pyfunc", data_path=str(data / "bundle"), pip_requirements=[]
    )
    features = pl.scan_parquet(data / "features" / "*.parquet").filter(
        pl.col("role") == "score", pl.col("customer_id").is_in(list(ids))
    )
    rows = features.collect().to_pandas()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(model), "--env-manager", "local",
               "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]  # fmt: skip
    found = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    with subprocess.Popen(command, env=found, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
                until = time.monotonic() + 120
                while time.monotonic() < until:
                    try:
                        if http.get("/ping").status_code == 200:
                            break
                    except httpx.TransportError:
                        time.sleep(0.5)
                taken = []
                for place in range(len(rows)):
                    split = rows.iloc[[place]].to_json(orient="split", date_format="iso")
                    began = time.perf_counter()
                    http.post(
                        "/invocations",
                        content=f'{{"dataframe_split": {split}}}',
                        headers={"content-type": "application/json"},
                    ).raise_for_status()
                    taken.append(1e3 * (time.perf_counter() - began))
                print(f"mlflow models serve, features given: {statistics.median(taken):.1f} ms a request")
        finally:
            server.terminate()


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
