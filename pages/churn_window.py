"""The page of ``fedelta churn-window``: the advice, two pictures and the table behind them, in one file."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from fedelta.models.churn_window.spells import EVERYONE
from fedelta.pages.charts import Axis, Frame, share_axis
from fedelta.pages.page import environment

_TEMPLATE = "churn_window.html.jinja"
_HEIGHT = 300

Curves = Mapping[str, Sequence[Sequence[float]]]


def page(report: Mapping[str, Any]) -> str:
    """One self-contained HTML file of a report of `fedelta churn-window`; the same bytes for the same figures."""
    pictures = []
    if report["curves"]:
        pictures.append(
            returning_picture(report["curves"], report["most_returning"], report["advised_days"], report["activity"])
        )
    if report["tenures"]:
        pictures.append(hazard_picture(report["tenures"]))
    if any(row["tests"] for row in report["horizons"]):
        pictures.append(sensitivity_picture(report["horizons"]))
    return environment().get_template(_TEMPLATE).render(report=report, pictures=pictures)


def returning_picture(curves: Curves, most: float, advised: int | None, activity: Sequence[str]) -> Markup:
    """The share of the silent who come back, by days of silence: everyone, and by activity before it."""
    longest = max(points[-1][0] for points in curves.values())
    what = f"days without a {' or '.join(activity)}"
    frame = Frame(_days_axis(longest, what), share_axis("come back"), _HEIGHT)
    marks = [frame.line([(0, most), (longest, most)], "guide")]
    if advised:
        marks.append(frame.line([(advised, 0), (advised, 1)], "guide"))
    for number, (name, points) in enumerate(curves.items()):
        line = [(days, share) for days, share in points]
        marks.append(frame.line(line, "series" if name == EVERYONE else "series thin"))
        if name != EVERYONE:  # words apart from one another, though the lines run close
            marks.append(frame.words(*line[len(line) * (7 - number) // 12], name, "note"))
    return frame.svg("Share of the silent who come back, by days of silence", *marks)


def sensitivity_picture(horizons: Sequence[Mapping[str, Any]]) -> Markup:
    """Churn rate and predictability (AUC), by horizon."""
    tested = [row for row in horizons if row["tests"]]
    aucs = [(row["days"], row["tests"][0]["auc"]["value"]) for row in tested]
    lines = {
        "churn rate": [(row["days"], row["churn_rate"]) for row in tested],
        "AUC": [point for point in aucs if point[1] is not None],
    }
    frame = Frame(_days_axis(tested[-1]["days"], "horizon, days"), share_axis(""), _HEIGHT)
    marks = []
    for (name, points), look in zip(lines.items(), ("series", "series thin"), strict=True):
        if points:
            marks += [frame.line(points, look), *(frame.dot(*point) for point in points)]
            middle = points[len(points) // 2]
            marks.append(frame.words(middle[0], middle[1] + 0.05, name, "note"))
    return frame.svg("Churn rate and predictability (AUC), by horizon", *marks)


def hazard_picture(tenures: Sequence[Mapping[str, Any]]) -> Markup:
    """The chance of cancelling per 30 days, by tenure."""
    most = max(row["hazard"]["high"] or row["hazard"]["value"] for row in tenures) or 0.01
    ticks = [most * part / 4 for part in range(5)]
    y = Axis(0.0, most, ticks, "cancel per 30 days", lambda value: f"{value:.1%}")
    frame = Frame(_days_axis(tenures[-1]["to_day"], "days since joining"), y, _HEIGHT)
    bars = (frame.bar(row["from_day"], row["to_day"], row["hazard"]["value"], "column") for row in tenures)
    return frame.svg("Chance of cancelling per 30 days, by tenure", *bars)


def _days_axis(longest: float, label: str) -> Axis:
    step = next((days for days in (30, 90, 180, 365) if longest <= 6 * days), 730)
    return Axis(0.0, max(longest, 1), range(0, int(longest) + 1, step), label, lambda days: f"{days:g}")
