"""The description of the service (OpenAPI 3.1): what FastAPI says of it, with every status, scopes and examples."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI

from fedelta.serve.caller.problems import MEDIA_TYPE, ProblemDocument
from fedelta.serve.caller.rules import Rules

_PROBLEM = {"$ref": f"#/components/schemas/{ProblemDocument.__name__}"}
_ANY = (400, 408, 414, 431, 500, 503)  # of any request: unreadable, late, too large, our fault, too many connections
_SCOPED = (401, 403, 429)
_WITH_BODY = (413,)
_VALIDATED = "HTTPValidationError"
_WORDS = {
    408: "The request came too slowly",
    414: "Path and query are too long",
    429: "The key sent too many requests; Retry-After says when to go on",
    431: "The headers are too large",
}


def describe(app: FastAPI, examples: Mapping[str, Mapping[str, Any]]) -> None:
    """Let ``app`` describe itself in full.

    Parameters
    ----------
    examples : mapping of operation id to its examples
        ``request``: an example of the body. ``response``: one of the body of 200. ``parameters``: by name.
        ``links``: from the answer to other operations.
    """
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _completed(plain(), Rules(app.routes), examples)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI's own documentation has it


def _completed(description: dict[str, Any], rules: Rules, examples: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    schemas = description.setdefault("components", {}).setdefault("schemas", {})
    own = ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= own.pop("$defs") | {ProblemDocument.__name__: own}
    for unused in (_VALIDATED, "ValidationError"):  # FastAPI's own form of errors, which we do not answer with
        schemas.pop(unused, None)
    scopes = {(rule.operation, method): rule.scopes for method, rule in rules}
    for methods in description["paths"].values():
        for method, operation in methods.items():
            needed = scopes.get((operation["operationId"], method.upper()))
            if needed:
                operation["x-scopes"] = sorted(needed)
            _document_statuses(operation, scoped=bool(needed))
            _add_examples(operation, examples.get(operation["operationId"], {}))
    return description


def _document_statuses(operation: dict[str, Any], *, scoped: bool) -> None:
    answers: dict[str, Any] = operation["responses"]
    takes_values = "requestBody" in operation or any(each["in"] == "query" for each in operation.get("parameters", ()))
    if _VALIDATED in str(answers.get("422")):
        del answers["422"]
    statuses = [
        *_ANY, *(_SCOPED if scoped else ()), *(_WITH_BODY if "requestBody" in operation else ()),
        *((422,) if takes_values else ()),
    ]  # fmt: skip
    for status in statuses:
        answers.setdefault(
            str(status),
            {
                "description": _WORDS.get(status, HTTPStatus(status).phrase),
                "content": {MEDIA_TYPE: {"schema": _PROBLEM}},
            },
        )
    operation["responses"] = dict(sorted(answers.items()))


def _add_examples(operation: dict[str, Any], examples: Mapping[str, Any]) -> None:
    if "request" in examples:
        for content in operation["requestBody"]["content"].values():
            content["example"] = examples["request"]
    if "response" in examples:
        operation["responses"]["200"]["content"]["application/json"]["example"] = examples["response"]
    if "links" in examples:
        operation["responses"]["200"]["links"] = examples["links"]
    for parameter in operation.get("parameters", ()):
        if (example := examples.get("parameters", {}).get(parameter["name"])) is not None:
            parameter["example"] = example
