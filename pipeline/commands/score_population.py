"""``fedelta score --data DIR``: other customers scored by the models of the last run, without training anything.

The files of DIR go through the project's source, as in `ingest`, into a scratch folder; the rest is what the stages do.
Whatever is learned from a base stays as the bundle has it: the models, the parameters of buy-till-you-die models and
the priors of the indexes of experience. So a score does not depend on who else is in the files, a handful of customers
can be scored, and a score means what it meant when the models were measured.
"""

import sys
import tempfile
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pandas as pd
import polars as pl

from fedelta.features.contract import SCORES, NextStatus
from fedelta.features.customer_table import table_features
from fedelta.features.cutoffs import Cutoff, midnight_after, score_cutoff
from fedelta.features.errors import FedeltaError
from fedelta.features.experience_rules import exercised
from fedelta.features.visibility import seen_before
from fedelta.models.btyd.storage import load_prior
from fedelta.models.bundle import read_contract
from fedelta.models.churn.model import ChurnModel
from fedelta.models.churn.storage import load_churn
from fedelta.models.experience.exposure import customer_counts
from fedelta.models.experience.pillars import customer_indexes
from fedelta.models.experience.storage import load_experience
from fedelta.models.monitoring.input_drift import WILD, Difference, difference
from fedelta.models.panel import PRIOR_FEATURES, to_pandas
from fedelta.models.policy.actions import contacts_of_a_year, suppressed_customers
from fedelta.models.scoring import score
from fedelta.models.value.margins import MarginShares
from fedelta.pipeline import paths
from fedelta.pipeline.atomic_write import whole
from fedelta.pipeline.buckets.shuffle import bounded_buckets
from fedelta.pipeline.feature_job import build, job_for
from fedelta.pipeline.ingest import Outputs, ingest
from fedelta.pipeline.intake.sources import Source, load_source
from fedelta.pipeline.intake.table_source import as_of, must_not_be_to_come, read_customers
from fedelta.pipeline.next_categories import next_categories
from fedelta.pipeline.panel import read_sorted
from fedelta.pipeline.params import Params, load_params
from fedelta.pipeline.saves import policy_in_use
from fedelta.pipeline.score import in_words
from fedelta.pipeline.score_inputs import sums_of_margins, with_channel, with_known_value, with_margin_share
from fedelta.pipeline.span import span
from fedelta.pipeline.treatments import read_treatments
from fedelta.pipeline.wording import wording_of
from fedelta.scoring.bundle import load_models
from fedelta.scoring.context import ScoringContext
from fedelta.scoring.histories import recorded

SCORED = Path("data/scored")


class CannotScore(FedeltaError):
    """The bundle and the files do not fit each other, or the file asked for is another's."""


@dataclass(frozen=True)
class Population:
    """Other customers, ready to be scored."""

    table: pl.DataFrame  # features at the scoring cutoff, without columns of purchase models
    customers: pl.DataFrame
    indexes: pl.DataFrame | None  # of experience
    next_categories: tuple[pl.DataFrame, NextStatus]


def main(data: Path, out: Path | None, at: str | None) -> None:
    """Score the customers whose files lie in `data` and write `out`; warn where they are unlike those learned from.

    Raises
    ------
    CannotScore
        If the file asked for is the project's own, the bundle reads what the source no longer yields, or nobody can be
        scored.
    BadBundle
        If there is no bundle, or it was trained on other features than this program computes.
    """
    target = out or SCORED / f"{data.resolve().name}.parquet"
    must_be_free(target)
    if at:
        _date(at)
    params = load_params()
    source = load_source(params.source)
    churn, contract = load_churn(paths.CHURN_DELIVERED), read_contract(paths.CHURN_DELIVERED)
    context = ScoringContext.load(paths.SCORING).of_bundle(paths.BUNDLE)
    with tempfile.TemporaryDirectory(prefix="fedelta-score-") as scratch:
        population = read_population(source, data, params, churn, context.settings.margins, at, Path(scratch))
    table = with_prior(population.table)
    if missing := [name for name in churn.encoding.names if name not in table.columns]:
        raise CannotScore(
            f"The bundle was trained on {', '.join(missing)}, which source {source.name} no longer yields. Bring the "
            "columns back, or train anew with `dvc repro`."
        )
    frame = to_pandas(table)
    if _scorable(frame).empty:
        found = ", ".join(f"{status} {n:,}" for status, n in frame["status"].value_counts().items())
        raise CannotScore(
            f"Nobody in {data} can be scored ({found}). Check the files and the kinds of the source "
            "(`fedelta source check`) against churn.activity and churn.definition in params.yaml."
        )
    for words in warnings_of(difference(contract["inputs"], _scorable(frame), churn.encoding, contract["importance"])):
        print(f"score: warning: {words}", file=sys.stderr)
    scores = scored(frame, population, context, params, source)
    with whole(target) as staged:
        scores.write_parquet(staged)
    print(f"score: {target}: {in_words(scores)}")


def must_be_free(target: Path) -> None:
    """Refuse to write scores where something else lies.

    Raises
    ------
    CannotScore
        If `target` is no Parquet file, or a file of the project's own run.
    """
    if target.suffix != ".parquet" or target.is_dir():
        raise CannotScore(f"--out is {target}; it must be a file whose name ends in .parquet.")
    if target.resolve() == paths.SCORES.resolve():
        raise CannotScore(f"{paths.SCORES} holds the scores of the project's own run. Choose another file with --out.")
    if target.resolve().is_relative_to(paths.SCORES.parent.resolve()) and not target.resolve().is_relative_to(
        SCORED.resolve()
    ):
        raise CannotScore(
            f"{target} lies among the files of the project's own run. Choose {SCORED / target.name}, or a file outside "
            f"{paths.SCORES.parent}."
        )


def scored(
    table: pd.DataFrame, population: Population, context: ScoringContext, params: Params, source: Source
) -> pl.DataFrame:
    """Scores of the population, in the columns of ``features.contract.SCORES``."""
    when = table["cutoff"].iloc[0].to_pydatetime().replace(tzinfo=UTC)
    unseen = population.customers.join(population.table.select("customer_id"), on="customer_id", how="anti")
    treatments = read_treatments()
    models = load_models(paths.BUNDLE, context.settings.as_of, params.churn.definition)
    found, _ = score(
        table,
        models,
        policy_in_use(params.policy),
        currency=source.currency,
        model_version=context.settings.model_version,
        indexes=population.indexes,
        suppressed=suppressed_customers(population.customers, treatments, when, params.policy),
        contacts=contacts_of_a_year(treatments, when),
        annual_discount=params.clv.annual_discount,
        unseen=unseen["customer_id"].to_list(),
        next_categories=population.next_categories,
        wording=wording_of(source, params),
        base=context.base,
    )
    scores = found.table()
    assert scores.schema == SCORES
    return scores


def read_population(
    source: Source,
    data: Path,
    params: Params,
    churn: ChurnModel,
    shares: MarginShares | None,
    at: str | None,
    scratch: Path,
) -> Population:
    """The customers of the files in `data` and their features, by way of a scratch folder."""
    outputs = Outputs.within(scratch)
    report = ingest(
        source,
        data,
        outputs,
        memory_limit=params.engine.memory_limit,
        workers=params.engine.workers,
        now=datetime.now(UTC),
        labelled=False,
    )
    print(f"score: {report.line}")
    for warning in report.warnings:
        print(f"score: warning: {warning}", file=sys.stderr)
    if source.kind == "table":
        customers = read_customers(outputs.customers, source)
        if at:
            must_not_be_to_come(_date(at), "--at")
        cutoff = Cutoff(_date(at) if at else as_of(source, params.cutoffs), churn.horizon_days, 0, "score")
        table, _ = table_features(customers, cutoff, source.for_models(params.fairness.allow))
        nothing = next_categories(outputs.interactions, cutoff.at, params.engine.buckets)
        present = with_known_value(table.filter(pl.col("role") == "score"), customers)
        return Population(present, customers, None, nothing)
    first, last = span(outputs.interactions)
    when = _date(at) if at else score_cutoff(replace(params.cutoffs, score_at="latest"), last)
    if when <= first:
        raise CannotScore(f"--at is {when:%Y-%m-%d}, but the interactions in {data} begin only on {first:%Y-%m-%d}.")
    if when > midnight_after(last) + timedelta(days=churn.horizon_days):
        raise CannotScore(
            f"--at is {when:%Y-%m-%d}, more than a horizon after the last interaction in {data} ({last:%Y-%m-%d}): by "
            "then everybody would seem to have left. Choose an earlier date, or bring newer files."
        )
    cutoff = Cutoff(when, churn.horizon_days, churn.lead_days, "score")
    folders = {name: scratch / name for name in ("features", "labels")}
    for folder in folders.values():
        folder.mkdir()
    job = replace(job_for(params, (cutoff,), folders["features"], folders["labels"]), customers=outputs.customers)
    build(job, bounded_buckets(outputs.interactions, params.engine.buckets), params.engine.workers)
    table = read_sorted(folders["features"]).collect()
    if table.is_empty():
        raise CannotScore(f"Nobody in {data} has a history before {when:%Y-%m-%d}, so there is nobody to score.")
    sums = sums_of_margins(outputs.interactions, when)
    table = with_channel(with_margin_share(table, shares, sums), outputs.interactions, when)
    return Population(
        table,
        pl.read_parquet(outputs.customers),
        indexes_of(outputs.interactions, when, params),
        next_categories(outputs.interactions, when, params.engine.buckets),
    )


def indexes_of(interactions: Path, when: datetime, params: Params) -> pl.DataFrame:
    """Indexes of experience as of a time, shrunk to the base of the bundle; only rules that it had broken count."""
    base, rules = load_experience(paths.EXPERIENCE_BUNDLE)
    experience = recorded(load_source(params.source).experience(params.experience), rules)
    found = []
    for bucket in bounded_buckets(interactions, params.engine.buckets):
        events = bucket.read().filter(seen_before(when))
        if len(events):
            tested = events.select("customer_id").hstack(exercised(events, experience))
            found.append(customer_indexes(customer_counts(tested), base, intervals=False))
    return pl.concat(found).sort("customer_id")


def with_prior(table: pl.DataFrame) -> pl.DataFrame:
    """The features with the answers of the bundle's purchase models; null where nobody can answer."""
    prior = load_prior(paths.BTYD_BUNDLE, None)
    if prior is None:
        return table.with_columns(pl.lit(None, pl.Float64).alias(name) for name in PRIOR_FEATURES)
    bought = table.filter((pl.col("status") == "scored") & (pl.col("purchase_day_count") > 0))
    if bought.is_empty():
        return table.with_columns(pl.lit(None, pl.Float64).alias(name) for name in PRIOR_FEATURES)
    columns = pl.from_pandas(prior.columns(to_pandas(bought)))
    return table.join(bought.select("customer_id").hstack(columns), on="customer_id", how="left", maintain_order="left")


def warnings_of(found: Difference) -> list[str]:
    """What to know before the scores are used."""
    words = [
        f"{name}: {sum(values.values()):,} rows hold categories that the model never met and reads as unknown: "
        + ", ".join(f"{value!r} ({n:,})" for value, n in list(values.items())[:5])
        + ("." if len(values) <= 5 else f" and {len(values) - 5:,} more.")
        for name, values in found.unseen.items()
    ]
    if found.moved or found.weighted > WILD:
        names = ", ".join(f"{one.name} ({one.psi:.2f})" for one in found.moved[:5])
        words.append(
            f"These customers differ widely from those learned from (population stability index above {WILD:g}"
            f"{f': {names}' if names else ''}; {found.weighted:.2f} weighted by importance): the figures of the report "
            "may not hold for them."
        )
    return words


def _scorable(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["status"] == "scored"]


def _date(text: str) -> datetime:
    try:
        return datetime.combine(date.fromisoformat(text), time(), UTC)
    except ValueError:
        raise CannotScore(f"--at is {text!r}; it must be a date such as 2026-01-31.") from None
