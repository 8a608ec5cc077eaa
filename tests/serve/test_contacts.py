"""Treatments and outcomes: recorded once, never planned for the control group, and the truth where it happened."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from acting_people import connected, current, held_out, opted_out, planned, vera, within
from scoring_runs import Client, Publish, full_url

from fedelta.serve.acting.cases import open_case, read_case
from fedelta.serve.acting.outcomes import record_contact
from fedelta.serve.acting.treatments import Contact
from fedelta.serve.app import create_app
from fedelta.serve.caller.keys import create_key
from fedelta.serve.operational.database import Database
from fedelta.serve.operational.idempotency import once
from fedelta.serve.operational.retention import forget_requests
from fedelta.serve.operational.tables import idempotency_keys, outcomes, treatments


@pytest.fixture
def crm(publish_customers: Publish, database: Database) -> Iterator[Client]:
    """A client that may write treatments, outcomes and cases."""
    publish_customers(planned("ann"), planned("bob"), held_out("hal"), opted_out("olga"))
    app = create_app(full_url(database), look_again=0)
    client = Client(app, create_key(database, "crm", ["write:outcome", "write:cases"])[0])
    yield client
    client.close()
    app.state.store.close()


def treat(crm: Client, key: str, **fields: object) -> Any:
    return crm.post("/v1/treatments", json={"customer_id": "ann", **fields}, headers={"Idempotency-Key": key})


def outcome(crm: Client, key: str, *several: dict[str, object]) -> Any:
    return crm.post("/v1/outcomes", json={"outcomes": list(several)}, headers={"Idempotency-Key": key})


def count(database: Database, table: sa.Table) -> int:
    with connected(database) as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def test_a_contact_is_recorded_with_what_was_known_then(crm: Client) -> None:
    made = treat(crm, "k1", action="keep", channel="phone", campaign="spring", cost=4.5).json()
    assert (made["action"], made["channel"], made["campaign"], made["cost"]) == ("keep", "phone", "spring", 4.5)
    assert (made["churn_probability"], made["expected_value"], made["happened"]) == (0.5, 200.0, False)
    assert crm.get("/v1/treatments?campaign=spring").json() == {"treatments": [made], "next": None}
    assert crm.get("/v1/treatments?customer_id=bob").json()["treatments"] == []


def test_the_same_request_with_the_same_key_is_carried_out_once(crm: Client, database: Database) -> None:
    first = treat(crm, "k1", cost=4.5)
    again = treat(crm, "k1", cost=4.5)
    assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")
    other = treat(crm, "k1", cost=5)
    assert (other.status_code, other.json()["type"]) == (422, "urn:fedelta:problem:key-reused")
    assert count(database, treatments) == 1
    assert treat(crm, "k2", cost=4.5).json()["id"] != first.json()["id"]
    assert crm.post("/v1/treatments", json={"customer_id": "ann"}).status_code == 422


def test_a_refused_request_may_be_sent_again_with_its_key(crm: Client, publish_customers: Publish) -> None:
    assert treat(crm, "k1", customer_id="new").status_code == 404
    publish_customers(planned("new"))
    assert treat(crm, "k1", customer_id="new").status_code == 200


def test_requests_that_come_at_once_with_one_key_are_carried_out_once(database: Database) -> None:
    acted: list[int] = []

    def act() -> str:
        acted.append(1)
        return f"answer {len(acted)}"

    def send(_number: int) -> str:
        return within(database, lambda c: once(c, "default", "crm", "x", "k", b"request", act))[0]

    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(send, range(4))) == {"answer 1"}
    assert acted == [1]


def test_keys_of_requests_are_forgotten_some_at_a_time(database: Database) -> None:
    for number in range(5):
        within(database, lambda c, key=f"k{number}": once(c, "default", "crm", "x", key, b"", lambda: ""))  # type: ignore[misc]
    with connected(database) as connection:
        old = idempotency_keys.c.key != "k4"
        connection.execute(sa.update(idempotency_keys).where(old).values(created_at="2024-01-01T00:00:00Z"))
    rounds = 1
    while within(database, lambda connection: forget_requests(connection, 30, at_once=2)):
        rounds += 1
        assert rounds < 5
    with connected(database) as connection:
        assert connection.execute(sa.select(idempotency_keys.c.key)).scalars().all() == ["k4"]


@pytest.mark.parametrize(("who", "kind"), [("hal", "control-group"), ("olga", "opted-out")])
def test_who_must_not_be_contacted_has_no_treatment_unless_it_happened(crm: Client, who: str, kind: str) -> None:
    refused = treat(crm, "k1", customer_id=who)
    assert (refused.status_code, refused.json()["type"]) == (409, f"urn:fedelta:problem:{kind}")
    assert "happened" in refused.json()["detail"]
    result = outcome(crm, "k2", {"customer_id": who, "outcome": "reached"}).json()["results"][0]
    assert (result["status"], result["problem"]) == ("refused", kind)
    made = treat(crm, "k3", customer_id=who, happened=True)
    assert (made.status_code, made.json()["happened"]) == (200, True)
    result = outcome(crm, "k4", {"customer_id": who, "outcome": "reached", "happened": True}).json()["results"][0]
    assert result["outcome"]["treatment_id"] == made.json()["id"]


def test_what_is_to_come_is_no_treatment(crm: Client) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert treat(crm, "k1", treated_at=tomorrow.isoformat()).status_code == 422
    assert treat(crm, "k1", treated_at="2024-05-01T12:00:00+02:00").json()["treated_at"] == "2024-05-01T10:00:00Z"
    assert treat(crm, "k2", treated_at="2024-05-01T12:00:00").status_code == 422


def test_a_batch_of_outcomes_has_a_result_for_each_in_order(crm: Client, database: Database) -> None:
    sent = [
        {"customer_id": "ann", "outcome": "reached"},
        {"customer_id": "nobody", "outcome": "reached"},
        {"customer_id": "hal", "outcome": "saved"},
        {"customer_id": "bob", "outcome": "lost", "reason": "price"},
        {"customer_id": "ann", "outcome": "reached", "case_id": 99},
    ]
    answer = outcome(crm, "k1", *sent)
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [one["customer_id"] for one in results] == [one["customer_id"] for one in sent]
    assert [one.get("problem") for one in results] == [None, "unknown-customer", "control-group", None, "unknown-case"]
    assert (results[3]["outcome"]["reason"], results[0]["outcome"]["reason"]) == ("price", None)
    assert count(database, outcomes) == 2
    assert outcome(crm, "k1", *sent).content == answer.content
    assert count(database, outcomes) == 2
    assert outcome(crm, "k1", sent[0]).status_code == 422
    assert outcome(crm, "k3", *[sent[0]] * 1_001).status_code == 422
    assert outcome(crm, "k4").status_code == 422


def test_an_outcome_is_of_the_latest_contact_and_an_end_closes_the_case(crm: Client) -> None:
    case = crm.post("/v1/cases", json={"customer_id": "ann", "reason": "silence"}).json()
    earlier = treat(crm, "k1", case_id=case["id"], treated_at="2024-05-01T10:00:00Z").json()
    latest = treat(crm, "k2", case_id=case["id"]).json()
    treat(crm, "k3", customer_id="bob")
    about = {"customer_id": "ann", "case_id": case["id"]}
    first = outcome(crm, "k4", {**about, "outcome": "no_answer"}).json()["results"][0]["outcome"]
    assert first["treatment_id"] == latest["id"]
    detail = crm.get(f"/v1/cases/{case['id']}").json()
    assert (detail["status"], detail["outcome"], detail["revision"]) == ("open", "no_answer", 2)
    assert [one["id"] for one in detail["treatments"]] == [latest["id"], earlier["id"]]
    outcome(crm, "k5", {**about, "outcome": "saved", "treatment_id": earlier["id"], "reason": "new price"})
    detail = crm.get(f"/v1/cases/{case['id']}").json()
    assert (detail["status"], detail["outcome"], detail["outcome_reason"]) == ("done", "saved", "new price")
    assert [one["outcome"] for one in detail["outcomes"]] == ["saved", "no_answer"]


def test_a_treatment_or_outcome_of_another_customers_case_is_refused(crm: Client) -> None:
    case = crm.post("/v1/cases", json={"customer_id": "ann", "reason": "silence"}).json()
    assert treat(crm, "k1", customer_id="bob", case_id=case["id"]).status_code == 422
    assert treat(crm, "k1", customer_id="bob", case_id=999).status_code == 404
    ann = treat(crm, "k2").json()
    result = outcome(crm, "k3", {"customer_id": "bob", "outcome": "reached", "treatment_id": ann["id"]})
    assert result.json()["results"][0]["problem"] == "invalid"


def test_a_contact_and_its_outcome_are_recorded_at_once(crm: Client, database: Database) -> None:
    file = current(database)
    with connected(database) as connection:
        case = open_case(connection, vera(database), "ann", "silence", {}, file)
        contact = Contact("ann", "keep", "phone", case_id=case.id)
        treatment, came = record_contact(connection, vera(database), contact, "saved", "a call was enough", file)
        assert (came.treatment_id, came.case_id) == (treatment.id, case.id)
        assert read_case(connection, "default", case.id).status == "done"


def test_pages_of_treatments_hold_every_one_once(crm: Client) -> None:
    made = [treat(crm, f"k{n}", treated_at=f"2024-05-0{1 + n // 2}T10:00:00Z").json()["id"] for n in range(7)]
    seen: list[int] = []
    cursor = ""
    while True:
        page = crm.get(f"/v1/treatments?limit=2{cursor}").json()
        seen += [one["id"] for one in page["treatments"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert sorted(seen) == made
    assert crm.get("/v1/treatments?since=2024-05-04T00:00:00Z").json()["treatments"][0]["id"] == made[-1]
