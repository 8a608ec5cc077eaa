"""How a page says a figure, and the environment its template is rendered in."""

import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from fedelta.pages.sentences import capital


def environment() -> Environment:
    """Templates of this folder: markup in names is escaped, an unknown name is an error, figures have their filters."""
    held = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    held.filters.update(  # jinja's own types allow functions of one string
        whole=whole, share=share, figure=figure, day=day, spaced=spaced, minus=minus, capital=capital
    )
    return held


def whole(value: float | None) -> str:
    """A count or an amount without decimals; a dash where unknown."""
    return "–" if value is None else f"{value:,.0f}"


def share(value: float | None, digits: int = 1) -> str:
    """A share in per cent; a dash where unknown."""
    return "–" if value is None else f"{value:.{digits}%}"


def figure(value: float | None, digits: int = 3, *, signed: bool = False) -> str:
    """A number; a dash where unknown."""
    return "–" if value is None else minus(f"{value:{'+' if signed else ''},.{digits}f}")


def day(value: Any) -> str:
    """A date; a dash where unknown."""
    return f"{value:%Y-%m-%d}" if value is not None else "–"


def spaced(name: str) -> str:
    """A name of a column, a rule or a touchpoint as words."""
    return name.replace("_", " ")


def minus(words: str) -> str:
    """Words in which a hyphen that means less than nothing is a minus."""
    return re.sub(r"(?<!\w)-(?=\d)", "−", words)
