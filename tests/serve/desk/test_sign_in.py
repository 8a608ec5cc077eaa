"""Signing in to the desk: sessions begin, end, and belong to one person; forms are ours."""

import re
from collections.abc import Callable

import desk_company as company
import pytest
import sqlalchemy as sa
from desk_client import Desk, token_of
from fastapi import FastAPI
from scoring_runs import Client

from fedelta.serve.caller.keys import create_key
from fedelta.serve.desk import sign_in
from fedelta.serve.desk.users import UserRefused, add_user, disable_user, list_users, set_password
from fedelta.serve.operational.database import Database
from fedelta.serve.operational.tables import audit, sessions, users

Visit = Callable[..., Desk]


def cookie(answer: object) -> str:
    found = re.search(r"fedelta=(fds_[\w-]+)", answer.headers["set-cookie"])  # type: ignore[attr-defined]
    assert found is not None
    return found[1]


def test_who_is_not_signed_in_is_led_to_the_form_and_back(visit: Visit) -> None:
    desk = visit()
    led = desk.get("/desk/customers?tier=high")
    assert (led.status_code, led.headers["location"]) == (303, "/desk/sign-in?next=%2Fdesk%2Fcustomers%3Ftier%3Dhigh")
    form = desk.get(led.headers["location"])
    assert 'value="/desk/customers?tier=high"' in form.text
    assert desk.sign_in("viewer").status_code == 303
    assert desk.get("/desk").status_code == 200


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/desk", "//evil.example/desk", "/desk\\evil", "/deskx", "/v1"]
)
def test_nobody_is_led_elsewhere(visit: Visit, elsewhere: str) -> None:
    fields = {"email": company.email("viewer"), "password": company.PASSWORD, "next": elsewhere}
    assert visit().send("/desk/sign-in", "/desk/sign-in", **fields).headers["location"] == "/desk"


def test_a_session_is_kept_as_a_digest_in_a_cookie_that_scripts_cannot_read(
    visit: Visit, desk_database: Database
) -> None:
    answer = visit().sign_in("agent")
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert "SameSite=lax" in answer.headers["set-cookie"]
    with desk_database.engine() as engine, engine.begin() as connection:
        (digest,) = connection.execute(sa.select(sessions.c.digest)).scalars()
    assert cookie(answer).encode() not in bytes(digest)


def test_signing_in_again_ends_the_session_of_before(visit: Visit, desk_database: Database) -> None:
    desk = visit()
    first, second = cookie(desk.sign_in("agent")), cookie(desk.sign_in("agent"))
    assert first != second
    with desk_database.engine() as engine, engine.begin() as connection:
        assert len(connection.execute(sa.select(sessions)).all()) == 1


def test_signing_out_works_at_once(visit: Visit) -> None:
    desk = visit("agent")
    assert desk.send("/desk/sign-out", "/desk").headers["location"] == "/desk/sign-in"
    assert desk.get("/desk").status_code == 303


@pytest.mark.parametrize(
    ("address", "password"),
    [
        (company.email("agent"), "correct horse batterz"),
        ("nobody@example.com", company.PASSWORD),
        ("", ""),
        ("x" * 200, "y"),
    ],
)
def test_a_wrong_password_or_address_is_refused_in_the_same_words(visit: Visit, address: str, password: str) -> None:
    refused = visit().send("/desk/sign-in", "/desk/sign-in", email=address, password=password)
    assert refused.status_code == 422
    assert "This address and password do not match." in refused.text


def test_too_many_attempts_are_refused_even_with_the_right_password(
    visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sign_in, "_LIMITS", {"both": (3, 1), "user": (50, 100), "peer": (100, 600)})
    desk = visit()
    for _ in range(3):
        assert desk.sign_in("agent", "wrong password").status_code == 422
    assert desk.sign_in("agent").status_code == 429
    assert desk.sign_in("viewer").status_code == 303


def test_a_disabled_user_is_out_within_seconds_and_cannot_come_back(
    visit: Visit, desk_app: FastAPI, desk_database: Database
) -> None:
    desk = visit()
    secret = cookie(desk.sign_in("agent"))
    disable_user(desk_database, company.email("agent"))
    desk_app.state.callers.forget(secret.encode())  # as two seconds would
    assert desk.get("/desk").status_code == 303
    assert desk.sign_in("agent").status_code == 422
    set_password(desk_database, company.email("agent"), "another good password")
    assert desk.sign_in("agent", "another good password").status_code == 303


def test_a_session_that_has_run_out_is_none(visit: Visit, desk_app: FastAPI, desk_database: Database) -> None:
    desk = visit()
    secret = cookie(desk.sign_in("agent"))
    with desk_database.engine() as engine, engine.begin() as connection:
        connection.execute(sessions.update().values(expires_at="2020-01-01T00:00:00Z"))
    desk_app.state.callers.forget(secret.encode())
    assert desk.get("/desk").status_code == 303


def test_a_session_opens_no_api_and_a_key_no_desk(visit: Visit, desk_app: FastAPI, desk_database: Database) -> None:
    secret = cookie(visit().sign_in("admin"))
    key, _ = create_key(desk_database, "crm", ["read:score", "read:list", "admin"])
    client = Client(desk_app)
    try:
        assert client.get("/v1/at-risk", headers={"authorization": f"Bearer {secret}"}).status_code == 401
        assert client.get("/v1/at-risk", headers={"cookie": f"fedelta={secret}"}).status_code == 401
        assert client.get("/desk", headers={"authorization": f"Bearer {key}"}).status_code == 303
        assert client.get("/desk", headers={"cookie": f"fedelta={key}"}).status_code == 303
    finally:
        client.close()


def test_a_forged_form_is_refused(visit: Visit, desk_app: FastAPI, desk_database: Database) -> None:
    desk, other = visit("agent"), visit("viewer")
    fields = {"name": "mine", "query": "tier=high"}
    assert desk.post("/desk/views", **fields).status_code == 403
    assert desk.post("/desk/views", token="x" * 56, **fields).status_code == 403
    assert (
        desk.post(
            "/desk/views", token=re.search(r'name="token" value="(.+?)"', other.get("/desk").text)[1], **fields
        ).status_code
        == 403
    )  # type: ignore[index]
    assert desk.send("/desk/views", "/desk", **fields).status_code == 303
    client = Client(desk_app)
    try:
        for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}, {"origin": "null"}):
            sent = client.post("/desk/sign-in", data={"email": "a@b", "password": "c"}, headers=headers)
            assert sent.status_code == 403
    finally:
        client.close()


def test_what_is_read_and_changed_is_audited(visit: Visit, desk_app: FastAPI, desk_database: Database) -> None:
    desk = visit("agent")
    desk.get("/desk/customers/C0003")
    desk.send("/desk/views", "/desk", name="mine", query="tier=high")
    desk.get("/desk/customers.csv?tier=high")
    desk_app.state.audit.close()
    with desk_database.engine() as engine, engine.begin() as connection:
        rows = connection.execute(sa.select(audit).where(audit.c.actor == company.email("agent"))).all()
    found = {row.action: (row.subject, row.details) for row in rows}
    assert found["show_customer"][0] == "C0003"
    assert found["view.saved"][0] == "mine"
    assert "tier=high" in found["export_customers"][1]
    assert "session.begun" in found
    assert "save_view" not in found  # once, with the change


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"email": "nobody"}, "e-mail address"),
        ({"name": " "}, "1 to 100"),
        ({"role": "king"}, "A role is"),
        ({"password": "short"}, "12 to 200"),
        ({"language": "xx"}, "A language is"),
        ({"email": company.email("agent")}, "already"),
    ],
)
def test_a_user_that_cannot_be_is_refused(desk_database: Database, given: dict[str, str], why: str) -> None:
    good = {"email": "new@example.com", "name": "New", "role": "agent", "password": company.PASSWORD}
    with pytest.raises(UserRefused, match=why):
        add_user(desk_database, **(good | given))  # type: ignore[arg-type]
    assert add_user(desk_database, **good).email == "new@example.com"  # type: ignore[arg-type]
    assert len(list_users(desk_database, "default")) == 5


def test_passwords_are_kept_as_argon2id(desk_database: Database) -> None:
    with desk_database.engine() as engine, engine.begin() as connection:
        kept = connection.execute(sa.select(users.c.password)).scalars().all()
    assert all(each.startswith("$argon2id$v=19$m=19456,t=2,p=1$") for each in kept)
    assert len(set(kept)) == len(kept)


def test_over_https_the_cookie_is_secure_and_bound_to_the_host(desk_app: FastAPI) -> None:
    client = Client(desk_app)
    try:
        form = client.get("https://fedelta/desk/sign-in")
        fields = {"token": token_of(form), "email": company.email("agent"), "password": company.PASSWORD}
        answer = client.post("https://fedelta/desk/sign-in", data=fields, headers={"origin": "https://fedelta"})
        (begun,) = (each for each in answer.headers.get_list("set-cookie") if each.startswith("__Host-fedelta="))
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=lax"} <= set(begun.split("; "))
        assert "Domain" not in begun
        assert client.get("https://fedelta/desk").status_code == 200
    finally:
        client.close()


def test_a_new_password_ends_other_sessions_and_needs_the_present_one(visit: Visit, desk_app: FastAPI) -> None:
    desk, elsewhere = visit("agent"), visit()
    other = cookie(elsewhere.sign_in("agent"))
    page, new = "/desk/settings", "another good password"
    assert desk.send("/desk/settings/password", page, old="wrong", new=new).status_code == 422
    assert desk.send("/desk/settings/password", page, old=company.PASSWORD, new="short").status_code == 422
    assert desk.send("/desk/settings/password", page, old=company.PASSWORD, new=new).status_code == 303
    desk_app.state.callers.forget(other.encode())  # as two seconds would
    assert elsewhere.get("/desk").status_code == 303
    assert desk.get("/desk").status_code == 200
    assert visit().sign_in("agent", new).status_code == 303
