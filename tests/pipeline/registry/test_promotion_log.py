"""What follows from the log: who was champion when, and whom a rollback brings back."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from fedelta.pipeline.registry.promotion_log import Decision, champion_at, champions, rolled_back

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def log(*entries: str) -> list[Decision]:
    """Decisions an hour apart from noon on: "+2" promotes version 2, "?3" does not, "-2>1" rolls 2 back to 1."""
    decisions: list[Decision] = []
    for hours, entry in enumerate(entries):
        sign, (version, _, target) = entry[0], entry[1:].partition(">")
        champion = {"+": version, "-": target, "?": decisions[-1].champion if decisions else None}[sign]
        outcome = {"+": "promoted", "-": "rolled back", "?": "not promoted"}[sign]
        at = NOON + timedelta(hours=hours)
        decisions.append(Decision(outcome, version, "", champion, "", None, "so", "ann", at=at))  # type: ignore[arg-type]
    return decisions


def champion_after(decisions: list[Decision], hours: float) -> str | None:
    decision = champion_at(decisions, NOON + timedelta(hours=hours))
    return decision.champion if decision else None


def test_the_champion_of_an_instant_is_the_one_last_made_by_then():
    decisions = log("+1", "?2", "+3", "-3>1")
    assert [champion_after(decisions, hours) for hours in (-1, 0, 1.5, 2, 2.9, 3, 99)] == [
        None, "1", "1", "3", "3", "1", "1",
    ]  # fmt: skip


def test_a_refusal_changes_nobody():
    assert champions(log("+1", "?2")) == ["1"]


def test_rolling_back_twice_goes_back_twice_and_never_forth():
    assert champions(log("+1", "+2", "+3")) == ["1", "2", "3"]
    assert champions(log("+1", "+2", "+3", "-3>2")) == ["1", "2"]
    assert champions(log("+1", "+2", "+3", "-3>2", "-2>1")) == ["1"]
    assert champions(log("+1", "+2", "-2>1", "+4")) == ["1", "4"]


def test_a_rollback_to_a_champion_the_log_never_saw_begins_a_new_row():
    assert champions(log("+2", "-2>1")) == ["1"]


def test_who_was_rolled_back_stays_so_until_promoted_again():
    assert rolled_back(log("+1", "+2"), "2") is None
    assert rolled_back(log("+1", "+2", "-2>1", "?2"), "2") is not None
    assert rolled_back(log("+1", "+2", "-2>1", "+2"), "2") is None
    assert rolled_back(log("+1", "+2", "-2>1"), "1") is None


@given(st.lists(st.sampled_from(["promote", "refuse", "roll back"]), max_size=20))
def test_the_last_of_the_row_is_always_the_champion_of_now(steps: list[str]):
    entries: list[str] = []
    for number, step in enumerate(steps, start=1):
        row = champions(log(*entries))
        if step == "roll back" and len(row) > 1:
            entries.append(f"-{row[-1]}>{row[-2]}")
        else:
            entries.append(f"{'?' if step == 'refuse' else '+'}{number}")
    decisions = log(*entries)
    assert champions(decisions)[-1:] == ([champion] if (champion := champion_after(decisions, 99)) else [])
