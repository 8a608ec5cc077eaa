"""Small scoring runs, a client and a running server for the tests of the service."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import polars as pl
from fastapi import FastAPI

from fedelta.features.contract import REASON, SCORES
from fedelta.serve.operational.database import Database
from fedelta.serve.snapshots.publish import Published

Publish = Callable[..., Published]

AS_OF = datetime(2024, 1, 1, tzinfo=UTC)
REPOSITORY = Path(__file__).parents[2]


def customer(customer_id: str, **columns: object) -> dict[str, object]:
    """A scored customer; every column not named is null."""
    return {
        "customer_id": customer_id,
        "as_of": AS_OF,
        "horizon_days": 90,
        "churn_probability": 0.5,
        "risk_tier": "medium",
        "value_at_risk": 100.0,
        "clv_expected": 200.0,
        "model_version": "m1",
        "status": "scored",
    } | columns


def reason(**fields: object) -> dict[str, object]:
    """A reason of a score; every field not named is null."""
    return dict.fromkeys(REASON) | fields


def unscored(customer_id: str, status: str = "too_new") -> dict[str, object]:
    """A customer who is known, but has no score."""
    nothing = dict.fromkeys(("churn_probability", "risk_tier", "value_at_risk", "clv_expected"))
    return customer(customer_id, status=status, **nothing)


def scores(*customers: Mapping[str, object]) -> pl.DataFrame:
    """The rows of a scores file."""
    return pl.DataFrame(list(customers), schema=SCORES, strict=True)


def write(path: Path, *customers: Mapping[str, object]) -> Path:
    """A scores file with these customers."""
    scores(*customers).write_parquet(path)
    return path


def many(rows: int, version: str) -> pl.DataFrame:
    """A run of ``rows`` customers, c000000 and on, made by model ``version``."""
    plain = scores(customer("c", model_version=version))
    return plain[[0] * rows].with_columns(
        pl.format("c{}", pl.int_range(pl.len()).cast(pl.String).str.zfill(6)).alias("customer_id")
    )


def full_url(database: Database) -> str:
    """The URL of a database, with its password."""
    return database.url.render_as_string(hide_password=False)


class Client:
    """An HTTP client of an application in this process; one request after the other."""

    def __init__(self, app: FastAPI, key: str | None = None) -> None:
        self._runner, self._audit, self.store = asyncio.Runner(), app.state.audit, app.state.store
        self._http = httpx.AsyncClient(
            transport=httpx.ASGITransport(app, raise_app_exceptions=False),
            base_url="http://fedelta",
            headers={"Authorization": f"Bearer {key}"} if key else {},
        )

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            return await self._http.request(method, path, **options)

        return self._runner.run(ask())

    def close(self) -> None:
        self._runner.run(self._http.aclose())
        self._runner.close()
        if self._audit is not None:  # before the store: what it writes later would leave a connection open
            self._audit.close()


@contextmanager
def running(database_url: str, python: Path = Path(sys.executable), options: Sequence[str] = ()) -> Iterator[str]:
    """A real server on a free port of this machine; its address."""
    with started(database_url, python, ["--access-log", "off", *options]) as (address, _):
        yield address


@contextmanager
def started(
    database_url: str, python: Path = Path(sys.executable), options: Sequence[str] = (), files: int | None = None
) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """A real server on a free port, its address and its process; with a limit of open files, if one is named."""
    command = [str(python), "-m", "fedelta.cli", "serve", "--port", "0", "--database", database_url, *options]
    if files is not None:
        command = ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", *command]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            address = re.search(r"http://\S+", server.stdout.readline())
            assert address is not None
            with httpx.Client(base_url=address[0]) as client:
                client.get("/healthz", timeout=30)
            yield address[0], server
        finally:
            server.terminate()
            server.wait(20)


def json_file(path: Path, document: object) -> Path:
    """A JSON file, its folders made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path
