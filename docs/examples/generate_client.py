"""Writes client.py beside this file from the service's OpenAPI document.

    python docs/examples/generate_client.py                                     # from this version of fedelta
    python docs/examples/generate_client.py http://127.0.0.1:8000/openapi.json  # from a running service

A schema becomes a TypedDict, an operation a method of ``Client`` of its operation id. An operation with pages also has
``every_…``, which yields the items of all; one that answers with files has ``…_file``.
"""

import json
import keyword
import shutil
import subprocess
import sys
import tempfile
import textwrap
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
JSON = "application/json"
TYPES = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}

HEAD = '''"""A typed client of fedelta's scoring service, written by generate_client.py: do not edit. It needs httpx.

    with Client("http://127.0.0.1:8000", key) as client:
        score = client.read_score("C1")
        for customer in client.every_at_risk(tier=["critical"]):
            ...

Requests that were refused for the moment (429, 503) are sent again when the service asks for it; other errors raise
``Problem``.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, NotRequired, Self, TypedDict, cast
from urllib.parse import quote

import httpx

'''

CLIENT = '''
class Problem(Exception):
    """An answer that is an error; ``type`` is for programs: urn:fedelta:problem:KIND."""

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        try:
            self.document: dict[str, Any] = response.json()
        except ValueError:
            self.document = {"title": response.reason_phrase}
        self.type = str(self.document.get("type", "about:blank"))
        super().__init__(f"{self.status} {self.document.get('detail') or self.document.get('title')}")


class Client:
    """One connection pool, for one thread or many; close it, or use it in a ``with`` statement."""

    def __init__(self, address: str, key: str, *, timeout: float = 30.0, attempts: int = 4) -> None:
        self._attempts = attempts
        self._http = httpx.Client(base_url=address, headers={"Authorization": f"Bearer {key}"}, timeout=timeout)

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, Any] | None = None,
        body: Any = None,
        again: bool = True,
    ) -> httpx.Response:
        """Send a request and read the answer; again when the service asks for it and nothing can be done twice."""
        for left in range(self._attempts - 1, -1, -1):
            response = self._http.send(self._request(method, path, query, headers, body))
            if not response.is_error:
                return response
            if left == 0 or not (response.status_code == 429 or (response.status_code == 503 and again)):
                raise Problem(response)
            time.sleep(min(float(response.headers.get("retry-after", 1)), 60.0))
        raise ValueError("A request needs at least one attempt.")

    def _stream(self, path: str, query: Mapping[str, Any], headers: Mapping[str, Any]) -> Iterator[bytes]:
        response = self._http.send(self._request("GET", path, query, headers, None), stream=True)
        try:
            if response.is_error:
                response.read()
                raise Problem(response)
            yield from response.iter_bytes()
        finally:
            response.close()

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None,
        headers: Mapping[str, Any] | None,
        body: Any,
    ) -> httpx.Request:
        return self._http.build_request(method, path, params=_given(query), headers=_given(headers), json=body)
'''

TAIL = '''

def _given(values: Mapping[str, Any] | None) -> dict[str, Any]:
    """Those that are not None; times as ISO 8601, yes and no as the service writes them."""
    return {name: _text(value) for name, value in (values or {}).items() if value is not None}


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return [_text(each) for each in value] if isinstance(value, (list, tuple)) else str(value)
'''


def generate(document: dict[str, Any]) -> str:
    """The client of a service with this OpenAPI document."""
    schemas: dict[str, Any] = document["components"]["schemas"]
    parts = [HEAD, *(typed_dict(name, schema) for name, schema in sorted(schemas.items())), CLIENT]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            parts += operation_methods(path, method.upper(), operation, schemas)
    return "".join((*parts, TAIL))


def typed_dict(name: str, schema: dict[str, Any]) -> str:
    """A schema as a class, or as the name of a type."""
    if schema.get("type") != "object" or "properties" not in schema:
        return f"\n{name} = {kind_of(schema, quoted=True)}\n"
    required = set(schema.get("required", ()))
    lines = [f"\nclass {name}(TypedDict):", *docstring(schema.get("description", name), 4), ""]
    for field, each in schema["properties"].items():
        kind = kind_of(each, quoted=True)
        lines.append(f"    {field}: {kind if field in required else f'NotRequired[{kind}]'}")
    return "\n".join(lines) + "\n\n"


def kind_of(schema: dict[str, Any], *, quoted: bool = False) -> str:
    """The type of a schema's values; names of classes that may stand further down are quoted."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return f'"{name}"' if quoted else name
    if values := schema.get("enum") or ([schema["const"]] if "const" in schema else None):
        return f"Literal[{', '.join(json.dumps(each) for each in values)}]"
    if several := schema.get("anyOf") or schema.get("oneOf"):
        kinds = list(dict.fromkeys(kind_of(each, quoted=quoted) for each in several))
        joined = " | ".join(kind.strip('"') for kind in kinds)
        return f'"{joined}"' if any(kind.startswith('"') for kind in kinds) else joined
    if schema.get("type") == "array":
        return f"list[{kind_of(schema.get('items', {}), quoted=quoted)}]"
    if schema.get("type") == "object":
        values = schema.get("additionalProperties")
        return f"dict[str, {kind_of(values, quoted=quoted) if isinstance(values, dict) else 'Any'}]"
    return TYPES.get(str(schema.get("type")), "Any")


def operation_methods(path: str, method: str, operation: dict[str, Any], schemas: dict[str, Any]) -> Iterator[str]:
    """The methods of an operation: one for its JSON, one for all pages, one for its files."""
    success = next(status for status in sorted(operation["responses"]) if status.startswith("2"))
    content = operation["responses"][success].get("content", {})
    name, parameters = operation["operationId"], operation.get("parameters", [])
    body = operation.get("requestBody", {}).get("content", {}).get(JSON)
    files = [each for each in parameters if each["name"] == "format"] if len(content) > 1 else []
    plain = [each for each in parameters if each not in files]
    words = operation.get("description") or operation.get("summary", name)
    if JSON in content:
        answer = kind_of(content[JSON]["schema"])
        give = f'return cast("{answer}", {{sent}}.json())'
    elif content:
        answer, give = "str", "return {sent}.text"
    else:
        answer, give = "None", "{sent}"
    idempotent = method != "POST" or any(each["name"].lower() == "idempotency-key" for each in parameters)
    sent = call("self._send", method, path, plain, with_body=body is not None, again=idempotent)
    yield method_text(name, arguments(plain, body), answer, words, give.format(sent=sent))
    page = schemas.get(answer, {}).get("properties", {})
    if "next" in page and any(each["name"] == "cursor" for each in plain):
        (items,) = [field for field, each in page.items() if each.get("type") == "array"]
        item = kind_of(page[items]["items"])
        every = [each for each in plain if each["name"] != "cursor"]
        given = ", ".join(
            python_name(each) if each["in"] == "path" else f"{python_name(each)}={python_name(each)}"
            for each in sorted(every, key=lambda each: each["in"] != "path")
        )
        code = (
            f"cursor = None\nwhile True:\n    page = self.{name}({given}, cursor=cursor)\n"
            f"    yield from page['{items}']\n    if not page['next']:\n        return\n"
            f"    cursor = httpx.URL(page['next']).params['cursor']"
        ).replace("'", '"')
        what = f"Yield the {items} of every page of `{name}`."
        yield method_text(f"every_{name.split('_', 1)[-1]}", arguments(every, None), f"Iterator[{item}]", what, code)
    if files:
        kinds = [kind for kind in enum_of(files[0]["schema"]) if kind != "json"]
        file = {"name": "format", "in": "query", "required": True, "schema": {"enum": kinds}}
        stream = call("self._stream", None, path, [file, *(each for each in plain if each["name"] != "cursor")])
        every = [file, *(each for each in plain if each["name"] != "cursor")]
        what = f"Yield the list of `{name}` as a file, a piece at a time."
        yield method_text(f"{name}_file", arguments(every, None), "Iterator[bytes]", what, f"return {stream}")


def enum_of(schema: dict[str, Any]) -> list[str]:
    """The values a parameter may have."""
    found: list[str] = schema.get("enum") or next(each["enum"] for each in schema["anyOf"] if "enum" in each)
    return found


def arguments(parameters: list[dict[str, Any]], body: dict[str, Any] | None) -> str:
    """A method's parameters: those of the path and the body by place, others by name."""
    first = [f"{python_name(each)}: {kind_of(each['schema'])}" for each in parameters if each["in"] == "path"]
    first += [f"body: {kind_of(body['schema'])}"] if body else []
    named = []
    for each in sorted(parameters, key=lambda each: not each.get("required")):
        kind = kind_of(each["schema"]).replace("list[", "Sequence[")
        if each["in"] != "path" and each.get("required"):
            named.append(f"{python_name(each)}: {kind}")
        elif each["in"] != "path":
            named.append(f"{python_name(each)}: {kind.removesuffix(' | None')} | None = None")
    return ", ".join(["self", *first, *(["*", *named] if named else [])])


def call(
    function: str,
    method: str | None,
    path: str,
    parameters: list[dict[str, Any]],
    *,
    with_body: bool = False,
    again: bool = True,
) -> str:
    """The call that sends an operation's request."""
    inside = {each["name"]: python_name(each) for each in parameters if each["in"] == "path"}
    for name, variable in inside.items():
        path = path.replace(f"{{{name}}}", f"{{quote(str({variable}), safe='')}}")
    address = f'f"{path}"' if inside else f'"{path}"'
    values = [f'"{method}"', address] if method else [address]
    for group, where in (("query", "query"), ("headers", "header")):
        pairs = ", ".join(f'"{each["name"]}": {python_name(each)}' for each in parameters if each["in"] == where)
        if pairs or not method:
            values.append(f"{group}={{{pairs}}}")
    values += ["body=body"] if with_body else []
    values += [] if again or not method else ["again=False"]
    return f"{function}({', '.join(values)})"


def method_text(name: str, given: str, answer: str, words: str, code: str) -> str:
    """The text of a method."""
    lines = [f"    def {name}({given}) -> {answer}:", *docstring(words, 8), textwrap.indent(code, " " * 8)]
    return "\n" + "\n".join(lines) + "\n"


def docstring(words: str, indent: int) -> list[str]:
    """The lines of a docstring: its first sentence alone, the rest below."""
    paragraphs = [" ".join(each.split()) for each in words.strip().split("\n\n")]
    space = " " * indent
    lines = textwrap.wrap(f'"""{paragraphs[0]}', 116, initial_indent=space, subsequent_indent=space)
    for each in paragraphs[1:]:
        lines += ["", *textwrap.wrap(each, 118, initial_indent=space, subsequent_indent=space)]
    return [*lines[:-1], f'{lines[-1]}"""'] if len(lines) == 1 else [*lines, f'{space}"""']


def python_name(parameter: dict[str, Any]) -> str:
    """The name of a parameter as Python can have it."""
    name: str = parameter["name"].lower().replace("-", "_")
    return f"{name}_" if keyword.iskeyword(name) else name


def own_document() -> dict[str, Any]:
    """The OpenAPI document of this version of fedelta."""
    from fedelta.serve.app import create_app

    with tempfile.TemporaryDirectory() as folder:
        app = create_app(f"sqlite:///{folder}/none.db")
        app.state.store.close()
        return app.openapi()


def main(address: str | None = None) -> None:
    """Write client.py."""
    if address is None:
        document = own_document()
    else:
        with urllib.request.urlopen(address, timeout=30) as answer:
            document = json.load(answer)
    (HERE / "client.py").write_text(formatted(generate(document)), encoding="utf-8")


def formatted(text: str) -> str:
    """As ruff formats it, where it is installed."""
    ruff = shutil.which("ruff") or shutil.which("ruff", path=str(Path(sys.executable).parent))
    if ruff is None:
        return text
    done = subprocess.run(
        [ruff, "format", "--line-length=120", "--stdin-filename=client.py", "-"],
        input=text, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


if __name__ == "__main__":
    main(*sys.argv[1:2])
