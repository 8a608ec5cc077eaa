"""Templates of pages in one language: its messages are put in when a template is compiled, not when it is rendered."""

import re
from functools import lru_cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined, nodes
from jinja2.visitor import NodeTransformer
from markupsafe import Markup

from fedelta.serve.desk.prose import translated
from fedelta.serve.desk.static_files import HTMX, address
from fedelta.serve.desk.words import Words, words

TEMPLATES = Path(__file__).parent / "templates"
_PLACE = re.compile(r"%\((\w+)\)s")


@lru_cache
def environment(language: str) -> Environment:
    """Templates in a language: markup in data is escaped, an unknown name is an error."""
    spoken = words(language)
    made = _Translated(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        extensions=["jinja2.ext.i18n"],
    )
    made.spoken = spoken
    made.install_gettext_callables(spoken.gettext, spoken.ngettext, newstyle=True)  # type: ignore[attr-defined]
    made.policies["ext.i18n.trimmed"] = True
    made.filters |= {
        name: getattr(spoken, name)
        for name in ("number", "share", "points", "money", "day", "moment", "value", "listed", "lasting", "touchpoint")
    } | {"translated": partial(translated, spoken), "segment": partial(quote, safe=""), "query": urlencode}
    made.globals |= {
        "_": spoken.gettext, "_n": spoken.ngettext, "words": spoken, "static": address, "htmx": address(HTMX)
    }  # fmt: skip
    return made


class _Translated(Environment):
    """Templates whose messages are translated while they are compiled."""

    spoken: Words

    def _generate(self, source: nodes.Template, *rest: Any, **named: Any) -> str:
        return super()._generate(_Translation(self.spoken).visit(source), *rest, **named)


class _Translation(NodeTransformer):
    """Puts the translation of a message in the place of the call that asks for it."""

    def __init__(self, spoken: Words) -> None:
        self._spoken = spoken

    def visit_Output(self, node: nodes.Output) -> nodes.Node:  # noqa: N802 (named by the kind of node)
        self.generic_visit(node)
        parts = ((each.nodes if isinstance(each, nodes.Concat) else [each]) for each in node.nodes)
        node.nodes = [part for some in parts for part in some]
        return node

    def visit_Call(self, node: nodes.Call) -> nodes.Node:  # noqa: N802 (named by the kind of node)
        self.generic_visit(node)
        asks = isinstance(node.node, nodes.Name) and node.node.name in {"_", "gettext"}
        if not asks or len(node.args) != 1 or not isinstance(message := node.args[0], nodes.Const):
            return node
        given = {each.key: each.value for each in node.kwargs}
        found: list[nodes.Expr] = []
        for place, text in enumerate(_PLACE.split(self._spoken.gettext(message.value))):
            found.append(given[text] if place % 2 else nodes.Const(Markup(text.replace("%%", "%"))))  # noqa: S704 (our own words)
        return found[0] if len(found) == 1 else nodes.Concat(found)
