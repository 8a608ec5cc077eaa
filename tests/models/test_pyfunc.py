"""The registered model reads rows as data/features has them, in any form that pandas gives them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from company import PRIOR
from pandas.testing import assert_frame_equal

from fedelta.models.btyd.purchase_prior import at_horizon
from fedelta.models.encoding import MissingFeatures
from fedelta.models.panel import PRIOR_FEATURES
from fedelta.models.pyfunc import BadCutoff, BundleModel


@pytest.fixture
def model(churn, clv, train, to_score) -> BundleModel:
    """A churn model that has BTYD's answers among its features, and one of value."""
    cutoffs = sorted({*train.table["cutoff"], *to_score["cutoff"]})
    return BundleModel(churn, clv, None, {pd.Timestamp(at).tz_localize(None): PRIOR for at in cutoffs})


@pytest.fixture
def rows(to_score: pd.DataFrame) -> pd.DataFrame:
    """Rows as `pd.read_parquet("data/features")` gives them: times with a zone, text as categories, no prior."""
    table = to_score.drop(columns=[*PRIOR_FEATURES])
    return table.assign(
        cutoff=pd.to_datetime(table["cutoff"], utc=True),
        last_bad_experience=table["last_bad_experience"].astype("category"),
    )


def test_what_btyd_says_is_computed_where_it_is_absent(model: BundleModel, rows, to_score):
    naive = to_score.assign(cutoff=pd.to_datetime(to_score["cutoff"], utc=True).dt.tz_localize(None))
    expected = pd.DataFrame(
        {
            "churn_probability": model.churn.churn_probability(naive),
            "clv_expected": model.clv.expected_spend(naive),
            "clv_low": model.clv.interval(naive)[0],
            "clv_high": model.clv.interval(naive)[1],
        },
        index=to_score.index,
    )
    expected[to_score["status"] != "scored"] = np.nan
    assert_frame_equal(model.predict(rows), expected)
    assert_frame_equal(model.predict(to_score), expected)
    assert_frame_equal(model.predict(rows.assign(pareto_p_any=0.5)), expected)  # one of its columns is not enough


def test_value_is_of_the_horizon_it_was_learned_for_whatever_that_of_the_rows(model: BundleModel, rows, to_score):
    longer = replace(model, clv=replace(model.clv, horizon_days=365))
    table = to_score.assign(cutoff=pd.to_datetime(to_score["cutoff"], utc=True).dt.tz_localize(None))
    scored = table[table["status"] == "scored"]
    expected = model.clv.expected_spend(at_horizon(scored, PRIOR, 365))
    predicted = longer.predict(rows)
    assert predicted.loc[scored.index, "clv_expected"].tolist() == expected.tolist()
    assert expected.sum() > 2 * model.clv.expected_spend(scored).sum()
    assert predicted["churn_probability"].equals(model.predict(rows)["churn_probability"])


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows.assign(cutoff=rows["cutoff"].dt.tz_localize(None)),
        lambda rows: rows.assign(cutoff=rows["cutoff"].dt.tz_convert("America/New_York")),
        lambda rows: rows.assign(cutoff=rows["cutoff"].dt.strftime("%Y-%m-%dT%H:%M:%S")),
        lambda rows: rows.assign(cutoff=rows["cutoff"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")),
        lambda rows: rows[rows.columns[::-1]].assign(another=1),
        lambda rows: rows.convert_dtypes(),
        lambda rows: rows.convert_dtypes(dtype_backend="pyarrow"),
        lambda rows: rows.astype(dict.fromkeys(rows.columns[rows.dtypes == "int32"], "int64")),
        lambda rows: rows.assign(last_bad_experience=rows["last_bad_experience"].astype(object)),
    ],
)
def test_the_form_of_the_rows_changes_nothing(model: BundleModel, rows, change):
    assert_frame_equal(model.predict(change(rows)), model.predict(rows))


def test_rows_keep_their_order_and_index(model: BundleModel, rows):
    shuffled = rows.sample(frac=1, random_state=1)
    assert_frame_equal(model.predict(shuffled), model.predict(rows).loc[shuffled.index])


def test_who_is_not_scored_gets_no_figures(model: BundleModel, rows):
    predicted = model.predict(rows.assign(status=["scored", "already_churned"] + ["scored"] * (len(rows) - 2)))
    assert predicted.iloc[1].isna().all()
    assert predicted["churn_probability"].drop(predicted.index[1]).notna().all()
    nobody = model.predict(rows.assign(status="no_purchase"))
    assert nobody.isna().all(axis=None)
    assert list(nobody) == model.outputs


def test_without_a_status_every_row_is_predicted(model: BundleModel, rows):
    assert model.predict(rows.drop(columns="status"))["churn_probability"].notna().all()


def test_rows_later_than_every_fit_take_the_last_one_and_a_warning_says_so(model: BundleModel, rows):
    later = rows.assign(cutoff=rows["cutoff"] + pd.Timedelta(days=30))
    with pytest.warns(UserWarning, match="rows have a cutoff at which this bundle's purchase models were not fitted"):
        predicted = model.predict(later)
    assert predicted["churn_probability"].notna().any()


def test_a_row_of_a_cutoff_between_two_fits_takes_the_one_before(churn, clv, rows):
    other = BundleModel(churn, clv, None, {pd.Timestamp("2025-01-01"): PRIOR, pd.Timestamp("2035-01-01"): None})
    alone = BundleModel(churn, clv, None, {pd.Timestamp("2025-01-01"): PRIOR})
    with pytest.warns(UserWarning, match="the last fit before it is used"):
        assert_frame_equal(other.predict(rows), alone.predict(rows))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda rows: rows.drop(columns="cutoff"), MissingFeatures, "lacks `cutoff`"),
        (lambda rows: rows.drop(columns="spend"), MissingFeatures, "spend"),
        (lambda rows: rows.drop(columns="horizon_days"), MissingFeatures, r"purchase models need \['horizon_days'\]"),
        (lambda rows: rows.assign(cutoff=20240101), BadCutoff, "must be times, or text as 2026-01-31T00:00:00"),
        (lambda rows: rows.assign(cutoff="yesterday"), BadCutoff, "the first is 'yesterday'"),
        (lambda rows: rows.assign(cutoff="2020-01-01"), BadCutoff, "A row has the cutoff 2020-01-01; the purchase"),
    ],
)
def test_rows_that_cannot_be_read_are_one_clear_line(model: BundleModel, rows, change, error, words):
    with pytest.raises(error, match=words) as refused:
        model.predict(change(rows))
    assert "\n" not in str(refused.value)


def test_without_purchases_nothing_of_btyd_is_needed(churn, clv, rows):
    predicted = BundleModel(churn, clv, None, {}).predict(rows)
    assert predicted["churn_probability"].notna().any()
