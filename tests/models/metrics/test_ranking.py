import numpy as np
import pytest

from fedelta.models.metrics.metrics import auc, log_loss, rmse
from fedelta.models.metrics.ranking import (
    BadWeightError,
    LengthMismatchError,
    MetricInputError,
    NoRowsError,
    NotBinaryError,
    NotFiniteError,
    NotProbabilityError,
    Ranked,
)


@pytest.mark.parametrize(
    ("metric", "arguments", "error", "says"),
    [
        (auc, ([], []), NoRowsError, "at least one row, got none"),
        (auc, ([0, 1], [0.5]), LengthMismatchError, "got 1 for 2 rows"),
        (auc, ([[0, 1]], [[0.5, 0.5]]), LengthMismatchError, r"got shape \(1, 2\)"),
        (auc, ([0, 1], [0.5, float("nan")]), NotFiniteError, "finite predicted, got 1 of 2"),
        (rmse, ([0, float("inf")], [0.5, 0.5]), NotFiniteError, "finite actual, got 1 of 2"),
        (auc, ([0, 2], [0.5, 0.4]), NotBinaryError, "labels of 0 or 1"),
        (log_loss, ([0, 1], [0.5, 120.0]), NotProbabilityError, "got 0.5 to 120"),
        (auc, ([0, 1], [0.5, 0.4], [1, -1]), BadWeightError, "negative or fractional"),
        (auc, ([0, 1], [0.5, 0.4], [1, 0.5]), BadWeightError, "negative or fractional"),
        (auc, ([0, 1], [0.5, 0.4], [1]), LengthMismatchError, "got 1 for 2 rows"),
        (auc, ([0, 1], [0.5, 0.4], [0, 0]), NoRowsError, "all 0"),
    ],
)
def test_unusable_rows_are_refused_by_name_and_in_one_line(metric, arguments, error, says):
    with pytest.raises(error, match=says) as raised:
        metric(*arguments)
    assert isinstance(raised.value, MetricInputError)
    assert "\n" not in str(raised.value)


def test_days_of_silence_rank_customers_though_they_are_no_probability():
    assert auc([0, 1, 1], [3, 40, 400]) == 1.0


def test_running_totals_stop_at_the_end_of_each_group_of_equal_predictions():
    sample = Ranked.of([1, 0, 1, 0], [0.5, 0.9, 0.5, 0.1]).sample(np.array([2.0, 1.0, 3.0, 0.0]))
    assert sample.counts.tolist() == [0, 1, 6, 6]
    assert sample.churners.tolist() == [0, 0, 5, 5]
    assert sample.forecasts == pytest.approx([0, 0.9, 3.4, 3.4])


def test_what_weights_do_not_touch_is_computed_once():
    rows, calls = Ranked.of([0, 1], [0.2, 0.8]), []

    def counted(ranked):
        calls.append(ranked)
        return ranked.predicted.sum()

    assert [rows.once(counted) for _ in range(3)] == [1.0, 1.0, 1.0]
    assert len(calls) == 1
