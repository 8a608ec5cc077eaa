"""Groups of customers: how they are treated, and which differences count as unequal."""

import numpy as np
import pytest

from fedelta.models.fairness.groups import groups_of
from fedelta.models.fairness.measures import Decided, GroupFigures, judged, measured, rejected
from fedelta.models.fairness.settings import FairnessSettings
from fedelta.models.metrics.bootstrap import Resampling

RESAMPLING = Resampling(100, seed=3)
SETTINGS = FairnessSettings()


def company(seed: int = 1, n: int = 3_000) -> tuple[Decided, np.ndarray]:
    """Customers of two equally treated groups: calibrated, and contacted by risk and chance alone."""
    rng = np.random.default_rng(seed)
    probability = rng.beta(2, 2, n)
    contacted = rng.random(n) < 0.6 * probability
    profit = np.where(contacted, 2.0, 0.0)
    group = np.where(rng.random(n) < 0.3, "b", "a")
    return Decided(probability, (rng.random(n) < probability).astype(float), contacted, profit), group


def of(rows: Decided, group: np.ndarray) -> dict[str, GroupFigures]:
    found = measured(rows, groups_of(group.tolist(), 50), RESAMPLING)
    return {one.label: one for one in found}


def value(group: GroupFigures, name: str) -> float:
    return group.figures[name].interval.value


def test_figures_are_those_a_reader_would_count():
    churned = np.array([1.0] * 40 + [0.0] * 60 + [1.0] * 30 + [0.0] * 70)
    group = np.array(["a"] * 100 + ["b"] * 100)
    contacted = np.zeros(200, bool)
    contacted[:30] = contacted[40:55] = contacted[100:110] = True
    rows = Decided(np.full(200, 0.35), churned, contacted, np.where(contacted, 4.0, 0.0))
    a, b = of(rows, group)["a"], of(rows, group)["b"]
    assert (a.customers, value(a, "predicted"), value(a, "observed")) == (100, 0.35, 0.4)
    assert value(a, "miscalibration") == pytest.approx(-0.05)
    assert value(a, "false_positive_rate") == pytest.approx(15 / 60)
    assert value(a, "false_negative_rate") == pytest.approx(10 / 40)
    assert value(a, "contacted_share") == pytest.approx(0.45)
    assert value(a, "expected_profit") == pytest.approx(1.8)
    assert value(b, "false_negative_rate") == pytest.approx(20 / 30)
    assert value(b, "contact_gap") == pytest.approx(0.10 - 0.45)  # all have the same risk
    assert value(b, "contact_ratio") == pytest.approx(0.10 / 0.45)


def test_an_interval_holds_its_value():
    for group in of(*company()).values():
        for name, figure in group.figures.items():
            assert figure.interval.low <= figure.interval.value <= figure.interval.high, name


def test_groups_treated_equally_are_no_warning_in_nineteen_of_twenty_companies():
    warned, strict = 0, FairnessSettings(tolerance=0.0, least_ratio=1.0)
    for seed in range(40):
        rows, group = company(seed, n=1_000)
        warned += bool(judged({"age": list(of(rows, group).values())}, strict)[0])
    assert warned <= 5


def test_a_group_whose_churn_is_predicted_too_high_is_a_warning():
    rows, group = company()
    high = np.where(group == "b", np.clip(rows.probability + 0.1, 0, 1), rows.probability)
    found = of(Decided(high, rows.churned, rows.contacted, rows.profit), group)
    (warning,), tests = judged({"age_group": list(found.values())}, SETTINGS)
    assert (warning["attribute"], warning["group"], warning["test"], tests) == ("age_group", "b", "miscalibration", 4)
    assert warning["says"].startswith("age group b: more churn was predicted than came (")


def test_a_group_contacted_less_at_equal_risk_is_a_warning_and_one_of_lower_risk_is_not():
    rows, group = company()
    rng = np.random.default_rng(5)
    passed_over = rows.contacted & ~((group == "b") & (rng.random(len(group)) < 0.5))
    unequal = of(Decided(rows.probability, rows.churned, passed_over, None), group)
    (warning,), _ = judged({"age": list(unequal.values())}, SETTINGS)
    assert (warning["group"], warning["test"]) == ("b", "contact_gap")
    calm = np.where(rows.probability < np.quantile(rows.probability, 0.4), "calm", "other")
    found = of(rows, calm)
    assert value(found["calm"], "contacted_share") < 0.6 * value(found["other"], "contacted_share")
    assert judged({"age": list(found.values())}, SETTINGS)[0] == []


def test_a_significant_difference_that_does_not_matter_is_no_warning():
    rows, group = company(n=60_000)
    slightly = np.where(group == "b", np.clip(rows.probability + 0.012, 0, 1), rows.probability)
    found = {"age": list(of(Decided(slightly, rows.churned, rows.contacted, None), group).values())}
    assert judged(found, SETTINGS)[0] == []
    assert judged(found, FairnessSettings(tolerance=0.0))[0] != []


def test_holm_rejects_less_than_single_tests_and_more_than_bonferroni():
    assert rejected([0.01, 0.02, 0.04, float("nan")]) == [True, True, True, False]
    assert rejected([0.012, 0.03, 0.03, 0.9]) == [True, False, False, False]
    assert rejected([0.04, 0.9]) == [False, False]
    assert rejected([]) == []


def test_small_groups_are_pooled_and_if_still_small_not_judged():
    pooled = groups_of(["a"] * 100 + ["b"] * 30 + ["c"] * 25 + [None] * 5, least=50)
    assert pooled.labels == ("a", "others, pooled (b, c, unknown)")
    assert np.bincount(pooled.code).tolist() == [100, 60]
    few = groups_of(["a"] * 100 + ["b"] * 30, least=50)
    assert (few.labels, few.small) == (("a",), {"b": 30})
    assert (few.code == -1).sum() == 30


def test_a_pool_of_many_groups_names_some_of_them():
    pooled = groups_of([f"zip{k:04}" for k in range(3_000)], least=50)
    assert pooled.labels[0].endswith("zip0009 and 2,990 more)")
    assert len(pooled.pooled[pooled.labels[0]]) == 3_000


def test_large_numbers_keep_the_digits_that_tell_them_apart():
    assert groups_of([10_000_001.0, 10_000_002.0] * 60, least=50).labels == ("10000001", "10000002")
    assert len(groups_of([1e9 + k for k in range(400)], least=50).labels) == 4


def test_numbers_are_categories_while_few_and_quarters_when_many():
    assert groups_of([0.0, 1.0] * 60, least=50).labels == ("0", "1")
    ages = [float(age) for age in range(100)] * 2 + [float("nan")] * 50
    found = groups_of(ages, least=40)
    quarters = {"up to 24.75", "above 24.75, up to 49.5", "above 49.5, up to 74.25", "above 74.25"}
    assert set(found.labels) == quarters | {"unknown"}
