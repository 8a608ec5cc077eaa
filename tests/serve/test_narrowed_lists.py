"""The list by what people do with its customers: whose cases they are, and when they were contacted."""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from acting_people import planned
from scoring_runs import Client, Publish, full_url

from fedelta.serve.acting import narrowing
from fedelta.serve.app import create_app
from fedelta.serve.caller.keys import create_key
from fedelta.serve.operational.database import Database

NAMES = [f"c{number:02}" for number in range(24)]
OWNERS = {name: ("ada", "ben", None)[number % 3] for number, name in enumerate(NAMES)}
DAYS = {name: (0.5, 6, 40, None)[number % 4] for number, name in enumerate(NAMES)}  # since they were contacted
CLOSED = {"c00", "c07"}


@pytest.fixture
def crm(database: Database, publish_customers: Publish, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A client of a service whose customers have cases and treatments; a change is seen at once."""
    monkeypatch.setattr(narrowing, "SECONDS", 0.0)
    publish_customers(*(planned(name, value_at_risk=100.0 - n) for n, name in enumerate(NAMES)))
    app = create_app(full_url(database), look_again=0)
    scopes = ["write:cases", "write:outcome", "read:list"]
    client = Client(app, create_key(database, "crm", scopes)[0])
    for name, owner in OWNERS.items():
        if owner is not None:
            case = sent(client, "/v1/cases", customer_id=name, reason="silence", owner=owner)
            if name in CLOSED:
                headers = {"If-Match": f'"{case["revision"]}"'}
                done = client.request(
                    "PATCH", f"/v1/cases/{case['id']}", json={"status": "done", "outcome": "no_answer"}, headers=headers
                )
                assert done.status_code == 200, done.text
    for name, days in DAYS.items():
        if days is not None:
            at = (datetime.now(UTC) - timedelta(days=days)).isoformat()
            sent(client, "/v1/treatments", {"Idempotency-Key": name}, customer_id=name, treated_at=at)
    yield client
    client.close()
    app.state.store.close()


def sent(client: Client, path: str, headers: dict[str, str] | None = None, **fields: object) -> Any:
    answer = client.post(path, json=fields, headers=headers or {})
    assert answer.status_code == 200, answer.text
    return answer.json()


def expected(owners: tuple[str, ...], within: int | None, not_within: int | None) -> list[str]:
    return [
        name
        for name in NAMES
        if (not owners or (OWNERS[name] in owners and name not in CLOSED))
        and (within is None or (DAYS[name] is not None and DAYS[name] <= within))
        and (not_within is None or DAYS[name] is None or DAYS[name] > not_within)
    ]


def test_a_list_has_those_whom_a_plain_filter_has_on_pages_and_in_files(crm: Client) -> None:
    for owners, within, not_within in product([(), ("ada",), ("ada", "ben"), ("eve",)], [None, 1, 30], [None, 7]):
        filters = {"contacted_within": within, "not_contacted_within": not_within}
        pairs = [*(("owner", name) for name in owners), *((k, str(v)) for k, v in filters.items() if v is not None)]
        query = "&".join(f"{name}={value}" for name, value in pairs)
        wanted = expected(owners, within, not_within)
        first = crm.get(f"/v1/at-risk?limit=5&{query}").json()
        assert first["total"] == len(wanted)
        found, following = [row["customer_id"] for row in first["customers"]], first["next"]
        while following:
            page = crm.get(following).json()
            found += [row["customer_id"] for row in page["customers"]]
            following = page["next"]
        assert found == wanted
        rows = csv.DictReader(io.StringIO(crm.get(f"/v1/at-risk?format=csv&{query}").text))
        assert [row["customer_id"] for row in rows] == wanted


def test_a_change_of_owner_is_seen_and_what_another_tenant_does_is_not(
    crm: Client, database: Database, publish_customers: Publish
) -> None:
    sent(crm, "/v1/cases", customer_id="c02", reason="silence", owner="eve")
    ids = [row["customer_id"] for row in crm.get("/v1/at-risk?owner=eve").json()["customers"]]
    assert ids == ["c02"]
    publish_customers(planned("c02"), tenant="other")
    key, _ = create_key(database, "other", ["read:list"], tenant="other")
    headers = {"Authorization": f"Bearer {key}"}
    assert crm.get("/v1/at-risk?owner=eve", headers=headers).json()["total"] == 0
    assert crm.get("/v1/at-risk?not_contacted_within=3650", headers=headers).json()["total"] == 1


def test_what_cannot_be_is_refused_and_a_cursor_goes_with_its_owner_alone(crm: Client) -> None:
    for query in ("owner=a%00b", "contacted_within=0", "not_contacted_within=9999", "contacted=3"):
        assert crm.get(f"/v1/at-risk?{query}").status_code == 422, query
    following = crm.get("/v1/at-risk?limit=1&owner=ada").json()["next"]
    assert crm.get(following.replace("owner=ada", "owner=ben")).status_code == 400
