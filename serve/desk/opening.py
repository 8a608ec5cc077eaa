"""``/desk/customers/cases``: a case for everybody of a list, after a preview, with a receipt."""

import secrets
from dataclasses import dataclass
from typing import Annotated

import orjson
import sqlalchemy as sa
from fastapi import APIRouter, Depends, Request, Response

from fedelta.serve.acting.actor import Actor
from fedelta.serve.acting.cases import MOST_IN_BULK, insert_case
from fedelta.serve.acting.customers import facts_of
from fedelta.serve.acting.playbooks import steps_of
from fedelta.serve.caller.auth import needs
from fedelta.serve.caller.problems import Problem
from fedelta.serve.caller.scopes import Caller
from fedelta.serve.desk.cases import day_of, first_values, number_of
from fedelta.serve.desk.forms import field, posted
from fedelta.serve.desk.listed import Listed
from fedelta.serve.desk.page import Page, open_page
from fedelta.serve.operational.statements import in_parts
from fedelta.serve.operational.tables import cases
from fedelta.serve.routes.writing import actor_of, written

router = APIRouter()


@dataclass(frozen=True)
class Opening:
    """How many customers a list has, and what becomes of them; ``receipt_id`` is in the audit, None of a preview."""

    matched: int
    opened: int
    have_one: int  # have a case that is not done
    receipt_id: str | None = None

    @property
    def left_out(self) -> int:
        """Who must not be contacted."""
        return self.matched - self.opened - self.have_one


@router.post("/desk/customers/cases", include_in_schema=False)
async def open_cases(request: Request, caller: Annotated[Caller, Depends(needs("write:cases"))]) -> Response:
    """Open a case for everybody of a list (or chosen of it) who may be contacted and has none, after a preview."""
    page, form = await open_page(request, caller), await posted(request)
    listed, actor = Listed.stored(field(form, "query"), page.words), actor_of(request, caller)
    chosen = [str(each) for each in form.getlist("chosen")]
    names, matched = await page.store.off_loop(_to_contact, page, listed, chosen)
    if len(names) > MOST_IN_BULK:
        message = page.words.gettext("At most %(most)s cases are opened at once: narrow the list.")
        raise Problem(422, "invalid", message % {"most": page.words.number(MOST_IN_BULK)})
    owner, playbook, due_on = field(form, "owner", 100), field(form, "playbook", 60), day_of(page, form, "due_on")
    confirmed = "expected" in form

    def act(connection: sa.Connection) -> Opening:
        taken = _with_case(connection, caller.tenant, names)
        free = [name for name in names if name not in taken]
        if not confirmed:
            return Opening(matched, len(free), len(taken))
        if number_of(form, "expected") != len(free):
            raise Problem(412, "changed-meanwhile", page.words.gettext("Another number fits by now: look again."))
        values = first_values(owner, due_on, playbook, steps_of(connection, caller.tenant, playbook or None))
        return _open(connection, actor, page, listed, free, values, matched)

    opening = await written(request, act)
    fields = [(name, str(value)) for name, value in form.multi_items() if name != "token"]
    return await page.show("opening.html.jinja", opening=opening, listed=listed, fields=fields)


def _open(
    connection: sa.Connection,
    actor: Actor,
    page: Page,
    listed: Listed,
    names: list[str],
    values: dict[str, object],
    matched: int,
) -> Opening:
    file, opened, receipt_id = page.snapshot.file, [], f"rcp_{secrets.token_hex(8)}"
    for customer_id, facts in facts_of(file, names).items():
        reason = facts.main_reason or "other"
        if facts.contactable and insert_case(connection, actor, reason, facts, file.snapshot_id, values) is not None:
            opened.append(customer_id)
    actor.note(connection, "cases.opened", "", receipt_id=receipt_id, customer_ids=opened, **listed.noted)
    return Opening(matched, len(opened), len(names) - len(opened), receipt_id)


def _to_contact(page: Page, listed: Listed, chosen: list[str]) -> tuple[list[str], int]:
    """Who may be contacted of those chosen, or of the list where nobody was; and how many these are in all."""
    file = page.snapshot.file
    if chosen:
        known = facts_of(file, chosen)
        return [name for name, facts in known.items() if facts.contactable], len(set(chosen))
    _, rows = listed.whole(file, to_contact=True)
    if len(rows) > MOST_IN_BULK:
        return [""] * len(rows), len(rows)
    return [orjson.loads(file.body(row))["customer_id"] for row in rows], listed.count(file)


def _with_case(connection: sa.Connection, tenant: str, names: list[str]) -> set[str]:
    found: set[str] = set()
    for some in in_parts(names):
        which = sa.and_(cases.c.tenant == tenant, cases.c.customer_id.in_(some), cases.c.status != "done")
        found.update(connection.execute(sa.select(cases.c.customer_id).where(which)).scalars())
    return found
