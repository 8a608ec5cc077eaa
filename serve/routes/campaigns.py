"""Routes for campaigns: what was collected, and what it achieved."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel

from fedelta.serve.acting import campaigns
from fedelta.serve.acting.campaigns import Campaign, CampaignReport
from fedelta.serve.acting.customers import storable
from fedelta.serve.acting.refusals import UnknownCampaign
from fedelta.serve.caller.auth import needs
from fedelta.serve.caller.problems import responses
from fedelta.serve.caller.scopes import Caller
from fedelta.serve.store import Store

router = APIRouter(tags=["campaigns"])
Reader = Annotated[Caller, Depends(needs("read:list", "write:outcome"))]


class Campaigns(BaseModel):
    """All campaigns, by name."""

    campaigns: list[Campaign]


@router.get("/v1/campaigns", responses=responses(401, 403, 503))
async def list_campaigns(request: Request, key: Reader) -> Campaigns:
    """List campaigns with what was collected of each so far."""
    store: Store = request.app.state.store
    found = await store.read(lambda connection: campaigns.list_campaigns(connection, key.tenant))
    return Campaigns(campaigns=found)


@router.get("/v1/campaigns/{campaign_id}/report", responses=responses(401, 403, 404, 503))
async def campaign_report(campaign_id: str, request: Request, key: Reader) -> CampaignReport:
    """Return what a campaign achieved: the report of `fedelta saves` that was last published with a run."""
    if not storable(campaign_id):
        raise UnknownCampaign("No campaign has such a name.")
    store: Store = request.app.state.store
    return await store.read(lambda connection: campaigns.campaign_report(connection, key.tenant, campaign_id))
