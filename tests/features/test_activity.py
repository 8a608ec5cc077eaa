"""Activity by hand: how much of what, in which window."""

from histories import event, known


def test_interactions_of_any_kind_count_in_every_window_that_holds_them():
    row = known(event(3, "visit"), event(20, "newsletter"), event(100), event(400, "visit"))
    windows = {days: row[f"interaction_count_{days}d"] for days in (7, 30, 90, 180, 365)}
    assert windows == {7: 1, 30: 2, 90: 2, 180: 3, 365: 3}
    assert row["interaction_count"] == 4


def test_a_complaint_is_a_contact_and_a_contact_no_complaint():
    row = known(event(1, "complaint"), event(2, "contact"))
    assert (row["contact_count_30d"], row["complaint_count"]) == (2, 1)


def test_the_response_rate_is_unknown_until_we_write():
    assert known(event(1, "visit"))["response_rate_90d"] is None
    wrote = [event(days, "message") for days in (5, 6, 7, 8)]
    assert known(*wrote)["response_rate_90d"] == 0
    assert known(*wrote, event(4, "response"))["response_rate_90d"] == 0.25
