"""A table with one row per customer as features and outcomes at one cutoff: attributes are all that is known.

Nothing is known of interactions, so the features of the registry are null, and a model that reads only what tells rows
apart never sees them. A labelled customer has two rows: one to learn from, and one to be scored.
"""

from collections.abc import Sequence

import polars as pl

from fedelta.features.attributes import Attribute, attributes_at
from fedelta.features.cutoffs import Cutoff
from fedelta.features.feature import Feature
from fedelta.features.history import DAY_US
from fedelta.features.journeys import JOURNEYS, STAGES
from fedelta.features.labels import DECLARED, OUTCOMES
from fedelta.features.recent import RECENT
from fedelta.features.registry import FEATURES

TENURE = "tenure_days"


def table_features(
    customers: pl.DataFrame,
    cutoff: Cutoff,
    attributes: Sequence[Attribute],
    features: Sequence[Feature] = FEATURES,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Features and outcomes of a table of customers.

    Parameters
    ----------
    customers : DataFrame
        `customer_id` (unique), `churned` (null: unknown), `spend`, `signed_up_at` and the attributes.
    cutoff : Cutoff
        The instant as of which the table describes them.

    Returns
    -------
    features : DataFrame
        The columns of `features.kernel.features_at` and the attributes. Rows of role "refit" for the labelled
        (there is no time to evaluate at), of role "score" for everybody; who is known to have left has the status
        "already_churned" there. `tenure_days` counts from `signed_up_at` where that is given; every other feature is
        null.
    outcomes : DataFrame
        One row per labelled customer: 1 in `declared_churn` who left, their `horizon_spend`, and else null.
    """
    customers = customers.sort("customer_id")
    keyed = customers.with_columns(
        cutoff=pl.lit(cutoff.at, pl.Datetime("us", "UTC")),
        horizon_days=pl.lit(cutoff.horizon_days, pl.Int32),
        lead_days=pl.lit(cutoff.lead_days, pl.Int32),
        role=pl.lit("score"),
        refit=pl.lit(False),
        status=pl.when(pl.col("churned")).then(pl.lit("already_churned")).otherwise(pl.lit("scored")),
        last_bad_experience=pl.lit(None, pl.String),
        journey=pl.lit(None, pl.Enum(JOURNEYS)),
        journey_stage=pl.lit(None, pl.Enum(STAGES)),
        **{name: pl.lit(None, dtype) for name, dtype in RECENT.items()},
    )
    keys = keyed.select(
        "customer_id", "cutoff", "horizon_days", "lead_days", "role", "refit", "status", "last_bad_experience",
        "journey", "journey_stage", *RECENT,
    )  # fmt: skip
    tenure = (pl.col("cutoff") - pl.col("signed_up_at")).dt.total_microseconds() / DAY_US
    known = {f.name: (tenure if f.name == TENURE else pl.lit(None)).cast(f.dtype) for f in features}
    of_registry = keyed.with_columns(**known).select(*known)
    scored = pl.concat([keys, of_registry, attributes_at(keys, customers, attributes)], how="horizontal")
    labelled = scored.filter(customers["churned"].is_not_null())
    learned = labelled.with_columns(role=pl.lit("refit"), refit=pl.lit(True), status=pl.lit("scored"))
    return pl.concat([learned, scored]), _outcomes(keyed.filter(pl.col("churned").is_not_null()))


def _outcomes(labelled: pl.DataFrame) -> pl.DataFrame:
    known = {"horizon_spend": pl.col("spend").cast(pl.Float64), DECLARED: pl.col("churned").cast(pl.Float64)}
    nothing = {name: pl.lit(None, pl.Float64) for name in OUTCOMES}
    outcomes = nothing | known
    return labelled.with_columns(**outcomes).select("customer_id", "cutoff", *outcomes)
