"""DVC stage ``score``: features at the scoring cutoff, the models and past treatments in; data/scores.parquet out."""

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pandas as pd
import polars as pl

from fedelta.features.contract import SCORES
from fedelta.models.bundle import bundle_hash
from fedelta.models.churn.model import ChurnModel
from fedelta.models.churn.storage import load_churn
from fedelta.models.panel import ORDER, to_pandas
from fedelta.models.policy.actions import contacts_of_a_year
from fedelta.models.policy.settings import PolicySettings
from fedelta.models.scoring import Each, score
from fedelta.pipeline import paths
from fedelta.pipeline.atomic_write import whole
from fedelta.pipeline.buckets.engine import workers
from fedelta.pipeline.feature_job import job_for
from fedelta.pipeline.intake.sources import Source, load_source
from fedelta.pipeline.next_categories import next_categories
from fedelta.pipeline.panel import NoRows
from fedelta.pipeline.params import EngineSettings, Params, load_params
from fedelta.pipeline.saves import policy_in_use
from fedelta.pipeline.score_inputs import margin_shares, with_channel, with_known_value, with_margin_share
from fedelta.pipeline.treatments import read_treatments, suppressed_at
from fedelta.pipeline.wording import wording_of
from fedelta.scoring.bundle import load_models
from fedelta.scoring.context import ScoringContext, Settings
from fedelta.scoring.inputs import ranges_of

_AT_ONCE = 50_000  # customers whose features models read


def main() -> None:
    """Score every known customer of the project."""
    params = load_params()
    features = pl.scan_parquet(paths.FEATURES / "*.parquet").filter(pl.col("role") == "score")
    table = features.join(pl.scan_parquet(paths.PRIOR), on=ORDER, how="left").sort("customer_id").collect()
    source, policy = load_source(params.source), policy_in_use(params.policy, tell=True)
    table_of_customers = source.kind == "table"
    if table_of_customers:
        table = with_known_value(table, pl.read_parquet(paths.CUSTOMERS))
    if table.is_empty():
        raise NoRows("No customer has a history at the scoring cutoff. Check cutoffs.score_at in params.yaml.")
    shares = None
    if not table_of_customers:
        shares, sums = margin_shares(paths.INTERACTIONS, table["cutoff"][0])
        table = with_channel(with_margin_share(table, shares, sums), paths.INTERACTIONS, table["cutoff"][0])
    known = pl.scan_parquet(paths.CUSTOMERS).select("customer_id").collect()
    unseen = known.join(table.select("customer_id"), on="customer_id", how="anti")["customer_id"].to_list()
    as_of, churn = table["cutoff"][0], load_churn(paths.CHURN_DELIVERED)
    suppressed, contacts = suppressed_at(as_of, policy), contacts_of_a_year(read_treatments(), as_of)
    frozen = replace(settings_of(params, source, policy, churn, as_of), margins=shares)
    with _work(table, params.engine) as work:
        scores, base = score(
            work.tables,
            load_models(paths.BUNDLE, as_of, params.churn.definition),
            policy,
            currency=frozen.currency,
            model_version=frozen.model_version,
            each=work.each_table,
            indexes=pl.read_parquet(paths.PILLARS),
            suppressed=suppressed,
            contacts=contacts,
            annual_discount=frozen.annual_discount,
            unseen=unseen,
            out_of_fold=_out_of_fold() if table_of_customers else None,
            next_categories=next_categories(paths.INTERACTIONS, as_of, params.engine.buckets, work.each),
            wording=frozen.wording,
        )
    assert scores.schema == SCORES
    with whole(paths.SCORING) as folder:
        ScoringContext(frozen, base, contacts, suppressed).save(folder)
    with whole(paths.SCORES) as staged:
        scores.write_parquet(staged)
    print(f"score: {in_words(scores)}")


@dataclass(frozen=True)
class _Parts:
    """A table as models read it, some customers at a time."""

    table: pl.DataFrame

    def __iter__(self) -> Iterator[pd.DataFrame]:
        """Each part, made anew."""
        return map(to_pandas, self.table.iter_slices(_AT_ONCE))


@dataclass(frozen=True)
class _Work:
    """The parts of a table, and what applies a function to each of them or of other things."""

    tables: Iterable[Any]
    each_table: Each = map
    each: Each = map


@contextmanager
def _work(table: pl.DataFrame, engine: EngineSettings) -> Iterator[_Work]:
    """The parts as they are, one after the other; for the executors of Spark, as files."""
    if engine.backend == "duckdb":
        yield _Work(_Parts(table))
        return
    shutil.rmtree(paths.UNFINISHED, ignore_errors=True)  # of a run that was killed
    paths.UNFINISHED.mkdir()
    try:
        files = []
        for number, part in enumerate(table.iter_slices(_AT_ONCE)):
            files.append(paths.UNFINISHED / f"part-{number:05}.parquet")
            part.write_parquet(files[-1])
        with workers(engine, len(files)) as pool:

            def each_table(function: Callable[..., Any], *items: Iterable[Any]) -> Iterator[Any]:
                return pool.map(_OfFile(function), list(zip(*items, strict=True)))

            def each(function: Callable[..., Any], items: Iterable[Any]) -> Iterator[Any]:
                return pool.map(function, list(items))

            yield _Work(files, each_table, each)
    finally:
        shutil.rmtree(paths.UNFINISHED, ignore_errors=True)


@dataclass(frozen=True)
class _OfFile:
    """A function of a table and what goes with it, as one of the file that holds the table."""

    function: Callable[..., Any]

    def __call__(self, given: tuple[Any, ...]) -> Any:
        """Read the file and call the function."""
        file, *others = given
        return self.function(to_pandas(pl.read_parquet(file)), *others)


def settings_of(params: Params, source: Source, policy: PolicySettings, churn: ChurnModel, as_of: datetime) -> Settings:
    """The settings of the project, as far as a score depends on them."""
    job = job_for(params, (), paths.FEATURES, paths.LABELS)
    learned = pl.scan_parquet(paths.FEATURES / "*.parquet").filter(pl.col("refit"), pl.col("status") == "scored")
    return Settings(
        as_of=as_of,
        horizon_days=churn.horizon_days,
        lead_days=churn.lead_days,
        model_version=bundle_hash(paths.BUNDLE),
        experience=job.settings.experience,
        policy=policy,
        relationship=job.settings.relationship,
        source=source.kind,
        kinds=source.all_kinds,
        channels=tuple(source.all_channels),
        digital_channels=tuple(job.settings.digital_channels),
        attributes=tuple(job.attributes),
        currency=source.currency,
        annual_discount=params.clv.annual_discount,
        wording=wording_of(source, params),
        ranges=ranges_of(learned, churn.encoding),
    )


def in_words(scores: pl.DataFrame) -> str:
    """How many customers are at which risk."""
    tiers = scores.filter(pl.col("status") == "scored")["risk_tier"].value_counts()
    counts = ", ".join(f"{n:,} {tier}" for tier, n in tiers.sort("count", "risk_tier", descending=True).iter_rows())
    others = (scores["status"] != "scored").sum()
    return f"{len(scores):,} customers as of {scores['as_of'][0]:%Y-%m-%d}: {counts or 'nobody'}; {others:,} not scored"


def _out_of_fold() -> dict[str, float]:
    """The probability of each labelled customer of a table by a model that did not learn from them."""
    evaluation = pl.read_parquet(paths.EVALUATION, columns=["customer_id", "churn_chosen"])
    return dict(evaluation.iter_rows())
