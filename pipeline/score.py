"""DVC stage ``score``: features at the scoring cutoff, the models and past treatments in; data/scores.parquet out."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl

from fedelta.features.contract import SCORES, NextStatus
from fedelta.models.bundle import bundle_hash
from fedelta.models.churn.model import ChurnModel
from fedelta.models.churn.storage import load_churn
from fedelta.models.panel import ORDER, to_pandas
from fedelta.models.policy.actions import contacts_of_a_year
from fedelta.models.policy.settings import PolicySettings
from fedelta.models.scoring import Each, Models, Risk, base_of, score
from fedelta.models.value.margins import MarginShares
from fedelta.pipeline import paths
from fedelta.pipeline.atomic_write import scratch, whole
from fedelta.pipeline.buckets.engine import workers
from fedelta.pipeline.feature_job import job_for
from fedelta.pipeline.id_ranges import IdRanges
from fedelta.pipeline.intake.sources import Source, load_source
from fedelta.pipeline.next_categories import recommendations
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
_FEATURES, _NEXT = "features", "next"


def main() -> None:
    """Score every known customer of the project."""
    params = load_params()
    source, policy = load_source(params.source), policy_in_use(params.policy, tell=True)
    with scratch(paths.UNFINISHED) as folder:
        run = _Run.of(source, folder)
        churn = load_churn(paths.CHURN_DELIVERED)
        suppressed, contacts = suppressed_at(run.as_of, policy), contacts_of_a_year(read_treatments(), run.as_of)
        settings = replace(settings_of(params, source, policy, churn, run.as_of), margins=run.shares)
        models = load_models(paths.BUNDLE, run.as_of, params.churn.definition)
        out_of_fold = _out_of_fold() if source.kind == "table" else None
        files = run.files()
        with _work(params.engine, len(files)) as work:
            base, risks = base_of(
                files,
                models,
                policy,
                suppressed=suppressed,
                out_of_fold=out_of_fold,
                contacts=contacts,
                each=work.each_table,
            )
            context = ScoringContext(settings, base, contacts, suppressed)
            recommended, otherwise = recommendations(paths.INTERACTIONS, run.as_of, params.engine.buckets, work.each)
            run.ranges.deal(_NEXT, recommended)
            beside = (_Beside.of(run.ranges, number, otherwise) for number in run.ranges)
            parts: list[Path] = []
            for scores in work.each_table(partial(_scores, models=models, context=context), files, risks, beside):
                assert scores.schema == SCORES
                parts.append(folder / f"scores-{len(parts):05}.parquet")
                scores.write_parquet(parts[-1])
        with whole(paths.SCORING) as frozen:
            context.save(frozen)
        with whole(paths.SCORES) as staged:
            _join(parts, staged)
    found = pl.scan_parquet(paths.SCORES).select("status", "risk_tier", "as_of").collect()
    print(f"score: {in_words(found)}")


def _scores(
    table: pd.DataFrame, risk: Risk, beside: "_Beside", models: Models, context: ScoringContext
) -> pl.DataFrame:
    """The scores of a range of customers."""
    settings = context.settings
    found, _ = score(
        table,
        models,
        settings.policy,
        currency=settings.currency,
        model_version=settings.model_version,
        indexes=beside.indexes,
        suppressed=context.suppressed,
        contacts=context.contacts,
        annual_discount=settings.annual_discount,
        unseen=beside.ids.filter(~beside.ids.is_in(pl.Series(table["customer_id"].to_list()).implode())).to_list(),
        next_categories=beside.next_categories,
        wording=settings.wording,
        base=context.base,
        risk=risk,
    )
    return found.table()


@dataclass(frozen=True)
class _Beside:
    """What is known of the customers of a range besides what models read of them."""

    ids: pl.Series
    indexes: pl.DataFrame
    next_categories: tuple[pl.DataFrame, NextStatus]

    @classmethod
    def of(cls, ranges: IdRanges, number: int, otherwise: NextStatus) -> "_Beside":
        ids = ranges.ids(number)
        indexes = pl.scan_parquet(paths.PILLARS).filter(pl.col("customer_id").is_in(ids.implode())).collect()
        return cls(ids, indexes, (ranges.dealt(_NEXT, number), otherwise))


@dataclass(frozen=True)
class _Run:
    """The customers of a run by ranges of their ids, and what is known of them besides their features."""

    as_of: datetime
    ranges: IdRanges
    known: pl.DataFrame  # customer_id, and what scoring reads of each beside features
    shares: MarginShares | None

    @classmethod
    def of(cls, source: Source, folder: Path) -> "_Run":
        """Deal out the features of the scoring cutoff.

        Raises
        ------
        NoRows
            If there are none.
        """
        features = pl.scan_parquet(paths.FEATURES / "*.parquet").filter(pl.col("role") == "score")
        keys = features.select(ORDER).collect(engine="streaming")
        if keys.is_empty():
            raise NoRows("No customer has a history at the scoring cutoff. Check cutoffs.score_at in params.yaml.")
        as_of = keys["cutoff"][0]
        customers = pl.scan_parquet(paths.CUSTOMERS).select("customer_id").collect()["customer_id"]
        unseen = customers.filter(~customers.is_in(keys["customer_id"].implode()))
        ranges = IdRanges.cut(keys["customer_id"], unseen, _AT_ONCE, folder)
        ranges.deal(_FEATURES, _features_at_score())
        prior = pl.scan_parquet(paths.PRIOR).filter(pl.col("cutoff") == as_of).drop("cutoff")
        known = keys.lazy().drop("cutoff").join(prior, on="customer_id", how="left").collect(engine="streaming")
        if source.kind == "table":
            return cls(as_of, ranges, with_known_value(known, pl.read_parquet(paths.CUSTOMERS)), None)
        shares, sums = margin_shares(paths.INTERACTIONS, as_of)
        known = with_channel(with_margin_share(known, shares, sums), paths.INTERACTIONS, as_of)
        return cls(as_of, ranges, known, shares)

    def files(self) -> list[Path]:
        """What models read of the customers of each range, written to a file."""
        files = []
        for number in self.ranges:
            features = self.ranges.dealt(_FEATURES, number)
            files.append(self.ranges.folder / f"table-{number:05}.parquet")
            table = features.join(self.known, on="customer_id", how="left", maintain_order="left")
            table.write_parquet(files[-1], compression="lz4")
        return files


def _features_at_score() -> Iterator[pl.DataFrame]:
    for file in sorted(paths.FEATURES.glob("*.parquet")):
        yield pl.scan_parquet(file).filter(pl.col("role") == "score").collect()


def _join(parts: list[Path], target: Path) -> None:
    """One file of several, a row group of each; of one, itself."""
    if len(parts) == 1:
        parts[0].replace(target)
    else:
        pl.scan_parquet(parts).sink_parquet(target, row_group_size=_AT_ONCE, engine="streaming")


@dataclass(frozen=True)
class _Work:
    """What applies a function to each of some things, and to the tables of files and what goes with each."""

    each: Each
    each_table: Each


@contextmanager
def _work(engine: EngineSettings, number: int) -> Iterator[_Work]:
    """One after the other here, or on the executors of Spark."""
    if engine.backend == "duckdb":
        yield _Work(map, lambda function, *items: map(_OfFile(function), zip(*items, strict=True)))
        return
    with workers(engine, number) as pool:

        def each(function: Callable[..., Any], items: Iterable[Any]) -> Iterator[Any]:
            return pool.map(function, list(items))

        def each_table(function: Callable[..., Any], *items: Iterable[Any]) -> Iterator[Any]:
            return pool.map(_OfFile(function), list(zip(*items, strict=True)))

        yield _Work(each, each_table)


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
