"""Reading the scores of customers one knows."""

from datetime import date
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scoring_runs import Client, Publish, customer, reason, unscored

from fedelta.serve.operational.database import Database

ODD_IDS = (
    "o'brien", 'a"b', "a/b", "/a", "a//b", "x/score", "a b", "a%2Fb", "a+b", "ü", "客户", "👩‍👩‍👧", "1.5", "..a",
    "a;b=c", "a?b#c", "a\tb", "a\nb", "=1+1", "a\\b", "' OR 1=1 --", "nul\x00l", "i" * 500, "é" * 500,
)  # fmt: skip


@pytest.fixture
def database(sqlite_database: Database) -> Database:
    """Reads ask the snapshot, whatever the operational database is."""
    return sqlite_database


def score_of(client: Client, customer_id: str) -> str:
    return f"/v1/customers/{quote(customer_id, safe='')}/score"


def test_a_customer_gets_the_fields_of_the_run_and_where_they_come_from(
    client: Client, publish_customers: Publish
) -> None:
    reasons = [reason(text="No order for 80 days", contribution=0.5, date=date(2024, 1, 31))]
    run = publish_customers(customer("ann", churn_probability=0.25, reasons=reasons, held_out=True))
    response = client.get("/v1/customers/ann/score")
    assert response.status_code == 200
    score = response.json()
    assert score["customer_id"] == "ann"
    assert score["churn_probability"] == 0.25
    assert score["as_of"] == "2024-01-01T00:00:00Z"
    assert score["reasons"] == [reasons[0] | {"date": "2024-01-31"}]
    assert score["held_out"] is True
    assert score["persona"] is None
    assert (score["model_version"], score["snapshot_id"], score["status"]) == ("m1", run.snapshot_id, "scored")
    assert score["status_reason"] is None


def test_an_unknown_customer_is_404_with_what_to_expect(client: Client, publish_customers: Publish) -> None:
    publish_customers(customer("ann"))
    response = client.get("/v1/customers/bob/score")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["type"] == "urn:fedelta:problem:unknown-customer"
    assert "'bob'" in response.json()["detail"]


@pytest.mark.parametrize("status", ["too_new", "no_history", "already_churned", "erased"])
def test_a_known_customer_without_a_score_is_200_with_the_reason(
    client: Client, publish_customers: Publish, status: str
) -> None:
    publish_customers(customer("ann"), unscored("bob", status))
    response = client.get("/v1/customers/bob/score")
    assert response.status_code == 200
    assert response.json()["status"] == status
    assert response.json()["churn_probability"] is None
    assert response.json()["status_reason"]


def test_odd_ids_are_ids_like_any_other(client: Client, publish_customers: Publish) -> None:
    publish_customers(*(customer(customer_id) for customer_id in ODD_IDS))
    for customer_id in ODD_IDS:
        response = client.get(score_of(client, customer_id))
        assert response.status_code == 200, customer_id
        assert response.json()["customer_id"] == customer_id
    batch = client.post("/v1/scores:batch", json={"customer_ids": ODD_IDS}).json()
    assert [item["score"]["customer_id"] for item in batch["results"]] == list(ODD_IDS)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(customer_id=st.text(max_size=30))
def test_no_id_breaks_the_service(client: Client, publish_customers: Publish, customer_id: str) -> None:
    publish_customers(customer("ann"))
    found = customer_id == "ann"
    if customer_id not in (".", ".."):  # a client takes these for steps of the path
        assert client.get(score_of(client, customer_id)).status_code == (200 if found else 404)
    batch = client.post("/v1/scores:batch", json={"customer_ids": [customer_id]})
    assert [item["status"] for item in batch.json()["results"]] == ["found" if found else "not_found"]


def test_ids_differ_when_their_bytes_differ(client: Client, publish_customers: Publish) -> None:
    publish_customers(customer("Ann"), customer("e\u0301"))
    assert client.get(score_of(client, "ann")).status_code == 404
    assert client.get(score_of(client, "\u00e9")).status_code == 404
    assert client.get(score_of(client, "e\u0301")).status_code == 200


def test_a_score_is_not_sent_again_until_there_is_a_new_one(client: Client, publish_customers: Publish) -> None:
    publish_customers(customer("ann"))
    tag = client.get("/v1/customers/ann/score").headers["etag"]
    for header in (tag, f'"other", W/{tag}', "*"):
        response = client.get("/v1/customers/ann/score", headers={"If-None-Match": header})
        assert (response.status_code, response.content, response.headers["etag"]) == (304, b"", tag)
    publish_customers(customer("ann", churn_probability=0.9))
    response = client.get("/v1/customers/ann/score", headers={"If-None-Match": tag})
    assert response.status_code == 200
    assert response.headers["etag"] != tag


def test_an_unknown_customer_is_404_even_to_one_who_has_the_tag(client: Client, publish_customers: Publish) -> None:
    publish_customers(customer("ann"))
    assert client.get("/v1/customers/bob/score", headers={"If-None-Match": "*"}).status_code == 404


def test_a_batch_answers_every_id_in_order_duplicates_too(client: Client, publish_customers: Publish) -> None:
    run = publish_customers(customer("ann", churn_probability=0.1), unscored("bob"))
    response = client.post("/v1/scores:batch", json={"customer_ids": ["zoe", "bob", "ann", "zoe", "ann"]})
    assert response.status_code == 200
    answer = response.json()
    assert answer["snapshot_id"] == run.snapshot_id
    assert [(item["customer_id"], item["status"]) for item in answer["results"]] == [
        ("zoe", "not_found"), ("bob", "found"), ("ann", "found"), ("zoe", "not_found"), ("ann", "found"),
    ]  # fmt: skip
    assert answer["results"][2]["score"] == client.get("/v1/customers/ann/score").json()
    assert "score" not in answer["results"][0]


def test_a_batch_takes_a_thousand_ids_and_no_more(client: Client, publish_customers: Publish) -> None:
    publish_customers(customer("ann"))
    full = client.post("/v1/scores:batch", json={"customer_ids": [f"c{i}" for i in range(1000)]})
    assert len(full.json()["results"]) == 1000
    over = client.post("/v1/scores:batch", json={"customer_ids": ["c"] * 1001})
    assert over.status_code == 422
    assert over.json()["errors"][0]["where"] == "body.customer_ids"
    assert client.post("/v1/scores:batch", json={"customer_ids": []}).json()["results"] == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[" * 100_000, 400),
        (b"\xff", 400),
        (b"[]", 422),
        (b"", 422),
        (b"{}", 422),
        (b'{"customer_ids": "ann"}', 422),
        (b'{"customer_ids": [1]}', 422),
        (b'{"customer_ids": [null]}', 422),
        (b'{"customer_ids": ["\\ud800"]}', 422),
        (b'{"customer_ids": [], "ids": []}', 422),
    ],
)
def test_a_malformed_batch_is_a_problem_never_a_crash(
    client: Client, publish_customers: Publish, body: bytes, status: int
) -> None:
    publish_customers(customer("ann"))
    response = client.post("/v1/scores:batch", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["status"] == status
