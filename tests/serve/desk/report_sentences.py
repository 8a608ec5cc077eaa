"""The sentences that stages write into reports, read from the code that writes them.

A sentence is a text of the code, an f-string or several added up, with a figure for each of its places; a choice of two
texts makes two sentences. Texts of errors, documentation and SQL are none.
"""

import ast
from collections.abc import Iterator
from itertools import product
from pathlib import Path

ROOT = Path(__file__).parents[3]
FIGURE = "7"
_SQL = ("SELECT", "COUNT(", "count(", " IS ", "WHERE", "CASE WHEN", "regexp_", "CREATE", "ALTER")


def sentences(path: str) -> Iterator[str]:
    """The sentences of a file: texts of three words and more that end as one."""
    yield from (each for each in _texts(ast.parse((ROOT / path).read_text(encoding="utf-8"))) if _is_sentence(each))


def _is_sentence(text: str) -> bool:
    ends = text.endswith((".", "?"))
    return ends and text[0] != " " and text.count(" ") >= 2 and not any(sign in text for sign in _SQL)


def _texts(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Raise) or _is_documentation(node):
        return
    if isinstance(node, ast.Constant | ast.JoinedStr | ast.BinOp):
        yield from _variants(node)
        return
    for child in ast.iter_child_nodes(node):
        yield from _texts(child)


def _is_documentation(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _variants(node: ast.AST) -> list[str]:
    """What a text can be."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr(values=parts):
            return ["".join(each) for each in product(*map(_variants, parts))]
        case ast.FormattedValue(value=ast.IfExp() as choice):
            return _variants(choice)
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            return [first + second for first, second in product(_variants(left), _variants(right))]
        case ast.IfExp(body=one, orelse=other):
            return [*_variants(one), *_variants(other)]
        case _:
            return [FIGURE]
