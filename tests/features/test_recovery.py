"""Recovery: the first resolved contact on the matter, soon enough, makes a bad experience good."""

import polars as pl
import pytest
from histories import SETTINGS, Event, event, interactions

from fedelta.features.experience_rules import with_bad_experiences
from fedelta.features.recovery import recoveries


def late(days_ago: float, **more: object) -> Event:
    return event(days_ago, "delivery", delay_hours=25.0, **more)


def unresolved(days_ago: float, topic: str | None) -> Event:
    return event(days_ago, "contact", resolved=False, topic=topic)


def resolved(days_ago: float, topic: str | None = None, **more: object) -> Event:
    return event(days_ago, "contact", resolved=True, topic=topic, **more)


def found(*events: Event) -> list[tuple[int, int, float]]:
    """Row of the bad experience, row of its recovery, hours between them."""
    bad = with_bad_experiences(interactions(*events), SETTINGS.experience)
    return recoveries(bad, SETTINGS.experience.recovery_days).rows()


def test_the_first_resolved_contact_recovers_and_a_second_adds_nothing():
    assert found(late(9), event(8), resolved(7), resolved(6)) == [(0, 2, 48)]


def test_an_unresolved_contact_or_a_resolved_matter_before_it_recovers_nothing():
    assert found(resolved(10), late(9), event(8, "contact"), event(7, "survey", resolved=True)) == []


def test_one_contact_may_make_good_several_bad_experiences():
    assert found(late(9), event(8, "error"), resolved(7)) == [(0, 2, 48), (1, 2, 24)]


def test_a_recovery_comes_within_thirty_days_or_not_at_all():
    assert found(late(40), resolved(10)) == [(0, 1, 720)]
    assert found(late(40.000001), resolved(10)) == []


def test_a_contact_is_recovered_on_its_own_topic_or_on_none():
    assert found(unresolved(9, "bill"), resolved(8, "account")) == []
    assert found(unresolved(29, "bill"), resolved(8, "account"), resolved(7, "bill")) == [(0, 2, 22 * 24)]
    assert found(unresolved(29, "bill"), resolved(8), resolved(7, "bill")) == [(0, 1, 21 * 24)]
    assert found(unresolved(9, None), resolved(8, "account")) == [(0, 1, 24)]


def test_the_topic_of_a_parcel_is_no_topic_of_a_contact():
    assert found(late(9, topic="shoes"), resolved(8, "late parcel")) == [(0, 1, 24)]


@pytest.mark.parametrize(("wait", "hours"), [(5.5, 5.5), (None, 0), (float("inf"), 0)])
def test_a_bad_contact_that_was_resolved_recovered_itself_after_its_wait(wait: float | None, hours: float):
    assert found(resolved(9, rating=0.1, wait_hours=wait), resolved(8)) == [(0, 0, hours)]


def test_having_to_come_back_is_bad_too_and_is_settled_with_the_matter():
    assert found(unresolved(9, "bill"), resolved(7, "bill")) == [(0, 1, 48), (1, 1, 0)]


def test_nobody_recovers_the_experience_of_another():
    assert found(late(9, customer_id="aaron"), resolved(8)) == []


def test_nothing_bad_nothing_recovered():
    assert found(resolved(8)) == []
    empty = with_bad_experiences(interactions(), SETTINGS.experience)
    assert recoveries(empty, 30).schema == {"row": pl.Int64, "by": pl.Int64, "hours": pl.Float64}
