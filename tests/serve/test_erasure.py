"""Erasure: gone at once, from everything that is kept, and nobody comes back."""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import httpx
import polars as pl
import pytest
import sqlalchemy as sa
from acting_people import connected, current, held_out, planned, vera, within
from scoring_runs import AS_OF, Client, Publish, customer, full_url, running, unscored, write

from fedelta.cli import main
from fedelta.features.contract import INTERACTIONS
from fedelta.serve.acting import erasure
from fedelta.serve.acting.cases import open_case
from fedelta.serve.acting.notes import add_note
from fedelta.serve.acting.outcomes import Came, record_outcomes
from fedelta.serve.acting.run_cases import update_cases
from fedelta.serve.acting.treatments import Contact, record_treatment
from fedelta.serve.app import create_app
from fedelta.serve.caller.keys import create_key
from fedelta.serve.caller.scopes import SCOPES
from fedelta.serve.operational.database import Database, DatabaseError
from fedelta.serve.operational.erasures import make_key
from fedelta.serve.operational.pointer import tell
from fedelta.serve.operational.tables import audit, erased_rows, erasures, metadata, now, outbox, webhooks
from fedelta.serve.snapshots.histories import Histories, write_histories
from fedelta.serve.snapshots.publish import publish


@pytest.fixture
def everything(database: Database, publish_customers: Publish) -> Iterator[Client]:
    """A client that may do everything, of a service with three customers."""
    publish_customers(planned("ann", value_at_risk=300.0), planned("bob"), unscored("cid"))
    app = create_app(full_url(database), look_again=0)
    client = Client(app, create_key(database, "dpo", [*SCOPES])[0])
    yield client
    client.close()
    app.state.store.close()


def erase(client: Client, customer_id: str) -> dict[str, object]:
    answer = client.request("DELETE", f"/v1/customers/{customer_id}")
    assert answer.status_code == 200, answer.text
    receipt: dict[str, object] = answer.json()
    return receipt


@pytest.mark.parametrize(
    "customer_id",
    ["a/b", "a/../b", "/", "a\nb", "a\r", "\0", " ", "\u202e\U0001f600", "\ufffd", "%2F", "x" * 3_000],
)
def test_anybody_can_be_erased_whatever_their_id(
    everything: Client, publish_customers: Publish, customer_id: str
) -> None:
    publish_customers(planned(customer_id), planned("bob"))
    erase(everything, quote(customer_id, safe=""))
    answer = everything.post("/v1/scores:batch", json={"customer_ids": [customer_id, "bob"]})
    assert [one["status"] for one in answer.json()["results"]] == ["not_found", "found"]


@pytest.mark.parametrize("address", ["%E9", "%C0%AF", "%ED%A0%80", "a%FFb"])
def test_nobody_is_erased_by_an_address_that_is_no_text(everything: Client, database: Database, address: str) -> None:
    """It would be another customer, or none, and the receipt would say that all is well."""
    assert everything.request("DELETE", f"/v1/customers/{address}").status_code == 400
    assert everything.request("DELETE", "/v1/customers/").status_code == 404
    with connected(database) as connection:
        assert connection.execute(sa.select(erasures)).all() == []


def erase_here(database: Database, *customer_ids: str) -> None:
    assert main(["erase", *customer_ids, "--database", full_url(database)]) == 0


def test_nothing_is_received_of_who_was_erased_by_another_worker_a_moment_ago(
    database: Database, publish_customers: Publish
) -> None:
    publish_customers(planned("ann"), planned("bob"))
    app = create_app(full_url(database), look_again=3_600)  # it hears of nothing
    client = Client(app, create_key(database, "crm", ["write:interactions", "read:score"])[0])
    try:
        assert client.get("/v1/customers/ann/score").status_code == 200
        erase_here(database, "ann")
        rows = [
            {"interaction_id": f"i-{who}", "customer_id": who, "occurred_at": "2024-01-01T00:00:00Z", "kind": "visit"}
            for who in ("ann", "bob")
        ]
        answer = client.post("/v1/interactions", json={"interactions": rows}).json()
        assert [one["status"] for one in answer["results"]] == ["invalid", "accepted"]
        assert answer["accepted"] == 1
        assert "i-ann" not in stored(database)
    finally:
        client.close()
        app.state.store.close()


def test_nothing_is_kept_of_who_was_erased_by_another_worker_a_moment_ago(
    database: Database, publish_customers: Publish
) -> None:
    publish_customers(planned("ann"), planned("bob"))
    app = create_app(full_url(database), look_again=3_600)  # it hears of nothing
    client = Client(app, create_key(database, "crm", ["read:score", "write:cases", "write:outcome"])[0])
    try:
        assert client.get("/v1/customers/ann/score").status_code == 200
        erase_here(database, "ann")
        headers = {"Idempotency-Key": "k1"}
        posts: dict[str, Mapping[str, object]] = {
            "/v1/cases": {"customer_id": "ann", "reason": "x"},
            "/v1/treatments": {"customer_id": "ann"},
        }
        for path, body in posts.items():
            refused = client.post(path, json=body, headers=headers)
            assert (refused.status_code, refused.json()["type"]) == (410, "urn:fedelta:problem:erased"), path
        several = [{"customer_id": who, "outcome": "reached"} for who in ("ann", "bob")]
        results = client.post("/v1/outcomes", json={"outcomes": several}, headers=headers).json()["results"]
        assert [one.get("problem") for one in results] == ["erased", None]
        client.post("/v1/scores:batch", json={"customer_ids": ["bob", "ann"]})
    finally:
        client.close()
        app.state.audit.close()
        app.state.store.close()
    kept = stored(database)
    assert "ann" not in kept
    assert kept.count(make_key(database).hashed("ann")) >= 2  # on the list, and read in the audit


@pytest.mark.parametrize("what", ["case", "note", "contact", "outcome"])
def test_what_is_being_written_when_an_erasure_comes_goes_with_it(
    database: Database, publish_customers: Publish, what: str
) -> None:
    """The erasure waits for the other's transaction, on both databases."""
    publish_customers(planned("ann"), planned("bob"))
    file, actor = current(database), vera(database)
    case = within(database, lambda connection: open_case(connection, actor, "ann", "delivery", {}, file))
    write: dict[str, Callable[[sa.Connection], object]] = {
        "case": lambda connection: open_case(connection, actor, "ann", "silence", {}, file),
        "note": lambda connection: add_note(connection, actor, case.id, "angry"),
        "contact": lambda connection: record_treatment(connection, actor, Contact("ann"), file),
        "outcome": lambda connection: record_outcomes(connection, actor, [Came("ann", "reached")], file),
    }
    erasing = threading.Thread(target=erase_here, args=(database, "ann"))
    with connected(database) as connection:
        write[what](connection)
        erasing.start()
        erasing.join(0.5)
        assert erasing.is_alive()
    erasing.join(60)
    assert "ann" not in stored(database)


def test_a_run_that_began_before_an_erasure_opens_and_enters_nothing_of_them(
    database: Database, publish_customers: Publish
) -> None:
    publish_customers(planned("ann"), planned("bob"))
    file = current(database)
    erase_here(database, "ann")
    with database.engine() as engine:
        done = update_cases(engine, vera(database), file)
    assert (done.opened, done.treated) == (1, 1)
    assert "ann" not in stored(database)


def listed(client: Client) -> list[str]:
    return [one["customer_id"] for one in client.get("/v1/at-risk").json()["customers"]]


def stored(database: Database) -> str:
    """All that the operational database holds, as text."""
    with connected(database) as connection:
        tables = [table for table in metadata.sorted_tables if table.name != "snapshots"]
        return "\n".join(str(row) for table in tables for row in connection.execute(sa.select(table)))


def test_who_is_erased_is_gone_from_every_read_at_once(everything: Client, database: Database) -> None:
    for path in ("/v1/at-risk", "/v1/at-risk?sort=probability&limit=1", "/v1/at-risk?format=csv"):
        assert "ann" in everything.get(path).text
    receipt = erase(everything, "ann")
    assert receipt["hidden_in"] == [current(database).snapshot_id]
    assert everything.get("/v1/customers/ann/score").status_code == 404
    batch = everything.post("/v1/scores:batch", json={"customer_ids": ["ann", "bob"]}).json()
    assert [one["status"] for one in batch["results"]] == ["not_found", "found"]
    page = everything.get("/v1/at-risk").json()
    assert (page["total"], [one["customer_id"] for one in page["customers"]]) == (1, ["bob"])
    for form in ("csv", "ndjson"):
        text = everything.get(f"/v1/at-risk?format={form}").text
        assert not re.search(r"\bann\b", text)
        assert "bob" in text
    parquet = everything.get("/v1/at-risk?format=parquet&holdout=include").content
    assert pl.read_parquet(parquet)["customer_id"].to_list() == ["bob"]
    erase(everything, "cid")
    assert everything.get("/v1/customers/cid/score").status_code == 404
    erase(everything, "bob")
    assert everything.get("/v1/at-risk").json()["total"] == 0


def test_all_that_was_collected_is_gone_and_others_stay(everything: Client, database: Database) -> None:
    file = current(database)
    with connected(database) as connection:
        for who in ("ann", "bob"):
            case = open_case(connection, vera(database), who, "silence", {}, file)
            add_note(connection, vera(database), case.id, f"{who} is angry")
            record_treatment(connection, vera(database), Contact(who, case_id=case.id), file)
            record_outcomes(connection, vera(database), [Came(who, "reached", case_id=case.id)], file)
        both = [{"customer_id": "ann", "risk_tier": "high"}, {"customer_id": "bob", "risk_tier": "low"}]
        made = {
            "url": "https://crm.example.org",
            "types": " score.tier_changed ",
            "secret": "x",
            "created_by": "vera",
            "failures": 0,
        }
        connection.execute(webhooks.insert().values(made | {"id": "w1", "tenant": "default", "created_at": now()}))
        tell(connection, "default", "score.tier_changed", [json.dumps({"changes": both}), '{"customer_id":"ann"}'])
    with database.engine() as engine:
        update_cases(engine, vera(database), file)
    for key, who in (("k1", "ann"), ("k2", "bob")):
        headers = {"Idempotency-Key": key}
        assert everything.post("/v1/treatments", json={"customer_id": who}, headers=headers).status_code == 200
    several = {"outcomes": [{"customer_id": who, "outcome": "reached"} for who in ("ann", "bob")]}
    outcomes = everything.post("/v1/outcomes", json=several, headers={"Idempotency-Key": "k3"}).json()
    removed = erase(everything, "ann")["removed"]
    assert removed == {
        "cases": 1, "case_notes": 1, "treatments": 2, "outcomes": 2, "entries": 1, "outbox": 2, "idempotency_keys": 2,
    }  # fmt: skip
    left = stored(database)
    assert not re.search(r"\bann\b", left)
    assert "bob is angry" in left
    with connected(database) as connection:
        payloads = connection.execute(sa.select(outbox.c.payload).where(outbox.c.type == "score.tier_changed"))
        assert [json.loads(one) for one in payloads.scalars()] == [{"changes": [both[1]]}]
    again = everything.post("/v1/outcomes", json=several, headers={"Idempotency-Key": "k3"}).json()
    assert again["results"] == outcomes["results"][1:]
    assert erase(everything, "ann")["removed"] == {}


def test_the_audit_keeps_what_was_done_under_the_hash(everything: Client, database: Database) -> None:
    file = current(database)
    within(database, lambda connection: open_case(connection, vera(database), "ann", "silence", {}, file))
    receipt = erase(everything, "ann")
    everything.get("/v1/customers/ann/score")
    everything.request("DELETE", "/v1/customers/ann")
    time.sleep(1.2)  # reads are in the audit within a second
    with connected(database) as connection:
        rows = connection.execute(sa.select(audit.c.action, audit.c.subject).order_by(audit.c.id)).all()
    assert "ann" not in {row.subject for row in rows}
    about = [row.action for row in rows if row.subject == receipt["hashed_id"]]
    assert sorted(about) == ["case.opened", "customer.erased", "customer.erased", "read_score"]


def test_long_audits_are_hashed_in_parts(
    everything: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connected(database) as connection:
        for number in range(7):
            vera(database).note(connection, "looked", "ann" if number % 2 else "bob", also=["ann", f"ann{number}"])
    monkeypatch.setattr(erasure, "AUDIT_AT_ONCE", 2)
    erase(everything, "ann")
    with connected(database) as connection:
        rows = connection.execute(sa.select(audit.c.subject, audit.c.details).where(audit.c.action == "looked")).all()
    assert not any('"ann"' in row.details or row.subject == "ann" for row in rows)
    assert [row.subject for row in rows].count("bob") == 4
    assert "ann3" in rows[3].details


def test_nothing_about_who_was_erased_is_taken(everything: Client) -> None:
    erase(everything, "ann")
    headers = {"Idempotency-Key": "k1"}
    assert everything.post("/v1/cases", json={"customer_id": "ann", "reason": "x"}).status_code == 404
    refused = everything.post("/v1/treatments", json={"customer_id": "ann", "happened": True}, headers=headers)
    assert (refused.status_code, refused.json()["type"]) == (410, "urn:fedelta:problem:erased")
    body = {"outcomes": [{"customer_id": "ann", "outcome": "reached", "happened": True}]}
    assert everything.post("/v1/outcomes", json=body, headers=headers).json()["results"][0]["problem"] == "erased"


def test_publishing_the_old_file_again_brings_nobody_back(
    everything: Client, database: Database, publish_customers: Publish, tmp_path: Path
) -> None:
    before = publish_customers(planned("ann", value_at_risk=300.0), planned("bob"), unscored("cid"))
    old = database.snapshots / "default" / f"{before.snapshot_id}.bodies"
    assert b'"ann"' in old.read_bytes()
    erase(everything, "ann")
    for _ in range(2):
        again = publish(tmp_path / "scores.parquet", database)
        assert again.snapshot_id != before.snapshot_id
        assert again.customers == 2
        assert listed(everything) == ["bob"]
        assert everything.get("/v1/customers/ann/score").status_code == 404
    assert not any(b'"ann"' in path.read_bytes() for path in (database.snapshots / "default").iterdir())
    with connected(database) as connection:
        assert connection.execute(sa.select(erased_rows)).all() == []
    assert everything.get("/v1/models/current").json()["customers"] == 2
    with database.engine() as engine:
        assert update_cases(engine, vera(database), current(database)).opened == 1


def test_a_run_without_anybody_erased_keeps_its_name(
    database: Database, publish_customers: Publish, everything: Client
) -> None:
    before = publish_customers(planned("zoe"))
    erase(everything, "nobody")
    assert publish_customers(planned("zoe")).snapshot_id == before.snapshot_id


def test_every_earlier_run_that_holds_them_goes_with_the_next_publish(
    database: Database, publish_customers: Publish, everything: Client
) -> None:
    publish_customers(planned("ann"))
    publish_customers(planned("zoe"))
    erase_here(database, "ann")
    publish_customers(planned("zoe"), planned("bob"))
    assert not any(b'"ann"' in path.read_bytes() for path in (database.snapshots / "default").iterdir())
    assert listed(everything) == ["bob", "zoe"]


def test_who_is_erased_while_a_run_is_written_is_not_in_it(
    everything: Client, database: Database, publish_customers: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fedelta.serve.snapshots.publish as module

    wait = module.write_snapshot

    def write_slowly(*values: object) -> None:
        wait(*values)  # type: ignore[arg-type]
        erase_here(database, "ann")

    monkeypatch.setattr(module, "write_snapshot", write_slowly)
    publish_customers(planned("ann"), planned("zoe"))
    assert listed(everything) == ["zoe"]
    monkeypatch.undo()


def test_the_key_is_a_secret_file_and_without_it_nothing_is_published(
    everything: Client, database: Database, publish_customers: Publish
) -> None:
    receipt = erase(everything, "ann")
    key = database.erasure_key
    assert key.stat().st_mode & 0o777 == 0o600
    assert make_key(database).hashed("ann") == receipt["hashed_id"]
    secret = key.read_bytes()
    key.unlink()
    with pytest.raises(DatabaseError, match="is missing"):
        publish_customers(planned("ann"))
    make_key(database)
    with pytest.raises(DatabaseError, match="is another one"):
        publish_customers(planned("ann"))
    assert main(["erase", "bob", "--database", full_url(database)]) == 1
    key.write_bytes(secret)
    publish_customers(planned("ann"), planned("bob"))
    assert listed(everything) == ["bob"]


def test_the_list_has_hashes_alone_and_the_project_gets_it(
    everything: Client, database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    erase(everything, "ann")
    assert not Path("erased").exists()
    Path("erased").mkdir()
    receipt = erase(everything, "bob")
    lines = Path("erased/default.txt").read_text().splitlines()
    assert len(lines) == 2
    assert receipt["hashed_id"] in lines
    assert all(re.fullmatch("[0-9a-f]{64}", line) for line in lines)
    assert main(["export-erased", str(tmp_path / "elsewhere"), "--database", full_url(database)]) == 0
    assert "2 erased" in capsys.readouterr().out
    assert (tmp_path / "elsewhere" / "default.txt").read_text().splitlines() == lines


def test_a_project_does_not_list_who_was_erased_elsewhere(
    everything: Client, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "project" / "erased").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project")
    erase(everything, "ann")
    erase_here(database, "bob")
    assert list(Path("erased").iterdir()) == []


def test_the_command_prints_a_receipt_for_each(
    database: Database, publish_customers: Publish, capsys: pytest.CaptureFixture[str]
) -> None:
    publish_customers(planned("ann"), planned("bob"))
    erase_here(database, "ann", "nobody")
    receipts = json.loads(capsys.readouterr().out)
    assert [len(one["hidden_in"]) for one in receipts] == [1, 0]
    with connected(database) as connection:
        assert set(connection.execute(sa.select(erasures.c.hashed_id)).scalars()) == {
            one["hashed_id"] for one in receipts
        }


def test_ids_of_any_form_are_erased(everything: Client, publish_customers: Publish) -> None:
    names = ["a b", "è✓", 'qu"ote', "a%b_c", "line\nbreak", "x" * 300]
    publish_customers(*(planned(name) for name in names))
    for name in map(quote, names):
        assert everything.get(f"/v1/customers/{name}/score").status_code == 200
        assert everything.request("DELETE", f"/v1/customers/{name}").status_code == 200
    assert listed(everything) == []
    assert everything.request("DELETE", "/v1/customers/a%00b").status_code == 200


def test_two_tenants_do_not_erase_each_others_customers(
    everything: Client, database: Database, publish_customers: Publish
) -> None:
    publish_customers(planned("ann"), tenant="other")
    app = create_app(full_url(database), look_again=0)
    other = Client(app, create_key(database, "other", [*SCOPES], tenant="other")[0])
    erase(everything, "ann")
    assert listed(other) == ["ann"]
    assert publish_customers(planned("ann"), tenant="other").customers == 1
    other.close()
    app.state.store.close()


def test_other_processes_see_it_without_a_restart(sqlite_database: Database, tmp_path: Path) -> None:
    publish(write(tmp_path / "run.parquet", customer("ann"), held_out("hal")), sqlite_database)
    headers = {"X-API-Key": create_key(sqlite_database, "crm", ["read:score"])[0]}
    with running(full_url(sqlite_database), options=["--workers", "2"]) as address:
        assert httpx.get(f"{address}/v1/customers/ann/score", headers=headers, timeout=30).status_code == 200
        erase_here(sqlite_database, "ann")
        in_a_row, until = 0, time.monotonic() + 60
        while in_a_row < 20 and time.monotonic() < until:  # each worker looks within a second, on a quiet machine
            answer = httpx.get(f"{address}/v1/customers/ann/score", headers=headers, timeout=30)
            in_a_row = in_a_row + 1 if answer.status_code == 404 else 0
        assert in_a_row == 20


def test_the_histories_beside_a_snapshot_lose_who_was_erased(tmp_path: Path) -> None:
    rows = [
        dict.fromkeys(INTERACTIONS)
        | {"interaction_id": str(n), "customer_id": who, "occurred_at": AS_OF, "kind": "purchase", "channel": "web"}
        for n, who in enumerate(["ann", "ann", "bob"])
    ]
    interactions = tmp_path / "interactions"
    interactions.mkdir()
    pl.DataFrame(rows, schema=INTERACTIONS).write_parquet(interactions / "bucket-0.parquet")
    pl.DataFrame({"customer_id": ["ann", "bob"]}).write_parquet(tmp_path / "customers.parquet")
    for name, erased, left in (("all", frozenset[str](), ["ann", "ann", "bob"]), ("some", frozenset({"ann"}), ["bob"])):
        (tmp_path / name).mkdir()
        write_histories(tmp_path / name, interactions, tmp_path / "customers.parquet", erased)
        histories = Histories(tmp_path / name)
        assert histories.interactions(["ann", "bob"])["customer_id"].to_list() == left
        known = histories.customers(["ann", "bob"])
        assert known is not None
        assert known["customer_id"].to_list() == list(dict.fromkeys(left))
        histories.close()


def test_the_tables_for_reverse_etl_lose_who_was_erased(
    database: Database, publish_customers: Publish, tmp_path: Path
) -> None:
    publish_customers(planned("ann"), planned("bob"))
    export = ["export-scores", "--to", f"sqlite:///{tmp_path}/crm.db", "--database", full_url(database)]
    assert main(export) == 0
    erase_here(database, "ann")
    assert main(export) == 0
    engine = sa.create_engine(f"sqlite:///{tmp_path}/crm.db")
    with engine.begin() as connection:
        assert connection.execute(sa.text("SELECT customer_id FROM fedelta_scores")).scalars().all() == ["bob"]
    engine.dispose()
