"""The scorer: whole histories of some customers in, their scores out, as a run would give them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from fedelta.features.contract import SuppressionReason
from fedelta.features.cutoffs import Cutoff
from fedelta.features.few_events import FewEvents
from fedelta.models.scores import Scores
from fedelta.models.scoring import Customers, Explained, score
from fedelta.models.table import Table
from fedelta.scoring.bundle import Bundle
from fedelta.scoring.context import BadContext, ScoringContext
from fedelta.scoring.histories import (
    Interactions,
    indexes_of,
    recommended,
    rows_of,
    seen,
    with_channel,
    with_margin_share,
)
from fedelta.scoring.inputs import InputWarnings, warnings_of

MOST_CUSTOMERS = 100


@dataclass(frozen=True)
class Scored:
    """Scores, and what is to be known of the inputs before they are used, by customer."""

    scores: Scores
    warnings: Mapping[str, InputWarnings]


@dataclass(frozen=True)
class Scorer:
    """A bundle with what its run froze. Nothing of it changes: threads may share one, a process loads its own."""

    context: ScoringContext
    bundle: Bundle

    @classmethod
    def load(cls, folder: Path, bundle: Path | None = None) -> "Scorer":
        """Read what a run wrote: the folder `scoring`, and the bundle (by default `bundle` beside it).

        Raises
        ------
        BadContext
            If the folder is missing or damaged, or belongs to another bundle.
        BadBundle
            If the bundle is missing, damaged, or was trained on other features than this program computes.
        """
        models = folder.parent / "bundle" if bundle is None else bundle
        context = ScoringContext.load(folder).of_bundle(models)
        settings = context.settings
        return cls(context, Bundle.load(models, settings.as_of, settings.relationship.definition))

    def score(
        self,
        interactions: Interactions,
        attributes: Customers | None = None,
        as_of: datetime | None = None,
        explain: bool | None = None,
        *,
        given: Mapping[str, Collection[str]] | None = None,
    ) -> Scored:
        """Score customers from their whole histories.

        Parameters
        ----------
        interactions : DataFrame, or mapping of name to list
            All interactions of up to 100 customers, in any order, with columns of ``features.contract.INTERACTIONS``;
            those that are absent are null. What happened, or was known, at `as_of` or later does not count.
        attributes : DataFrame, or mapping of name to list, optional
            `customer_id` (unique), the source's attributes and `opted_out`. Whoever is in it without an interaction
            gets the status "no_history".
        as_of : datetime, optional
            With a time zone; by default the cutoff of the run, as of which scores are those of the run.
        explain : bool, optional
            Whether everybody gets reasons, or nobody; by default who would get them in the run.
        given : mapping of customer to collection of str, optional
            The columns that came of a customer, where others came with more; by default those of `interactions`.

        Raises
        ------
        BadContext
            If the source is a table of customers, which has no histories, or there are too many customers.
        BadInteractions
            If a column that is needed is missing, or one is of another type.
        """
        settings, at = self.context.settings, as_of or self.context.settings.as_of
        if settings.source == "table":
            raise BadContext("The source is a table of customers: there are no interactions to score anybody by.")
        at = at.astimezone(UTC)
        known = () if attributes is None else list(attributes["customer_id"])
        asked = {*interactions["customer_id"], *known}
        if len(asked) > MOST_CUSTOMERS:
            raise BadContext(f"{len(asked)} customers are asked for; at most {MOST_CUSTOMERS} can be scored at once.")
        events = seen(interactions, at)
        rows = self.rows(events, attributes, at)
        if not len(rows):
            others, suppressed = dict.fromkeys(sorted(asked), "no_history"), self._suppressed(asked, None)
            nobody = Scores(
                {}, others, at.replace(tzinfo=None), settings.horizon_days, settings.model_version, suppressed
            )
            return Scored(nobody, {})
        models = self.bundle.models
        found, _ = score(
            rows,
            models,
            settings.policy,
            currency=settings.currency,
            model_version=settings.model_version,
            indexes=indexes_of(events, settings.experience, self.bundle.rules, self.bundle.experience),
            suppressed=self._suppressed(asked, attributes),
            contacts=self.context.contacts,
            annual_discount=settings.annual_discount,
            unseen=sorted(asked - {*rows["customer_id"]}),
            next_categories=recommended(self.bundle.next_model, self.bundle.next_status, events, at),
            wording=settings.wording,
            explained=_explained(explain),
            base=self.context.base,
        )
        columns = interactions.columns if isinstance(interactions, pl.DataFrame) else [*interactions]
        came = dict.fromkeys(rows["customer_id"].tolist(), columns) | dict(given or {})
        return Scored(found, warnings_of(came, events, rows, models.churn.encoding, settings))

    def rows(self, events: FewEvents, attributes: Customers | None, as_of: datetime) -> Table:
        """What the models read of customers with a history, from what `scoring.histories.seen` returns."""
        settings = self.context.settings
        cutoff = Cutoff(as_of, settings.horizon_days, settings.lead_days, "score")
        prior = self.bundle.models.prior
        rows = rows_of(events, attributes, cutoff, settings.kernel, settings.attributes, prior)
        rows = with_channel(rows, events, as_of)
        return rows if settings.margins is None else with_margin_share(rows, events, settings.margins)

    def _suppressed(self, asked: Collection[str], attributes: Customers | None) -> dict[str, SuppressionReason]:
        """Who of those asked for must not be contacted: as of the run, and who has opted out since."""
        frozen = self.context.suppressed
        found = {name: frozen[name] for name in asked if name in frozen}
        if attributes is not None and "opted_out" in attributes:
            each = zip(attributes["customer_id"], attributes["opted_out"], strict=True)
            found |= {name: "opted out" for name, opted_out in each if opted_out}
        return found


def _explained(explain: bool | None) -> Explained:
    return "listed" if explain is None else "everybody" if explain else "nobody"
