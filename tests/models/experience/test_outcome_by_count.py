"""Leaving by the number of bad experiences, checked by hand."""

import numpy as np
import pytest

from fedelta.models.experience.outcome_by_count import outcome_by_count, wilson


def customers(**left_of):
    """Counts and outcomes from ``n3="4/10"``: of ten customers with three bad experiences, four left."""
    count, churned = [], []
    for name, share in left_of.items():
        left, all_ = map(int, share.split("/"))
        count += [float(name.removeprefix("n"))] * all_
        churned += [1.0] * left + [0.0] * (all_ - left)
    return np.array(count), np.array(churned)


def test_each_number_has_its_share_and_the_last_step_stands_for_more():
    curve = outcome_by_count(*customers(n0="10/100", n1="20/50", n7="15/25", n9="5/25"), "complaints")
    assert [(step.name, step.customers, step.share) for step in curve.steps] == [
        ("0", 100, 0.1),
        ("1", 50, 0.4),
        ("6 or more", 50, 0.4),
    ]
    assert "significantly more" in curve.says


def test_numbers_of_few_customers_are_joined_with_those_below():
    curve = outcome_by_count(*customers(n0="10/100", n1="20/50", n2="1/2", n3="1/2"), "complaints")
    assert [(step.name, step.customers) for step in curve.steps] == [("0", 100), ("1 or more", 54)]


def test_a_flag_reads_as_0_and_1():
    curve = outcome_by_count(*customers(n0="10/100", n1="40/50"), "a complaint")
    assert [step.name for step in curve.steps] == ["0", "1"]


def test_what_is_unknown_is_counted_apart_and_what_is_negative_is_none():
    count, churned = np.array([np.nan, -3.0, 0.0, 1.0] * 25), np.zeros(100)
    curve = outcome_by_count(count, churned, "days late")
    assert curve.unknown == 25
    assert [(step.name, step.customers) for step in curve.steps] == [("0", 50), ("1", 25)]
    assert "no significant difference" in curve.says


def test_the_number_from_which_more_leave_is_reported():
    curve = outcome_by_count(*customers(n0="10/100", n1="11/100", n2="9/100", n3="50/100", n4="60/100"), "calls")
    assert "32.5% of customers with 1 or more left, 10.0% of those with 0: significantly more" in curve.says
    assert "From 3 on significantly more left than of those with 0: 60.0% of those with 4." in curve.says


def test_with_one_number_only_nothing_is_compared():
    curve = outcome_by_count(np.zeros(50), np.zeros(50), "complaints")
    assert curve.difference is None
    assert "Too few customers differ" in curve.says


def test_the_interval_of_a_share_is_wilsons():
    low, high = wilson(15, 148)  # Newcombe 1998, Stat. Med. 17, table I: 0.0624 to 0.1605
    assert (low, high) == pytest.approx((0.0624, 0.1605), abs=5e-5)


def test_the_interval_of_a_difference_is_newcombes():
    curve = outcome_by_count(*customers(n0="48/80", n1="56/70"), "x")  # Newcombe 1998, table II: 0.0524 to 0.3339
    assert (curve.difference, curve.low, curve.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)
