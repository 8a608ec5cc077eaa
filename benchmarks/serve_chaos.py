"""The service under swaps, abuse and kills: what must hold, and the figures.

    python benchmarks/serve_chaos.py [swaps] [abuse] [kills] [--customers 20000] [--swaps 100] [--seconds 60]

- swaps: 100 newly loaded snapshots, 20 of another model, under load: no failed request, no answer of two snapshots.
- abuse: broken-off downloads, readers that take nothing, idle connections and headers of 100 MB, from another address
  of this machine: the 99th percentile of a look-up, within 3 times that of the quiet time before.
- kills (-9): of the server during posts, of `fedelta publish` midway, of PostgreSQL during load: every acknowledged
  write is there once, nothing is half published, reads recover by themselves.

The last needs PostgreSQL (apt-get install -y postgresql). What does not hold ends it with exit code 1.
"""

import argparse
import contextlib
import http.client
import json
import multiprocessing
import os
import random
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import polars as pl

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from postgres import Server, running

from benchmarks.serve_reads import run
from fedelta.serve.caller.keys import create_key
from fedelta.serve.operational.database import Database
from fedelta.serve.snapshots.publish import publish

ROOT = Path(__file__).parents[1]
ATTACKER = "127.0.0.2"  # another address of this machine: limits of connections are per address
SCOPES = ["read:score", "read:list", "write:outcome", "read:metrics"]
Wire = tuple[str, int]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", default=["swaps", "abuse", "kills"])
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--swaps", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=60)
    arguments = parser.parse_args()
    held = True
    for part in arguments.parts:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)  # what is published lies in no project
            held &= {"swaps": swaps, "abuse": abuse, "kills": kills}[part](Path(folder), arguments)
            os.chdir(ROOT)
    sys.exit(0 if held else 1)


# --- Swaps ------------------------------------------------------------------------------------------------------------


@dataclass
class Seen:
    """What readers saw."""

    answers: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    snapshots: dict[str, set[str]] = field(default_factory=dict)  # the model versions that each was seen with


def swaps(folder: Path, arguments: argparse.Namespace) -> bool:
    """Publish run after run while three readers read."""
    database = Database.at(f"sqlite:///{folder}/fedelta.db")
    table = run(arguments.customers)
    models = 20
    publish(changed(table, folder, 0, models), database)
    key, _ = create_key(database, "chaos", SCOPES)
    seen, done = Seen(), threading.Event()
    with serving(database) as (wire, _):
        readers = [
            threading.Thread(target=read, args=(wire, key, arguments.customers, seen, done, kind))
            for kind in ("score", "batch", "page")
        ]
        for reader in readers:
            reader.start()
        began = time.monotonic()
        for number in range(1, arguments.swaps + 1):
            publish(changed(table, folder, number, models), database)
        seconds = time.monotonic() - began
        time.sleep(1)
        done.set()
        for reader in readers:
            reader.join()
    mixed = {name: versions for name, versions in seen.snapshots.items() if len(versions) > 1}
    promoted = len({version for versions in seen.snapshots.values() for version in versions}) - 1
    print(
        f"swaps: {arguments.swaps} in {seconds:.0f} s; {sum(seen.answers.values()):,} answers ({dict(seen.answers)}); "
        f"{len(seen.snapshots)} snapshots and {promoted} promotions seen; {len(seen.faults)} failed, {len(mixed)} mixed"
    )
    for fault in seen.faults[:5]:
        print(f"  {fault}")
    return not seen.faults and not mixed


def changed(table: pl.DataFrame, folder: Path, number: int, models: int) -> Path:
    """The run of this number: no other has its probabilities; every fifth is of a new model."""
    path = folder / "scores.parquet"
    shifted = (pl.col("churn_probability") + number / 1000) % 1
    table.with_columns(churn_probability=shifted, model_version=pl.lit(f"m{number // 5 % (models + 1)}")).write_parquet(
        path
    )
    return path


def read(wire: Wire, key: str, customers: int, seen: Seen, done: threading.Event, kind: str) -> None:
    """Ask again and again; note what fails, and answers that are of two snapshots."""
    chance = random.Random(kind)
    client = Client(wire, key)
    while not done.is_set():
        some = [f"C{chance.randrange(customers):08d}" for _ in range(100)]
        try:
            if kind == "score":
                status, answer = client.ask("GET", f"/v1/customers/{some[0]}/score")
                scores = [answer]
            elif kind == "batch":
                status, answer = client.ask("POST", "/v1/scores:batch", {"customer_ids": some})
                scores = [one["score"] for one in answer.get("results", ())]
            else:
                status, answer = client.ask("GET", f"/v1/at-risk?limit=50&min_probability={chance.random() / 2}")
                scores = answer.get("customers", [])
        except (OSError, http.client.HTTPException) as error:
            seen.faults.append(f"{kind}: {error!r}")
            client = Client(wire, key)
            continue
        seen.answers[kind] += 1
        if status != 200:
            seen.faults.append(f"{kind}: {status} {answer}")
            continue
        if {one["snapshot_id"] for one in scores} - {answer["snapshot_id"]}:
            seen.faults.append(f"{kind}: an answer of two snapshots")
        for one in scores:
            seen.snapshots.setdefault(one["snapshot_id"], set()).add(one["model_version"])


# --- Abuse ------------------------------------------------------------------------------------------------------------


def abuse(folder: Path, arguments: argparse.Namespace) -> bool:
    """Measure look-ups in quiet, then while others misbehave, then in quiet again."""
    database = Database.at(f"sqlite:///{folder}/fedelta.db")
    run(max(arguments.customers, 200_000)).write_parquet(folder / "scores.parquet")
    publish(folder / "scores.parquet", database)
    key, _ = create_key(database, "chaos", SCOPES)
    with serving(database) as (wire, server):
        look_ups(wire, key, 3)  # warm
        quiet = look_ups(wire, key, arguments.seconds / 3)
        with misbehaving(wire, key) as counts:
            loud = look_ups(wire, key, arguments.seconds)
        after = look_ups(wire, key, arguments.seconds / 3)
        time.sleep(1)
        files = len(list(Path(f"/proc/{server.pid}/fd").iterdir()))
    baseline = statistics.median((quiet.p99, after.p99))
    print("abuse:" + "".join(f" {name} {count.value:,};" for name, count in counts.items()))  # type: ignore[attr-defined]
    print(f"{'':10}{'look-ups':>10}{'p50 ms':>10}{'p99 ms':>10}{'failed':>8}")
    for name, one in (("quiet", quiet), ("abused", loud), ("quiet", after)):
        print(f"{name:10}{one.count:10,}{one.p50:10.2f}{one.p99:10.2f}{one.failed:8}")
    print(f"p99 × {loud.p99 / baseline:.2f}; the server has {files} open files afterwards")
    return loud.p99 <= 3 * baseline and loud.failed == 0


@dataclass
class LookUps:
    """Look-ups of one customer each, 100 a second."""

    count: int
    failed: int
    p50: float
    p99: float


def look_ups(wire: Wire, key: str, seconds: float) -> LookUps:
    """Look up a hundred customers a second over one connection, in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_look_ups, (wire, key, seconds))


def _look_ups(wire: Wire, key: str, seconds: float) -> LookUps:
    client, chance, times, failed = Client(wire, key), random.Random(7), [], 0
    due = began = time.monotonic()
    while due < began + seconds:
        time.sleep(max(0.0, due - time.monotonic()))
        start = time.perf_counter()
        try:
            status, _ = client.ask("GET", f"/v1/customers/C{chance.randrange(20_000):08d}/score")
        except (OSError, http.client.HTTPException):
            status, client = 0, Client(wire, key)
        times.append((time.perf_counter() - start) * 1e3)
        failed += status != 200
        due += 0.01
    times.sort()
    return LookUps(len(times), failed, times[len(times) // 2], times[int(len(times) * 0.99)])


@contextlib.contextmanager
def misbehaving(wire: Wire, key: str) -> Iterator[dict[str, object]]:
    """Run everything that misbehaves, each kind in a process of its own, at the lowest priority."""
    context = multiprocessing.get_context("spawn")
    done = context.Event()
    kinds: dict[str, Callable[..., None]] = {
        "downloads broken off": break_off,
        "slow readers": read_slowly,
        "idle connections": idle,
        "MB of headers": flood,
    }
    counts: dict[str, object] = {name: context.Value("q", 0) for name in kinds}
    attackers = [
        context.Process(target=attack, args=(kind, wire, key, done, counts[name])) for name, kind in kinds.items()
    ]
    for attacker in attackers:
        attacker.start()
    time.sleep(2)
    try:
        yield counts
    finally:
        done.set()
        for attacker in attackers:
            attacker.join()


def attack(kind: Callable[..., None], wire: Wire, key: str, done: Event, count: Any) -> None:
    os.nice(19)  # elsewhere, it would not take the server's processor
    while not done.is_set():
        with contextlib.suppress(OSError):
            kind(wire, key, done, count)


def break_off(wire: Wire, key: str, done: Event, count: Any) -> None:
    """Begin a download of the whole list, take some of it, and reset the connection."""
    while not done.is_set():
        with attacker_of(wire) as connection:
            connection.sendall(download(key))
            connection.recv(20_000)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        count.value += 1
        time.sleep(0.2)


def read_slowly(wire: Wire, key: str, done: Event, count: Any) -> None:
    """Twenty downloads at a time of which hardly anything is taken."""
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(attacker_of(wire)) for _ in range(20)]
        for connection in connections:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            connection.sendall(download(key))
            count.value += 1
        while not done.wait(1):
            for connection in connections:
                if not connection.recv(1):
                    return  # cut by the server: begin again


def idle(wire: Wire, key: str, done: Event, count: Any) -> None:
    """Two hundred connections on which nothing is sent, opened again when they are closed."""
    del key
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(attacker_of(wire))
            count.value += 1
        done.wait(10)


def flood(wire: Wire, key: str, done: Event, count: Any) -> None:
    """Send a header of 100 MB, again and again."""
    del key
    piece = b"X-Large: " + b"x" * 65_000 + b"\r\n"
    while not done.is_set():
        with attacker_of(wire) as connection, contextlib.suppress(OSError):
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
            for _ in range(100_000_000 // len(piece)):
                connection.sendall(piece)
                count.value += 1 if random.random() < len(piece) / 1e6 else 0
        time.sleep(0.05)


def attacker_of(wire: Wire) -> socket.socket:
    return socket.create_connection(wire, timeout=20, source_address=(ATTACKER, 0))


def download(key: str) -> bytes:
    return f"GET /v1/at-risk?format=csv HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n".encode()


# --- Kills ------------------------------------------------------------------------------------------------------------


def kills(folder: Path, arguments: argparse.Namespace) -> bool:
    """Kill the server, a publish, PostgreSQL; look what is there afterwards."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))[-1].parent
    os.environ["FEDELTA_SNAPSHOTS"] = str(folder / "snapshots")
    run(arguments.customers).write_parquet(folder / "scores.parquet")
    with running(programs) as postgres:
        database = Database.at(postgres.secret_url)
        publish(folder / "scores.parquet", database)
        key, _ = create_key(database, "chaos", SCOPES)
        held = kill_servers(database, key)
        held &= kill_publishes(database, key, folder, arguments.customers)
        return held & kill_postgres(database, key, postgres)


@dataclass
class Posts:
    """Contacts that were posted, by the key that each was sent with, and how often it was acknowledged."""

    acknowledged: set[str] = field(default_factory=set)
    refused: Counter[int] = field(default_factory=Counter)
    broken: int = 0

    def lost(self, there: Collection[str]) -> set[str]:
        """Those acknowledged that are not among those there."""
        return self.acknowledged - set(there)


def repeated(there: Mapping[str, int]) -> list[str]:
    """Those that are there more than once."""
    return [name for name, count in there.items() if count > 1]


def kill_servers(database: Database, key: str) -> bool:
    """Kill the server again and again while contacts are posted; what was not acknowledged is posted again."""
    posts, sent, rounds = Posts(), 0, 8
    for _ in range(rounds):
        with serving(database) as (wire, server):
            done = threading.Event()
            posters = [threading.Thread(target=post, args=(wire, key, posts, done, sent + each)) for each in range(4)]
            for poster in posters:
                poster.start()
            time.sleep(random.uniform(1, 2))
            server.send_signal(signal.SIGKILL)
            done.set()
            for poster in posters:
                poster.join()
            sent += 4
    with serving(database) as (wire, _):
        there = contacts(wire, key)
    lost, twice = posts.lost(there), repeated(there)
    print(
        f"kill -9 of the server, {rounds} times: {len(posts.acknowledged):,} contacts acknowledged, {posts.broken} "
        f"requests cut; {len(lost)} lost, {len(twice)} twice, {len(set(there) - posts.acknowledged)} more there"
    )
    return not lost and not twice


def post(wire: Wire, key: str, posts: Posts, done: threading.Event, number: int) -> None:
    """Post contacts, each with a key of its own and its name as the campaign."""
    client, count = Client(wire, key), 0
    while not done.is_set():
        name = f"p{number}-{count}"
        body = {"customer_id": f"C{count % 10_000:08d}", "campaign": name, "action": "keep", "happened": True}
        try:
            status, _ = client.ask("POST", "/v1/treatments", body, {"Idempotency-Key": name})
        except (OSError, http.client.HTTPException, ValueError):
            posts.broken += 1
            client = Client(wire, key)
            time.sleep(0.05)
            continue
        if status == 200:
            posts.acknowledged.add(name)
            count += 1
        else:
            posts.refused[status] += 1
            time.sleep(0.1)


def contacts(wire: Wire, key: str) -> Counter[str]:
    """The campaigns of every contact that is stored."""
    client, found, cursor = Client(wire, key), Counter[str](), ""
    while True:
        status, page = client.ask("GET", f"/v1/treatments?limit=1000{cursor}")
        assert status == 200, page
        found.update(one["campaign"] for one in page["treatments"])
        if page["next"] is None:
            return found
        cursor = f"&cursor={page['next']}"


def kill_publishes(database: Database, key: str, folder: Path, customers: int) -> bool:
    """Kill `fedelta publish` at random moments; look which snapshot is served, and that it is whole."""
    table, rounds = run(customers), 12
    command = [sys.executable, "-m", "fedelta.cli", "publish", "--scores", str(folder / "scores.parquet")]
    command += ["--database", database.url.render_as_string(hide_password=False)]
    changed(table, folder, 900, 0)
    began = time.monotonic()
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    whole = time.monotonic() - began
    switched, faults = 0, []
    with serving(database) as (wire, _):
        client = Client(wire, key)
        before = client.ask("GET", "/readyz")[1]["snapshot_id"]
        for number in range(rounds):
            changed(table, folder, 901 + number, 0)
            with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
                time.sleep(random.uniform(0.4 * whole, 1.1 * whole))
                process.kill()
            time.sleep(2)
            now = client.ask("GET", "/readyz")[1]["snapshot_id"]
            switched += now != before
            for each in range(0, customers, max(1, customers // 50)):
                status, score = client.ask("GET", f"/v1/customers/C{each:08d}/score")
                if status != 200 or score["snapshot_id"] != now:
                    faults.append(f"{status} {score.get('snapshot_id')} instead of {now}")
            before = now
        publish(changed(table, folder, 999, 0), database)
        left = [path.name for path in (folder / "snapshots").rglob("*unfinished*")]
    print(
        f"kill -9 of a publish, {rounds} times: {switched} had switched already; {len(faults)} wrong answers, "
        f"{len(left)} files left after the next publish"
    )
    return not faults and not left


def kill_postgres(database: Database, key: str, postgres: Server) -> bool:
    """Kill PostgreSQL under load, start it again; reads go on, writes come back by themselves."""
    posts, done, statuses = Posts(), threading.Event(), Counter[int]()
    with serving(database) as (wire, _):
        already = set(contacts(wire, key))

        def look() -> None:
            client = Client(wire, key)
            while not done.is_set():
                status, _ = client.ask("GET", "/v1/customers/C00000007/score")
                statuses[status] += 1
                time.sleep(0.005)

        threads = [threading.Thread(target=post, args=(wire, key, posts, done, 10_000 + each)) for each in range(3)]
        threads.append(threading.Thread(target=look))
        for thread in threads:
            thread.start()
        back = []
        for _ in range(3):
            time.sleep(3)
            postgres.kill()
            time.sleep(3)
            postgres.start()
            started, count = time.monotonic(), len(posts.acknowledged)
            while len(posts.acknowledged) == count and time.monotonic() < started + 30:
                time.sleep(0.02)
            back.append(time.monotonic() - started)
        time.sleep(1)
        done.set()
        for thread in threads:
            thread.join()
        there = contacts(wire, key)
    lost, twice = posts.lost(there), repeated(there)
    print(
        f"kill -9 of PostgreSQL, 3 times: reads answered {dict(statuses)}; {len(posts.acknowledged):,} contacts "
        f"acknowledged, {sum(posts.refused.values())} refused ({dict(posts.refused)}); {len(lost)} lost, {len(twice)} "
        f"twice; writes were back after {max(back):.1f} s at most"
    )
    return not lost and not twice and set(statuses) == {200} and len(there) >= len(already) and max(back) < 30


# --- What all parts need ----------------------------------------------------------------------------------------------


class Client:
    """One connection."""

    def __init__(self, wire: Wire, key: str) -> None:
        self._connection, self._key = http.client.HTTPConnection(*wire, timeout=30), key

    def ask(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """The status and the document of an answer."""
        sent = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json", **(headers or {})}
        content = None if body is None else json.dumps(body)
        self._connection.request(method, path, content, sent)
        answer = self._connection.getresponse()
        return answer.status, json.loads(answer.read())


@contextlib.contextmanager
def serving(database: Database) -> Iterator[tuple[Wire, "subprocess.Popen[str]"]]:
    """A server without limits of rate, and where it listens."""
    url = database.url.render_as_string(hide_password=False)
    command = [
        sys.executable, "-m", "fedelta.cli", "serve", "--port=0", f"--database={url}", "--access-log=off",
        "--rate-per-second=0", "--failures-per-minute=1000000",
    ]  # fmt: skip
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().split("http://")[1].split()[0]
            host, port = address.rsplit(":", 1)
            while True:
                with contextlib.suppress(OSError):
                    if Client((host, int(port)), "").ask("GET", "/healthz")[0] == 200:
                        break
                time.sleep(0.05)
            yield (host, int(port)), process
        finally:
            process.terminate()
            process.wait(60)


if __name__ == "__main__":
    main()
