"""Signing in by an identity provider, over real HTTP: the code flow with PKCE, and all that can be wrong in it."""

import asyncio
import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import desk_company as company
import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from desk_client import Desk
from receivers import answering
from scoring_runs import full_url

from fedelta.serve.app import create_app
from fedelta.serve.caller.keys import create_key
from fedelta.serve.caller.settings import OpenIdSettings, SettingRefused, Settings
from fedelta.serve.desk.users import disable_user
from fedelta.serve.operational.database import Database

KEY = ec.generate_private_key(ec.SECP256R1())


class Issuer:
    """An identity provider that vouches for one person. ``claims`` and ``about`` change what it says."""

    def __init__(self) -> None:
        self.claims: dict[str, Any] = {"email": company.email("agent"), "email_verified": True}
        self.about: dict[str, Any] = {}
        self.asked: dict[str, str] = {}
        self.challenge = self.nonce = ""
        self.server = answering(self.answer)

    def answer(self, request: BaseHTTPRequestHandler) -> object:
        if request.command == "GET":
            key = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key())) | {"kid": "k"}
            known = {
                "issuer": self.url, "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token", "jwks_uri": f"{self.url}/keys",
            }  # fmt: skip
            return {"keys": [key]} if request.path == "/keys" else known | self.about
        form = dict(parse_qsl(request.rfile.read(int(request.headers["content-length"])).decode()))
        self.asked = form | {"authorization": request.headers["authorization"]}
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        assert base64.urlsafe_b64encode(digest).decode().rstrip("=") == self.challenge
        vouched = {"iss": self.url, "aud": "desk", "sub": "1", "exp": time.time() + 60, "nonce": self.nonce}
        return {"id_token": jwt.encode(vouched | self.claims, KEY, "ES256", headers={"kid": "k"})}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def authorize(self, address: str) -> str:
        """What a browser is sent back with, that signed in there."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert asked["redirect_uri"] == "http://fedelta/desk/sign-in/openid/back"
        assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
        self.challenge, self.nonce = asked["code_challenge"], asked["nonce"]
        return f"/desk/sign-in/openid/back?code=xyz&state={asked['state']}"


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    made = Issuer()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def browser(issuer: Issuer, desk_database: Database) -> Iterator[Callable[[], Desk]]:
    """Makes browsers of a desk that knows the issuer."""
    settings = Settings(access_log="off", openid=OpenIdSettings(issuer.url, "desk", "se:cret", "Example ID"))
    app, made = create_app(full_url(desk_database), settings, look_again=0), []

    def browser() -> Desk:
        made.append(Desk(app))
        return made[-1]

    yield browser
    for each in made:
        each.close()
    app.state.store.close()


def test_whom_the_issuer_vouches_for_is_signed_in_and_led_on(issuer: Issuer, browser: Callable[[], Desk]) -> None:
    desk = browser()
    assert "Sign in with Example ID" in desk.get("/desk/sign-in?next=/desk/changes").text
    there = desk.get("/desk/sign-in/openid?next=/desk/changes").headers["location"]
    assert there.startswith(f"{issuer.url}/authorize?")
    back = desk.get(issuer.authorize(there))
    assert (back.status_code, back.headers["location"]) == (303, "/desk/changes")
    assert company.email("agent") in desk.get("/desk/changes").text
    assert issuer.asked["authorization"] == "Basic " + base64.b64encode(b"desk:se%3Acret").decode()


@pytest.mark.parametrize("claims", [
    {"email_verified": False}, {"email": None}, {"nonce": "another"}, {"aud": "another"}, {"iss": "https://evil.example"},
    {"exp": 1}, {"email": "nobody@example.com"},
])  # fmt: skip
def test_whom_it_does_not_vouch_for_is_not(issuer: Issuer, browser: Callable[[], Desk], claims: dict[str, Any]) -> None:
    issuer.claims |= claims
    desk = browser()
    assert desk.get(issuer.authorize(desk.get("/desk/sign-in/openid").headers["location"])).status_code == 403
    assert desk.get("/desk").status_code == 303


def test_an_attempt_belongs_to_one_browser(issuer: Issuer, browser: Callable[[], Desk]) -> None:
    desk, other = browser(), browser()
    back = issuer.authorize(desk.get("/desk/sign-in/openid").headers["location"])
    assert other.get(back).status_code == 403
    other.get("/desk/sign-in/openid")
    assert other.get(back).status_code == 403
    assert desk.get(back.replace("state=", "state=x")).status_code == 403
    assert desk.get("/desk/sign-in/openid/back?error=access_denied").status_code == 403


def test_a_disabled_user_is_not_signed_in(issuer: Issuer, browser: Callable[[], Desk], desk_database: Database) -> None:
    disable_user(desk_database, company.email("agent"))
    desk = browser()
    assert desk.get(issuer.authorize(desk.get("/desk/sign-in/openid").headers["location"])).status_code == 403


@pytest.mark.parametrize("about", [
    {"issuer": "https://evil.example"}, {"token_endpoint": "http://evil.example/token"}, {"jwks_uri": None},
])  # fmt: skip
def test_an_issuer_that_is_another_is_not_asked(
    issuer: Issuer, browser: Callable[[], Desk], about: dict[str, Any]
) -> None:
    issuer.about = about
    assert browser().get("/desk/sign-in/openid").status_code == 403


def test_without_an_issuer_there_is_no_such_page(visit: Callable[..., Desk]) -> None:
    desk = visit()
    assert "Sign in with" not in desk.get("/desk/sign-in").text
    assert desk.get("/desk/sign-in/openid").status_code == 404


def test_its_settings_are_variables_that_belong_together() -> None:
    names = {"ISSUER": "https://id.example.org", "CLIENT_ID": "desk", "CLIENT_SECRET": "secret"}
    variables = {f"FEDELTA_SERVE_OPENID_{name}": value for name, value in names.items()}
    read = Settings.from_environment({}, variables).openid
    assert read == OpenIdSettings("https://id.example.org", "desk", "secret")
    with pytest.raises(SettingRefused, match="FEDELTA_SERVE_OPENID_CLIENT_SECRET"):
        Settings.from_environment({}, dict(list(variables.items())[:2]))
    with pytest.raises(SettingRefused, match="https"):
        OpenIdSettings("http://id.example.org", "desk", "secret")


def test_no_key_waits_for_an_issuer_that_is_silent(desk_database: Database) -> None:
    speaks = threading.Event()
    issuer = answering(lambda _: speaks.wait(60))
    provider = OpenIdSettings(f"http://127.0.0.1:{issuer.server_port}", "desk", "secret")
    settings = Settings(access_log="off", openid=provider)
    app, key = create_app(full_url(desk_database), settings), create_key(desk_database, "crm", ["read:list"])[0]

    async def ask() -> tuple[int, bool]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://fedelta") as http:
            people = [asyncio.create_task(http.get("/desk/sign-in/openid")) for _ in range(20)]
            await asyncio.sleep(0.1)
            answer = await http.get("/v1/cases", headers={"X-API-Key": key})
            waiting = not any(one.done() for one in people)
            speaks.set()
            await asyncio.gather(*people)
            return answer.status_code, waiting

    assert asyncio.run(ask()) == (200, True)
    issuer.shutdown()
    issuer.server_close()
    app.state.audit.close()
    app.state.store.close()
