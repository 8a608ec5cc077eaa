"""Whether customers scored alone, or a hundred at a time, get the scores of a batch to the last bit; and their cost.

    POLARS_MAX_THREADS=1 python -m benchmarks.live_equals_batch [--project .] [--customers 5000] [--speed 60]

Of a scored project (`dvc repro`): its customers, with ties in time, events at the cutoff and later, and customers of a
single event or none put among them. The batch goes the way of the stages: features of all at once, a table in Polars.
Then what a customer of about 50 events costs the CPU of one core, beside `models.pyfunc` (what `mlflow models serve`
calls), which is given the features.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import polars as pl

from fedelta.features.attributes import attributes_at
from fedelta.features.contract import INTERACTIONS
from fedelta.features.cutoffs import Cutoff
from fedelta.features.kernel import features_at
from fedelta.models.btyd.purchase_prior import prior_columns
from fedelta.models.panel import to_pandas
from fedelta.models.pyfunc import load_bundle
from fedelta.models.scoring import score
from fedelta.models.table import Table
from fedelta.scoring.histories import indexes_of, recommended, seen, with_channel, with_margin_share
from fedelta.scoring.scorer import MOST_CUSTOMERS, Scorer

AT_CUTOFF, TIED, SINGLE = 10, 7, 25  # every so manyth customer has such an event


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--project", type=Path, default=Path())
    parser.add_argument("--customers", type=int, default=5_000)
    parser.add_argument("--speed", type=int, default=60, help="customers whose cost is measured")
    asked = parser.parse_args()
    data = asked.project / "data"
    began = time.perf_counter()
    scorer = Scorer.load(data / "scoring")
    print(f"loaded in {time.perf_counter() - began:.2f} s, bundle {scorer.context.settings.model_version}")
    every = pl.scan_parquet(data / "interactions" / "*.parquet").select(INTERACTIONS.names())
    ids = every.select("customer_id").unique().sort("customer_id").collect()["customer_id"]
    ids = ids.gather_every(max(1, len(ids) // asked.customers)).head(asked.customers)
    events = every.filter(pl.col("customer_id").is_in(ids.implode())).collect()
    customers = pl.read_parquet(data / "customers.parquet").filter(pl.col("customer_id").is_in(ids.implode()))
    as_of = scorer.context.settings.as_of
    wrong = _compare(scorer, with_odd(events, as_of), customers)
    published = pl.read_parquet(data / "scores.parquet").filter(pl.col("customer_id").is_in(ids.implode()))
    wrong += differing(live(scorer, events, customers, MOST_CUSTOMERS), published, "data/scores.parquet")
    speed(scorer, data, events, customers, asked.speed)
    sys.exit(bool(wrong))


def _compare(scorer: Scorer, events: pl.DataFrame, customers: pl.DataFrame) -> int:
    expected = batch(scorer, events, customers)
    return sum(
        differing(live(scorer, events, customers, at_once), expected, f"{at_once} at a time") for at_once in (1, 100)
    )


def with_odd(events: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    """The events and, of some customers, ties in time, events at the cutoff and after it, and no others but one."""
    ids = events["customer_id"].unique().sort()
    single = pl.col("customer_id").is_in(ids.gather_every(SINGLE).implode())
    alone = events.filter(single).unique("customer_id", keep="first", maintain_order=True)
    kept = pl.concat([events.filter(~single), alone])
    tied = pl.col("customer_id").is_in(ids.gather_every(TIED, 1).implode()) & (pl.col("kind") == "purchase")
    twins = kept.filter(tied).with_columns(kind=pl.lit("contact"), resolved=pl.lit(value=True), topic=pl.lit("returns"))
    last = kept.filter(pl.col("customer_id").is_in(ids.gather_every(AT_CUTOFF, 2).implode()))
    last = last.unique("customer_id", keep="last", maintain_order=True)
    moved = [
        last.with_columns(
            occurred_at=pl.lit(as_of + timedelta(microseconds=shift)).cast(INTERACTIONS["occurred_at"]),
            interaction_id=pl.format("odd{}-{}", pl.lit(shift), "interaction_id"),
        )
        for shift in (-1, 0, 1)
    ]
    twins = twins.with_columns(interaction_id=pl.format("odd-{}", "interaction_id"))
    return pl.concat([kept, twins, *moved]).sort("customer_id", "occurred_at", "interaction_id")


def batch(scorer: Scorer, events: pl.DataFrame, customers: pl.DataFrame) -> pl.DataFrame:
    """The scores of all at once, as the stages compute them, placed in the base of the run."""
    settings, bundle = scorer.context.settings, scorer.bundle
    cutoff = Cutoff(settings.as_of, settings.horizon_days, settings.lead_days, "score")
    table, _ = features_at(events, [cutoff], settings.kernel)
    table = table.hstack(attributes_at(table, customers, settings.attributes)) if settings.attributes else table
    frame = to_pandas(table)
    whole = frame.join(prior_columns(bundle.models.prior, frame[frame["status"] == "scored"]))
    known_then = seen(events, settings.as_of)
    rows = with_channel(Table.of(whole), known_then, settings.as_of)
    if settings.margins:
        rows = with_margin_share(rows, known_then, settings.margins)
    known = [*customers["customer_id"]]
    found, _ = score(
        rows,
        bundle.models,
        settings.policy,
        currency=settings.currency,
        model_version=settings.model_version,
        indexes=indexes_of(known_then, settings.experience, bundle.rules, bundle.experience),
        suppressed={name: why for name, why in scorer.context.suppressed.items() if name in set(known)},
        unseen=sorted({*known, *events["customer_id"]} - {*rows["customer_id"]}),
        next_categories=recommended(bundle.next_model, bundle.next_status, known_then, settings.as_of),
        contacts=scorer.context.contacts,
        annual_discount=settings.annual_discount,
        wording=settings.wording,
        base=scorer.context.base,
    )
    return found.table()


def live(scorer: Scorer, events: pl.DataFrame, customers: pl.DataFrame, at_once: int) -> pl.DataFrame:
    """The scores of so many customers at a time."""
    ids = pl.concat([events["customer_id"], customers["customer_id"]]).unique().sort()
    of = {str(name): part for (name,), part in events.partition_by("customer_id", as_dict=True).items()}
    known = {str(name): part for (name,), part in customers.partition_by("customer_id", as_dict=True).items()}
    nothing, nobody = events.clear(), customers.clear()
    found = []
    for start in range(0, len(ids), at_once):
        some = ids.slice(start, at_once)
        own = pl.concat([nothing, *(of[name] for name in some if name in of)])
        about = pl.concat([nobody, *(known[name] for name in some if name in known)])
        found.append(scorer.score(own, about).scores.table())
    return pl.concat(found)


def differing(found: pl.DataFrame, expected: pl.DataFrame, what: str) -> int:
    """How many customers' rows differ in any bit; which columns do is printed."""
    one, other = (
        {json.loads(line)["customer_id"]: line for line in t.write_ndjson().splitlines()} for t in (found, expected)
    )
    names = sorted(name for name in {*one, *other} if one.get(name) != other.get(name))
    columns: dict[str, int] = {}
    for name in names:
        mine, theirs = (json.loads(held.get(name, "{}")) for held in (one, other))
        for column in expected.columns:
            columns[column] = columns.get(column, 0) + (mine.get(column) != theirs.get(column))
    which = ", ".join(f"{column} {n}" for column, n in columns.items() if n)
    print(f"{what}: {len(one):,} customers, {len(names)} differ{f' ({which}; such as {names[0]})' if names else ''}")
    return len(names)


def speed(scorer: Scorer, data: Path, events: pl.DataFrame, customers: pl.DataFrame, number: int) -> None:
    """Print what a customer of about 50 events costs, alone and among others, and what pyfunc costs in the same run."""
    away = (pl.col("len").cast(pl.Int64) - 50).abs()
    ids = events.group_by("customer_id").len().sort(away, "customer_id")["customer_id"].head(number)
    parts = [(events.filter(customer_id=name), customers.filter(customer_id=name)) for name in ids]
    print(f"{number} customers of {statistics.mean(len(own) for own, _ in parts):.0f} events each, on one core")
    features = pl.scan_parquet(data / "features" / "*.parquet").filter(
        pl.col("role") == "score", pl.col("customer_id").is_in(ids.implode())
    )
    rows = to_pandas(features.collect())
    model = load_bundle(data / "bundle")
    requests = [rows.iloc[[place]].to_json(orient="split", date_format="iso") for place in range(len(rows))]

    def served(request: str) -> object:
        held = json.loads(request)
        return model.predict(pd.DataFrame(held["data"], columns=held["columns"]))

    rounds: dict[str, list[float]] = {}
    for _ in range(3):
        for what, each in _tasks(scorer, parts).items():
            rounds.setdefault(what, []).append(_cost(each, number))
        rounds.setdefault("pyfunc, features given", []).append(
            _cost(lambda: [served(request) for request in requests], len(requests))
        )
    alone = min(rounds["alone"])
    for what, costs in rounds.items():
        print(f"{what:<24}{min(costs):>9.2f} ms of CPU a customer, {min(costs) / alone:.2f} of one alone")


def _tasks(scorer: Scorer, parts: Sequence[tuple[pl.DataFrame, pl.DataFrame]]) -> dict[str, Callable[[], object]]:
    together = [
        tuple(pl.concat(tables) for tables in zip(*parts[start : start + 20], strict=True))
        for start in range(0, len(parts), 20)
    ]
    return {
        "alone": lambda: [scorer.score(own, known, explain=False) for own, known in parts],
        "alone, with reasons": lambda: [scorer.score(own, known, explain=True) for own, known in parts],
        "20 at a time": lambda: [scorer.score(own, known, explain=False) for own, known in together],
    }


def _cost(work: Callable[[], object], number: int) -> float:
    began = time.process_time()
    work()
    return 1000 * (time.process_time() - began) / number


if __name__ == "__main__":
    main()
