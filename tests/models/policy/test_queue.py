"""The queue of who is contacted: everybody finds their own turn in it again, another that of the first behind them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedelta.models.policy.queue import Queue
from fedelta.models.policy.settings import PolicySettings, TeamSettings

KEEP, BACK = "keep", "win back"
NAMES = ["ann", "ben", "cat", "dan"]
PROFIT, COST = np.array([40.0, 30.0, -np.inf, 10.0]), np.ones(4)
ACTION = np.array([KEEP, BACK, KEEP, KEEP])


def one(queue: Queue, name: str, profit: float, action: str = KEEP, cost: float = 1.0) -> tuple[bool, int, int]:
    turn = queue.turns([name], np.array([profit]), np.array([cost]), np.array([action]))
    return bool(turn.contacted[0]), int(turn.team[0]), int(turn.day[0])


def test_the_capacity_reaches_the_most_profitable_and_who_would_have_come_before_the_last_of_them():
    queue = Queue.of(NAMES, PROFIT, COST, ACTION, PolicySettings(capacity=2))
    assert queue.turns(NAMES, PROFIT, COST, ACTION).contacted.tolist() == [True, True, False, False]
    assert one(queue, "eve", 35.0) == (False, -1, -1)  # behind ann, and the next to be kept is dan
    assert one(queue, "eve", 50.0)[0]
    assert one(queue, "eve", 25.0, BACK)[0]  # behind the last to be won back, who is contacted
    assert not one(queue, "eve", -1.0)[0]


def test_a_team_and_a_day_are_those_of_the_place_taken():
    teams = {"care": TeamSettings(1, (KEEP,)), "desk": TeamSettings(1, (BACK,))}
    queue = Queue.of(NAMES, PROFIT, COST, ACTION, PolicySettings(teams=teams, run_days=2))
    turn = queue.turns(NAMES, PROFIT, COST, ACTION)
    assert (turn.team.tolist(), turn.day.tolist()) == ([0, 1, -1, 0], [0, 0, -1, 1])
    assert one(queue, "eve", 20.0) == (True, 0, 1)
    assert one(queue, "eve", 35.0, BACK) == (True, 1, 0)


def test_without_a_limit_everybody_who_pays_is_contacted():
    queue = Queue.of(NAMES, PROFIT, COST, ACTION, PolicySettings())
    assert one(queue, "eve", 0.01)[0]
    assert not one(queue, "eve", 0.0)[0]


@st.composite
def bases(draw: st.DrawFn) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray, PolicySettings]:
    n = draw(st.integers(1, 12))
    profit = np.array(draw(st.lists(st.sampled_from([-np.inf, -1.0, 0.0, 1.0, 2.0, 3.0]), min_size=n, max_size=n)))
    cost = np.array(draw(st.lists(st.sampled_from([1.0, 2.0]), min_size=n, max_size=n)))
    action = np.array(draw(st.lists(st.sampled_from([KEEP, BACK]), min_size=n, max_size=n)))
    limit = draw(st.sampled_from([{}, {"capacity": 3}, {"budget": 4.0}, {"capacity": 0}]))
    teams = draw(st.sampled_from([{}, {"care": TeamSettings(1, (KEEP,)), "all": TeamSettings(1)}]))
    return [f"c{k}" for k in range(n)], profit, cost, action, PolicySettings(**limit, teams=teams, run_days=2)


@given(bases())
def test_each_alone_has_the_turn_that_they_have_among_all_also_from_a_saved_queue(base):
    names, profit, cost, action, settings = base
    queue = Queue.of(names, profit, cost, action, settings)
    again = Queue.from_frame(queue.to_frame(), by_cost=queue.by_cost, limited=queue.limited)
    every = queue.turns(names, profit, cost, action)
    for row, name in enumerate(names):
        expected = (bool(every.contacted[row]), int(every.team[row]), int(every.day[row]))
        assert one(again, name, profit[row], str(action[row]), cost[row]) == expected
    waiting = dict(zip(queue.customer_ids.tolist(), queue.turn.contacted.tolist(), strict=True))
    assert every.contacted.tolist() == [waiting.get(name, False) for name in names]


def test_equal_profits_go_by_id():
    ids, profit = ["b", "a"], np.array([1.0, 1.0])
    queue = Queue.of(ids, profit, np.ones(2), np.array([KEEP, KEEP]), PolicySettings(capacity=1))
    assert queue.turns(ids, profit, np.ones(2), np.array([KEEP, KEEP])).contacted.tolist() == [False, True]
    assert queue.worth == pytest.approx([1, 1])
