"""Charts are well-formed SVG, stay inside their frame and carry no words unescaped."""

import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from pipeline import charts
from pipeline.findings import Comparison

RIVAL = Comparison("<b>rival</b>", "baseline", -0.02, -0.03, -0.01, "better")
EVERY = {
    "calibration": charts.calibration([(0.9, 0.8), (0.1, 0.2)]),
    "gains": charts.gains([(0, 0), (0.5, 0.9), (1, 1)], 0.3),
    "spread": charts.spread([3, 0, 12]),
    "deciles": charts.deciles([(120.0, 100.0), (3.0, 5.0)], "EUR"),
    "differences": charts.differences([RIVAL], "log loss", lower_is_better=True, digits=4),
}


def numbers(chart: Markup, *names: str) -> list[float]:
    return [float(value) for node in ET.fromstring(chart).iter() for name, value in node.items() if name in names]


@pytest.mark.parametrize("chart", EVERY.values(), ids=EVERY)
def test_a_chart_is_well_formed_says_what_it_shows_and_stays_in_its_frame(chart: Markup):
    root = ET.fromstring(chart)
    assert root.get("role") == "img"
    assert len(str(root.get("aria-label"))) > 10
    width, height = (float(number) for number in str(root.get("viewBox")).split()[2:])
    assert all(0 <= x <= width for x in numbers(chart, "x", "x1", "x2", "cx"))
    assert all(0 <= y <= height for y in numbers(chart, "y", "y1", "y2", "cy"))


def test_names_are_escaped():
    chart = EVERY["differences"]
    assert "<b>" not in chart
    assert "&lt;b&gt;rival&lt;/b&gt;" in chart


def test_a_bar_twice_as_high_is_twice_as_high():
    low, high = numbers(charts.spread([5, 10]), "height")
    assert high == pytest.approx(2 * low, abs=0.2)


def test_a_well_calibrated_decile_lies_on_the_diagonal():
    (x,), (y,) = (numbers(charts.calibration([(0.5, 0.5)]), name) for name in ("cx", "cy"))
    (ends,) = re.findall(r'points="([^"]+)" class="guide"', charts.calibration([(0.5, 0.5)]))
    (x0, y0), (x1, y1) = (map(float, end.split(",")) for end in ends.split())
    assert (x, y) == (pytest.approx((x0 + x1) / 2, abs=0.1), pytest.approx((y0 + y1) / 2, abs=0.1))


def test_a_difference_in_the_models_favour_lies_on_its_side_of_zero():
    def dot_and_zero(*, lower_is_better: bool) -> tuple[float, float, float]:
        chart = charts.differences([RIVAL], "x", lower_is_better=lower_is_better, digits=2)
        root = ET.fromstring(chart)
        (zero,) = (float(str(node.get("x1"))) for node in root if node.get("class") == "axis")
        (better,) = (float(str(node.get("x"))) for node in root if node.text == "model better")
        return numbers(chart, "cx")[0], zero, better

    dot, zero, better = dot_and_zero(lower_is_better=True)
    assert better < dot < zero
    dot, zero, better = dot_and_zero(lower_is_better=False)
    assert dot < zero < better


def test_equal_predictions_alone_can_be_drawn():
    same = Comparison("before calibration", "part", 0.0, 0.0, 0.0, "identical")
    assert "identical" in charts.differences([same], "log loss", lower_is_better=True, digits=4)


@given(st.floats(1e-6, 1e12))
def test_an_axis_reaches_its_highest_value_in_a_few_round_steps(most):
    axis = charts.count_axis(most, "customers")
    assert most <= axis.high * (1 + 1e-9) < 2.6 * most + 1e-8
    assert 2 <= len(axis.ticks) <= 6
