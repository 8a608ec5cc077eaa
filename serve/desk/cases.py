"""``/desk/cases``: the queue of cases, and what is done with one, or with all that a filter lets through."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, Any, Literal, cast
from urllib.parse import parse_qsl, quote, urlencode

import orjson
import sqlalchemy as sa
from fastapi import APIRouter, Depends, Request, Response
from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import FormData

from fedelta.serve.acting import cases as acting
from fedelta.serve.acting.cases import Case, Change, Draft, Filters, Sort, today
from fedelta.serve.acting.notes import Note, add_note, notes_of
from fedelta.serve.acting.outcomes import OUTCOMES, record_contact
from fedelta.serve.acting.playbooks import Step, list_playbooks
from fedelta.serve.acting.refusals import ChangedMeanwhile
from fedelta.serve.acting.treatments import Contact
from fedelta.serve.caller.auth import needs
from fedelta.serve.caller.problems import Problem
from fedelta.serve.caller.scopes import Caller
from fedelta.serve.desk.business_hours import read_hours
from fedelta.serve.desk.forms import field, is_of_desk, posted
from fedelta.serve.desk.page import Page, open_page
from fedelta.serve.desk.words import N_
from fedelta.serve.operational.statements import Prepared, among
from fedelta.serve.operational.tables import cases, treatments, users
from fedelta.serve.routes.writing import MOST_NUMBER, actor_of, written

Tab = Literal["mine", "unassigned", "open", "snoozed", "done"]
TABS: dict[Tab, str] = {
    "mine": N_("Mine"),
    "unassigned": N_("Nobody's"),
    "open": N_("All open"),
    "snoozed": N_("Snoozed"),
    "done": N_("Done"),
}
SORTS: dict[Sort, str] = {
    "due": N_("Due first"),
    "priority": N_("Most at stake"),
    "updated": N_("Changed last"),
}
CHANNELS = (N_("phone"), N_("e-mail"), N_("message"), N_("in person"))
ROWS = 50
_TENANT: sa.BindParameter[str] = sa.bindparam("tenant")
_OWNERS = Prepared(
    sa.select(users.c.email, users.c.name)
    .where(users.c.tenant == _TENANT, users.c.role != "viewer", users.c.disabled_at.is_(None))
    .order_by(users.c.name)
)
_CASES_OF = Prepared(
    sa.select(cases.c.customer_id, cases.c.owner, cases.c.due_on)
    .where(
        cases.c.tenant == _TENANT,
        among(cases.c.customer_id, "customer_ids"),
        cases.c.status != "done",
    )
    .order_by(cases.c.due_on.is_(None).desc(), cases.c.due_on.desc())
)
_TRAIL = 1_000  # cases that one goes through from one to the next

router = APIRouter()


@dataclass(frozen=True)
class Queue:
    """Cases as an address asks for them."""

    tab: Tab
    sort: Sort
    owner: str
    reason: str

    @classmethod
    def of(cls, given: Any) -> "Queue":
        """The queue that parameters ask for; what they do not say, or cannot, is as at first."""
        tab = given.get("tab", "mine")
        sort = given.get("sort", "due")
        return cls(
            tab if tab in TABS else "mine",
            sort if sort in SORTS else "due",
            given.get("owner", "")[:100],
            given.get("reason", "")[:100],
        )

    @classmethod
    def stored(cls, text: str) -> "Queue":
        """The queue that a query string asks for."""
        return cls.of(dict(parse_qsl(text)))

    def but(self, **changed: str) -> str:
        """Its query string with other values."""
        values = {"tab": self.tab, "sort": self.sort, "owner": self.owner, "reason": self.reason} | changed
        return urlencode({name: value for name, value in values.items() if value})

    def filters(self, me: str) -> Filters:
        """As the functions of cases take it."""
        owner = me if self.tab == "mine" else self.owner or None
        status: Any = {"snoozed": "snoozed", "done": "done"}.get(self.tab, "open")
        return Filters(status=(status,), owner=owner, unassigned=self.tab == "unassigned", reason=self.reason or None)


@dataclass(frozen=True)
class Panel:
    """A case as the customer's page shows it."""

    case: Case
    notes: list[Note]
    steps: list[tuple[Step, date | None]]  # each with the day it is due
    first_contact: str | None  # until when there must be one, of an open case without


@router.get("/desk/cases", include_in_schema=False)
async def list_cases(
    request: Request, caller: Annotated[Caller, Depends(needs("read:list"))], cursor: str = ""
) -> Response:
    """Show a part of a queue."""
    page = await open_page(request, caller)
    queue, me = Queue.of(request.query_params), page.person.email

    def ask(connection: sa.Connection) -> dict[str, Any]:
        filters = queue.filters(me)
        found, following = acting.list_cases(
            connection, caller.tenant, filters, sort=queue.sort, limit=ROWS, after=cursor or None
        )
        counts = {
            tab: acting.count_cases(
                connection, caller.tenant, Queue(tab, queue.sort, queue.owner, queue.reason).filters(me)
            )
            for tab in TABS
        }
        reasons = sa.select(cases.c.reason).where(cases.c.tenant == caller.tenant).distinct().order_by(cases.c.reason)
        return {
            "cases": found,
            "following": following,
            "counts": counts,
            "reasons": connection.execute(reasons.limit(100)).scalars().all(),
            "owners": owners(connection, caller.tenant),
        }

    return await page.show(
        "cases.html.jinja",
        queue=queue, tabs=TABS, sorts=SORTS, today=today(), begun=not cursor, **await page.store.read(ask),
    )  # fmt: skip


@router.post("/desk/cases", include_in_schema=False)
async def open_case(request: Request, caller: Annotated[Caller, Depends(needs("write:cases"))]) -> Response:
    """Open a case of a customer."""
    page, form = await open_page(request, caller), await posted(request)
    file, actor = page.snapshot.file, actor_of(request, caller)
    values = {"owner": field(form, "owner", 100) or None, "due_on": day_of(page, form, "due_on")}
    if playbook := field(form, "playbook", 60):
        values |= {"playbook": playbook}
    draft = cast("Draft", {name: value for name, value in values.items() if value is not None})
    reason, customer_id = field(form, "reason", 100) or "other", str(form.get("customer_id", ""))
    await written(request, lambda connection: acting.open_case(connection, actor, customer_id, reason, draft, file))
    return page.to(_back(page, form), page.words.gettext("The case is open."))


@router.post("/desk/cases/change", include_in_schema=False)
async def change_case(request: Request, caller: Annotated[Caller, Depends(needs("write:cases"))]) -> Response:
    """Change owner, due date, next action, step or status of a case that nobody changed meanwhile."""
    page, form = await open_page(request, caller), await posted(request)
    case_id, revision = number_of(form, "case_id"), number_of(form, "revision")
    change, file, actor = _change(page, form), page.snapshot.file, actor_of(request, caller)
    try:
        await written(
            request,
            lambda connection: acting.change_case(connection, actor, case_id, change, file, revision=revision),
        )
    except ChangedMeanwhile:
        return await _conflict(page, form, case_id)
    snoozed = change.get("status") == "snoozed"
    return page.to(_back(page, form, onward=snoozed), page.words.gettext("The case is changed."))


@router.post("/desk/cases/outcome", include_in_schema=False)
async def record_outcome(request: Request, caller: Annotated[Caller, Depends(needs("write:outcome"))]) -> Response:
    """Record a contact and what came of it, then go on to the next customer."""
    page, form = await open_page(request, caller), await posted(request)
    case_id, revision = number_of(form, "case_id"), number_of(form, "revision")
    outcome = field(form, "outcome")
    if outcome not in OUTCOMES:
        raise Problem(422, "invalid", page.words.gettext("Say what came of the contact."))
    file, actor = page.snapshot.file, actor_of(request, caller)

    def record(connection: sa.Connection) -> None:
        own = sa.and_(cases.c.tenant == caller.tenant, cases.c.id == case_id)
        connection.execute(sa.select(cases.c.id).where(own).with_for_update())
        case = acting.read_case(connection, caller.tenant, case_id)
        if case.revision != revision:
            raise ChangedMeanwhile(f"Case {case_id} was changed since it was read: read it again, then decide again.")
        contact = Contact(
            case.customer_id, case.next_action and case.next_action[:100], field(form, "channel", 60) or None,
            case_id=case_id,
        )  # fmt: skip
        words = field(form, "outcome_reason", 2_000) or None
        record_contact(connection, actor, contact, outcome, words, file)

    try:
        await written(request, record)
    except ChangedMeanwhile:
        return await _conflict(page, form, case_id)
    return page.to(_back(page, form, onward=True), page.words.gettext("The outcome is recorded."))


@router.post("/desk/cases/note", include_in_schema=False)
async def write_note(request: Request, caller: Annotated[Caller, Depends(needs("write:cases"))]) -> Response:
    """Write a note on a case."""
    page, form = await open_page(request, caller), await posted(request)
    text, case_id, actor = field(form, "text", 2_000), number_of(form, "case_id"), actor_of(request, caller)
    if not text:
        raise Problem(422, "invalid", page.words.gettext("A note has words."))
    pinned = field(form, "pinned") == "yes"
    await written(request, lambda connection: add_note(connection, actor, case_id, text, pinned=pinned))
    return page.to(_back(page, form), page.words.gettext("The note is written."))


@router.post("/desk/cases/bulk", include_in_schema=False)
async def change_all(request: Request, caller: Annotated[Caller, Depends(needs("write:cases"))]) -> Response:
    """Change all cases of a queue: first what it would do, then, confirmed, the receipt of what it did."""
    page, form = await open_page(request, caller), await posted(request)
    queue = Queue.stored(field(form, "queue"))
    change, file, actor = _change(page, form), page.snapshot.file, actor_of(request, caller)
    if not change:
        raise Problem(422, "invalid", page.words.gettext("Say what is to change."))
    confirmed = "expected" in form
    receipt = await written(
        request,
        lambda connection: acting.change_cases(
            connection, actor, queue.filters(page.person.email), change, file,
            dry_run=not confirmed, expected=number_of(form, "expected") if confirmed else None,
        ),
    )  # fmt: skip
    fields = [(name, str(value)) for name, value in form.multi_items() if name != "token"]
    return await page.show(
        "bulk.html.jinja", queue=queue, receipt=receipt, change=change, fields=fields, confirmed=confirmed
    )


def first_values(owner: str, due_on: date | None, playbook: str, steps: Sequence[Step]) -> dict[str, object]:
    """The columns that a new case begins with; empty text: nobody, and none."""
    values: dict[str, object] = acting.at_first_step(playbook, steps) if playbook else {}
    if owner:
        values["owner"] = owner
    if due_on is not None:
        values["due_on"] = due_on.isoformat()
    return values


def panels(connection: sa.Connection, tenant: str, customer_id: str) -> list[Panel]:
    """The cases of a customer, those first that are not done, then the latest."""
    found, _ = acting.list_cases(connection, tenant, Filters(customer_id=customer_id), sort="updated", limit=50)
    books, hours = list_playbooks(connection, tenant), read_hours(connection, tenant)
    contacted = set(
        connection.execute(sa.select(treatments.c.case_id).where(treatments.c.case_id.in_([case.id for case in found])))
        .scalars()
        .all()
    )
    return [
        Panel(
            case,
            notes_of(connection, tenant, case.id),
            [(step, case.started_on and step.due(case.started_on)) for step in books.get(case.playbook or "", ())],
            due.isoformat()
            if case.status == "open" and case.id not in contacted and (due := hours.due(case.opened_at))
            else None,
        )
        for case in sorted(found, key=lambda case: case.status == "done")
    ]


def owners(connection: sa.Connection, tenant: str) -> dict[str, str]:
    """Who may own a case: addresses and names."""
    return dict(_OWNERS.rows(connection, tenant=tenant))


def cases_of(
    connection: sa.Connection, tenant: str, customer_ids: list[str]
) -> dict[str, tuple[str | None, str | None]]:
    """Owner and due date of the case of each of some customers that is not done; of the one due first."""
    found = _CASES_OF.rows(connection, tenant=tenant, customer_ids=orjson.dumps(customer_ids).decode())
    return {customer_id: (owner, due_on) for customer_id, owner, due_on in found}


def trail(connection: sa.Connection, tenant: str, queue: Queue, me: str) -> list[str]:
    """The customers of a queue, one after the other."""
    found, _ = acting.list_cases(connection, tenant, queue.filters(me), sort=queue.sort, limit=_TRAIL)
    return list(dict.fromkeys(case.customer_id for case in found))


async def _conflict(page: Page, form: FormData, case_id: int) -> Response:
    """What was sent, beside the case as somebody else left it: nothing is changed, and nothing is lost."""
    case, names = await page.store.read(
        lambda connection: (
            acting.read_case(connection, page.caller.tenant, case_id), owners(connection, page.caller.tenant),
        )
    )  # fmt: skip
    fields = [(name, str(value)) for name, value in form.multi_items() if name not in {"token", "revision"}]
    page.request.scope["state"].pop("audited", None)
    return await page.show(
        "conflict.html.jinja", 409, case=case, owners=names, fields=fields, address=page.request.url.path
    )


_CHANGE = TypeAdapter(Change)


def _change(page: Page, form: FormData) -> Change:
    """What a form changes: what it has no field of stays; an empty due date or next action takes it away."""
    values: dict[str, object] = {}
    if (owner := field(form, "owner", 100)) and owner != "as is":
        values["owner"] = None if owner == "nobody" else owner
    for name in ("due_on", "next_action"):
        if name in form and (field(form, name) or "keep" not in form):
            values[name] = day_of(page, form, name) if name == "due_on" else field(form, name, 2_000) or None
    if days := field(form, "snooze_days", 4):
        values["snoozed_until"] = today() + timedelta(days=int(days) if days.isdecimal() else 1)
    if until := day_of(page, form, "snoozed_until"):
        values["snoozed_until"] = until
    if event := field(form, "snoozed_until_event"):
        values["snoozed_until_event"] = event
    if "snoozed_until" in values or event:
        values["status"] = "snoozed"
    if status := field(form, "status"):
        values["status"] = status
    if "step" in form:
        values["step"] = number_of(form, "step")
    if playbook := field(form, "playbook"):
        values["playbook"] = playbook
    try:
        return _CHANGE.validate_python(values)
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        message = page.words.gettext("%(field)s has a value that it cannot have.")
        raise Problem(422, "invalid", message % {"field": where}) from None


def day_of(page: Page, form: FormData, name: str) -> date | None:
    """The day of a field, None where it is empty."""
    if not (text := field(form, name, 40)):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        message = page.words.gettext("%(field)s has a value that it cannot have.")
        raise Problem(422, "invalid", message % {"field": name}) from None


def number_of(form: FormData, name: str) -> int:
    """The whole number of a field."""
    text = field(form, name, 16)
    if not text.isdecimal() or int(text) > MOST_NUMBER:
        raise Problem(422, "invalid", f"{name}: {text}")
    return int(text)


def _back(page: Page, form: FormData, *, onward: bool = False) -> str:
    """The address to go on to, of the desk: the customer after this one where the form names it, else the same page."""
    for name in ("following", "back") if onward else ("back",):
        address = field(form, name, 4_000)
        if is_of_desk(address):
            return address
    return f"/desk/customers/{quote(str(form.get('customer_id', '')), safe='')}"
