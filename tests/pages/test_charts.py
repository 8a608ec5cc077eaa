"""Charts are well-formed SVG, stay inside their frame and carry no words unescaped."""

import re
from xml.etree import ElementTree as ET

import pytest
import report_examples
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from fedelta.pages import charts
from fedelta.pages.findings import Comparison
from fedelta.pages.journey_chart import journey_chart
from fedelta.pages.svg import WIDTH

CURVE = [charts.Left("first", 0.27, 0.26, 0.28, 0.2), charts.Left("second", 0.23, 0.21, 0.25, 0.14)]
JOURNEY = report_examples.journey("use")
RIVAL = Comparison("<b>rival</b>", "baseline", -0.02, -0.03, -0.01, "better")
EVERY = {
    "calibration": charts.calibration([(0.9, 0.8), (0.1, 0.2)]),
    "gains": charts.gains([(0, 0), (0.5, 0.9), (1, 1)], 0.3),
    "spread": charts.spread([3, 0, 12]),
    "deciles": charts.deciles([(120.0, 100.0), (3.0, 5.0)], "EUR"),
    "differences": charts.differences([RIVAL], "log loss", lower_is_better=True, digits=4),
    "tolerance": charts.tolerance(CURVE, [0.17, 0.59]),
    "ranges": charts.ranges(
        [charts.Range("a return", 19.0, 17.0, 21.0, "+19.0")], "Moments of truth", "points", ("fewer", "more")
    ),
    "journey": journey_chart(JOURNEY),
    "targeting": charts.targeting(
        {"risk": [(0, 0), (0.5, 0.02), (1, 0.01)], "dr": [(0, 0), (0.5, -0.01), (1, 0.01)]},
        {"risk": "value at <b>risk</b>", "dr": "DR-learner"},
    ),
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


def test_the_share_after_a_bad_experience_stands_above_that_of_matched_controls():
    dots = [node for node in ET.fromstring(EVERY["tolerance"]) if node.tag == "circle"]
    after, controls = (
        [float(str(dot.get("cy"))) for dot in dots if dot.get("class") == look] for look in ("dot series", "dot hollow")
    )
    assert len(after) == len(controls) == len(CURVE)
    assert all(a < b for a, b in zip(after, controls, strict=True))  # down the page is less


def test_a_quoted_share_is_a_dashed_line_at_its_height_and_called_quoted():
    root = ET.fromstring(charts.tolerance([charts.Left("first", 0.17, 0.16, 0.18, 0.1)], [0.17]))
    (guide,) = (str(node.get("points")) for node in root if node.get("class") == "guide")
    (dot,) = (node for node in root if node.get("class") == "dot series")
    assert {point.split(",")[1] for point in guide.split()} == {dot.get("cy")}
    assert "17% quoted" in [node.text for node in root]


def test_an_interval_clear_of_zero_is_sure_and_one_that_holds_it_is_not():
    rows = [charts.Range("clear", 2.0, 1.0, 3.0, "+2"), charts.Range("not", 0.5, -1.0, 2.0, "+0.5")]
    root = ET.fromstring(charts.ranges(rows, "says", "points", ("less", "more")))
    assert [node.get("class") for node in root if node.tag == "circle"] == ["dot series", "dot hollow"]


def test_a_long_name_beside_a_chart_has_two_lines_and_is_whole():
    rows = [charts.Range("infrequent big-basket customers", 2.0, 1.0, 3.0, "+2")]
    root = ET.fromstring(charts.ranges(rows, "says", "points", ("less", "more")))
    lines = [node for node in root if node.get("class") == "name end"]
    assert [node.text for node in lines] == ["infrequent big-basket", "customers"]
    assert float(lines[1].get("y", 0)) - float(lines[0].get("y", 0)) == 14


def test_touchpoints_stand_in_the_order_customers_meet_them_and_ways_onward_at_the_right():
    root = ET.fromstring(EVERY["journey"])
    names = [node.text for node in root if node.get("class") == "inside strong"]
    assert names == ["Visit (digital)", "Purchase (digital)", "Contact (physical)"]
    ways = [str(node.get("d")) for node in root if node.get("class") == "way"]
    assert len(ways) == 3  # visit to visit is shown in the box
    assert sum(float(way[1:].split(",")[0]) > WIDTH / 2 for way in ways) == 1
    assert {"51%", "50%", "38%"} <= {node.text for node in root}


def test_a_box_says_how_often_it_is_met_where_customers_stop_and_what_goes_badly():
    facts = [node.text for node in ET.fromstring(EVERY["journey"]) if node.get("class") == "inside"]
    assert facts == ["700 · 12% stop · 43% again", "401 · 3% stop", "133 · 41% bad"]


def test_the_more_goes_badly_the_redder_the_box():
    reds = numbers(EVERY["journey"], "fill-opacity")
    assert reds == [0, 0, pytest.approx(0.6 * 0.41, abs=0.01)]


def test_the_busiest_way_out_of_every_box_is_drawn_however_rare():
    names = [f"kind{number:02}" for number in range(10)]
    busy = [report_examples.move(a, b, 1000, 0.1, 1.0) for a in names[:5] for b in names[:5] if a != b]
    rare = report_examples.move("kind09", "kind00", 1, 1.0, 1.0)
    stops = [report_examples.stop(name, 100, 0.0, 0.1) for name in names]
    root = ET.fromstring(journey_chart({"journey": "use", "touchpoints": stops, "transitions": [*busy, rare]}))
    assert len([node for node in root if node.get("class") == "way"]) == 15
    assert "100%" in {node.text for node in root}
