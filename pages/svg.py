"""Marks of an inline SVG: no script, no font, colours from the page's style sheet, the same bytes each time."""

from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

WIDTH = 440  # in the units of the SVG; narrow, so that text stays legible on a phone


def picture(height: float, says: str, parts: Iterable[Markup]) -> Markup:
    """The whole picture; `says` is what somebody hears who cannot see it."""
    opening = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">').format(WIDTH, height, says)
    return opening + Markup("").join(parts) + Markup("</svg>")


def line(x1: float, y1: float, x2: float, y2: float, look: str) -> Markup:
    """A straight line."""
    ends = (f"{number:.1f}" for number in (x1, y1, x2, y2))
    return Markup('<line x1="{}" y1="{}" x2="{}" y2="{}" class="{}"/>').format(*ends, look)


def lines(points: Iterable[tuple[float, float]], look: str) -> Markup:
    """Straight lines from point to point."""
    return Markup('<polyline points="{}" class="{}"/>').format(_joined(points), look)


def area(points: Iterable[tuple[float, float]], look: str) -> Markup:
    """A filled polygon."""
    return Markup('<polygon points="{}" class="{}"/>').format(_joined(points), look)


def curve(points: Sequence[tuple[float, float]], width: float, look: str) -> Markup:
    """A cubic Bézier curve of four points."""
    steps = [f"{x:.1f},{y:.1f}" for x, y in points]
    path = f"M{steps[0]} C{' '.join(steps[1:])}"
    return Markup('<path d="{}" stroke-width="{}" class="{}"/>').format(path, f"{width:.1f}", look)


def box(x: float, y: float, width: float, height: float, look: str, *, opacity: float | None = None) -> Markup:
    """A rectangle, as opaque as `opacity` says where it says anything."""
    sides = (f"{number:.1f}" for number in (x, y, width, height))
    seen = Markup("") if opacity is None else Markup(' fill-opacity="{}"').format(f"{opacity:.2f}")
    return Markup('<rect x="{}" y="{}" width="{}" height="{}" class="{}"{}/>').format(*sides, look, seen)


def dot(x: float, y: float, look: str) -> Markup:
    """A small circle."""
    return Markup('<circle cx="{}" cy="{}" r="3.5" class="{}"/>').format(f"{x:.1f}", f"{y:.1f}", look)


def text(x: float, y: float, words: str, look: str) -> Markup:
    """Words that begin, end or have their middle at x."""
    return Markup('<text x="{}" y="{}" class="{}">{}</text>').format(f"{x:.1f}", f"{y:.1f}", look, escape(words))


def _joined(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
