"""``/desk/campaigns/outcomes``: outcomes from a CSV file, in three steps: send it, say what is what, record."""

import secrets
from collections.abc import Sequence
from datetime import date
from typing import Annotated
from urllib.parse import urlencode

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Request, Response
from starlette.datastructures import UploadFile

from fedelta.serve.acting.cases import Outcome, today
from fedelta.serve.acting.outcome_files import (
    DATE_ORDERS,
    FIELDS,
    NEEDED,
    DateOrder,
    Field,
    FileRefused,
    Judged,
    Table,
    errors_csv,
    record_file,
)
from fedelta.serve.acting.outcomes import OUTCOMES
from fedelta.serve.caller.auth import needs
from fedelta.serve.caller.problems import Problem
from fedelta.serve.caller.scopes import Caller
from fedelta.serve.desk.forms import field, posted
from fedelta.serve.desk.page import Page, open_page
from fedelta.serve.desk.words import N_
from fedelta.serve.operational.tables import from_now, imports, now
from fedelta.serve.routes.writing import actor_of

TITLES: dict[Field, str] = {
    "customer_id": N_("Customer"),
    "outcome": N_("Outcome"),
    "occurred_at": N_("When"),
    "reason": N_("Reason"),
}
PROBLEMS = {
    "no-customer": N_("the row names no customer"),
    "no-outcome": N_("this is no outcome"),
    "no-time": N_("this is no day or time"),
    "two-readings": N_("this could be one day or another: say how dates are written"),
    "unknown-customer": N_("the current run does not know the customer"),
    "control-group": N_("the customer is in the control group, which is never contacted"),
    "opted-out": N_("the customer has opted out"),
    "invalid": N_("it cannot be recorded so"),
}
ORDERS: dict[DateOrder, str] = {
    "day_first": N_("day first, as in 31/12/2024"),
    "month_first": N_("month first, as in 12/31/2024"),
}
VERDICTS = ("recorded", "already", "refused")
KEPT_DAYS = 1
SHOWN = 20  # refused rows on the page; the file has all

router = APIRouter()


@router.post("/desk/campaigns/outcomes", include_in_schema=False)
async def send_file(request: Request, caller: Annotated[Caller, Depends(needs("manage"))]) -> Response:
    """Keep a file for the steps to come."""
    page, form = await open_page(request, caller), await posted(request)
    file = form.get("file")
    if not isinstance(file, UploadFile) or not file.filename:
        raise Problem(422, "invalid", page.words.gettext("Choose a CSV file first."))
    content, number = await file.read(), secrets.token_hex(16)
    await form.close()
    try:
        await page.store.off_loop(Table.read, content)
    except FileRefused as refused:
        raise Problem(422, "invalid", f"{page.words.gettext('The file cannot be read.')} {refused}") from None
    row = {
        "import_id": number, "tenant": page.person.tenant, "user_id": page.person.user_id,
        "file_name": file.filename[:200], "content": content, "created_at": now(),
    }  # fmt: skip

    def keep(connection: sa.Connection) -> None:
        connection.execute(imports.delete().where(imports.c.created_at < from_now(days=-KEPT_DAYS)))
        connection.execute(imports.insert().values(row))

    await page.change("outcomes.file_sent", file.filename[:200], keep, import_id=number)
    return page.to(f"/desk/campaigns/outcomes/{number}")


@router.get("/desk/campaigns/outcomes/{number}", include_in_schema=False)
async def show_file(number: str, request: Request, caller: Annotated[Caller, Depends(needs("manage"))]) -> Response:
    """Show which column is what, and what would be recorded."""
    page = await open_page(request, caller)
    name, table = await _kept(page, number)
    asked = _Asked.of(page, table, dict(request.query_params))
    judged = await _judge(page, request, caller, table, asked, dry_run=True) if asked.complete else []
    refused = [one for one in judged if one.verdict == "refused"]
    return await page.show(
        "outcome_import.html.jinja",
        number=number,
        name=name,
        table=table,
        asked=asked,
        titles=TITLES,
        needed=NEEDED,
        judged=judged,
        counts={
            verdict: sum(one.verdict == verdict for one in judged) for verdict in ("recorded", "already", "refused")
        },
        refused=refused[:SHOWN],
        errors=_errors(page, refused),
        outcomes=OUTCOMES,
        orders=ORDERS,
    )


@router.post("/desk/campaigns/outcomes/{number}", include_in_schema=False)
async def record(number: str, request: Request, caller: Annotated[Caller, Depends(needs("manage"))]) -> Response:
    """Record what the file holds."""
    page, form = await open_page(request, caller), await posted(request)
    _, table = await _kept(page, number)
    asked = _Asked.of(page, table, {name: field(form, name, 20) for name in (*FIELDS, "day", "dates", "happened")})
    if not asked.complete:
        raise Problem(422, "invalid", page.words.gettext("Say which column has the customer and which the outcome."))
    judged = await _judge(page, request, caller, table, asked, dry_run=False)
    recorded = sum(one.verdict == "recorded" for one in judged)
    text = page.words.ngettext("%(shown)s outcome is recorded.", "%(shown)s outcomes are recorded.", recorded)
    notice = text % {"shown": page.words.number(recorded)}
    return page.to(f"/desk/campaigns/outcomes/{number}?{asked.text}", notice)


@router.get("/desk/campaigns/outcomes/{number}/errors.csv", include_in_schema=False)
async def send_errors(number: str, request: Request, caller: Annotated[Caller, Depends(needs("manage"))]) -> Response:
    """Send the rows that are refused, each with the reason."""
    page = await open_page(request, caller)
    _, table = await _kept(page, number)
    asked = _Asked.of(page, table, dict(request.query_params))
    judged = await _judge(page, request, caller, table, asked, dry_run=True) if asked.complete else []
    body = errors_csv(table, judged, _errors(page, [one for one in judged if one.verdict == "refused"]))
    headers = {"content-disposition": 'attachment; filename="refused.csv"'}
    return Response(body, headers=headers, media_type="text/csv")


class _Asked:
    """What somebody says of a file's columns."""

    def __init__(
        self, columns: dict[Field, int], day: date, dates: DateOrder | None, found: DateOrder | None, *, happened: bool
    ) -> None:
        self.columns, self.day, self.dates, self.happened = columns, day, dates, happened
        self.found = found  # how the file's own dates are written, as far as they tell it

    @classmethod
    def of(cls, page: Page, table: Table, given: dict[str, str]) -> "_Asked":
        columns = table.suggested() if not any(given.get(name) for name in NEEDED) else {}
        for name in FIELDS:
            place = given.get(name, "")
            if place.isdecimal() and len(place) < 5 and int(place) < len(table.header):
                columns[name] = int(place)
        try:
            day = date.fromisoformat(given["day"]) if given.get("day") else today()
        except ValueError:
            raise Problem(422, "invalid", page.words.gettext("That is no day.")) from None
        dates = next((order for order in DATE_ORDERS if order == given.get("dates")), None)
        found = table.date_order(columns["occurred_at"]) if "occurred_at" in columns else None
        return cls(columns, day, dates, found, happened=given.get("happened") == "yes")

    @property
    def complete(self) -> bool:
        return all(name in self.columns for name in NEEDED)

    @property
    def items(self) -> list[tuple[str, str]]:
        found = [(name, str(place)) for name, place in self.columns.items()]
        dates = [("dates", self.dates)] if self.dates else []
        return [*found, ("day", self.day.isoformat()), *dates, *([("happened", "yes")] if self.happened else [])]

    @property
    def text(self) -> str:
        return urlencode(self.items)


async def _kept(page: Page, number: str) -> tuple[str, Table]:
    """A file that the reader sent, not long ago."""
    own = sa.select(imports.c.file_name, imports.c.content).where(
        imports.c.import_id == number, imports.c.user_id == page.person.user_id
    )
    row = await page.store.read(lambda connection: connection.execute(own).first())
    if row is None:
        raise Problem(404, "not-found", page.words.gettext("That file is not kept any more: send it again."))
    return row.file_name, await page.store.off_loop(Table.read, bytes(row.content))


async def _judge(
    page: Page, request: Request, caller: Caller, table: Table, asked: _Asked, *, dry_run: bool
) -> list[Judged]:
    words: dict[str, Outcome] = {name: name for name in OUTCOMES} | {
        page.words.value(name).lower(): name for name in OUTCOMES
    }
    actor, file = actor_of(request, caller), page.snapshot.file

    def judge(connection: sa.Connection) -> list[Judged]:
        return record_file(
            connection, actor, table, asked.columns, file, words=words, day=asked.day,
            happened=asked.happened, dry_run=dry_run, dates=asked.dates,
        )  # fmt: skip

    request.scope["state"]["audited"] = not dry_run
    return await page.store.write(judge)


def _errors(page: Page, refused: Sequence[Judged]) -> dict[int, str]:
    """Why each is refused, in words."""
    found = {}
    for one in refused:
        text = page.words.gettext(PROBLEMS[one.problem or "invalid"])
        shown = one.detail if one.problem in {"no-outcome", "no-time", "two-readings"} else ""
        found[one.number] = f"{text}: {shown}" if shown else text
    return found
