"""Cases: one open matter per customer and reason, never of the control group, no change lost."""

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from acting_people import connected, current, held_out, opted_out, planned, vera, within
from scoring_runs import Client, Publish, full_url

from fedelta.serve.acting import cases, paging
from fedelta.serve.acting.cases import Filters, list_cases
from fedelta.serve.acting.playbooks import Step, store_playbooks
from fedelta.serve.app import create_app
from fedelta.serve.caller.keys import create_key
from fedelta.serve.operational.database import Database
from fedelta.serve.operational.tables import audit

TODAY = datetime.now(UTC).date()


@pytest.fixture
def published(publish_customers: Publish) -> None:
    publish_customers(
        planned("ann", value_at_risk=300.0), planned("bob", value_at_risk=200.0), planned("cid", value_at_risk=100.0),
        held_out("hal"), opted_out("olga"),
    )  # fmt: skip


@pytest.fixture
def desk(published: None, database: Database) -> Iterator[Client]:
    """A client that may write cases."""
    app = create_app(full_url(database), look_again=0)
    client = Client(app, create_key(database, "desk", ["write:cases"])[0])
    yield client
    client.close()
    app.state.store.close()


def opened(desk: Client, customer_id: str = "ann", reason: str = "silence", **fields: object) -> dict[str, Any]:
    answer = desk.post("/v1/cases", json={"customer_id": customer_id, "reason": reason, **fields})
    assert answer.status_code == 200, answer.text
    case: dict[str, Any] = answer.json()
    return case


def changed(desk: Client, case: dict[str, Any], revision: str | None = None, **fields: object) -> httpx.Response:
    headers = {"If-Match": revision or f'"{case["revision"]}"'}
    return desk.request("PATCH", f"/v1/cases/{case['id']}", json=fields, headers=headers)


def listed(desk: Client, query: str = "") -> list[str]:
    return [case["customer_id"] for case in desk.get(f"/v1/cases?{query}").json()["cases"]]


def test_a_case_has_what_it_was_opened_with_and_the_value_at_risk(desk: Client) -> None:
    case = opened(desk, owner="vera", due_on="2030-01-05", next_action="Call")
    assert (case["status"], case["owner"], case["due_on"], case["next_action"]) == (
        "open",
        "vera",
        "2030-01-05",
        "Call",
    )
    assert (case["priority"], case["revision"], case["opened_by"], case["opened_in"]) == (300.0, 1, "desk", None)
    read = desk.get(f"/v1/cases/{case['id']}")
    assert read.headers["etag"] == '"1"'
    assert {**case, "notes": [], "treatments": [], "outcomes": []} == read.json()


def test_one_case_is_open_per_customer_and_reason(desk: Client) -> None:
    case = opened(desk)
    again = desk.post("/v1/cases", json={"customer_id": "ann", "reason": "silence"})
    assert again.status_code == 409
    assert again.json()["type"] == "urn:fedelta:problem:case-open"
    assert str(case["id"]) in again.json()["detail"]
    opened(desk, reason="bad_experiences")
    opened(desk, "bob")
    assert changed(desk, case, status="done", outcome="saved").status_code == 200
    second = opened(desk)
    assert changed(desk, case, "*", status="open").status_code == 409
    assert changed(desk, second, status="done").status_code == 200
    assert changed(desk, case, "*", status="open").json()["closed_at"] is None


@pytest.mark.parametrize(("who", "kind"), [("hal", "control-group"), ("olga", "opted-out")])
def test_who_must_not_be_contacted_gets_no_case(desk: Client, who: str, kind: str) -> None:
    refused = desk.post("/v1/cases", json={"customer_id": who, "reason": "silence"})
    assert refused.status_code == 409
    assert refused.json()["type"] == f"urn:fedelta:problem:{kind}"
    assert listed(desk) == []


def test_a_customer_who_is_not_known_gets_no_case(desk: Client) -> None:
    refused = desk.post("/v1/cases", json={"customer_id": "nobody", "reason": "silence"})
    assert (refused.status_code, refused.json()["type"]) == (404, "urn:fedelta:problem:unknown-customer")


def test_the_case_of_who_has_opted_out_since_can_only_be_closed(
    desk: Client, database: Database, publish_customers: Publish
) -> None:
    ann, bob = opened(desk), opened(desk, "bob")
    publish_customers(opted_out("ann"), held_out("bob"))
    for case in (ann, bob):
        assert changed(desk, case, owner="vera").status_code == 409
        assert changed(desk, case, snoozed_until=str(TODAY + timedelta(days=3))).status_code == 409
    bulk = {"filter": {}, "change": {"owner": "vera"}, "dry_run": False}
    receipt = desk.post("/v1/cases:bulk", json=bulk).json()
    assert (receipt["matched"], receipt["changed"], receipt["refused"]) == (2, 0, 2)
    assert changed(desk, ann, status="done").json()["status"] == "done"
    assert changed(desk, ann, "*", status="open").status_code == 409


def test_of_two_who_change_the_same_revision_the_second_is_refused(desk: Client) -> None:
    case = opened(desk)
    first = changed(desk, case, owner="vera")
    assert (first.status_code, first.headers["etag"], first.json()["revision"]) == (200, '"2"', 2)
    second = changed(desk, case, owner="ugo")
    assert (second.status_code, second.json()["type"]) == (412, "urn:fedelta:problem:changed-meanwhile")
    assert desk.get(f"/v1/cases/{case['id']}").json()["owner"] == "vera"
    assert changed(desk, case, "*", owner="ugo").status_code == 200
    assert changed(desk, case, '"x"', owner="ugo").status_code == 412


def test_a_change_that_names_no_revision_is_refused(desk: Client) -> None:
    case = opened(desk)
    answer = desk.request("PATCH", f"/v1/cases/{case['id']}", json={"owner": "vera"})
    assert (answer.status_code, answer.json()["type"]) == (428, "urn:fedelta:problem:revision-needed")


@pytest.mark.parametrize(
    "change",
    [
        {"status": "snoozed"},
        {"snoozed_until": str(TODAY)},
        {"snoozed_until": "2999-01-01", "status": "open"},
        {"outcome": "saved"},
        {"step": 1},
        {"playbook": "none of ours"},
        {"ownr": "vera"},
        {"owner": ""},
        {"status": "new"},
        {"due_on": "soon"},
    ],
)
def test_values_that_do_not_go_together_are_refused(desk: Client, change: dict[str, object]) -> None:
    case = opened(desk)
    assert changed(desk, case, **change).status_code == 422
    assert desk.get(f"/v1/cases/{case['id']}").json()["revision"] == 1


def test_what_a_change_does_not_name_stays_and_null_takes_away(desk: Client) -> None:
    case = opened(desk, owner="vera", due_on="2030-01-05")
    case = changed(desk, case, owner=None).json()
    assert (case["owner"], case["due_on"]) == (None, "2030-01-05")
    assert changed(desk, case).json()["revision"] == 2


def test_a_snoozed_case_is_open_again_on_its_day(desk: Client, database: Database) -> None:
    case = opened(desk)
    opened(desk, "bob")
    case = changed(desk, case, snoozed_until=str(TODAY + timedelta(days=2))).json()
    assert case["status"] == "snoozed"
    assert (listed(desk, "status=open"), listed(desk, "status=snoozed")) == (["bob"], ["ann"])
    with connected(database) as connection:
        connection.execute(sa.update(cases.cases).values(snoozed_until=TODAY.isoformat()))
    assert (listed(desk, "status=open"), listed(desk, "status=snoozed")) == (["ann", "bob"], [])
    assert desk.get(f"/v1/cases/{case['id']}").json()["status"] == "open"


def test_filters_and_sorts_of_the_list(desk: Client) -> None:
    opened(desk, owner="vera", due_on="2030-01-07")
    opened(desk, "bob", owner="ugo", due_on="2030-01-05")
    opened(desk, "cid", reason="bad_experiences")
    assert listed(desk) == ["ann", "bob", "cid"]
    assert listed(desk, "sort=due") == ["bob", "ann", "cid"]
    assert listed(desk, "owner=vera") == ["ann"]
    assert listed(desk, "unassigned=true") == ["cid"]
    assert listed(desk, "due_before=2030-01-07") == ["bob"]
    assert listed(desk, "customer_id=bob") == ["bob"]
    assert listed(desk, "reason=bad_experiences") == ["cid"]
    assert listed(desk, "min_priority=200") == ["ann", "bob"]
    assert listed(desk, "status=done&status=snoozed") == []
    for wrong in ("ownr=vera", "owner=vera&owner=ugo", "status=new", "limit=0", "due_before=soon"):
        assert desk.get(f"/v1/cases?{wrong}").status_code == 422


@pytest.mark.parametrize("sort", ["priority", "due", "updated"])
def test_pages_hold_every_case_once(desk: Client, database: Database, sort: str) -> None:
    for number in range(7):
        opened(desk, "ann", f"r{number}", **({"due_on": "2030-01-05"} if number % 2 else {}))
        opened(desk, "bob", f"r{number}")
    seen, cursor = [], ""
    while True:
        page = desk.get(f"/v1/cases?sort={sort}&limit=3{cursor}").json()
        seen += [case["id"] for case in page["cases"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    with connected(database) as connection:
        every, _ = list_cases(connection, "default", Filters(), sort=sort, limit=1_000)  # type: ignore[arg-type]
    assert seen == [case.id for case in every]
    assert len(set(seen)) == 14
    assert desk.get(f"/v1/cases?sort={sort}&limit=3&owner=vera{cursor}").status_code == 400
    assert desk.get("/v1/cases?cursor=made.up").status_code == 400


@pytest.mark.parametrize(
    "place",
    [b"[]", b"[[1],1]", b'["\\u0000",1]', b'["9",-1]', b'["9",1e3]', b"[null,1]", b"{", b"[1,2,3]", b"[true,true]"],
)
@pytest.mark.parametrize("sort", ["priority", "due"])
def test_a_cursor_that_somebody_sealed_themselves_is_none(
    desk: Client, monkeypatch: pytest.MonkeyPatch, sort: str, place: bytes
) -> None:
    opened(desk, "ann", "one")
    opened(desk, "ann", "two")
    text = base64.urlsafe_b64encode(place).decode().rstrip("=")
    monkeypatch.setattr(paging, "_sealed", lambda _, of: f"{text}.{paging._seal(place, of)}")
    forged = desk.get(f"/v1/cases?sort={sort}&limit=1").json()["next"]
    assert desk.get(f"/v1/cases?sort={sort}&limit=1&cursor={forged}").status_code == 400


def test_a_change_in_bulk_is_counted_first_and_leaves_a_receipt(desk: Client, database: Database) -> None:
    for who in ("ann", "bob", "cid"):
        opened(desk, who)
    bulk = {"filter": {"min_priority": 150}, "change": {"owner": "vera"}}
    preview = desk.post("/v1/cases:bulk", json=bulk).json()
    assert (preview["receipt_id"], preview["matched"], preview["changed"]) == (None, 2, 2)
    assert listed(desk, "owner=vera") == []
    late = desk.post("/v1/cases:bulk", json={**bulk, "dry_run": False, "expected": 3})
    assert late.status_code == 412
    receipt = desk.post("/v1/cases:bulk", json={**bulk, "dry_run": False, "expected": 2}).json()
    assert listed(desk, "owner=vera") == ["ann", "bob"]
    assert receipt["case_ids"] == preview["case_ids"]
    with connected(database) as connection:
        details = connection.execute(sa.select(audit.c.details).where(audit.c.action == "cases.changed")).scalars()
        assert any(receipt["receipt_id"] in each for each in details)
    closing = {"filter": {"owner": "vera"}, "change": {"status": "done", "outcome": "lost"}, "dry_run": False}
    assert desk.post("/v1/cases:bulk", json=closing).json()["changed"] == 2
    assert listed(desk, "status=open") == ["cid"]
    again = desk.post("/v1/cases:bulk", json=closing).json()
    assert (again["matched"], again["changed"]) == (0, 0)


def test_one_note_of_a_case_is_pinned(desk: Client) -> None:
    case = opened(desk)
    address = f"/v1/cases/{case['id']}/notes"
    for text, pinned in (("one", True), ("two", False), ("three", True)):
        assert desk.post(address, json={"text": text, "pinned": pinned}).json()["pinned"] is pinned
    notes = desk.get(f"/v1/cases/{case['id']}").json()["notes"]
    assert [(note["text"], note["pinned"], note["author"]) for note in notes] == [
        ("three", True, "desk"), ("two", False, "desk"), ("one", False, "desk"),
    ]  # fmt: skip
    assert desk.post("/v1/cases/999/notes", json={"text": "x"}).status_code == 404


def test_a_playbook_sets_what_comes_next_and_when(desk: Client, database: Database) -> None:
    steps = [Step(name="Call", after_days=0), Step(name="Write", after_days=3)]
    within(database, lambda connection: store_playbooks(connection, vera(database), {"save": steps}))
    case = opened(desk, playbook="save")
    assert (case["next_action"], case["due_on"], case["step"]) == ("Call", str(TODAY), 0)
    case = changed(desk, case, step=1).json()
    assert (case["next_action"], case["due_on"]) == ("Write", str(TODAY + timedelta(days=3)))
    assert changed(desk, case, step=2).status_code == 422
    within(database, lambda connection: store_playbooks(connection, vera(database), {}))
    assert changed(desk, case, owner="vera").status_code == 200
    case = changed(desk, case, "*", playbook=None).json()
    assert (case["playbook"], case["step"]) == (None, None)


def test_two_tenants_never_see_each_others_cases(desk: Client, database: Database, publish_customers: Publish) -> None:
    case = opened(desk)
    publish_customers(planned("ann"), tenant="other")
    app = create_app(full_url(database), look_again=0)
    stranger = Client(app, create_key(database, "other", ["write:cases"], tenant="other")[0])
    assert listed(stranger) == []
    assert stranger.get(f"/v1/cases/{case['id']}").status_code == 404
    assert changed(stranger, case, "*", owner="me").status_code == 404
    assert stranger.post(f"/v1/cases/{case['id']}/notes", json={"text": "x"}).status_code == 404
    assert opened(stranger)["id"] != case["id"]
    stranger.close()
    app.state.store.close()


def test_a_change_is_in_the_audit_with_who_and_whose(desk: Client, database: Database) -> None:
    case = opened(desk)
    changed(desk, case, owner="vera")
    desk.post(f"/v1/cases/{case['id']}/notes", json={"text": "a secret"})
    with connected(database) as connection:
        rows = connection.execute(sa.select(audit).where(audit.c.actor == "desk").order_by(audit.c.id)).all()
    assert [(row.action, row.subject) for row in rows] == [
        ("case.opened", "ann"), ("case.changed", "ann"), ("case.noted", "ann"),
    ]  # fmt: skip
    assert all("secret" not in row.details for row in rows)


def test_functions_act_without_a_request(published: None, database: Database) -> None:
    file = current(database)
    with connected(database) as connection:
        case = cases.open_case(connection, vera(database), "ann", "silence", {"owner": "vera"}, file)
        assert cases.count_cases(connection, "default", Filters(owner="vera")) == 1
        assert cases.change_case(connection, vera(database), case.id, {"status": "done"}, file).status == "done"
