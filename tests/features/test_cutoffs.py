"""When we look: where cutoffs stand, and that nothing learned from reaches into what we are measured on."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedelta.features.cutoffs import (
    BadCutoff,
    Cutoff,
    CutoffSettings,
    TooLittleHistory,
    backtest_calendar,
    calendar,
    midnight_after,
    score_cutoff,
    value_calendar,
)

FIRST = datetime(2024, 1, 1, 8, 30, tzinfo=UTC)
DAY = timedelta(days=1)
law = settings(max_examples=200, derandomize=True)


def day(year: int, month: int, number: int) -> datetime:
    return datetime(year, month, number, tzinfo=UTC)


def run(history_days: int, horizon_days: int = 90, lead_days: int = 0, **more: object) -> tuple[Cutoff, ...]:
    chosen = CutoffSettings(**more)  # type: ignore[arg-type]
    last = FIRST + timedelta(days=history_days)
    return calendar(FIRST, last, chosen, horizon_days=horizon_days, lead_days=lead_days)


def of_role(cutoffs: tuple[Cutoff, ...], role: str) -> list[Cutoff]:
    return [cutoff for cutoff in cutoffs if cutoff.role == role]


def test_the_horizon_begins_after_the_lead_time_and_lasts_its_days():
    cutoff = Cutoff(day(2026, 1, 1), 30, 7, "score")
    assert (cutoff.horizon_start, cutoff.horizon_end) == (day(2026, 1, 8), day(2026, 2, 7))


def test_a_year_and_a_half_of_history_is_scored_measured_and_learned_from():
    cutoffs = calendar(
        day(2024, 1, 1),
        day(2025, 6, 30) + DAY / 2,
        CutoffSettings(step_days=30, train=3),
        horizon_days=90,
        lead_days=10,
    )
    assert [(c.role, c.at, c.refit) for c in cutoffs] == [
        ("train", day(2024, 10, 14), False),
        ("train", day(2024, 11, 13), False),
        ("train", day(2024, 12, 13), False),
        ("refit", day(2025, 1, 22), True),
        ("refit", day(2025, 2, 21), True),
        ("evaluate", day(2025, 3, 23), True),
        ("score", day(2025, 7, 1), False),
    ]


def test_the_scoring_cutoff_sees_the_last_interaction_even_one_at_midnight():
    assert midnight_after(day(2026, 3, 31)) == day(2026, 4, 1)
    assert midnight_after(day(2026, 3, 31) + DAY - timedelta(microseconds=1)) == day(2026, 4, 1)


def test_a_date_to_score_at_is_its_midnight():
    assert score_cutoff(CutoffSettings(score_at="2026-01-31"), day(2026, 5, 5)) == day(2026, 1, 31)


@pytest.mark.parametrize("asked", ["soon", "2026-02-30", "", "2026-01-31T10:00:00"])
def test_a_scoring_date_that_is_none_is_named(asked: str):
    with pytest.raises(BadCutoff, match=r"cutoffs\.score_at is .*must be a date"):
        score_cutoff(CutoffSettings(score_at=asked), day(2026, 5, 5))


def test_scoring_in_the_past_measures_before_that_date():
    cutoffs = run(700, score_at="2025-06-01")
    assert of_role(cutoffs, "evaluate")[0].horizon_end == of_role(cutoffs, "score")[0].at == day(2025, 6, 1)


def test_scoring_in_the_future_measures_only_where_the_data_reach():
    ahead = midnight_after(FIRST + 720 * DAY)
    cutoffs = run(700, score_at=f"{ahead:%Y-%m-%d}")
    assert of_role(cutoffs, "score")[0].at == ahead
    assert of_role(cutoffs, "evaluate")[0].horizon_end == midnight_after(FIRST + 700 * DAY)


def test_scoring_when_everybody_would_seem_to_have_left_is_refused():
    with pytest.raises(BadCutoff, match="score_at is 2030-01-01, more than a horizon after the last interaction"):
        run(700, score_at="2030-01-01")


def test_a_backtest_before_the_history_is_refused():
    ahead = {"horizon_days": 90, "lead_days": 0}
    with pytest.raises(TooLittleHistory, match="1990-01-01 lies before the history, which begins on 2024-01-01"):
        backtest_calendar(FIRST, FIRST + 700 * DAY, day(1990, 1, 1), CutoffSettings(), **ahead)


def test_scoring_before_the_history_begins_is_refused():
    with pytest.raises(TooLittleHistory, match="the history begins only on 2024-01-01"):
        run(700, score_at="2023-12-31")


def test_a_short_history_is_learned_from_over_shorter_horizons():
    train = of_role(run(270, horizon_days=120, train=4), "train")
    evaluate_at = day(2024, 1, 1) + (271 - 120) * DAY
    assert len(train) == 4
    assert all(30 <= cutoff.horizon_days < 120 for cutoff in train)
    assert {cutoff.horizon_end for cutoff in train} == {evaluate_at}


def test_a_horizon_is_never_longer_than_asked_for_however_far_apart_the_steps():
    train = of_role(run(150, horizon_days=10, step_days=120, train=2), "train")
    assert [cutoff.horizon_days for cutoff in train] == [10, 10]


def test_too_little_history_says_what_would_do():
    with pytest.raises(TooLittleHistory, match=r"spans 80 days; at least 120 are needed\. Bring more history"):
        run(79, horizon_days=90)


def test_a_history_too_short_to_be_evaluated_is_still_learned_from():
    cutoffs = run(169, horizon_days=90)
    assert {cutoff.role for cutoff in cutoffs} == {"refit", "score"}
    assert all(cutoff.refit == (cutoff.role == "refit") for cutoff in cutoffs)


SHAPES = st.fixed_dictionaries(
    {
        "history_days": st.integers(1, 1500),
        "horizon_days": st.integers(1, 400),
        "lead_days": st.integers(0, 60),
        "step_days": st.integers(1, 120),
        "train": st.integers(1, 12),
        "min_history_days": st.integers(1, 120),
    }
)


@given(SHAPES)
@law
def test_no_training_horizon_reaches_into_the_one_we_are_measured_on(shape: dict[str, int]):
    try:
        cutoffs = run(**shape)
    except TooLittleHistory:
        return
    (score,) = of_role(cutoffs, "score")
    assert all(cutoff.horizon_end <= score.at for cutoff in cutoffs if cutoff.refit)
    for evaluate in of_role(cutoffs, "evaluate"):
        assert evaluate.horizon_end <= score.at
        assert all(cutoff.horizon_end <= evaluate.at for cutoff in of_role(cutoffs, "train"))
    assert bool(of_role(cutoffs, "train")) == bool(of_role(cutoffs, "evaluate"))


@given(SHAPES)
@law
def test_the_delivered_fit_learns_from_what_a_backtest_at_the_scoring_cutoff_learns_from(shape: dict[str, int]):
    try:
        cutoffs = run(**shape)
    except TooLittleHistory:
        return
    (score,) = of_role(cutoffs, "score")
    chosen = CutoffSettings(**{name: shape[name] for name in ("step_days", "train", "min_history_days")})
    days = {name: shape[name] for name in ("horizon_days", "lead_days")}
    later = score.at + timedelta(days=shape["horizon_days"] + shape["lead_days"])
    backtest = backtest_calendar(FIRST, later, score.at, chosen, **days)
    assert [(c.at, c.horizon_days) for c in cutoffs if c.refit] == [(c.at, c.horizon_days) for c in backtest[:-1]]


@given(SHAPES)
@law
def test_cutoffs_are_different_midnights_in_order_after_history_and_with_a_horizon(shape: dict[str, int]):
    try:
        cutoffs = run(**shape)
    except TooLittleHistory:
        return
    for train in (of_role(cutoffs, "train"), [cutoff for cutoff in cutoffs if cutoff.refit]):
        assert len(train) <= max(shape["train"], 2)
    assert any(cutoff.refit for cutoff in cutoffs)
    assert all(cutoff.at > FIRST for cutoff in cutoffs)
    assert all((cutoff.at - datetime(2024, 1, 1, tzinfo=UTC)) % DAY == timedelta() for cutoff in cutoffs)
    instants = [cutoff.at for cutoff in cutoffs]
    assert instants == sorted(set(instants))
    assert all(1 <= cutoff.horizon_days <= shape["horizon_days"] for cutoff in cutoffs)
    assert {cutoff.lead_days for cutoff in cutoffs} == {shape["lead_days"]}


@given(SHAPES)
@law
def test_a_longer_history_is_never_too_little_where_a_shorter_one_sufficed(shape: dict[str, int]):
    try:
        run(**shape)
    except TooLittleHistory:
        return
    run(**{**shape, "history_days": shape["history_days"] + 1})


def test_a_backtest_learns_before_its_date_and_is_measured_after_it():
    at = day(2025, 6, 1)
    cutoffs = backtest_calendar(FIRST, day(2026, 1, 1), at, CutoffSettings(), horizon_days=90, lead_days=0)
    assert cutoffs[-1] == Cutoff(at, 90, 0, "evaluate")
    assert all(cutoff.role == "train" and cutoff.horizon_end <= at for cutoff in cutoffs[:-1])


def test_a_backtest_whose_horizon_is_not_over_is_refused():
    last_possible = day(2025, 10, 3)  # + 90 days: 2026-01-01
    backtest_calendar(FIRST, day(2025, 12, 31), last_possible, CutoffSettings(), horizon_days=90, lead_days=0)
    with pytest.raises(TooLittleHistory, match=r"ends on 2026-01-02, but the data end on 2025-12-31"):
        backtest_calendar(FIRST, day(2025, 12, 31), last_possible + DAY, CutoffSettings(), horizon_days=90, lead_days=0)


def test_value_has_cutoffs_of_its_own_whose_longer_horizon_is_over():
    last, chosen = day(2026, 1, 1) - DAY / 2, CutoffSettings(train=2)
    of_churn = calendar(FIRST, last, chosen, horizon_days=90, lead_days=0)
    found = value_calendar(FIRST, last, chosen, of_churn, days=200)
    assert found == calendar(FIRST, last, chosen, horizon_days=200, lead_days=0)
    (evaluated,) = of_role(found, "evaluate")
    assert (evaluated.at, evaluated.horizon_end) == (day(2025, 6, 15), day(2026, 1, 1))
    assert found[-1].at == of_churn[-1].at


def test_value_uses_the_cutoffs_of_churn_where_it_has_no_other_horizon_or_the_history_is_too_short():
    last, chosen = day(2026, 1, 1) - DAY / 2, CutoffSettings(train=2)
    of_churn = calendar(FIRST, last, chosen, horizon_days=90, lead_days=0)
    assert value_calendar(FIRST, last, chosen, of_churn, days=90) == of_churn
    assert value_calendar(FIRST, last, chosen, of_churn, days=700) == of_churn


def test_a_backtest_of_value_learns_what_the_run_of_that_day_would_and_sees_no_further_than_the_data():
    at, end, chosen = day(2025, 6, 1), day(2025, 12, 31), CutoffSettings(train=2)
    of_churn = backtest_calendar(FIRST, end, at, chosen, horizon_days=90, lead_days=0)
    found = value_calendar(FIRST, end, chosen, of_churn, days=250)
    assert (found[-1].at, found[-1].role, found[-1].horizon_end) == (at, "evaluate", day(2026, 1, 1))
    then = CutoffSettings(train=2, score_at="2025-06-01")
    of_run = value_calendar(FIRST, end, then, calendar(FIRST, end, then, horizon_days=90, lead_days=0), days=250)
    assert [c.at for c in found if c.role == "train"] == [c.at for c in of_run if c.refit]


@law
@given(st.integers(60, 1_000), st.integers(1, 200), st.integers(1, 500), st.integers(0, 20))
def test_no_outcome_of_value_that_is_learned_from_is_later_than_the_present(history, horizon, days, lead):
    last = FIRST + timedelta(days=history)
    try:
        of_churn = calendar(FIRST, last, CutoffSettings(), horizon_days=horizon, lead_days=lead)
    except (TooLittleHistory, BadCutoff):
        return
    found = value_calendar(FIRST, last, CutoffSettings(), of_churn, days=days)
    present = of_churn[-1].at
    assert all(cutoff.horizon_end <= present for cutoff in found if cutoff.refit)
    for evaluated in of_role(found, "evaluate"):
        assert all(cutoff.horizon_end <= evaluated.at for cutoff in of_role(found, "train"))
