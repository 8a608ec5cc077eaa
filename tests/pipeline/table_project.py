"""A company that has a table and no history: a few hundred customers, and a project that the real stages run on."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tiny_project import HERE, PARAMS

SOURCE = """\
kind: table
says: customers of a gym
currency: EUR
as_of: 2024-03-31
files: { members: { path: "*.csv", optional: [left_us] } }
attributes:
  plan: { type: categorical, says: plan }
  city: { type: categorical, says: city }
  fee: { type: numeric, says: monthly fee }
  complaints: { type: numeric, says: complaints, bad_experience: resolution }
recommends: { horizon_days: 30 }
"""
SQL = """\
SELECT id AS customer_id, left_us AS churned, joined AS signed_up_at, opted_out, worth AS value,
       plan, city, fee, complaints
FROM members
"""
HEADER = "id,joined,opted_out,worth,plan,city,fee,complaints,left_us"
FAST = PARAMS.replace("TREES", "25").replace("candidate: lightgbm", "candidate: auto, definition: declared")


@dataclass
class Gym:
    """What makes up the source and its one file."""

    folder: Path
    rows: list[str] = field(default_factory=list)
    yaml: str = SOURCE
    sql: str = SQL
    header: str = HEADER

    def write(self) -> Path:
        """The project's folder, nothing run yet."""
        here = self.folder / "sources" / "gym"
        here.mkdir(parents=True, exist_ok=True)
        (here / "source.yaml").write_text(self.yaml)
        (here / "customers.sql").write_text(self.sql)
        raw = self.folder / "data" / "raw"
        raw.mkdir(parents=True, exist_ok=True)
        (raw / "members.csv").write_text("\n".join([self.header, *self.rows]) + "\n")
        params = FAST.replace("source: demo", "source: gym").replace("data: data/raw/demo", "data: data/raw")
        (self.folder / "params.yaml").write_text(params.replace("horizon_days: 90", "horizon_days: 30"))
        (self.folder / "treatments").mkdir(exist_ok=True)
        return self.folder


def members(number: int = 400, *, seed: int = 3, unlabelled: int = 40, first: int = 0) -> list[str]:
    """Members: those of the cheap plan and with complaints leave more often; the fee of some is blank."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(first, first + number):
        plan, city = rng.choice(["monthly", "yearly"]), rng.choice(["Rome", "Milan", "Turin", "Bari"])
        fee, complaints = rng.normal(40, 12), rng.poisson(0.8)
        chance = 0.12 + 0.25 * (plan == "monthly") + 0.13 * min(complaints, 4)
        left = "" if i >= first + number - unlabelled else str(bool(rng.random() < chance)).lower()
        opted_out = "true" if i % 50 == 7 else ""
        paid = " " if i % 40 == 5 else f"{fee:.2f}"
        joined = f"20{rng.integers(15, 24)}-05-01"
        rows.append(f"m{i:04},{joined},{opted_out},{12 * fee:.2f},{plan},{city},{paid},{complaints},{left}")
    return rows


__all__ = ["HEADER", "HERE", "SOURCE", "SQL", "Gym", "members"]
