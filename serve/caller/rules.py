"""The table of all routes: who may reach which. What is not in it is not there."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute

from fedelta.serve.caller.auth import Needs

# Addresses that anybody may read. Every other one needs a scope, and one that declares none is not there at all.
OPEN = frozenset({
    "/healthz", "/readyz", "/openapi.json", "/docs", "/desk/sign-in", "/desk/sign-in/openid",
    "/desk/sign-in/openid/back", "/desk/static/{name}", "/desk/unsubscribe/{token}",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rule:
    """One method of one route: its template, the function that answers, and the scopes of which a caller needs one."""

    template: str
    operation: str
    scopes: frozenset[str] | None  # None: open to anybody


class Rules:
    """The rules of an application by method and path; what is not among them cannot be reached."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self._exact: dict[str, dict[str, Rule]] = {}
        self._patterns: list[tuple[re.Pattern[str], dict[str, Rule]]] = []
        self.undeclared: list[str] = []
        patterns: dict[str, dict[str, Rule]] = {}
        for template, regex, methods, rule in _declared(routes):
            if rule is None:
                self.undeclared.append(template)
                continue
            if "{" not in template:
                by_method = self._exact.setdefault(template, {})
            elif regex.pattern in patterns:
                by_method = patterns[regex.pattern]
            else:
                by_method = patterns[regex.pattern] = {}
                self._patterns.append((re.compile(regex.pattern, re.DOTALL), by_method))
            for method in methods:
                by_method.setdefault(method, rule)

    def of(self, path: str) -> tuple[dict[str, Rule], re.Match[str] | None] | None:
        """The rules of a path by method, and its parts; None where there is nothing."""
        if (found := self._exact.get(path)) is not None:
            return found, None
        for pattern, by_method in self._patterns:
            if (match := pattern.match(path)) is not None:
                return by_method, match
        return None

    def __iter__(self) -> Iterator[tuple[str, Rule]]:
        """Every method and rule."""
        for by_method in (*self._exact.values(), *(by_method for _, by_method in self._patterns)):
            yield from by_method.items()


def _declared(
    routes: Sequence[BaseRoute],
) -> Iterator[tuple[str, re.Pattern[str], set[str], Rule | None]]:
    """Template, pattern, methods and rule of every route; None for one that declares nothing."""
    for context in iter_route_contexts(routes):
        template = context.path_format or context.path or ""
        methods = context.methods
        pattern: re.Pattern[str] | None = getattr(context._effective_route, "path_regex", None)
        if not methods or pattern is None:
            yield template or repr(context.route), re.compile("(?!)"), set(), None
            continue
        scopes = _scopes(getattr(context._effective_route, "dependant", None))
        operation = getattr(context.endpoint, "__name__", "")
        if scopes or template in OPEN:
            yield template, pattern, methods, Rule(template, operation, scopes or None)
        else:
            yield template, pattern, methods, None


def _scopes(dependant: Dependant | None) -> frozenset[str]:
    """The scopes a route's dependencies name; several dependencies would each have to be met, so one may name them."""
    if dependant is None:
        return frozenset()
    found: list[Any] = [each.call for each in dependant.dependencies if isinstance(each.call, Needs)]
    if len(found) > 1:
        raise ValueError("A route names its scopes once: needs('one', 'or-another').")
    return found[0].scopes if found else frozenset()
