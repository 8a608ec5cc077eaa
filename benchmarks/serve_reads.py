"""What reads cost the server's CPU, beside a bare FastAPI route served and asked in the same way; what a publish costs.

    python benchmarks/serve_reads.py [--customers 1000000] [--reads 20000]

Both servers run in processes of their own (uvicorn, one worker, uvloop, httptools); requests come over one kept-alive
connection. Rounds take turns, and the medians of the rounds are compared, so that what else the machine does hits both.
"""

import argparse
import json
import random
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from fedelta.features.contract import SCORES
from fedelta.serve.caller.keys import create_key
from fedelta.serve.desk.sessions import begin, vouched_for
from fedelta.serve.desk.users import add_user
from fedelta.serve.examples import EXAMPLES
from fedelta.serve.operational.database import Database
from fedelta.serve.snapshots.publish import publish

ROUNDS = 7
Request = tuple[bytes, bytes]  # its first lines, its body
BODY_BYTES = 1100
BARE = f"""
from fastapi import FastAPI, Response
app = FastAPI()
@app.get("/v1/customers/{{customer_id}}/score")
async def bare(customer_id: str) -> Response:
    return Response(b"x" * {BODY_BYTES}, media_type="application/json")
import socket, uvicorn
listening = socket.socket(); listening.bind(("127.0.0.1", 0)); listening.listen()
print("http://127.0.0.1:%d" % listening.getsockname()[1], flush=True)
config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False, timeout_keep_alive=600)
uvicorn.Server(config).run(sockets=[listening])
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--reads", type=int, default=20_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = Database.at(f"sqlite:///{folder}/fedelta.db", Path(folder) / "snapshots")
        scores = Path(folder) / "scores.parquet"
        run(arguments.customers).write_parquet(scores)
        publish_cost(scores, database, Path(folder))
        key, _ = create_key(database, "benchmark", ["read:score", "read:list"])
        session = signed_in(database)
        serve = [sys.executable, "-m", "fedelta.cli", "serve", "--port=0", f"--database=sqlite:///{database.path}"]
        with (
            server([sys.executable, "-c", BARE]) as bare,
            server([*serve, "--rate-per-second=1000000", "--access-log=off", "--limit-idle-seconds=600"]) as ours,
        ):
            ids = random.Random(7)

            def customer() -> str:
                return f"C{ids.randrange(arguments.customers):08d}"

            def look_up() -> Request:
                return get(f"/v1/customers/{customer()}/score")

            def empty() -> Request:  # no two the same: bits that are kept answer none
                return get(f"/v1/at-risk?limit=50&persona=nobody&min_value_at_risk={ids.random()}")

            def selective() -> Request:
                return get(f"/v1/at-risk?limit=50&sort=delta&min_clv=1&min_probability={0.99 + ids.random() / 1e4}")

            asked: dict[str, tuple[Server, Callable[[], Request], int]] = {
                "bare FastAPI route": (bare, look_up, 1),
                "score of a customer": (ours, look_up, 1),
                "batch of 100": (ours, lambda: batch([customer() for _ in range(100)]), 10),
                "batch of 1,000": (ours, lambda: batch([customer() for _ in range(1_000)]), 100),
                "page of 50": (ours, lambda: get("/v1/at-risk?limit=50"), 10),
                "a filter nobody passes": (ours, empty, 20),
                "a filter 1% passes": (ours, selective, 20),
                "desk: the list": (ours, lambda: get("/desk/customers"), 20),
                "desk: a filter 1% passes": (ours, lambda: of_desk(selective()), 20),
                "desk: my day": (ours, lambda: get("/desk"), 20),
                "desk: the base": (ours, lambda: get("/desk/base"), 20),
                "desk: the plan": (ours, lambda: get("/desk/campaigns"), 100),
            }
            each = arguments.reads // ROUNDS
            costs: dict[str, list[Cost]] = {name: [] for name in asked}
            for turn in range(ROUNDS + 1):
                for name, (of, request, share) in asked.items():
                    cost = of.ask(max(5, each // share), request, key, session)
                    if turn:  # the first round warms up
                        costs[name].append(cost)
    report(costs)


def signed_in(database: Database) -> str:
    """The secret of a manager's session at the desk."""
    add_user(database, "manager@example.com", "Manager", "manager", None)
    with database.engine() as engine, engine.begin() as connection:
        person = vouched_for(connection, "manager@example.com")
        assert person is not None
        return begin(connection, person, None)


def publish_cost(scores: Path, database: Database, folder: Path) -> None:
    """Print what a publish costs beside writing the same table as lines of JSON, which is nothing but encoding."""
    began = time.process_time()
    pl.read_parquet(scores).write_ndjson(folder / "lines.json")
    encoding = time.process_time() - began
    (folder / "lines.json").unlink()
    before, began = psutil.Process().io_counters().write_bytes, time.process_time()
    published = publish(scores, database)
    cpu, written = time.process_time() - began, psutil.Process().io_counters().write_bytes - before
    size = sum(path.stat().st_size for path in database.snapshots.rglob("*") if path.is_file())
    print(published)
    print(
        f"publish: {cpu:.1f} CPU-s, {cpu / encoding:.2f} × encoding alone ({encoding:.1f}); "
        f"{written / 1e9:.2f} GB written, a snapshot is {size / 1e9:.2f} GB"
    )


def get(path: str) -> Request:
    return f"GET {path} HTTP/1.1\r\n".encode(), b""


def of_desk(request: Request) -> Request:
    """The same list as a page."""
    return request[0].replace(b"/v1/at-risk?limit=50&", b"/desk/customers?"), b""


def batch(customer_ids: list[str]) -> Request:
    body = json.dumps({"customer_ids": customer_ids}).encode()
    head = f"POST /v1/scores:batch HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode(), body


def report(costs: dict[str, list["Cost"]]) -> None:
    """Print the medians of the rounds."""
    cpu = {name: statistics.median(cost.cpu for cost in some) for name, some in costs.items()}
    print(f"{'':24}{'CPU µs':>10}{'p50 µs':>10}{'p99 µs':>10}{'× bare':>8}{'× score':>9}{'× page':>9}")
    for name, some in costs.items():
        p50, p99 = (_median(some, column) for column in ("p50", "p99"))
        beside = ("bare FastAPI route", 8), ("score of a customer", 9), ("page of 50", 9)
        ratios = "".join(f"{cpu[name] / cpu[other]:{width}.2f}" for other, width in beside)
        print(f"{name:24}{cpu[name]:10.0f}{p50:10.0f}{p99:10.0f}{ratios}")
    print("a list as a page of the desk, beside the same 50 customers by the API, × p50, p95:")
    for page, call in (("desk: the list", "page of 50"), ("desk: a filter 1% passes", "a filter 1% passes")):
        ratios = "".join(f"{_median(costs[page], q) / _median(costs[call], q):10.2f}" for q in ("p50", "p95"))
        print(f"{page:24}{ratios}")


def _median(costs: list["Cost"], column: str) -> float:
    """Of the rounds."""
    return float(statistics.median(getattr(cost, column) for cost in costs))


class Cost:
    """Server CPU and latency per read, in µs."""

    def __init__(self, cpu: float, seconds: list[float]) -> None:
        ordered = sorted(seconds)
        self.cpu = cpu
        self.p50, self.p95, self.p99 = (ordered[int(len(ordered) * q)] * 1e6 for q in (0.5, 0.95, 0.99))


class Server:
    """A running server and one connection to it."""

    def __init__(self, process: psutil.Process, host: str, port: int) -> None:
        self._process, self._host, self.address = process, f"{host}:{port}", f"http://{host}:{port}"
        self._wire = socket.create_connection((host, port), timeout=30)
        self._wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, reads: int, request: Callable[[], Request], key: str, session: str) -> Cost:
        """Ask ``reads`` times, one after the other."""
        own = (
            f"Host: {self._host}\r\nAuthorization: Bearer {key}\r\n"
            f"Cookie: fedelta={session}\r\nAccept-Encoding: gzip\r\n\r\n"
        ).encode()
        requests = [head + own + body for head, body in (request() for _ in range(reads))]
        before, seconds = self._cpu(), []
        for one in requests:
            began = time.perf_counter()
            self._wire.sendall(one)
            answer = self._answer()
            seconds.append(time.perf_counter() - began)
            assert answer.startswith(b"HTTP/1.1 200"), answer[:300]
        return Cost((self._cpu() - before) / reads * 1e6, seconds)

    def _answer(self) -> bytes:
        answer = bytearray()
        while (end := answer.find(b"\r\n\r\n")) < 0:
            piece = self._wire.recv(65_536)
            assert piece, "the server closed the connection"
            answer += piece
        length = re.search(rb"content-length: (\d+)", answer)
        assert length is not None
        while len(answer) < end + 4 + int(length[1]):
            answer += self._wire.recv(1 << 20)
        return bytes(answer)

    def _cpu(self) -> float:
        times = self._process.cpu_times()
        return times.user + times.system


@contextmanager
def server(command: list[str]) -> Iterator[Server]:
    """A server that prints its address when it listens."""
    root = Path(__file__).parents[1]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = re.search(r"http://([\d.]+):(\d+)", process.stdout.readline())
            assert address is not None
            yield Server(psutil.Process(process.pid), address[1], int(address[2]))
        finally:
            process.terminate()


def run(customers: int) -> pl.DataFrame:
    """Scores as full as those of a real run."""
    random_numbers = pl.int_range(customers, eager=True).hash(7) % 1000 / 1000
    reason = EXAMPLES["read_score"]["response"]["reasons"][0] | {"date": date(2023, 8, 3)}
    filled: dict[str, pl.Expr | pl.Series] = {
        "customer_id": pl.Series([f"C{i:08d}" for i in range(customers)]),
        "churn_probability": random_numbers,
        "value_at_risk": random_numbers * 100,
        "as_of": pl.lit(datetime(2024, 1, 1, tzinfo=UTC)),
        "horizon_days": pl.lit(90),
        "risk_tier": pl.lit("medium"),
        "status": pl.lit("scored"),
        "model_version": pl.lit("benchmark"),
        "reasons": pl.lit(pl.Series([[reason] * 4], dtype=SCORES["reasons"])).first(),
    }
    rest: dict[str, pl.Expr | pl.Series] = {
        name: pl.lit(1.25 if dtype == pl.Float64() else None, dtype)
        for name, dtype in SCORES.items()
        if name not in filled
    }
    frame = pl.select(pl.int_range(customers).alias("row")).with_columns(**(filled | rest))
    return frame.select(pl.col(name).cast(dtype) for name, dtype in SCORES.items())


if __name__ == "__main__":
    main()
