"""Who opens what at the desk: every route × every role, and nobody another tenant's customers."""

import re
from collections.abc import Callable

import pytest
from desk_client import Desk
from fastapi import FastAPI

from fedelta.serve.caller.rules import OPEN, Rule, Rules
from fedelta.serve.caller.scopes import ROLES

Visit = Callable[..., Desk]


def rules(app: FastAPI) -> list[tuple[str, Rule]]:
    found = [
        each for each in Rules(app.routes) if each[1].template.startswith("/desk") and each[1].template not in OPEN
    ]
    assert len(found) >= 8
    return found


def path_of(rule: Rule) -> str:
    return re.sub(r"{[^}]+}", "C0003", rule.template).replace(".C0003", ".csv")


@pytest.mark.parametrize("role", [*ROLES])
def test_a_role_opens_what_its_scopes_open_and_nothing_else(visit: Visit, desk_app: FastAPI, role: str) -> None:
    desk = visit(role)
    for method, rule in rules(desk_app):
        answer = desk.get(path_of(rule)) if method == "GET" else desk.post(path_of(rule), token="none")
        assert rule.scopes is not None
        opens = not ROLES[role].isdisjoint(rule.scopes)  # type: ignore[index]
        if method == "GET":
            assert answer.status_code in ({200, 404} if opens else {403}), rule.template
        else:  # without a token nothing is changed, whoever asks
            assert answer.status_code == 403, rule.template
            assert ("out of date" in answer.text) == opens, rule.template


def test_without_a_session_everything_leads_to_the_form(visit: Visit, desk_app: FastAPI) -> None:
    for method, rule in rules(desk_app):
        desk = visit()
        answer = desk.get(path_of(rule)) if method == "GET" else desk.post(path_of(rule))
        assert (answer.status_code, answer.headers["location"].split("?")[0]) == (303, "/desk/sign-in")


def test_an_agent_of_another_tenant_sees_nobody_of_this_one(visit: Visit) -> None:
    other = visit("agent@other.example")
    for path in ("/desk", "/desk/customers", "/desk/changes", "/desk/customers/C0003", "/desk/customers.csv"):
        answer = other.get(path)
        assert answer.status_code == 503
        assert "C0003" not in answer.text.replace("/desk/customers/C0003", "")
        assert "No scores are published yet" in answer.text
