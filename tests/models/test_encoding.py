"""From a table to the matrix a booster reads: columns in order, categories as integers, the unknown as unknown."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedelta.models.encoding import Encoding, MissingFeatures
from fedelta.models.table import Table

TABLE = pd.DataFrame(
    {"spend": [1.5, 2.0, None, 4.0], "plan": ["gold", "tin", "tin", None], "flag": [True, False, True, True], "same": 7}
)


def test_categories_are_coded_commonest_first_and_columns_that_tell_nothing_apart_are_left_out():
    encoding = Encoding.of(TABLE)
    assert encoding.names == ("spend", "plan", "flag")
    assert encoding.categories == {"plan": ("tin", "gold")}
    assert encoding.categorical == [1]
    expected = [[1.5, 1, 1], [2.0, 0, 0], [np.nan, 0, 1], [4.0, np.nan, 1]]
    np.testing.assert_array_equal(encoding.matrix(TABLE), expected)


def test_equally_common_categories_are_coded_by_name():
    assert Encoding.of(pd.DataFrame({"plan": ["b", "c", "a"]})).categories == {"plan": ("a", "b", "c")}


def test_a_category_never_seen_is_unknown_and_no_other():
    matrix = Encoding.of(TABLE).matrix(TABLE.assign(plan=["platinum", "TIN", "", "gold"]))
    np.testing.assert_array_equal(matrix[:, 1], [np.nan, np.nan, np.nan, 1])


def test_columns_as_arrays_give_the_same_matrix():
    encoding, whole = Encoding.of(TABLE), Table.of(TABLE)
    assert list(whole) == list(TABLE)
    assert whole["plan"].tolist() == ["gold", "tin", "tin", None]
    np.testing.assert_array_equal(encoding.matrix(whole), encoding.matrix(TABLE), strict=True)
    some = np.array([False, True, True, False])
    np.testing.assert_array_equal(encoding.matrix(whole.where(some)), encoding.matrix(TABLE[some]), strict=True)


def test_columns_for_a_reader_of_columns_hold_the_matrix_and_are_not_copied():
    table = TABLE.assign(count=np.array([3, 1, 2, 5], np.int32))
    encoding = Encoding.of(table)
    held = encoding.columns(table)
    read = np.column_stack([held[name].to_numpy() for name in held.column_names])
    assert held.column_names == list(encoding.names)
    np.testing.assert_array_equal(read.astype(np.float64), encoding.matrix(table))
    assert np.shares_memory(held["count"].chunk(0).to_numpy(), table["count"].to_numpy())


def test_a_column_all_unknown_at_scoring_is_unknown_in_every_row():
    unknown = TABLE.assign(spend=pd.Series([None] * 4, dtype=object), plan=None)
    assert np.isnan(Encoding.of(TABLE).matrix(unknown)[:, :2]).all()


def test_every_missing_column_is_named():
    with pytest.raises(MissingFeatures, match=r"The model needs \['spend', 'plan'\], which the table lacks\. Rebuild"):
        Encoding.of(TABLE).matrix(TABLE[["flag"]])
    with pytest.raises(MissingFeatures, match=r"The model needs \['spend', 'plan'\], which the table lacks\. Rebuild"):
        Encoding.of(TABLE).columns(TABLE[["flag"]])


def test_the_order_of_columns_and_others_beside_them_change_nothing():
    encoding = Encoding.of(TABLE)
    other = TABLE[["same", "flag", "plan", "spend"]].assign(extra="x")
    np.testing.assert_array_equal(encoding.matrix(other), encoding.matrix(TABLE))


@given(st.lists(st.one_of(st.none(), st.text(max_size=5)), min_size=2, max_size=20))
@settings(max_examples=40, derandomize=True)
def test_an_encoding_comes_back_from_json_as_it_was_and_tells_every_category_apart(values: list[str | None]):
    table = pd.DataFrame({"plan": pd.Series(values, dtype=object), "n": range(len(values))})
    encoding = Encoding.of(table)
    assert Encoding.from_dict(json.loads(json.dumps(encoding.to_dict()))) == encoding
    if "plan" in encoding.names:
        codes = encoding.matrix(table)[:, encoding.names.index("plan")]
        pairs = {(value, code) for value, code in zip(values, codes.tolist(), strict=True) if value is not None}
        assert len({value for value, _ in pairs}) == len({code for _, code in pairs}) == len(pairs)
        assert np.isnan(codes).tolist() == [value is None for value in values]
