"""The matrix of who may do what: every operation of the application × every scope × no, wrong, expired, revoked."""

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import FastAPI
from scoring_runs import Client, Publish, customer, full_url

from fedelta.serve.app import create_app
from fedelta.serve.caller.keys import create_key, revoke_key
from fedelta.serve.caller.rules import OPEN, Rule, Rules
from fedelta.serve.caller.scopes import SCOPES
from fedelta.serve.caller.settings import Settings, TokenSettings
from fedelta.serve.operational.database import Database

ISSUER = TokenSettings("https://id.example.org", "fedelta", "https://id.example.org/jwks")
PRIVATE = ec.generate_private_key(ec.SECP256R1())
PUBLIC = {**json.loads(jwt.algorithms.ECAlgorithm.to_jwk(PRIVATE.public_key())), "kid": "k"}


@pytest.fixture
def app(database: Database, publish_customers: Publish, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    publish_customers(customer("ann"))
    document = json.dumps({"keys": [PUBLIC]}).encode()
    monkeypatch.setattr("fedelta.serve.caller.tokens.fetched", lambda _url: document)
    settings = Settings(access_log="off", rate_per_second=0, failures_per_minute=100_000, tokens=ISSUER)
    return create_app(full_url(database), settings)


@pytest.fixture
def anybody(app: FastAPI) -> Iterator[Client]:
    client = Client(app)
    yield client
    client.close()
    client.store.close()


def rules(app: FastAPI) -> list[tuple[str, Rule]]:
    """Those that keys open: who opens the desk is in desk/test_desk_roles.py."""
    found = [each for each in Rules(app.routes) if not each[1].template.startswith("/desk")]
    assert len(found) >= 10
    return found


def ask(client: Client, method: str, rule: Rule, credential: str | None, header: str = "Authorization") -> int:
    """The status of a request that nothing but its caller can be wrong with, or its body."""
    path = re.sub(r"{[^}]+}", "ann", rule.template)
    value = f"Bearer {credential}" if header == "Authorization" else credential
    return client.request(method, path, headers={header: value} if credential is not None else {}).status_code


def token(scope: str, *, ends_in: float = 300, **claims: Any) -> str:
    content = {
        "iss": ISSUER.issuer, "aud": ISSUER.audience, "sub": "crm", "tenant": "default", "scope": scope,
        "exp": time.time() + ends_in,
    }  # fmt: skip
    return jwt.encode(content | claims, PRIVATE, "ES256", headers={"kid": "k"})


def test_every_route_declares_who_may_reach_it(app: FastAPI) -> None:
    assert Rules(app.routes).undeclared == []
    for _, rule in rules(app):
        assert (rule.scopes is None) == (rule.template in OPEN)
        assert (rule.scopes or frozenset()) <= set(SCOPES)


@pytest.mark.parametrize("kind", ["key", "token"])
def test_each_scope_opens_what_names_it_and_nothing_else(
    app: FastAPI, anybody: Client, database: Database, kind: str
) -> None:
    for scope in SCOPES:
        credential = create_key(database, scope, [scope])[0] if kind == "key" else token(scope)
        for method, rule in rules(app):
            status = ask(anybody, method, rule, credential)
            if rule.scopes is None or scope in rule.scopes:
                assert status not in (401, 403), (scope, method, rule.template)
            else:
                assert status == 403, (scope, method, rule.template)


def test_nothing_but_what_is_open_answers_without_a_good_credential(
    app: FastAPI, anybody: Client, database: Database
) -> None:
    everything = [*SCOPES]
    good, _ = create_key(database, "good", everything)
    revoked, _ = create_key(database, "revoked", everything)
    revoke_key(database, "revoked")
    scopes = " ".join(SCOPES)
    bad = [
        None, "", "wrong", good[:-1], good + "x", good.upper(), good[:14], f"{good} {good}", revoked,
        "fdl_0123456789_" + "a" * 43, token(scopes, ends_in=-60), token(scopes, aud="others"), token(scopes)[:-5],
    ]  # fmt: skip
    for method, rule in rules(app):
        for credential in bad:
            status = ask(anybody, method, rule, credential)
            assert (status == 401) == (rule.scopes is not None), (method, rule.template, credential)
        assert ask(anybody, method, rule, good) not in (401, 403)
        assert ask(anybody, method, rule, good, "X-API-Key") not in (401, 403)


def test_who_may_not_is_refused_before_the_body_is_read(app: FastAPI, anybody: Client, database: Database) -> None:
    key, _ = create_key(database, "narrow", ["read:metrics"])
    sent = 0

    async def body() -> Any:
        nonlocal sent
        sent += 1
        yield b"{"

    for headers, status in (({}, 401), ({"X-API-Key": key}, 403)):
        answer = anybody.post("/v1/scores:batch", content=body(), headers=headers)
        assert (answer.status_code, sent) == (status, 0)


def test_a_refusal_says_what_is_needed(anybody: Client, database: Database) -> None:
    key, _ = create_key(database, "narrow", ["read:list"])
    refused = anybody.get("/v1/customers/ann/score", headers={"X-API-Key": key})
    assert 'error="insufficient_scope", scope="read:score"' in refused.headers["www-authenticate"]
    assert "read:score" in refused.json()["detail"]
    unknown = anybody.get("/v1/customers/ann/score")
    assert unknown.headers["www-authenticate"] == 'Bearer realm="fedelta"'
