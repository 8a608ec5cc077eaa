"""The description of the service: complete, with examples that are true, and as a page without scripts."""

import base64
import hashlib
import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator
from scoring_runs import Client

from fedelta.serve.caller.scopes import SCOPES


@pytest.fixture
def description(stranger: Client) -> dict[str, Any]:
    document: dict[str, Any] = stranger.get("/openapi.json").json()
    return document


def operations(description: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in description["paths"].items():
        for operation in methods.values():
            yield path, operation


def test_every_operation_says_who_may_call_it_and_with_what_status_it_answers(description: dict[str, Any]) -> None:
    assert description["openapi"].startswith("3.1")
    for path, operation in operations(description):
        closed = path not in ("/healthz", "/readyz")
        assert ("security" in operation) == closed, path
        assert set(operation.get("x-scopes", [])) <= set(SCOPES)
        assert bool(operation.get("x-scopes")) == closed
        statuses = set(operation["responses"])
        assert {"200", "400", "414", "431", "503"} <= statuses
        assert "default" not in statuses
        assert {"401", "403", "429"} <= statuses or not closed
        assert {"413", "422"} <= statuses or "requestBody" not in operation
        assert "HTTPValidationError" not in str(operation)


def test_operations_have_stable_names(description: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, operation in operations(description)]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", name) for name in names)
    assert {"read_score", "read_scores", "list_at_risk", "current_model", "ready", "alive"} <= set(names)


def test_every_body_has_an_example_that_its_schema_takes(description: dict[str, Any]) -> None:
    checked = 0
    for path, operation in operations(description):
        contents = [*operation.get("requestBody", {}).get("content", {}).items()]
        contents += operation["responses"]["200"].get("content", {}).items()
        for media, content in contents:
            if media != "application/json":
                continue
            assert "example" in content, path
            schema = {**content["schema"], "components": description["components"]}
            assert Draft202012Validator(schema).is_valid(content["example"]), path
            checked += 1
    assert checked >= 6


def test_the_page_of_the_description_shows_every_operation_and_needs_nothing_from_elsewhere(
    stranger: Client, description: dict[str, Any]
) -> None:
    answer = stranger.get("/docs")
    assert answer.status_code == 200
    for path, operation in operations(description):
        assert f'id="{operation["operationId"]}"' in answer.text
        assert path in answer.text
    policy = answer.headers["content-security-policy"]
    (style,) = re.findall("<style>(.*?)</style>", answer.text, re.DOTALL)
    assert f"'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'" in policy
    assert policy.startswith("default-src 'none'")
    assert "<script" not in answer.text
    assert not re.search(r"(src|href)=.?(https?:)?//", answer.text)
    assert stranger.get("/redoc").status_code == 404
