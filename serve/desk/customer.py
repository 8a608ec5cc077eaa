"""``/desk/customers/ID``: everything that is known of one customer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

import orjson
import sqlalchemy as sa
from fastapi import APIRouter, Depends, Request, Response

from fedelta.features.contract import PILLARS
from fedelta.serve.acting.cases import today
from fedelta.serve.acting.outcomes import OUTCOMES, RecordedOutcome, outcomes_of_customer
from fedelta.serve.acting.playbooks import list_playbooks
from fedelta.serve.acting.treatments import Treatment, TreatmentFilters, list_treatments
from fedelta.serve.caller.auth import needs
from fedelta.serve.caller.problems import Problem
from fedelta.serve.caller.scopes import Caller
from fedelta.serve.desk import charts
from fedelta.serve.desk.cases import CHANNELS, Panel, Queue, owners, panels, trail
from fedelta.serve.desk.listed import Listed
from fedelta.serve.desk.lived import MOST, interactions_of
from fedelta.serve.desk.page import Page, open_page
from fedelta.serve.desk.scored import Score, reasons
from fedelta.serve.desk.what_if import scorable
from fedelta.serve.operational.received import received_of
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

    back: str
    place: int
    total: int
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Known:
    """What the operational database knows of a customer."""

    panels: list[Panel]
    treatments: list[Treatment]
    outcomes: list[RecordedOutcome]
    owners: dict[str, str]
    playbooks: list[str]


@router.get("/desk/customers/{customer_id:path}", include_in_schema=False)
async def show_customer(
    customer_id: str,
    request: Request,
    caller: Annotated[Caller, Depends(needs("read:score"))],
) -> Response:
    """Show one customer."""
    page = await open_page(request, caller)
    found = await page.store.off_loop(page.snapshot.documents, [customer_id])
    if customer_id not in found:
        text = page.words.gettext("No customer has the id “%(id)s”. New customers appear after the next scoring run.")
        raise Problem(404, "unknown-customer", text % {"id": customer_id[:80]})
    received = await page.store.read(lambda connection: received_of(connection, caller.tenant, [customer_id]))
    lived = await page.store.off_loop(interactions_of, page, customer_id, received.get(customer_id, ()))
    known = await page.store.read(lambda connection: _known(connection, caller.tenant, customer_id))
    listed = Listed.stored(request.query_params["in"], page.words) if "in" in request.query_params else None
    queue = Queue.stored(request.query_params["cases"]) if "cases" in request.query_params else None
    neighbours = None
    if listed is not None:
        neighbours = await page.store.off_loop(_in_list, page, listed, customer_id)
    elif queue is not None:
        names = await page.store.read(lambda connection: trail(connection, caller.tenant, queue, page.person.email))
        neighbours = _in_queue(queue, names, customer_id)
    history = await page.store.off_loop(_history, await page.store.runs(caller.tenant), customer_id)
    score = history[-1]
    return await page.show(
        "customer.html.jinja",
        customer_id=customer_id,
        score=score,
        reasons=reasons(score, page.words),
        pillars=[(name, score[f"pillar_{name}"]) for name in PILLARS],
        history=history,
        history_chart=charts.history(page.words, [(each["as_of"], each) for each in history]),
        value_chart=charts.interval(
            page.words, score["clv_low"], score["clv_expected"], score["clv_high"], score["currency"]
        ),
        timeline=_timeline(page, history, known, lived),
        interactions=len(lived),
        most=MOST,
        known=known,
        what_if=score["last_bad_experience"] is not None and scorable(page) is not None,
        codes=list(dict.fromkeys(reason.code for reason in reasons(score, page.words) if reason.raises)),
        neighbours=neighbours,
        today=today(),
        channels=CHANNELS,
        outcomes=OUTCOMES,
    )


def _history(runs: tuple[Snapshot, ...], customer_id: str) -> list[Score]:
    """The customer's scores in the runs that are kept, each as published and as made anew; the earliest first."""
    found: list[Score] = []
    for run in reversed(runs):
        for documents in (run.file.views, run.documents):
            if (document := documents([customer_id]).get(customer_id)) is not None:
                score = orjson.loads(document)
                if not found or found[-1]["as_of"] != score["as_of"]:
                    found.append(score)
                else:
                    found[-1] = score
    return found


def _known(connection: sa.Connection, tenant: str, customer_id: str) -> Known:
    return Known(
        panels(connection, tenant, customer_id),
        list_treatments(connection, tenant, TreatmentFilters(customer_id))[0],
        outcomes_of_customer(connection, tenant, customer_id),
        owners(connection, tenant),
        list(list_playbooks(connection, tenant)),
    )


def _timeline(page: Page, history: list[Score], known: Known, lived: list[dict[str, Any]]) -> list[Event]:
    """What is known to have happened, the latest first."""
    words, events = page.words, []
    say: Any = words.gettext
    before: Score | None = None
    for score in history:
        if score["status"] == "scored" and (before is None or before["risk_tier"] != score["risk_tier"]):
            title = say("Risk: %(tier)s, %(share)s") % {
                "tier": words.value(score["risk_tier"]), "share": words.share(score["churn_probability"]),
            }  # fmt: skip
            text = ""
            if before is not None and before["risk_tier"]:
                text = say("It was %(tier)s before.") % {"tier": words.value(before["risk_tier"])}
            events.append(Event(score["as_of"], title, text))
        before = score
    score = history[-1]
    latest_bad = score["last_bad_experience_at"]
    if latest_bad and not any(_iso(each["occurred_at"]) == _iso(datetime.fromisoformat(latest_bad)) for each in lived):
        title = say("Bad experience: %(rule)s") % {"rule": words.value(score["last_bad_experience"])}
        events.append(Event(score["last_bad_experience_at"], title, bad=True))
    dated = {(reason.date, reason.text) for reason in reasons(score, words) if reason.date}
    events += [Event(date, text) for date, text in dated if date]
    events += _acts(page, known)
    events += (_lived(page, each, score) for each in lived)
    return sorted(events, key=lambda event: event.at, reverse=True)


def _lived(page: Page, each: dict[str, Any], score: Score) -> Event:
    """An interaction; the one that was the last bad experience is marked."""
    words = page.words
    at, latest_bad = _iso(each["occurred_at"]), score["last_bad_experience_at"]
    bad = latest_bad is not None and at == _iso(datetime.fromisoformat(latest_bad))
    amount = each["amount"]
    texts = [
        (each["topic"] or "").replace("|", ", "),
        words.value(each["channel"]) if each["channel"] else "",
        "" if amount is None else words.money(float(amount), score["currency"]),
        "" if each["rating"] is None else words.gettext("rated %(share)s") % {"share": words.share(each["rating"])},
        words.gettext("not resolved") if each["resolved"] is False else "",
        words.value(score["last_bad_experience"]) if bad else "",
    ]
    return Event(at, words.value(each["kind"]), ", ".join(filter(None, texts)), bad)


def _acts(page: Page, known: Known) -> Iterator[Event]:
    """What was done for the customer."""
    value, say = page.words.value, page.words.gettext

    def by(name: str) -> str:
        return known.owners.get(name, name)

    for panel in known.panels:
        case, about = panel.case, value(panel.case.reason)
        yield Event(_iso(case.opened_at), say("Case opened: %(about)s") % {"about": about}, by(case.opened_by))
        if case.closed_at is not None:
            came = value(case.outcome) if case.outcome else ""
            yield Event(_iso(case.closed_at), say("Case closed: %(about)s") % {"about": about}, came)
        for note in panel.notes:
            yield Event(_iso(note.created_at), say("Note: %(text)s") % {"text": note.text}, by(note.author))
    for made in known.treatments:
        text = ", ".join(value(each) for each in (made.channel, made.action, made.campaign) if each)
        yield Event(_iso(made.treated_at), say("Contact: %(text)s") % {"text": text or "–"}, by(made.recorded_by))
    for came_of in known.outcomes:
        title = say("Outcome: %(outcome)s") % {"outcome": value(came_of.outcome)}
        yield Event(_iso(came_of.occurred_at), title, came_of.reason or "")


def _iso(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def _in_list(page: Page, listed: Listed, customer_id: str) -> Neighbours | None:
    file = page.snapshot.file
    _, rows = listed.whole(file)
    row = file.rows([customer_id]).get(customer_id)
    place = None if row is None else rows.index_of(row)
    if place is None:  # in no list yet, or filtered out
        return None
    around = [orjson.loads(file.body(rows[at]))["customer_id"] if 0 <= at < len(rows) else None
              for at in (place - 1, place + 1)]  # fmt: skip
    return _neighbours("in", listed.text, f"/desk/customers?{listed.text}", around, place, len(rows))


def _in_queue(queue: Queue, names: Sequence[str], customer_id: str) -> Neighbours | None:
    if customer_id not in names:
        return None
    place = names.index(customer_id)
    around = [names[at] if 0 <= at < len(names) else None for at in (place - 1, place + 1)]
    return _neighbours("cases", queue.but(), f"/desk/cases?{queue.but()}", around, place, len(names))


def _neighbours(
    parameter: str, query: str, back: str, around: Sequence[str | None], place: int, total: int
) -> Neighbours:
    before, after = (
        None if name is None else f"/desk/customers/{quote(name, safe='')}?{parameter}={quote(query, safe='')}"
        for name in around
    )  # fmt: skip
    return Neighbours(back, place + 1, total, before, after)
