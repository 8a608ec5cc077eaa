"""``/desk/customers/ID``: everything that is known of one customer."""

from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote

import orjson
from fastapi import APIRouter, Depends, Request, Response

from fedelta.features.contract import PILLARS
from fedelta.serve.caller.auth import needs
from fedelta.serve.caller.problems import Problem
from fedelta.serve.caller.scopes import Caller
from fedelta.serve.desk import charts
from fedelta.serve.desk.listed import Listed
from fedelta.serve.desk.page import Page, open_page
from fedelta.serve.desk.scored import Score, reasons
from fedelta.serve.store import Snapshot

router = APIRouter()


@dataclass(frozen=True)
class Event:
    """An entry of the timeline. ``at`` is ISO 8601; ``bad`` marks a bad experience."""

    at: str
    title: str
    text: str = ""
    bad: bool = False


@dataclass(frozen=True)
class Neighbours:
    """Where the customer is in the list one came from: addresses of those before and after, None at its ends."""

    place: int
    total: int
    before: str | None
    after: str | None


@router.get("/desk/customers/{customer_id:path}", include_in_schema=False)
async def show_customer(
    customer_id: str,
    request: Request,
    caller: Annotated[Caller, Depends(needs("read:score"))],
) -> Response:
    """Show one customer."""
    page = await open_page(request, caller)
    file = page.snapshot.file
    found = await page.store.off_loop(file.views, [customer_id])
    if customer_id not in found:
        text = page.words.gettext("No customer has the id “%(id)s”. New customers appear after the next scoring run.")
        raise Problem(404, "unknown-customer", text % {"id": customer_id[:80]})
    listed = Listed.stored(request.query_params["in"], page.words) if "in" in request.query_params else None
    history = await page.store.off_loop(_history, await page.store.runs(caller.tenant), customer_id)
    score = history[-1][1]
    return await page.show(
        "customer.html.jinja",
        customer_id=customer_id,
        score=score,
        reasons=reasons(score, page.words),
        pillars=[(name, score[f"pillar_{name}"]) for name in PILLARS],
        history=history,
        history_chart=charts.history(page.words, [(run.pointer.as_of, each) for run, each in history]),
        value_chart=charts.interval(
            page.words, score["clv_low"], score["clv_expected"], score["clv_high"], score["currency"]
        ),
        timeline=_timeline(page, history),
        listed=listed,
        neighbours=await page.store.off_loop(_neighbours, page, listed, customer_id) if listed else None,
    )


def _history(runs: tuple[Snapshot, ...], customer_id: str) -> list[tuple[Snapshot, Score]]:
    """The customer's scores in the runs that are kept, the earliest first."""
    found = ((run, run.file.views([customer_id]).get(customer_id)) for run in reversed(runs))
    return [(run, orjson.loads(document)) for run, document in found if document is not None]


def _timeline(page: Page, history: list[tuple[Snapshot, Score]]) -> list[Event]:
    """What is known to have happened, the latest first."""
    words, events = page.words, []
    say: Any = words.gettext
    before: Score | None = None
    for _, score in history:
        if score["status"] == "scored" and (before is None or before["risk_tier"] != score["risk_tier"]):
            title = say("Risk: %(tier)s, %(share)s") % {
                "tier": words.value(score["risk_tier"]), "share": words.share(score["churn_probability"]),
            }  # fmt: skip
            text = ""
            if before is not None and before["risk_tier"]:
                text = say("It was %(tier)s before.") % {"tier": words.value(before["risk_tier"])}
            events.append(Event(score["as_of"], title, text))
        before = score
    score = history[-1][1]
    if score["last_bad_experience_at"]:
        title = say("Bad experience: %(rule)s") % {"rule": words.value(score["last_bad_experience"])}
        events.append(Event(score["last_bad_experience_at"], title, bad=True))
    dated = {(reason.date, reason.text) for reason in reasons(score, words) if reason.date}
    events += [Event(date, text) for date, text in dated if date]
    return sorted(events, key=lambda event: event.at, reverse=True)


def _neighbours(page: Page, listed: Listed, customer_id: str) -> Neighbours | None:
    file = page.snapshot.file
    _, rows = listed.whole(file)
    place = rows.index_of(file.rows([customer_id])[customer_id])
    if place is None:
        return None

    def address(at: int) -> str | None:
        if not 0 <= at < len(rows):
            return None
        name = orjson.loads(file.body(rows[at]))["customer_id"]
        return f"/desk/customers/{quote(name, safe='')}?in={quote(listed.text, safe='')}"

    return Neighbours(place + 1, len(rows), address(place - 1), address(place + 1))
