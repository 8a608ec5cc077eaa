"""From the interactions of some customers to what models read of them, as the stages of a run compute it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeAlias

import numpy as np
import polars as pl

from fedelta.features.attributes import Attribute
from fedelta.features.contract import INTERACTIONS, REQUIRED, NextStatus
from fedelta.features.cutoffs import Cutoff
from fedelta.features.experience_rules import ExperienceSettings, exercised_few
from fedelta.features.few_events import FewEvents
from fedelta.features.interaction_frames import BadInteractions
from fedelta.features.kernel import KernelSettings, columns_at
from fedelta.features.look_back import with_look_back_few
from fedelta.models.btyd.purchase_prior import COLUMNS, PurchasePrior, prior_answers
from fedelta.models.experience.pillars import index_columns
from fedelta.models.experience.shrinkage import Prior
from fedelta.models.next_purchase.model import NextModel
from fedelta.models.next_purchase.recommendations import recommendations
from fedelta.models.next_purchase.rows import Rows
from fedelta.models.panel import rows_where
from fedelta.models.scoring import CHANNEL, MARGIN_SHARE, Customers
from fedelta.models.table import Table
from fedelta.models.value.margins import MarginShares
from fedelta.scoring.few_events import attributes_at, categories_at, customer_counts, margins_before, usual_channels

NO_CATEGORIES: NextStatus = "no_categories"
NO_PURCHASE: NextStatus = "no_purchase_yet"
_NOBODY: Mapping[str, Any] = {"customer_id": []}
_NOTHING: Mapping[str, Any] = {"customer_id": [], "next_categories": []}


# Interactions in any order, with columns of the contract: a table, or lists of what Python has for each of its types.
Interactions: TypeAlias = pl.DataFrame | Mapping[str, Sequence[Any]]


def seen(interactions: Interactions, as_of: datetime) -> FewEvents:
    """The interactions that had happened and were known before an instant, in order, with what rules may look back on.

    Raises
    ------
    BadInteractions
        If a column that is needed is missing, or one of a table is of another type.
    """
    given = interactions.columns if isinstance(interactions, pl.DataFrame) else interactions
    if missing := [name for name in REQUIRED if name not in given]:
        raise BadInteractions(f"The interactions lack {', '.join(missing)}; they must have {', '.join(REQUIRED)}.")
    lists = _lists(interactions) if isinstance(interactions, pl.DataFrame) else interactions
    return with_look_back_few(FewEvents.seen(lists, as_of))


def _lists(table: pl.DataFrame) -> dict[str, list[Any]]:
    """The columns of the contract that a table has."""
    try:
        return {name: table[name].cast(dtype).to_list() for name, dtype in INTERACTIONS.items() if name in table}
    except pl.exceptions.PolarsError as error:
        raise BadInteractions(f"The interactions cannot be read: {str(error).splitlines()[0]}.") from None


def rows_of(
    events: FewEvents,
    customers: Customers | None,
    cutoff: Cutoff,
    kernel: KernelSettings,
    attributes: tuple[Attribute, ...],
    prior: PurchasePrior | None,
) -> Table:
    """Features, attributes and the answers of purchase models, one row per customer with a history, as models read it.

    Parameters
    ----------
    events : FewEvents
        What `seen` returns.
    customers : DataFrame, or mapping of name to list, optional
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


def with_channel(rows: Table, events: FewEvents, as_of: datetime) -> Table:
    """The rows, with the channel that each customer mostly uses put beside."""
    found = usual_channels(events, as_of)
    return rows.beside({CHANNEL: np.array([found.get(customer) for customer in rows["customer_id"].tolist()], object)})


def with_margin_share(rows: Table, events: FewEvents, shares: MarginShares) -> Table:
    """The rows, with the share of spend that is left after costs, by what `events` record of it, put beside."""
    sums = margins_before(events)
    found = np.array([sums.get(customer, (0.0, 0.0)) for customer in rows["customer_id"].tolist()]).reshape(-1, 2)
    return rows.beside({MARGIN_SHARE: shares.share(found[:, 0], found[:, 1])})


def indexes_of(
    events: FewEvents, experience: ExperienceSettings, rules: tuple[str, ...], base: Mapping[str, Prior]
) -> dict[str, Any]:
    """Indexes of experience, shrunk to the base of the bundle; only rules that it had broken count."""
    counts = customer_counts(events, exercised_few(events, recorded(experience, rules)))
    return {"customer_id": counts["customer_id"], **index_columns(counts, base, intervals=False)}


def recorded(experience: ExperienceSettings, rules: tuple[str, ...]) -> ExperienceSettings:
    """The settings with those of the rules alone."""
    return replace(experience, rules={name: rule for name, rule in experience.rules.items() if name in rules})


def recommended(
    model: NextModel | None, reason: NextStatus | None, events: FewEvents, as_of: datetime
) -> tuple[Mapping[str, Any], NextStatus]:
    """What a model recommends to those who had bought of a category, and the status of the others."""
    if model is None:
        return _NOTHING, reason or NO_CATEGORIES
    view = categories_at(events, model.categories, as_of)
    if not len(view.customer_ids):
        return _NOTHING, NO_PURCHASE
    found = recommendations(model, Rows.at(view, as_of))
    return {"customer_id": view.customer_ids.to_list(), "next_categories": found}, NO_PURCHASE
