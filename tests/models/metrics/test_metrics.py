import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import spearmanr

from fedelta.models.metrics.empc import Campaign, expected_maximum_profit
from fedelta.models.metrics.metrics import (
    CHURN_METRICS,
    RANK_METRICS,
    VALUE_METRICS,
    auc,
    average_precision,
    base_rate,
    bias,
    brier,
    calibration_line,
    calibration_slope,
    capacity_metric,
    captured_metric,
    decile_error,
    decile_table,
    ece,
    log_loss,
    mae,
    normalised_gini,
    profit_at_capacity,
    profit_metric,
    r2,
    rmse,
    spearman,
    top_decile_lift,
    top_share,
)

law = settings(max_examples=60, derandomize=True)
EVERY_CHURN = {**CHURN_METRICS, "profit_at_capacity": profit_at_capacity}
EVERY_VALUE = {**VALUE_METRICS, "decile_error": decile_error}
counts = st.integers(0, 3)
twentieths = st.integers(0, 20).map(lambda k: k / 20)  # probabilities with many ties


def churn_rows(probability=twentieths):
    """Rows of (churned, probability, weight), with churners and stayers among those that count."""
    row = st.tuples(st.booleans(), probability, counts)
    return st.lists(row, min_size=2, max_size=40).filter(lambda rows: len({c for c, _, w in rows if w}) == 2)


value_rows = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), counts), min_size=2, max_size=40).filter(
    lambda rows: any(weight for _, _, weight in rows)
)  # (actual, predicted, weight)


def columns(rows):
    return tuple(np.array(column, dtype=float) for column in zip(*rows, strict=True))


def repeated(actual, predicted, weight):
    return np.repeat(actual, weight.astype(int)), np.repeat(predicted, weight.astype(int))


# Churn, by hand


def test_a_pair_of_equal_scores_counts_half():
    assert auc([1, 0], [0.5, 0.5]) == 0.5
    assert auc([1, 0, 1, 0], [0.9, 0.8, 0.8, 0.1]) == pytest.approx(3.5 / 4)


def test_average_precision_of_the_textbook_ranking():
    assert average_precision([1, 0, 1], [0.9, 0.8, 0.7]) == pytest.approx((1 + 2 / 3) / 2)


def test_certainty_that_fails_costs_no_more_than_the_clip():
    assert log_loss([1], [0.0]) == pytest.approx(-np.log(1e-6))
    assert log_loss([0, 1], [0.5, 0.25]) == pytest.approx((np.log(2) + np.log(4)) / 2)


def test_brier_score_by_hand():
    assert brier([1, 0], [0.7, 0.1]) == pytest.approx((0.09 + 0.01) / 2)


def test_a_forecast_right_on_average_in_every_bin_has_no_calibration_error():
    probability = np.repeat(np.arange(1, 11) / 20, 20)
    churned = np.concatenate([np.arange(20) < k for k in range(1, 11)])
    assert ece(churned, probability) == pytest.approx(0, abs=1e-12)


def test_calibration_error_is_the_gap_each_customer_is_off_by():
    assert ece(np.arange(100) % 2, np.full(100, 0.3)) == pytest.approx(0.2)


def test_a_probability_on_a_bin_edge_belongs_to_the_bin_below():
    # Eleven customers at 0, 0.1, … 1: every edge falls on one, so only the lowest two share a bin.
    churned = np.arange(11) == 0
    assert ece(churned, np.arange(11) / 10) == pytest.approx(((1 - 0.1) + sum(range(2, 11)) / 10) / 11)


def test_a_model_twice_too_sure_has_a_calibration_slope_of_half():
    truth = np.repeat([0.1, 0.3, 0.5, 0.8], 1_000)
    churned = np.concatenate([np.arange(1_000) < 1_000 * rate for rate in (0.1, 0.3, 0.5, 0.8)])
    line = calibration_line(churned, expit(2 * logit(truth) + 1))
    assert line == pytest.approx((-0.5, 0.5))
    assert calibration_slope(churned, truth) == pytest.approx(1)


def test_lift_compares_the_top_tenth_with_everybody():
    churned = [1] * 5 + [0] * 5 + [1] * 5 + [0] * 85
    assert top_decile_lift(churned, np.arange(100, 0, -1)) == pytest.approx(0.5 / 0.1)


def test_ties_across_the_edge_of_the_top_tenth_are_shared_out():
    assert top_decile_lift([1, 0] * 10, np.full(20, 0.4)) == 1.0


def test_a_handful_of_customers_has_a_top_tenth_of_one():
    assert top_decile_lift([1, 0, 0], [0.9, 0.5, 0.1]) == pytest.approx(3)


def test_means_count_rows_by_their_weight():
    assert base_rate([1, 0], [0.5, 0.1], [3, 1]) == 0.75


def test_a_campaign_of_ones_own_has_a_profit_metric():
    churned, score, mine = [1, 0, 1, 0], [0.9, 0.7, 0.6, 0.2], Campaign(clv=500, incentive=40)
    assert profit_metric(mine)(churned, score) == expected_maximum_profit(churned, score, campaign=mine).per_customer


def test_the_profit_at_capacity_is_what_the_contacted_save_less_what_they_cost():
    # Two of twenty are contacted, one of them about to leave: 0.3 × (200 − 10) saved, 2 × 1 for contacting, and 10 for
    # the offer to the one who would have stayed anyway.
    churned, score = [1, 0, 1, *[0] * 17], np.arange(20, 0, -1)
    assert profit_at_capacity(churned, score) == pytest.approx((0.3 * 190 - 2 - 10) / 20)
    assert profit_at_capacity(np.zeros(20), score) == pytest.approx(-2 * (1 + 10) / 20)


def test_a_campaign_of_ones_own_has_its_own_capacity():
    mine = Campaign(alpha=1, beta=1, clv=100, incentive=20, contact=5)
    # Three of four: two churners save 0.5 × 80 each, three contacts cost 5, one stayer takes the offer of 20.
    assert capacity_metric(mine, 0.75)([1, 0, 1, 0], [0.9, 0.7, 0.6, 0.2]) == pytest.approx((80 - 15 - 20) / 4)


# Churn, against others


@pytest.fixture(scope="module")
def churn():
    rng = np.random.default_rng(11)
    probability = np.round(rng.beta(2, 3, size=3_000), 2)  # rounded: with ties
    return (rng.random(3_000) < probability).astype(float), probability, rng.integers(0, 4, size=3_000)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (auc, reference.roc_auc_score),
        (average_precision, reference.average_precision_score),
        (log_loss, lambda *args, **kwargs: reference.log_loss(args[0], np.clip(args[1], 1e-6, 1 - 1e-6), **kwargs)),
        (brier, reference.brier_score_loss),
        (rmse, reference.root_mean_squared_error),
        (mae, reference.mean_absolute_error),
        (r2, reference.r2_score),
    ],
)
def test_metrics_agree_with_sklearn_with_and_without_weights(churn, ours, theirs):
    churned, probability, weight = churn
    assert ours(churned, probability) == pytest.approx(theirs(churned, probability), rel=1e-10)
    assert ours(churned, probability, weight) == pytest.approx(theirs(churned, probability, sample_weight=weight))


def test_calibration_error_agrees_with_bins_cut_by_pandas():
    rng = np.random.default_rng(12)
    probability = rng.random(1_237)
    churned = rng.random(1_237) < probability**2
    table = pd.DataFrame({"y": churned, "p": probability})
    gaps = table.groupby(pd.qcut(table.p, 10), observed=True).agg(y=("y", "mean"), p=("p", "mean"), n=("y", "size"))
    assert ece(churned, probability) == pytest.approx(((gaps.y - gaps.p).abs() * gaps.n).sum() / 1_237)


# Value, by hand and against others


def test_value_metrics_by_hand():
    actual, predicted = [0, 0, 30, 10], [0, 10, 20, 6]
    assert rmse(actual, predicted) == pytest.approx(np.sqrt((100 + 100 + 16) / 4))
    assert mae(actual, predicted) == pytest.approx(6)
    assert r2(actual, predicted) == pytest.approx(1 - 216 / 600)
    assert bias(actual, predicted) == pytest.approx(36 / 40 - 1)


def test_gini_by_hand():
    # Ordered by prediction 30, 0, 10 the curve runs .75, .75, 1; ordered by itself .75, 1, 1; the diagonal 1/3, 2/3, 1.
    by_prediction = (0.75 / 2 + 0.75 + 0.875) / 3
    by_actual = (0.75 / 2 + 0.875 + 1) / 3
    expected = (2 * by_prediction - 1) / (2 * by_actual - 1)
    assert normalised_gini([30, 0, 10], [9, 8, 7]) == pytest.approx(expected)


def test_the_best_tenth_of_customers_may_hold_most_of_the_money():
    actual = [100, *[10] * 9, 10, *[0] * 9]
    assert top_share(actual, np.arange(20, 0, -1)) == pytest.approx(110 / 200)


def test_the_value_captured_grows_to_all_of_it_with_the_share_of_customers():
    actual, predicted = [0, 60, 30, 10], [9, 8, 7, 6]
    assert [captured_metric(share)(actual, predicted) for share in (0.25, 0.5, 0.75, 1)] == [0, 0.6, 0.9, 1]


def test_the_decile_error_is_the_money_misplaced_between_the_tenths():
    # Twenty customers, two to a tenth: the top tenth is 10 too low, the second 4 too high, the others are right.
    actual, predicted = [50, 40, 12, 8, *[0] * 16], [45, 35, 14, 10, *[0] * 16]
    assert decile_error(actual, predicted) == pytest.approx((10 + 4) / 110)
    assert bias(actual, predicted) == pytest.approx((-10 + 4) / 110)


def test_rank_correlation_agrees_with_scipy_on_ties():
    rng = np.random.default_rng(13)
    actual, predicted = rng.poisson(1, 500), np.round(rng.random(500), 1)
    assert spearman(actual, predicted) == pytest.approx(spearmanr(actual, predicted).statistic)


@law
@given(value_rows)
def test_the_decile_error_is_at_least_the_bias_of_the_total(rows):
    actual, predicted, weight = columns(rows)
    error = decile_error(actual, predicted, weight)
    gap = abs(bias(actual, predicted, weight))
    assert np.isnan(error) == np.isnan(gap)
    assert np.isnan(error) or error >= gap - 1e-9


@law
@given(churn_rows(), st.sampled_from([0.05, 0.1, 0.3, 1.0]))
def test_no_order_earns_more_at_a_capacity_than_that_of_the_churners_themselves(rows, share):
    churned, probability, weight = columns(rows)
    metric = capacity_metric(share=share)
    assert metric(churned, probability, weight) <= metric(churned, churned, weight) + 1e-9


# Degenerate cases


@pytest.mark.parametrize("name", ["auc", "average_precision", "slope", "empc"])
@pytest.mark.parametrize("label", [0, 1])
def test_one_class_gives_no_figure(name, label):
    assert np.isnan(CHURN_METRICS[name]([label] * 3, [0.2, 0.4, 0.9]))


def test_without_churners_there_is_no_lift():
    assert np.isnan(top_decile_lift([0, 0], [0.1, 0.2]))


@pytest.mark.parametrize("name", ["r2", "bias", "gini", "spearman", "top_share"])
def test_customers_who_all_spend_nothing_give_no_figure(name):
    assert np.isnan(VALUE_METRICS[name]([0, 0, 0], [1, 2, 3]))


@pytest.mark.parametrize("name", ["r2", "gini", "spearman"])
def test_customers_who_all_spend_the_same_give_no_figure(name):
    assert np.isnan(VALUE_METRICS[name]([0.1] * 3, [1, 2, 3]))


def test_one_prediction_for_all_orders_nobody():
    assert np.isnan(spearman([1, 2, 3], [5, 5, 5]))
    assert normalised_gini([1, 2, 3], [5, 5, 5]) == pytest.approx(0)


# Laws


@pytest.mark.parametrize("name", EVERY_CHURN)
@law
@given(churn_rows())
def test_for_churn_a_weight_of_two_is_the_row_repeated(name, rows):
    churned, probability, weight = columns(rows)
    metric = EVERY_CHURN[name]
    twice = metric(*repeated(churned, probability, weight))
    assert metric(churned, probability, weight) == pytest.approx(twice, rel=1e-5, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("name", EVERY_VALUE)
@law
@given(value_rows)
def test_for_value_a_weight_of_two_is_the_row_repeated(name, rows):
    actual, predicted, weight = columns(rows)
    metric = EVERY_VALUE[name]
    twice = metric(*repeated(actual, predicted, weight))
    assert metric(actual, predicted, weight) == pytest.approx(twice, rel=1e-7, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("name", [*EVERY_CHURN, *EVERY_VALUE])
@law
@given(churn_rows(), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_never_matters(name, rows, random):
    metric = {**EVERY_CHURN, **EVERY_VALUE}[name]
    shuffled = random.sample(rows, len(rows))
    assert metric(*columns(shuffled)) == pytest.approx(metric(*columns(rows)), rel=1e-5, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("name", RANK_METRICS)
@law
@given(churn_rows())
def test_metrics_of_rank_see_only_the_order(name, rows):
    churned, probability, weight = columns(rows)
    metric = RANK_METRICS[name]
    assert metric(churned, 7 * probability**3 - 2, weight) == metric(churned, probability, weight)


@law
@given(churn_rows())
def test_reversing_the_score_mirrors_the_auc(rows):
    churned, probability, weight = columns(rows)
    assert auc(churned, -probability, weight) == pytest.approx(1 - auc(churned, probability, weight))


@law
@given(value_rows)
def test_no_order_beats_that_of_the_values_themselves(rows):
    actual, predicted, weight = columns(rows)
    gini = normalised_gini(actual, predicted, weight)
    if np.isnan(gini):
        assert not np.ptp(actual[weight > 0])
        return
    assert -1 - 1e-9 <= gini <= 1 + 1e-9
    assert normalised_gini(actual, actual**2 + actual, weight) == 1
    assert normalised_gini(actual, -actual, weight) == pytest.approx(-1)


@law
@given(churn_rows(st.floats(0, 1)))
def test_calibration_error_is_at_least_the_error_of_the_total(rows):
    churned, probability, weight = columns(rows)
    gap = abs(base_rate(churned, probability, weight) - np.average(probability, weights=weight))
    assert gap - 1e-9 <= ece(churned, probability, weight) <= 1


# The decile table


def test_the_decile_table_tells_where_the_churners_are():
    table = decile_table([1, 1, 1, 0, 1, 0, 0, 0, 0, 0] * 2, [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0] * 2)
    assert table.decile.tolist() == list(range(1, 11))
    assert table.rows.tolist() == [2] * 10
    assert table.mean_predicted.tolist() == pytest.approx([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0])
    assert table.mean_actual.tolist() == [1, 1, 1, 0, 1, 0, 0, 0, 0, 0]
    assert table.lift.tolist() == pytest.approx([2.5, 2.5, 2.5, 0, 2.5, 0, 0, 0, 0, 0])
    assert table.cumulative_share.tolist() == pytest.approx([0.25, 0.5, 0.75, 0.75, 1, 1, 1, 1, 1, 1])


def test_few_customers_leave_deciles_empty():
    assert decile_table([1, 0, 0], [0.9, 0.5, 0.1]).rows.tolist() == [1, 1, 1]


@law
@given(value_rows)
def test_the_decile_table_loses_neither_rows_nor_money(rows):
    actual, predicted, weight = columns(rows)
    table = decile_table(actual, predicted, weight)
    assert table.rows.sum() == weight.sum()
    assert (table.rows * table.mean_actual).sum() == pytest.approx((weight * actual).sum())
    assert (table.rows * table.mean_predicted).sum() == pytest.approx((weight * predicted).sum())
    assert (np.diff(table.mean_predicted) <= 1e-9).all()


@law
@given(st.integers(6, 60).flatmap(lambda n: st.lists(st.booleans(), min_size=n, max_size=n)))
def test_the_first_decile_has_the_lift_we_report(churned):
    score = np.arange(len(churned))
    assert decile_table(churned, score).lift[0] == pytest.approx(top_decile_lift(churned, score), nan_ok=True)
