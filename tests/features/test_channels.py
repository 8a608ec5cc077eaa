"""Channels by hand: where the customer meets us, and how many ways."""

import pytest
from histories import RULES, event, known

from fedelta.features.experience_rules import ExperienceSettings
from fedelta.features.kernel import KernelSettings


def test_shares_are_of_the_interactions_whose_channel_is_known():
    row = known(event(4, channel="web"), event(3, channel="web"), event(2, channel="store"), event(1))
    assert row["web_share_365d"] == pytest.approx(2 / 3)
    assert row["digital_share_365d"] == pytest.approx(2 / 3)
    assert (row["app_share_365d"], row["channel_count_365d"]) == (0, 2)


def test_two_channels_used_equally_are_one_bit_of_variety_and_one_alone_is_none():
    assert known(event(2, channel="web"), event(1, channel="phone"))["channel_entropy_365d"] == 1
    assert known(event(2, channel="web"), event(1, channel="web"))["channel_entropy_365d"] == 0


def test_whether_the_last_known_channel_was_digital():
    assert known(event(3, channel="store"), event(2, channel="app"), event(1))["last_channel_digital"] == 1
    assert known(event(3, channel="app"), event(2, channel="store"))["last_channel_digital"] == 0
    assert known(event(1))["last_channel_digital"] is None


def test_a_source_may_declare_a_digital_channel_of_its_own():
    kiosk = event(1, channel="kiosk")
    declared = KernelSettings(ExperienceSettings(RULES), digital_channels=("web", "kiosk"))
    assert known(kiosk)["digital_share_90d"] == 0
    assert known(kiosk, settings=declared)["digital_share_90d"] == 1


def test_a_channel_not_used_for_a_year_is_forgotten():
    row = known(event(366, channel="web"), event(1, channel="app"))
    assert (row["web_share_365d"], row["app_share_365d"], row["channel_count_365d"]) == (0, 1, 1)
