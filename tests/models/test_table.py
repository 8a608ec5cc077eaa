"""Columns by name, without pandas."""

import numpy as np

from fedelta.models.table import Table


def test_what_is_derived_is_derived_once_until_a_column_that_it_reads_is_replaced():
    asked = []

    def total(table: Table) -> float:
        asked.append(table)
        return float(table["a"].sum())

    table = Table({"a": np.array([1.0, 2.0]), "b": np.array([0.0, 0.0])}, 2)
    assert [one.once(total, ["a"]) for one in (table, table)] == [3, 3]
    other, changed = table.beside({"b": np.ones(2)}), table.beside({"a": np.ones(2)})
    assert other.once(total, ["a"]) == 3
    assert asked == [table]
    assert changed.once(total, ["a"]) == 2
    assert table.where(np.array([True, False])).once(total, ["a"]) == 1


def test_columns_of_numbers_lie_side_by_side():
    table = Table({"a": np.array([1, 2], np.int32), "b": np.array([0.5, np.nan]), "c": np.array(["x", None])}, 2)
    np.testing.assert_array_equal(table.numbers(("b", "a")), [[0.5, 1], [np.nan, 2]])
    assert table.numbers(()).shape == (2, 0)
    assert table.has(frozenset("ab"))
    assert not table.has(frozenset("ad"))
