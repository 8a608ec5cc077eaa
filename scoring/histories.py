"""From the interactions of some customers to what models read of them, as the stages of a run compute it."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

import numpy as np
import polars as pl

from fedelta.features.attributes import Attribute
from fedelta.features.contract import INTERACTIONS, REQUIRED, SCORES, NextStatus
from fedelta.features.cutoffs import Cutoff
from fedelta.features.experience_rules import ExperienceSettings, exercised_marks
from fedelta.features.interaction_frames import BadInteractions
from fedelta.features.kernel import KernelSettings, columns_at
from fedelta.features.visibility import seen_before
from fedelta.models.btyd.purchase_prior import COLUMNS, PurchasePrior, prior_answers
from fedelta.models.experience.pillars import customer_indexes
from fedelta.models.experience.shrinkage import Prior
from fedelta.models.next_purchase.model import NextModel
from fedelta.models.next_purchase.recommendations import recommend
from fedelta.models.next_purchase.rows import Rows
from fedelta.models.panel import rows_where
from fedelta.models.scoring import CHANNEL, MARGIN_SHARE
from fedelta.models.table import Table
from fedelta.models.value.margins import MarginShares
from fedelta.scoring.few_events import attributes_at, categories_at, customer_counts, margins_before, usual_channels

ORDER = ("customer_id", "occurred_at", "interaction_id")
NO_CATEGORIES: NextStatus = "no_categories"
NO_PURCHASE: NextStatus = "no_purchase_yet"
_NOBODY = pl.DataFrame(schema={"customer_id": pl.String()})
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
            given, nothing = {column.name: column for column in interactions}, [None] * len(interactions)
            typed = pl.DataFrame(
                [
                    given[name].cast(dtype) if name in given else pl.Series(name, nothing, dtype)
                    for name, dtype in INTERACTIONS.items()
                ]
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
) -> Table:
    """Features, attributes and the answers of purchase models, one row per customer with a history, as models read it.

    Parameters
    ----------
    events : DataFrame
        What `seen` returns.
    customers : DataFrame, optional
        `customer_id` and the attributes; without it, and of customers who are not in it, they are unknown.
    """
    columns = columns_at(events, cutoff, kernel)
    rows = Table(columns, len(columns["customer_id"]))
    if attributes:
        known = _NOBODY if customers is None else customers
        rows = rows.beside(attributes_at(rows["customer_id"].tolist(), known, attributes, cutoff.at))
    scored = np.asarray(rows["status"] == "scored", np.bool_)
    answers = {name: np.full(len(rows), np.nan) for name in COLUMNS}
    for name, found in prior_answers(prior, rows_where(rows, scored)).items():
        answers[name][scored] = found
    return rows.beside(answers)


def with_channel(rows: Table, events: pl.DataFrame, as_of: datetime) -> Table:
    """The rows, with the channel that each customer mostly uses put beside."""
    found = usual_channels(events, as_of)
    return rows.beside({CHANNEL: np.array([found.get(customer) for customer in rows["customer_id"].tolist()], object)})


def with_margin_share(rows: Table, events: pl.DataFrame, shares: MarginShares) -> Table:
    """The rows, with the share of spend that is left after costs, by what `events` record of it, put beside."""
    sums = margins_before(events)
    found = np.array([sums.get(customer, (0.0, 0.0)) for customer in rows["customer_id"].tolist()]).reshape(-1, 2)
    return rows.beside({MARGIN_SHARE: shares.share(found[:, 0], found[:, 1])})


def indexes_of(
    events: pl.DataFrame, experience: ExperienceSettings, rules: tuple[str, ...], base: Mapping[str, Prior]
) -> pl.DataFrame:
    """Indexes of experience, shrunk to the base of the bundle; only rules that it had broken count."""
    recorded = replace(experience, rules={name: rule for name, rule in experience.rules.items() if name in rules})
    return customer_indexes(customer_counts(events, exercised_marks(events, recorded)), base, intervals=False)


def recommended(
    model: NextModel | None, reason: NextStatus | None, events: pl.DataFrame, as_of: datetime
) -> tuple[pl.DataFrame, NextStatus]:
    """What a model recommends to those who had bought of a category, and the status of the others."""
    if model is None:
        return _NOTHING.to_frame(), reason or NO_CATEGORIES
    view = categories_at(events, model.categories, as_of)
    if not len(view.customer_ids):
        return _NOTHING.to_frame(), NO_PURCHASE
    return recommend(model, Rows.at(view, as_of)), NO_PURCHASE
