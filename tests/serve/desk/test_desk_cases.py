"""Cases at the desk: opened, taken, snoozed, noted, closed by an outcome; never of the control group; nothing lost."""

import re
from collections.abc import Callable
from datetime import timedelta

import desk_company as company
import pytest
import sqlalchemy as sa
from desk_client import Desk, token_of

from fedelta.serve.acting.actor import Actor
from fedelta.serve.acting.cases import today
from fedelta.serve.acting.playbooks import Step, store_playbooks
from fedelta.serve.operational.database import Database
from fedelta.serve.operational.tables import audit, cases, outcomes, treatments

Visit = Callable[..., Desk]
ME = company.email("agent")


@pytest.fixture
def desk(visit: Visit) -> Desk:
    return visit("agent")


def hidden(page: str) -> dict[str, str]:
    """The fields of the first case of a page that every form of it has."""
    found = re.search(r'name="case_id" value="(\d+)"><input type="hidden" name="revision" value="(\d+)"', page)
    assert found is not None
    return {"case_id": found[1], "revision": found[2]}


def opened(desk: Desk, customer_id: str = "C0003", **fields: str) -> dict[str, str]:
    """A case of a customer; the fields that its forms have."""
    address = f"/desk/customers/{customer_id}"
    values = {"customer_id": customer_id, "reason": "silence", "owner": ME, "back": address} | fields
    assert desk.send("/desk/cases", address, **values).headers["location"] == address
    return {"customer_id": customer_id, "back": address, **hidden(desk.get(address).text)}


def stored(database: Database, table: sa.Table) -> list[sa.Row[tuple[object, ...]]]:
    with database.engine() as engine, engine.begin() as connection:
        return list(connection.execute(sa.select(table).order_by(sa.text("1"))).all())


def test_a_case_is_opened_shown_and_in_my_queue(desk: Desk) -> None:
    opened(desk, due_on=(today() - timedelta(days=1)).isoformat())
    assert "Agent Example" in desk.get("/desk/customers?q=C0003&shown=all").text
    queue = desk.get("/desk/cases").text
    assert "C0003" in queue
    assert "overdue" in queue
    day = desk.get("/desk").text
    assert "1 overdue" in day
    assert "?cases=tab%3Dmine%26sort%3Ddue#case-1" in day


def test_a_second_case_about_the_same_is_refused(desk: Desk) -> None:
    opened(desk)
    again = desk.send("/desk/cases", "/desk", customer_id="C0003", reason="silence")
    assert again.status_code == 409
    assert "There is a case of this customer about the same already" in again.text


@pytest.mark.parametrize(("customer_id", "words"), [("C0001", "control group"), ("C0002", "opted out")])
def test_whom_nobody_contacts_gets_no_case_and_is_refused_in_words(desk: Desk, customer_id: str, words: str) -> None:
    page = desk.get(f"/desk/customers/{customer_id}").text
    assert 'action="/desk/cases"' not in page
    refused = desk.send("/desk/cases", "/desk", customer_id=customer_id, reason="silence")
    assert refused.status_code == 409
    assert words in refused.text


def test_an_outcome_writes_the_treatment_log_and_leads_to_the_next(desk: Desk, desk_database: Database) -> None:
    for name in ("C0003", "C0004"):
        opened(desk, name)
    page = desk.get("/desk/customers/C0003?cases=tab%3Dmine%26sort%3Ddue").text
    following = re.search(r'name="following" value="([^"]+)"', page)
    assert following is not None
    fields = hidden(page) | {
        "following": following[1],
        "outcome": "saved",
        "channel": "phone",
        "outcome_reason": "glad",
    }
    gone = desk.post("/desk/cases/outcome", token=token_of(desk.get("/desk")), **fields)
    assert gone.headers["location"].startswith("/desk/customers/C0004?cases=")
    (case, _), (contact,), (came,) = (stored(desk_database, table) for table in (cases, treatments, outcomes))
    assert (case.status, case.outcome, case.outcome_reason) == ("done", "saved", "glad")
    assert (contact.customer_id, contact.channel, contact.case_id, contact.recorded_by) == ("C0003", "phone", 1, ME)
    assert (came.outcome, came.treatment_id) == ("saved", contact.id)
    timeline = desk.get("/desk/customers/C0003").text.split('class="timeline"')[1]
    assert all(words in timeline for words in ("Outcome: saved", "Contact: phone", "Case closed", "Case opened"))


def test_two_agents_who_save_one_case_lose_nothing(desk: Desk, visit: Visit, desk_database: Database) -> None:
    fields, other = opened(desk), visit("manager")
    first = desk.send("/desk/cases/change", "/desk", **fields, next_action="Call on Monday")
    assert first.status_code == 303
    second = other.send("/desk/cases/outcome", "/desk", **fields, outcome="lost", outcome_reason="moved away")
    assert second.status_code == 409
    assert "Call on Monday" in second.text
    assert "moved away" in second.text
    assert stored(desk_database, outcomes) == []
    again = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', second.text))
    assert other.post("/desk/cases/outcome", **again).status_code == 303
    (case,) = stored(desk_database, cases)
    assert (case.next_action, case.outcome, case.outcome_reason) == ("Call on Monday", "lost", "moved away")


def test_a_case_is_snoozed_until_a_day_or_an_event(desk: Desk, desk_database: Database) -> None:
    fields = opened(desk)
    assert desk.send("/desk/cases/change", "/desk", **fields, snooze_days="7", snoozed_until="").status_code == 303
    (case,) = stored(desk_database, cases)
    assert (case.status, case.snoozed_until) == ("snoozed", (today() + timedelta(days=7)).isoformat())
    page = desk.get("/desk/customers/C0003").text
    fields |= hidden(page)
    desk.send("/desk/cases/change", "/desk", **fields, snoozed_until="", snoozed_until_event="bad_experience")
    assert "until there is: a bad experience" in desk.get("/desk/cases?tab=snoozed").text
    fields |= hidden(desk.get("/desk/customers/C0003").text)
    assert desk.send("/desk/cases/change", "/desk", **fields, snoozed_until="yesterday").status_code == 422


def test_a_playbook_is_followed_step_by_step(desk: Desk, desk_database: Database) -> None:
    steps = [Step(name="Call", after_days=0), Step(name="Write", after_days=3)]
    with desk_database.engine() as engine, engine.begin() as connection:
        store_playbooks(connection, Actor("default", "tests", desk_database), {"save": steps})
    fields = opened(desk, playbook="save")
    page = desk.get("/desk/customers/C0003").text
    assert '<li aria-current="step"><span dir="auto">Call</span>' in page
    desk.send("/desk/cases/change", "/desk", **fields, step="1")
    page = desk.get("/desk/customers/C0003").text
    assert '<li aria-current="step"><span dir="auto">Write</span>' in page
    assert "Next step" not in page


def test_notes_are_kept_as_written_and_one_is_pinned(desk: Desk) -> None:
    fields = opened(desk)
    for text, pinned in (("first <b>", "yes"), ("second", "")):
        desk.send("/desk/cases/note", "/desk", **fields, text=text, pinned=pinned)
    notes = desk.get("/desk/customers/C0003").text.split('class="notes"')[1]
    assert notes.index("first &lt;b&gt;") < notes.index("second")
    assert desk.send("/desk/cases/note", "/desk", **fields, text=" ").status_code == 422


def test_all_of_a_queue_change_after_a_preview_with_a_receipt(desk: Desk, desk_database: Database) -> None:
    for name in ("C0003", "C0004", "C0005"):
        opened(desk, name)
    change = {"queue": "tab=open", "owner": company.email("manager"), "due_on": "", "snoozed_until": "", "keep": "yes"}
    preview = desk.send("/desk/cases/bulk", "/desk", **change)
    assert "Change 3 cases" in preview.text
    assert {case.owner for case in stored(desk_database, cases)} == {ME}
    opened(desk, "C0006")
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', preview.text.split("<main")[1]))
    assert desk.post("/desk/cases/bulk", **fields).status_code == 412  # another number matches by now
    receipt = desk.post("/desk/cases/bulk", **(fields | {"expected": "4"}))
    assert "Receipt" in receipt.text
    number = re.search(r"rcp_\w+", receipt.text)
    assert number is not None
    assert {case.owner for case in stored(desk_database, cases)} == {company.email("manager")}
    assert number[0] in " ".join(row.details for row in stored(desk_database, audit))


def test_a_viewer_reads_cases_and_changes_none(desk: Desk, visit: Visit) -> None:
    fields, viewer = opened(desk), visit("viewer")
    page = viewer.get("/desk/customers/C0003").text
    assert 'id="case-1"' in page
    assert "/desk/cases/change" not in page
    assert viewer.send("/desk/cases/change", "/desk", **fields, status="done").status_code == 403
    assert "/desk/cases/bulk" not in viewer.get("/desk/cases?tab=open").text


def test_an_agent_of_another_tenant_cannot_reach_a_case(desk: Desk, visit: Visit) -> None:
    fields, other = opened(desk), visit("agent@other.example")
    assert other.send("/desk/cases/note", "/desk/settings", **fields, text="mine").status_code == 404
    assert "C0003" not in other.get("/desk/cases?tab=open").text


def test_everybody_of_a_list_gets_a_case_after_a_preview(desk: Desk, desk_database: Database) -> None:
    opened(desk, "C0003")
    wanted = {"query": "shown=all&q=C000&suppressed=include", "owner": ME, "due_on": today().isoformat()}
    preview = desk.send("/desk/customers/cases", "/desk", **wanted)
    assert "Open 7 cases" in preview.text  # of 10: one has a case, one is in the control group, one opted out
    assert len(stored(desk_database, cases)) == 1
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', preview.text.split("<main")[1]))
    fields["query"] = wanted["query"]  # as a browser reads it
    assert desk.post("/desk/customers/cases", **(fields | {"expected": "8"})).status_code == 412
    receipt = desk.post("/desk/customers/cases", **fields)
    number = re.search(r"rcp_\w+", receipt.text)
    assert number is not None
    found = stored(desk_database, cases)
    assert len(found) == 8
    assert not {case.customer_id for case in found} & {"C0001", "C0002"}
    assert number[0] in " ".join(row.details for row in stored(desk_database, audit))
    again = desk.send("/desk/customers/cases", "/desk", **wanted)
    assert "Open 0 cases" in again.text


def test_the_chosen_of_a_list_get_cases_and_nobody_else(desk: Desk, desk_database: Database) -> None:
    form = {"query": "shown=all", "owner": "", "due_on": "", "chosen": ["C0003", "C0001", "C0004"], "expected": "2"}
    receipt = desk.send("/desk/customers/cases", "/desk", **form)  # type: ignore[arg-type]
    assert "Receipt" in receipt.text
    assert {case.customer_id for case in stored(desk_database, cases)} == {"C0003", "C0004"}


def test_my_day_suggests_nobody_who_is_in_hand(visit: Visit) -> None:
    desk = visit("manager@one.example")
    page, address = desk.get("/desk").text, "/desk/customers/C0004"
    assert "Most at stake" in page
    assert address in page
    desk.send("/desk/cases", "/desk", customer_id="C0004", reason="silence", back=address)
    assert "Most at stake" not in desk.get("/desk").text
    form = dict(re.findall(r'name="(case_id|revision)" value="(\d+)"', desk.get(address).text))
    desk.send("/desk/cases/outcome", address, **form, outcome="saved", channel="phone", back=address)
    assert "saved" in desk.get(address).text
    assert "Most at stake" not in desk.get("/desk").text
