"""DVC stage ``score``: features at the scoring cutoff, the models and past treatments in; data/scores.parquet out."""

import polars as pl

from fedelta.features.contract import SCORES
from fedelta.models.bundle import bundle_hash
from fedelta.models.churn.storage import load_churn
from fedelta.models.leaving.storage import load_leaving
from fedelta.models.loyalty.storage import load_loyalty, load_personas
from fedelta.models.panel import ORDER, to_pandas
from fedelta.models.policy.actions import contacts_of_a_year
from fedelta.models.scoring import Models, score
from fedelta.models.uplift.storage import load_uplift
from fedelta.models.value.storage import load_clv, load_orders
from fedelta.pipeline import paths
from fedelta.pipeline.atomic_write import whole
from fedelta.pipeline.intake.sources import load_source
from fedelta.pipeline.next_categories import next_categories
from fedelta.pipeline.panel import NoRows
from fedelta.pipeline.params import load_params
from fedelta.pipeline.saves import policy_in_use
from fedelta.pipeline.score_inputs import read_prior, with_known_value
from fedelta.pipeline.treatments import read_treatments, suppressed_at
from fedelta.pipeline.wording import wording_of


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
    known = pl.scan_parquet(paths.CUSTOMERS).select("customer_id").collect()
    unseen = known.join(table.select("customer_id"), on="customer_id", how="anti")["customer_id"].to_list()
    scores = score(
        to_pandas(table),
        Models(
            load_churn(paths.CHURN_DELIVERED),
            load_clv(paths.CLV_DELIVERED),
            load_orders(paths.CLV_DELIVERED),
            read_prior(table["cutoff"][0]),
            load_loyalty(paths.LOYALTY_BUNDLE),
            load_personas(paths.PERSONAS_BUNDLE),
            params.churn.definition,
            load_leaving(paths.LEAVING_BUNDLE),
            load_uplift(paths.UPLIFT_BUNDLE),
        ),
        policy,
        currency=source.currency,
        model_version=bundle_hash(paths.BUNDLE),
        indexes=pl.read_parquet(paths.PILLARS),
        suppressed=suppressed_at(table["cutoff"][0], policy),
        contacts=contacts_of_a_year(read_treatments(), table["cutoff"][0]),
        annual_discount=params.clv.annual_discount,
        unseen=unseen,
        out_of_fold=_out_of_fold() if table_of_customers else None,
        next_categories=next_categories(paths.INTERACTIONS, table["cutoff"][0], params.engine.buckets),
        wording=wording_of(source, params),
    )
    assert scores.schema == SCORES
    with whole(paths.SCORES) as staged:
        scores.write_parquet(staged)
    print(f"score: {in_words(scores)}")


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
