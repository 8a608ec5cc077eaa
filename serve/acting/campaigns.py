"""Campaigns: what was collected of each so far, and what contacting achieved as the stage ``measure`` found it."""

from collections import defaultdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel, Field

from fedelta.serve.acting.refusals import UnknownCampaign
from fedelta.serve.operational.run_reports import latest
from fedelta.serve.operational.tables import entries, outcomes, treatments

SAVES = "saves"


class Arms(BaseModel):
    """How many customers entered, by arm."""

    treated: int = 0
    held_out: int = 0


class Campaign(BaseModel):
    """What was collected of a campaign so far."""

    id: str = Field(description="its name, as treatments have it")
    entered: Arms = Field(
        description="by `fedelta cases update --campaign`; of one known from files alone, as the report counts them"
    )
    contacts: int
    cost: float = Field(description="of the contacts whose cost is known")
    outcomes: dict[str, int] = Field(description="how many of each kind came of its contacts")
    first_at: datetime | None = Field(description="the first entry or contact")
    last_at: datetime | None
    measured: bool = Field(description="whether the published report compares its arms")


class CampaignReport(BaseModel):
    """What a campaign achieved: the report of `fedelta saves`, as it was published with a run."""

    campaign: Campaign
    published_at: datetime | None = Field(description="the report; null: none was published yet")
    as_of: str | None = Field(description="what happened before this day is in the report")
    horizon_days: int | None
    currency: str | None
    comparison: dict[str, Any] | None = Field(
        description="the arms of this campaign: shares still active, their difference with both intervals, customers "
        "saved, cost and profit, or why the result is withheld; null: not compared yet"
    )
    overall: dict[str, Any] | None = Field(description="the same of all treatments")
    says: str = Field(description="the comparison in words")


def list_campaigns(connection: sa.Connection, tenant: str) -> list[Campaign]:
    """All campaigns that were collected or are in the published report, by name."""
    found: dict[str, dict[str, Any]] = defaultdict(lambda: {"entered": {}, "outcomes": {}, "times": []})
    arms = sa.select(
        entries.c.campaign, entries.c.arm, sa.func.count(), sa.func.min(entries.c.entered_at),
        sa.func.max(entries.c.entered_at),
    ).where(entries.c.tenant == tenant, entries.c.campaign.is_not(None))  # fmt: skip
    for name, arm, count, first, last in connection.execute(arms.group_by(entries.c.campaign, entries.c.arm)):
        found[name]["entered"][arm] = count
        found[name]["times"] += [first, last]
    made = sa.select(
        treatments.c.campaign, sa.func.count(), sa.func.coalesce(sa.func.sum(treatments.c.cost), 0.0),
        sa.func.min(treatments.c.treated_at), sa.func.max(treatments.c.treated_at),
    ).where(treatments.c.tenant == tenant, treatments.c.campaign.is_not(None))  # fmt: skip
    for name, count, cost, first, last in connection.execute(made.group_by(treatments.c.campaign)):
        found[name] |= {"contacts": count, "cost": cost}
        found[name]["times"] += [first, last]
    came = (
        sa.select(treatments.c.campaign, outcomes.c.outcome, sa.func.count())
        .join(treatments, outcomes.c.treatment_id == treatments.c.id)
        .where(outcomes.c.tenant == tenant, treatments.c.campaign.is_not(None))
    )
    for name, outcome, count in connection.execute(came.group_by(treatments.c.campaign, outcomes.c.outcome)):
        found[name]["outcomes"][outcome] = count
    compared = {one["group"]: one["entered"] for one in _comparisons(connection, tenant) if one["by"] == "campaign"}
    for name in compared.keys() - found.keys():
        found[name]["entered"] = compared[name]
    return [_campaign(name, found[name], name in compared) for name in sorted(found)]


def campaign_report(connection: sa.Connection, tenant: str, campaign_id: str) -> CampaignReport:
    """What a campaign achieved. Raises ``UnknownCampaign``."""
    campaign = next((one for one in list_campaigns(connection, tenant) if one.id == campaign_id), None)
    if campaign is None:
        raise UnknownCampaign(
            f"No entry, contact or report is of a campaign {campaign_id!r}: GET /v1/campaigns lists all."
        )
    published_at, report = latest(connection, tenant, SAVES) or (None, {})
    comparisons = report.get("comparisons", [])
    own = next((one for one in comparisons if one["by"] == "campaign" and one["group"] == campaign_id), None)
    waiting = "It is not compared yet: `fedelta export-treatments`, then `dvc repro`, publish the next report."
    return CampaignReport(
        campaign=campaign,
        published_at=datetime.fromisoformat(published_at) if published_at else None,
        as_of=report.get("as_of"),
        horizon_days=report.get("horizon_days"),
        currency=report.get("currency"),
        comparison=own,
        overall=next(iter(comparisons), None),
        says=own["says"] if own else waiting,
    )


def _comparisons(connection: sa.Connection, tenant: str) -> list[dict[str, Any]]:
    found = latest(connection, tenant, SAVES)
    return found[1].get("comparisons", []) if found else []


def _campaign(name: str, found: dict[str, Any], measured: bool) -> Campaign:
    return Campaign(
        id=name,
        entered=Arms(**found["entered"]),
        contacts=found.get("contacts", 0),
        cost=found.get("cost", 0.0),
        outcomes=found["outcomes"],
        first_at=min(found["times"], default=None),
        last_at=max(found["times"], default=None),
        measured=measured,
    )
