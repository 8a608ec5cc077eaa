"""Tokens of an issuer: taken when everything in them is right, with the issuer's keys served over real HTTP."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from typing import Any, NoReturn

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from receivers import answering
from scoring_runs import Client, Publish, customer, full_url

from fedelta.serve.app import create_app
from fedelta.serve.caller import tokens
from fedelta.serve.caller.settings import SettingRefused, Settings, TokenSettings
from fedelta.serve.operational.database import Database

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Issuer:
    """An address that serves public keys, counts how often, and can be told to serve others."""

    def __init__(self) -> None:
        self.asked = 0
        self.keys: list[dict[str, Any]] = [
            public(RSA, jwt.algorithms.RSAAlgorithm, "rsa"),
            public(EC, jwt.algorithms.ECAlgorithm, "ec"),
            public(ED, jwt.algorithms.OKPAlgorithm, "ed"),
        ]
        self.server = answering(self.answer)

    def answer(self, _: object) -> object:
        self.asked += 1
        return {"keys": self.keys}

    @property
    def settings(self) -> TokenSettings:
        return TokenSettings("https://id.example.org", "fedelta", f"http://127.0.0.1:{self.server.server_port}/jwks")


def public(key: Any, algorithm: Any, name: str) -> dict[str, Any]:
    return {**json.loads(algorithm.to_jwk(key.public_key())), "kid": name, "use": "sig"}


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    issuer = Issuer()
    yield issuer
    issuer.server.shutdown()
    issuer.server.server_close()


@pytest.fixture
def client(database: Database, issuer: Issuer, publish_customers: Publish) -> Iterator[Client]:
    publish_customers(customer("ann"))
    settings = Settings(access_log="off", tokens=issuer.settings)
    client = Client(create_app(full_url(database), settings))
    yield client
    client.close()
    client.store.close()


def token(key: Any = RSA, algorithm: str = "RS256", kid: str | None = "rsa", **changes: Any) -> str:
    claims = {
        "iss": "https://id.example.org", "aud": "fedelta", "sub": "crm", "tenant": "default",
        "scope": "openid read:score", "exp": time.time() + 300,
    } | changes  # fmt: skip
    present = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(present, key, algorithm, headers={"kid": kid} if kid else {})


def status(client: Client, credential: str, path: str = "/v1/customers/ann/score") -> int:
    return client.get(path, headers={"Authorization": f"Bearer {credential}"}).status_code


@pytest.mark.parametrize(("key", "algorithm", "kid"), [(RSA, "RS256", "rsa"), (EC, "ES256", "ec"), (ED, "EdDSA", "ed")])
def test_a_good_token_may_what_its_scopes_say(client: Client, key: Any, algorithm: str, kid: str) -> None:
    good = token(key, algorithm, kid)
    assert status(client, good) == 200
    assert status(client, good, "/v1/at-risk") == 403
    assert status(client, token(key, algorithm, kid, scope=["read:list"]), "/v1/at-risk") == 200
    assert status(client, token(key, algorithm, kid, scope=None)) == 403


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "others"}, {"aud": None}, {"iss": "https://evil.example.org"}, {"iss": None}, {"exp": 0}, {"exp": None},
        {"nbf": 9e9}, {"sub": None}, {"tenant": None}, {"tenant": ["a"]}, {"tenant": ""}, {"tenant": "a\nb"},
        {"sub": ""}, {"tenant": "Default"}, {"tenant": "../other"}, {"tenant": "a" * 64},
    ],
)  # fmt: skip
def test_a_token_that_is_wrong_in_one_claim_is_refused(client: Client, changes: dict[str, Any]) -> None:
    assert status(client, token(**changes)) == 401


def test_a_token_may_end_as_late_as_its_issuer_likes(client: Client) -> None:
    assert status(client, token(exp=10**400)) == 200


def test_whoever_is_the_first_of_a_tenant_can_write_at_once(client: Client) -> None:
    scopes = "erase admin write:interactions"
    for number, (method, path, body) in enumerate([
        ("DELETE", "/v1/customers/ann", None),
        ("POST", "/v1/webhooks", {"url": "https://example.com/hook"}),
        ("POST", "/v1/interactions", {"interactions": []}),
    ]):  # fmt: skip
        bearer = token(tenant=f"new-{number}", scope=scopes)
        headers = {"Authorization": f"Bearer {bearer}", "Idempotency-Key": "one"}
        assert client.request(method, path, json=body, headers=headers).status_code == 200
    assert status(client, token()) == 200  # who was erased is another tenant's


def test_an_answer_of_the_issuer_that_comes_byte_by_byte_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def drip(request: BaseHTTPRequestHandler) -> NoReturn:
        request.send_response(200)
        request.end_headers()
        while True:
            request.wfile.write(b"a")
            time.sleep(0.01)

    monkeypatch.setattr(tokens, "FETCH_SECONDS", 0.3)
    issuer = answering(drip)
    with pytest.raises(TimeoutError):
        tokens.fetched(f"http://127.0.0.1:{issuer.server_port}")
    issuer.shutdown()
    issuer.server_close()


def test_a_token_of_another_key_or_algorithm_is_refused(client: Client) -> None:
    pem = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    jwks = json.dumps(public(RSA, jwt.algorithms.RSAAlgorithm, "rsa")).encode()
    forged = [
        token(OTHER), token(RSA, "RS512"), token(RSA, "PS256"), token(EC, "ES256", "rsa"), token(RSA, kid="ec"),
        token(RSA, kid="unknown"), token(RSA, kid=None), token(None, "none"), *map(hs256, (pem, jwks, b"x" * 32)),
    ]  # fmt: skip
    assert status(client, token()) == 200
    for each in (*forged, token()[:-4], token()[:-4] + "AAAA", "a.b.c", "e30.e30.", "." * 3):
        assert status(client, each) == 401, jwt.get_unverified_header(each) if each.count(".") == 2 else each


def hs256(secret: bytes) -> str:
    """A token signed with a public key as if it were a secret."""
    import base64
    import hashlib
    import hmac

    head, body, _ = token().split(".")
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT","kid":"rsa"}').rstrip(b"=").decode()
    signature = hmac.new(secret, f"{head}.{body}".encode(), hashlib.sha256).digest()
    return f"{head}.{body}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def test_the_keys_of_the_issuer_are_fetched_once_whatever_tokens_come(client: Client, issuer: Issuer) -> None:
    for number in range(20):
        status(client, token(kid=f"unknown{number}"))
    assert status(client, token()) == 200
    assert issuer.asked == 1


def test_without_the_keys_of_the_issuer_nobody_can_know(database: Database, issuer: Issuer) -> None:
    settings = Settings(access_log="off", tokens=replace(issuer.settings, jwks_url="http://127.0.0.1:9/jwks"))
    client = Client(create_app(full_url(database), settings))
    assert status(client, token()) == 503
    client.close()
    client.store.close()


def test_tokens_are_taken_only_where_an_issuer_is_set(stranger: Client, publish_customers: Publish) -> None:
    publish_customers(customer("ann"))
    assert status(stranger, token()) == 401


def test_what_would_weaken_the_check_cannot_be_set() -> None:
    for wrong in ({"algorithms": ("HS256",)}, {"algorithms": ("none",)}, {"jwks_url": "http://id.example.org/jwks"}):
        with pytest.raises(SettingRefused):
            TokenSettings(**{"issuer": "a", "audience": "b", "jwks_url": "https://id.example.org/jwks", **wrong})
    with pytest.raises(SettingRefused, match="FEDELTA_SERVE_TOKEN_AUDIENCE"):
        Settings.from_environment({}, {"FEDELTA_SERVE_TOKEN_ISSUER": "a", "FEDELTA_SERVE_TOKEN_JWKS_URL": "https://a"})
