import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from fedelta.models.metrics.calibration_line import clip_probability, logistic_line

law = settings(max_examples=60, derandomize=True)


def test_the_line_is_the_maximum_of_the_likelihood_found_by_sklearn():
    rng = np.random.default_rng(3)
    feature = rng.normal(2, 3, size=2_000)
    churned = (rng.random(2_000) < expit(0.4 * feature - 1.5)).astype(float)
    weight = rng.integers(0, 4, size=2_000).astype(float)
    reference = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1_000).fit(feature[:, None], churned, weight)
    line = logistic_line(churned, feature, weight)
    assert line == pytest.approx((reference.intercept_[0], reference.coef_[0, 0]), abs=1e-6)


def test_a_handful_of_outliers_does_not_throw_the_fit_off():
    """Full Newton steps overshoot here and never come back."""
    feature = np.concatenate([np.zeros(1_000), np.arange(1, 14)])
    churned = np.concatenate([np.zeros(1_000), [0] * 4, [1] * 4, [0], [1] * 4])
    reference = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000).fit(feature[:, None], churned)
    line = logistic_line(churned, feature, np.ones(1_013))
    assert line == pytest.approx((reference.intercept_[0], reference.coef_[0, 0]), abs=1e-4)


def test_two_groups_have_the_line_through_their_logits():
    feature = np.array([0.0, 1.0, 0.0, 1.0])
    churned, weight = np.array([1.0, 1.0, 0.0, 0.0]), np.array([1.0, 3.0, 3.0, 1.0])  # 1 of 4 and 3 of 4 churn
    assert logistic_line(churned, feature, weight) == pytest.approx((logit(0.25), 2 * logit(0.75)))


@pytest.mark.parametrize(
    ("churned", "feature"),
    [
        ([0, 0, 0], [1, 2, 3]),  # one class
        ([0, 1, 0], [2, 2, 2]),  # one value
        ([0, 0, 1], [1, 2, 3]),  # separated
        ([1, 0, 0], [1, 2, 3]),  # separated the other way
        ([0, 0, 1, 1], [1, 2, 2, 3]),  # separated but for a tie
    ],
)
def test_without_a_finite_line_there_is_none(churned, feature):
    line = logistic_line(np.array(churned, float), np.array(feature, float), np.ones(len(churned)))
    assert np.isnan(line).all()


def test_a_row_that_does_not_count_cannot_prevent_separation():
    churned, feature = np.array([0.0, 1.0, 0.0]), np.array([1.0, 2.0, 3.0])
    assert np.isnan(logistic_line(churned, feature, np.array([1.0, 1.0, 0.0])).slope)


@law
@given(
    st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.integers(-1_381, 1_381)), min_size=2, max_size=60),
    st.sampled_from([0.01, 1e-5, 10.0]),
)
def test_unless_the_classes_are_separated_the_line_leaves_no_likelihood_to_gain(rows, scale):
    churned, feature = (np.array(column) for column in zip(*rows, strict=True))
    feature = feature * scale
    line = logistic_line(churned, feature, np.ones(churned.size))
    if np.isnan(line.slope):
        churners, stayers = feature[churned == 1], feature[churned == 0]
        one_class = not (churners.size and stayers.size)
        assert one_class or churners.min() >= stayers.max() or churners.max() <= stayers.min()
        return
    residual = churned - expit(line.intercept + line.slope * feature)
    assert abs(residual.sum()) < 1e-4
    assert abs((residual * (feature - feature.mean())).sum()) < 1e-4 * np.ptp(feature)


def test_a_certain_probability_keeps_a_finite_logit():
    assert clip_probability(np.array([0.0, 0.3, 1.0])).tolist() == [1e-6, 0.3, 1 - 1e-6]
