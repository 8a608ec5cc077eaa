"""From the interactions of some customers to what models read of them, as the stages of a run compute it."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

import numpy as np
import pandas as pd
import polars as pl

from fedelta.features.attributes import Attribute, attributes_at
from fedelta.features.categories import categories_at, purchases_by_category
from fedelta.features.contract import INTERACTIONS, REQUIRED, SCORES, NextStatus
from fedelta.features.cutoffs import Cutoff
from fedelta.features.experience_rules import ExperienceSettings, exercised
from fedelta.features.interaction_frames import BadInteractions
from fedelta.features.kernel import KernelSettings, columns_at
from fedelta.features.margins import margins_before
from fedelta.features.usual_channel import usual_channels
from fedelta.features.visibility import seen_before
from fedelta.models.btyd.purchase_prior import PurchasePrior, prior_columns
from fedelta.models.experience.exposure import customer_counts
from fedelta.models.experience.pillars import customer_indexes
from fedelta.models.experience.shrinkage import Prior
from fedelta.models.next_purchase.model import NextModel
from fedelta.models.next_purchase.recommendations import recommend
from fedelta.models.next_purchase.rows import Rows
from fedelta.models.panel import rows_where
from fedelta.models.scoring import CHANNEL, MARGIN_SHARE
from fedelta.models.value.margins import MarginShares

ORDER = ("customer_id", "occurred_at", "interaction_id")
NO_CATEGORIES: NextStatus = "no_categories"
NO_PURCHASE: NextStatus = "no_purchase_yet"
_TEXTS = (pl.String, pl.Enum, pl.Categorical)
_NOTHING = pl.Schema({name: SCORES[name] for name in ("customer_id", "next_categories")})


def seen(interactions: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    """The interactions that had happened and were known before an instant, with every column of the contract, in order.

    Raises
    ------
    BadInteractions
        If a column that is needed is missing, or one is of another type.
    """
    if missing := [name for name in REQUIRED if name not in interactions.columns]:
        raise BadInteractions(f"The interactions lack {', '.join(missing)}; they must have {', '.join(REQUIRED)}.")
    typed = interactions
    try:
        if interactions.schema != INTERACTIONS:
            typed = interactions.select(
                (pl.col(name) if name in interactions.columns else pl.lit(None)).cast(dtype).alias(name)
                for name, dtype in INTERACTIONS.items()
            )
    except pl.exceptions.PolarsError as error:
        raise BadInteractions(f"The interactions cannot be read: {str(error).splitlines()[0]}.") from None
    return typed.filter(seen_before(as_of)).sort(ORDER)


def rows_of(
    events: pl.DataFrame,
    customers: pl.DataFrame | None,
    cutoff: Cutoff,
    kernel: KernelSettings,
    attributes: tuple[Attribute, ...],
    prior: PurchasePrior | None,
) -> pd.DataFrame:
    """Features, attributes and the answers of purchase models, one row per customer with a history, as models read it.

    Parameters
    ----------
    events : DataFrame
        What `seen` returns.
    customers : DataFrame, optional
        `customer_id` and the attributes; without it, and of customers who are not in it, they are unknown.
    """
    keys, features = columns_at(events, cutoff, kernel)
    if attributes:
        known = pl.DataFrame(schema={"customer_id": pl.String}) if customers is None else customers
        lacking = {one.name for one in attributes} | {one.known_from for one in attributes if one.known_from}
        known = known.with_columns(pl.lit(None).alias(name) for name in sorted(lacking - {*known.columns}))
        keys = keys.hstack(attributes_at(keys, known, attributes))
    matrix = np.column_stack([np.asarray(values, np.float64) for values in features.values()])
    rows = pd.concat([_keys(keys), pd.DataFrame(matrix, columns=list(features))], axis=1)
    scored = rows_where(rows, (rows["status"] == "scored").to_numpy(bool))
    answers = prior_columns(prior, scored)
    return pd.concat([rows, answers if scored is rows else answers.reindex(rows.index)], axis=1)


def with_channel(rows: pd.DataFrame, events: pl.DataFrame, as_of: datetime) -> pd.DataFrame:
    """The rows, with the channel that each customer mostly uses put beside."""
    found = dict(usual_channels(events.lazy(), as_of).collect().rows())
    held = pd.Series([found.get(customer) for customer in rows["customer_id"]], rows.index, dtype=object)
    rows[CHANNEL] = held
    return rows


def with_margin_share(rows: pd.DataFrame, events: pl.DataFrame, as_of: datetime, shares: MarginShares) -> pd.DataFrame:
    """The rows, with the share of spend that is left after costs, by what `events` record of it, put beside."""
    recorded = margins_before(events.lazy(), as_of).collect()
    sums = {customer: (amount, margin) for customer, _, amount, margin, _ in recorded.iter_rows()}
    found = np.array([sums.get(customer, (0.0, 0.0)) for customer in rows["customer_id"]]).reshape(-1, 2)
    rows[MARGIN_SHARE] = shares.share(found[:, 0], found[:, 1])
    return rows


def _keys(keys: pl.DataFrame) -> pd.DataFrame:
    """As `models.panel.to_pandas`, but with text as objects: of few rows pandas' own texts take longer."""
    texts = [column for column in keys if column.dtype in _TEXTS]
    held = np.empty((len(keys), len(texts)), object)
    for place, column in enumerate(texts):
        held[:, place] = column.to_list()
    rest = pd.DataFrame({column.name: column.to_numpy() for column in keys if column.dtype not in _TEXTS})
    return pd.concat([pd.DataFrame(held, columns=[column.name for column in texts], dtype=object), rest], axis=1)


def indexes_of(
    events: pl.DataFrame, experience: ExperienceSettings, rules: tuple[str, ...], base: Mapping[str, Prior]
) -> pl.DataFrame:
    """Indexes of experience, shrunk to the base of the bundle; only rules that it had broken count."""
    recorded = replace(experience, rules={name: rule for name, rule in experience.rules.items() if name in rules})
    tested = events.select("customer_id").hstack(exercised(events, recorded))
    return customer_indexes(customer_counts(tested), base, intervals=False)


def recommended(
    model: NextModel | None, reason: NextStatus | None, events: pl.DataFrame, as_of: datetime
) -> tuple[pl.DataFrame, NextStatus]:
    """What a model recommends to those who had bought of a category, and the status of the others."""
    if model is None:
        return _NOTHING.to_frame(), reason or NO_CATEGORIES
    view = categories_at(purchases_by_category(events), model.categories, as_of)
    if not len(view.customer_ids):
        return _NOTHING.to_frame(), NO_PURCHASE
    keys = {
        "cutoff": as_of.replace(tzinfo=None),
        "horizon_days": model.horizon_days,
        "lead_days": model.lead_days,
    }
    return recommend(model, Rows.of([(view, keys)])), NO_PURCHASE
