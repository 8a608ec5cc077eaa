"""``/docs``: the OpenAPI document as one HTML page, without scripts and without anything from elsewhere."""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_HERE = Path(__file__).parent
STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}
h1{line-height:1.2}h2{margin-top:2.5rem;border-bottom:1px solid #ccd}h3{margin:2rem 0 .3rem}
code,pre{font:14px/1.45 ui-monospace,monospace;background:#f3f5f8;border-radius:4px}code{padding:.1em .3em}
pre{padding:.8rem;overflow-x:auto}table{border-collapse:collapse;width:100%;margin:.5rem 0 1rem}
th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;border-bottom:1px solid #dde}
.method{font-weight:700}summary{cursor:pointer}a{color:#0a4fb3}
@media (prefers-color-scheme:dark){body{color:#e6e8eb;background:#14171b}code,pre{background:#22272e}a{color:#8ab8ff}
h2,th,td{border-color:#3a4048}}
"""
_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_DIGEST}'; frame-ancestors 'none'; base-uri 'none'"


def docs_page(description: Mapping[str, Any]) -> str:
    """The page of an OpenAPI document."""
    return _rendered(json.dumps(description))


@lru_cache(2)
def _rendered(document: str) -> str:
    description = json.loads(document)
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    operations: dict[str, list[dict[str, Any]]] = {}
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            tag = (operation.get("tags") or ["other"])[0]
            operations.setdefault(tag, []).append(_operation(path, method, operation))
    schemas = {name: list(_fields(schema)) for name, schema in description["components"]["schemas"].items()}
    template = environment.get_template("docs.html.jinja")
    return template.render(info=description["info"], style=STYLE, operations=operations, schemas=schemas)


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> dict[str, Any]:
    body = operation.get("requestBody", {}).get("content", {})
    return {
        "id": operation["operationId"],
        "method": method.upper(),
        "path": path,
        "description": operation.get("description", ""),
        "scopes": operation.get("x-scopes", []),
        "parameters": [
            {
                "name": each["name"], "in": each["in"], "type": _kind(each["schema"]),
                "description": each.get("description") or each["schema"].get("description", ""),
            }
            for each in operation.get("parameters", ())
        ],
        "bodies": {media: _kind(content.get("schema", {})) for media, content in body.items()},
        "examples": [json.dumps(example, indent=2, ensure_ascii=False) for example in _examples(body)],
        "responses": [
            {
                "status": status, "description": answer.get("description", ""),
                "kinds": [f"{media}: {_kind(content.get('schema', {}))}" for media, content in
                          answer.get("content", {}).items()],
            }
            for status, answer in operation["responses"].items()
        ],
    }  # fmt: skip


def _examples(contents: Mapping[str, Any]) -> Iterator[object]:
    for content in contents.values():
        if "example" in content:
            yield content["example"]
        yield from (each["value"] for each in content.get("examples", {}).values() if "value" in each)


def _fields(schema: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    for name, field in schema.get("properties", {}).items():
        yield {"name": name, "type": _kind(field), "description": field.get("description", "")}


def _kind(schema: Mapping[str, Any]) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[1]
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(map(_kind, schema["anyOf"])))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    kind = schema.get("const") or schema.get("type") or "anything"
    return f"{kind} ({schema['format']})" if "format" in schema else str(kind)
