"""Requests a second of a look-up through the whole caller layer, beside a bare FastAPI route with a similar answer.

    python benchmarks/serve_load.py [--customers 20000] [--seconds 5] [--rounds 5] [--connections 16]

Needs `wrk` (apt-get install -y wrk). Both servers run in processes of their own (uvicorn, one worker, uvloop,
httptools), one under load at a time, in turns; the ratio is that of the medians of the rounds. The bare route is
`async def f(): return {...}` with a document as long as ours; ours checks the key, counts the rate, writes its access
log and audit, and reads the score from the snapshot.
"""

import argparse
import asyncio
import json
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.serve_reads import run, server
from fedelta.serve.caller.keys import create_key
from fedelta.serve.operational.database import Database
from fedelta.serve.snapshots.publish import publish
from fedelta.serve.store import Store

BARE = """
import json, socket, sys, uvicorn
from fastapi import FastAPI
app = FastAPI()
document = json.loads(sys.argv[1])
@app.get("/v1/customers/{customer_id}/score")
async def bare(customer_id: str):
    return document
listening = socket.socket(); listening.bind(("127.0.0.1", 0)); listening.listen(2048)
print("http://127.0.0.1:%d" % listening.getsockname()[1], flush=True)
config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)
uvicorn.Server(config).run(sockets=[listening])
"""
SCRIPT = """
local key, customers = "KEY", CUSTOMERS
math.randomseed(7)
request = function()
  return wrk.format("GET", string.format("/v1/customers/C%08d/score", math.random(0, customers - 1)),
                    {["Authorization"] = "Bearer " .. key})
end
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--option", action="append", default=[], help="further options of `fedelta serve`")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/fedelta.db"
        database = Database.at(url)
        scores = Path(folder) / "scores.parquet"
        run(arguments.customers).write_parquet(scores)
        print(publish(scores, database))
        key, _ = create_key(database, "benchmark", ["read:score"])
        store = Store(database)
        body = asyncio.run(store.current("default")).file.find("C00000000")
        store.close()
        assert body is not None
        script = Path(folder) / "score.lua"
        script.write_text(SCRIPT.replace("KEY", key).replace("CUSTOMERS", str(arguments.customers)))
        log = f"--access-log={folder}/access.log"
        serve = [sys.executable, "-m", "fedelta.cli", "serve", "--port=0", f"--database={url}", log]
        with (
            server([sys.executable, "-c", BARE, json.dumps(json.loads(body))]) as bare,
            server([*serve, "--rate-per-second=1000000", "--rate-burst=1000000", *arguments.option]) as ours,
        ):
            rounds = [
                [_load(each.address, script, arguments) for each in (bare, ours)] for _ in range(arguments.rounds + 1)
            ][1:]  # the first warms both
    print(f"{'':24}{'requests/s':>12}{'p99 ms':>10}")
    medians = []
    for name, measured in zip(("bare FastAPI route", "score of a customer"), zip(*rounds, strict=True), strict=True):
        rate, p99 = (statistics.median(each[column] for each in measured) for column in (0, 1))
        medians.append(rate)
        print(f"{name:24}{rate:12,.0f}{p99:10.2f}")
    print(f"{'ratio':24}{medians[1] / medians[0]:12.2f}")


def _load(address: str, script: Path, arguments: argparse.Namespace) -> tuple[float, float]:
    """Requests a second and the 99th percentile in ms of one round; every answer must be good."""
    command = [
        "wrk",
        "-t1",
        f"-c{arguments.connections}",
        f"-d{arguments.seconds}s",
        "--latency",
        "-s",
        script,
        address,
    ]
    printed = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in printed, printed
    assert "Socket errors" not in printed, printed
    rate = re.search(r"Requests/sec:\s+([\d.]+)", printed)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", printed)
    assert rate is not None
    assert p99 is not None
    return float(rate[1]), float(p99[1]) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[p99[2]]


if __name__ == "__main__":
    main()
