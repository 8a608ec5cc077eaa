"""What one read of a score costs the server's CPU, beside a bare FastAPI route served and asked in the same way.

    python benchmarks/serve_reads.py [--customers 1000000] [--reads 20000]

Both servers run in processes of their own (uvicorn, one worker, uvloop, httptools); requests come over one kept-alive
connection. Rounds take turns, and the medians of the rounds are compared, so that what else the machine does hits both.
"""

import argparse
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
from fedelta.serve.operational.database import Database
from fedelta.serve.snapshots.publish import publish

ROUNDS = 7
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
config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)
uvicorn.Server(config).run(sockets=[listening])
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--reads", type=int, default=20_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = Database(Path(folder) / "fedelta.db")
        scores = Path(folder) / "scores.parquet"
        run(arguments.customers).write_parquet(scores)
        print(publish(scores, database))
        key, _ = create_key(database, "benchmark", ["read:score"])
        serve = [sys.executable, "-m", "fedelta.cli", "serve", "--port=0", f"--database=sqlite:///{database.path}"]
        with (
            server([sys.executable, "-c", BARE]) as bare,
            server([*serve, "--rate-per-second=1000000", "--access-log=off"]) as ours,
        ):
            ids = random.Random(7)
            each = arguments.reads // ROUNDS

            def path() -> str:
                return f"/v1/customers/C{ids.randrange(arguments.customers):08d}/score"

            bare.ask(500, path, key), ours.ask(500, path, key)
            rounds = [(bare.ask(each, path, key), ours.ask(each, path, key)) for _ in range(ROUNDS)]
    report(rounds)


def report(rounds: list[tuple["Cost", "Cost"]]) -> None:
    """Print the medians of the rounds."""
    print(f"{'':24}{'CPU µs/read':>14}{'p50 µs':>10}{'p99 µs':>10}")
    names = ("bare FastAPI route", "score of a customer")
    cpu = []
    for name, costs in zip(names, zip(*rounds, strict=True), strict=True):
        cpu.append(statistics.median(cost.cpu for cost in costs))
        p50, p99 = (statistics.median(getattr(cost, column) for cost in costs) for column in ("p50", "p99"))
        print(f"{name:24}{cpu[-1]:14.0f}{p50:10.0f}{p99:10.0f}")
    print(f"{'ratio':24}{cpu[1] / cpu[0]:14.2f}")


class Cost:
    """Server CPU and latency per read, in µs."""

    def __init__(self, cpu: float, seconds: list[float]) -> None:
        ordered = sorted(seconds)
        self.cpu, self.p50, self.p99 = cpu, *(ordered[int(len(ordered) * q)] * 1e6 for q in (0.5, 0.99))


class Server:
    """A running server and one connection to it."""

    def __init__(self, process: psutil.Process, host: str, port: int) -> None:
        self._process, self._host, self.address = process, f"{host}:{port}", f"http://{host}:{port}"
        self._wire = socket.create_connection((host, port), timeout=30)
        self._wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, reads: int, path: Callable[[], str], key: str) -> Cost:
        """Ask for ``reads`` scores, one after the other."""
        before, seconds = self._cpu(), []
        for _ in range(reads):
            request = f"GET {path()} HTTP/1.1\r\nHost: {self._host}\r\nAuthorization: Bearer {key}\r\n\r\n"
            began = time.perf_counter()
            self._wire.sendall(request.encode())
            answer = self._answer()
            seconds.append(time.perf_counter() - began)
            assert answer.startswith(b"HTTP/1.1 200"), answer[:300]
        return Cost((self._cpu() - before) / reads * 1e6, seconds)

    def _answer(self) -> bytes:
        answer = b""
        while (end := answer.find(b"\r\n\r\n")) < 0:
            answer += self._wire.recv(65_536)
        length = re.search(rb"content-length: (\d+)", answer)
        assert length is not None
        while len(answer) < end + 4 + int(length[1]):
            answer += self._wire.recv(65_536)
        return answer

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


REASON_EXAMPLE = {
    "code": "silence",
    "theme": "rhythm",
    "text": "No order for 142 days (last on 3 Aug); they used to order every 31 days",
    "text_it": "Nessun ordine da 142 giorni (l'ultimo il 3 ago); prima ordinava ogni 31 giorni",
    "direction": "raises",
    "contribution": 0.5,
    "value": 142.0,
    "peer_median": 31.0,
    "date": date(2023, 8, 3),
}


def run(customers: int) -> pl.DataFrame:
    """Scores as full as those of a real run."""
    random_numbers = pl.int_range(customers, eager=True).hash(7) % 1000 / 1000
    filled: dict[str, pl.Expr | pl.Series] = {
        "customer_id": pl.Series([f"C{i:08d}" for i in range(customers)]),
        "churn_probability": random_numbers,
        "value_at_risk": random_numbers * 100,
        "as_of": pl.lit(datetime(2024, 1, 1, tzinfo=UTC)),
        "horizon_days": pl.lit(90),
        "risk_tier": pl.lit("medium"),
        "status": pl.lit("scored"),
        "model_version": pl.lit("benchmark"),
        "reasons": pl.lit(pl.Series([[REASON_EXAMPLE] * 4], dtype=SCORES["reasons"])).first(),
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
