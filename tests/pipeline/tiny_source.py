"""A source small enough to read at a glance, made in a temporary folder, and one call to ingest it."""

import gzip
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from fedelta.pipeline.ingest import Outputs, ingest
from fedelta.pipeline.intake.sources import Source, load_source
from fedelta.pipeline.intake.usability import DataReport

NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
HEADER = "id,who,at,what,how,money,stars"
GOOD = "1,ann,2024-01-05 10:00:00,purchase,web,12.50,0.8"
YAML = """\
name: tiny
says: a handful of rows
currency: EUR
time_zone: Europe/Rome
files:
  events: {path: "events.csv*", format: csv}
"""
SQL = """\
SELECT id AS interaction_id, who AS customer_id, "at" AS occurred_at, what AS kind, how AS channel, money AS amount,
       stars AS rating
FROM events
"""


@dataclass
class Tiny:
    """What makes up the source; ``None`` for a file that is not there."""

    folder: Path
    events: bytes | None = b""
    yaml: str = YAML
    sql: str = SQL
    customers_sql: str | None = None
    name: str = "events.csv"
    others: dict[str, bytes] = field(default_factory=dict)

    def source(self) -> Source:
        here = self.folder / "sources" / "tiny"
        here.mkdir(parents=True, exist_ok=True)
        (here / "source.yaml").write_text(self.yaml)
        (here / "interactions.sql").write_text(self.sql)
        if self.customers_sql is not None:
            (here / "customers.sql").write_text(self.customers_sql)
        return load_source("tiny", self.folder / "sources")

    @property
    def raw(self) -> Path:
        return self.folder / "raw"

    @property
    def outputs(self) -> Outputs:
        data = self.folder / "data"
        return Outputs(
            data / "interactions",
            data / "customers.parquet",
            data / "quarantine",
            self.folder / "reports/data.json",
            data / "declared_labels.parquet",
            data / "treatments.parquet",
        )

    def ingest(self, workers: int = 1, now: datetime = NOW) -> DataReport:
        source = self.source()
        self.raw.mkdir(exist_ok=True)
        if self.events is not None:
            (self.raw / self.name).write_bytes(self.events)
        for name, content in self.others.items():
            (self.raw / name).write_bytes(content)
        return ingest(source, self.raw, self.outputs, memory_limit="300MB", workers=workers, now=now)

    def interactions(self) -> pl.DataFrame:
        return pl.read_parquet(self.outputs.interactions / "*.parquet").sort(
            "customer_id", "occurred_at", "interaction_id"
        )

    def customers(self) -> pl.DataFrame:
        return pl.read_parquet(self.outputs.customers)

    def quarantine(self, table: str = "interactions") -> pl.DataFrame:
        return pl.read_parquet(self.outputs.quarantine / f"{table}.parquet")

    def report(self) -> dict[str, object]:
        read: dict[str, object] = json.loads(self.outputs.report.read_text())
        return read


def csv(*lines: str, header: str = HEADER, end: str = "\n") -> bytes:
    """A CSV file of these lines under the header."""
    return "".join(line + end for line in (header, *lines)).encode()


def zipped(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)
