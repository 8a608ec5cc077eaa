"""``/desk/campaigns``: whom to contact under a budget, what was collected of each campaign, and what it achieved."""

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse
from markupsafe import Markup

from fedelta.pages.charts import Range, ranges
from fedelta.serve.acting.campaigns import list_campaigns
from fedelta.serve.acting.outcomes import count_outcomes
from fedelta.serve.caller.auth import needs
from fedelta.serve.caller.problems import Problem
from fedelta.serve.caller.scopes import Caller
from fedelta.serve.desk.counted import counted, currency_of, link
from fedelta.serve.desk.page import Page, open_page
from fedelta.serve.desk.plan import chart, plan_of, some, to_contact
from fedelta.serve.desk.reports import Json, command_of, report
from fedelta.serve.desk.words import N_, Words
from fedelta.serve.operational.tables import from_now
from fedelta.serve.snapshots import exports

COLUMNS = (
    "rank", "customer_id", "best_action", "offer", "expected_profit", "contact_cost", "p_saved", "churn_probability",
    "value_at_risk", "currency", "reasons", "last_bad_experience", "team", "contact_on",
)  # fmt: skip
BY = {"campaign": N_("campaign"), "action": N_("action"), "persona": N_("persona"), "tier": N_("tier")}
MOST_COMPARED = 20
RECENT_DAYS = 90  # whose outcomes are counted as they were recorded

router = APIRouter()


@router.get("/desk/campaigns", include_in_schema=False)
async def show_campaigns(
    request: Request,
    caller: Annotated[Caller, Depends(needs("manage"))],
    capacity: str = "",
    budget: str = "",
) -> Response:
    """Show what so many contacts would bring, the campaigns, and what contacting achieved."""
    page = await open_page(request, caller)
    file = page.snapshot.file
    policy = await report(page, "policy") or {}
    asked, money = _number(page, capacity), _number(page, budget)
    if asked is None and money is None:
        asked, money = policy.get("capacity"), policy.get("budget")
    plan = await page.store.off_loop(plan_of, file, None if asked is None else int(asked), money)
    currency = await page.store.off_loop(currency_of, file)
    saves = await report(page, "saves")
    compared = _largest(saves["comparisons"]) if saves else []
    campaigns, came = await page.store.read(
        lambda connection: (
            list_campaigns(connection, page.person.tenant),
            count_outcomes(connection, page.person.tenant, from_now(days=-RECENT_DAYS)),
        )
    )
    return await page.show(
        "campaigns.html.jinja",
        plan=plan,
        budget=money,
        some=some,
        chart=None if plan is None else chart(page.words, plan, currency),
        currency=currency,
        policy=policy,
        numbers=await page.store.off_loop(counted, file),
        link=link,
        campaigns=campaigns,
        came=came,
        recent_days=RECENT_DAYS,
        saves=saves,
        compared=compared,
        by=BY,
        effects_chart=_effects(page.words, compared),
        command=command_of("saves"),
    )


@router.get("/desk/campaigns.csv", include_in_schema=False)
async def export_campaign(
    request: Request, caller: Annotated[Caller, Depends(needs("manage"))], capacity: str = "", campaign: str = ""
) -> Response:
    """Send the list of a campaign to contact customers by; nobody is in it who must not be contacted."""
    page = await open_page(request, caller)
    file, contacts = page.snapshot.file, int(_number(page, capacity) or 0)
    ranks, rows = await page.store.off_loop(to_contact, file, contacts)
    request.scope["state"]["audit"] = {"campaign": campaign[:100], "customers": len(rows), "columns": COLUMNS}
    name = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in campaign[:60]) or "campaign"
    headers = {"content-disposition": f'attachment; filename="{name}-{page.snapshot.snapshot_id}.csv"'}
    pieces = exports.csv(file, ranks, rows, COLUMNS, bom=True)
    return StreamingResponse(_sent(page, pieces), headers=headers, media_type="text/csv")


async def _sent(page: Page, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    while (piece := await page.store.off_loop(next, pieces, None)) is not None:
        yield piece


def _number(page: Page, text: str) -> float | None:
    """A number of 0 or more that was asked for, None for none."""
    if not text.strip():
        return None
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1e12:
        raise Problem(422, "invalid", page.words.gettext("Give a number of 0 or more."))
    return number


def _largest(comparisons: Sequence[Json]) -> list[Json]:
    """The comparisons of most customers, in their order."""
    largest = sorted(comparisons, key=lambda one: -sum(one["entered"].values()))[:MOST_COMPARED]
    return [one for one in comparisons if one in largest]


def _effects(words: Words, compared: Sequence[Json]) -> Markup | None:
    """What contacting changed in the share still active, with intervals that hold at every look."""
    rows = [
        Range(
            words.gettext("everybody") if one["group"] is None else words.value(one["group"]),
            100 * active["value"],
            100 * active["always_low"],
            100 * active["always_high"],
            words.points(active["value"]),
        )
        for one in compared
        if one["result"]
        for active in [one["result"]["active"]]
    ]
    ends = (words.gettext("drives away"), words.gettext("keeps"))
    says = words.gettext("Effect of contacting on the share still active, with intervals valid at every look")
    return ranges(rows, says, words.gettext("points"), ends) if rows else None
