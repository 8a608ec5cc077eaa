"""The one list of features: every name once, every feature explained."""

from dataclasses import replace

import polars as pl
import pytest

from fedelta.features import activity, purchases
from fedelta.features.contract import (
    CHANNELS,
    DIGITAL_CHANNELS,
    INTERACTIONS,
    KINDS,
    PHYSICAL_CHANNELS,
    REQUIRED,
    SCORES,
)
from fedelta.features.feature import Family
from fedelta.features.history import Measure
from fedelta.features.kernel import KEYS
from fedelta.features.registry import FEATURES, DuplicateFeature, collect, dictionary, measures, named, registry_hash


def test_no_two_features_share_a_name_and_none_is_called_like_a_key():
    names = [feature.name for feature in FEATURES]
    assert len(names) == len(set(names)) >= 120
    assert not {*names} & {*KEYS, *INTERACTIONS}


def test_one_name_for_two_features_is_refused():
    with pytest.raises(DuplicateFeature, match=r"Defined twice: purchase_count, spend\. Give each"):
        collect(purchases.FEATURES, named(["spend", "purchase_count"]))


def test_one_name_for_two_measures_is_refused():
    other = Measure("spend", pl.lit(1), "money", "something else")
    with pytest.raises(DuplicateFeature, match="Two measures are named spend"):
        collect(purchases.FEATURES, tuple(Family("purchases").in_windows(other, (7,))))


def test_every_measure_is_evaluated_once_and_every_read_declares_its_own():
    held = measures()
    assert len({measure.name for measure in held}) == len(held)
    assert {measure for feature in FEATURES for measure in feature.measures} == set(held)


def test_the_dictionary_explains_every_feature_in_order():
    table = dictionary()
    assert table["name"].to_list() == [feature.name for feature in FEATURES]
    assert table.null_count().sum_horizontal().item() == 0
    assert (table["meaning"].str.len_chars() > 5).all()
    assert set(table["silent"]) == {"0", "null"}


def test_a_count_of_what_never_happened_is_zero_and_the_time_since_is_unknown():
    table = dictionary()
    assert set(table.filter(unit="count")["silent"]) == {"0"}
    assert set(table.filter(unit="days")["silent"]) == {"null"}


def test_the_unit_ends_the_name_of_a_count_or_of_days():
    for feature in FEATURES:
        if feature.unit == "count":
            assert "_count" in feature.name, feature.name
        if feature.unit == "days":
            assert "days" in feature.name, feature.name


def test_features_are_found_by_name_in_the_order_asked():
    assert [feature.name for feature in named(["spend", "tenure_days"])] == ["spend", "tenure_days"]
    with pytest.raises(KeyError, match="charisma"):
        named(["spend", "charisma"])


def test_the_fingerprint_changes_with_a_name_a_unit_or_the_order_but_not_with_the_words():
    first, *rest = FEATURES
    assert registry_hash() == registry_hash((replace(first, says="the same in other words"), *rest))
    changed = [(replace(first, name="other"), *rest), (replace(first, unit="share"), *rest), (*rest, first)]
    assert len({registry_hash(), *map(registry_hash, changed)}) == 4


def test_every_kind_with_a_feature_of_its_own_is_in_the_contract():
    counted = {name.removesuffix("_count_365d") for name in dictionary()["name"] if name.endswith("_count_365d")}
    assert {"purchase", "return", "visit", "contact", "delivery", "review", "renewal", "downgrade"} <= counted & {
        *KINDS
    }
    assert activity.of_kind("visit", "visits").name == "visit"


def test_a_channel_is_digital_or_physical_and_never_both():
    assert len(set(CHANNELS)) == len(CHANNELS)
    assert set(CHANNELS) == {*DIGITAL_CHANNELS} | {*PHYSICAL_CHANNELS}
    assert not {*DIGITAL_CHANNELS} & {*PHYSICAL_CHANNELS}


def test_the_contract_requires_who_when_and_what():
    assert set(REQUIRED) == {"interaction_id", "customer_id", "occurred_at", "kind"}
    assert set(REQUIRED) < set(INTERACTIONS)
    assert next(iter(SCORES)) == "customer_id"
    assert list(SCORES)[-1] == "status"
