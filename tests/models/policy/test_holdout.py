"""A draw decides once and for ever who is held out."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedelta.models.policy.holdout import held_out
from fedelta.models.policy.settings import BadHoldout, HoldoutSettings

SOME = [f"C{number:07d}" for number in range(20_000)]
HALF = HoldoutSettings(share=0.5, salt="a company")
ids = st.lists(st.text(max_size=12), max_size=30)


def test_these_customers_were_held_out_when_the_lot_was_first_drawn_and_are_today():
    assert held_out(["ann", "bob", "cid", "dan", "eve", "Zoë"], HALF).tolist() == [
        False,
        False,
        False,
        True,
        True,
        True,
    ]


@pytest.mark.parametrize("seed", ["0", "1", "random"])
def test_another_process_draws_the_same_lot(seed: str):
    program = (
        "from fedelta.models.policy.holdout import HoldoutSettings, held_out\n"
        "names = [f'C{number:07d}' for number in range(200)]\n"
        "print(''.join('01'[held] for held in held_out(names, HoldoutSettings(0.5, 'a company')).astype(int)))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parents[3], check=True, capture_output=True, text=True,
        env={**os.environ, "PYTHONHASHSEED": seed},
    ).stdout.strip()  # fmt: skip
    assert printed == "".join("01"[held] for held in held_out(SOME[:200], HALF).astype(int))


@given(ids, ids)
def test_who_else_is_a_customer_changes_nobodys_side(some: list[str], others: list[str]):
    together = held_out([*others, *some], HALF)[len(others) :]
    assert together.tolist() == held_out(some, HALF).tolist()


@given(st.floats(0, 0.99), st.floats(0, 0.99))
def test_a_larger_share_keeps_all_who_were_held_out(one: float, other: float):
    small, large = (held_out(SOME[:500], HoldoutSettings(share)) for share in sorted((one, other)))
    assert not (small & ~large).any()


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5])
def test_the_share_is_kept_within_what_a_lot_may_stray(share: float):
    held = held_out(SOME, HoldoutSettings(share)).mean()
    assert held == pytest.approx(share, abs=4 * (share * (1 - share) / len(SOME)) ** 0.5)


def test_another_salt_draws_an_independent_lot():
    one, other = (held_out(SOME, HoldoutSettings(0.5, salt)) for salt in ("a", "b"))
    assert (one & other).mean() == pytest.approx(0.25, abs=0.0125)


def test_salt_and_id_do_not_run_into_each_other():
    sides = [held_out(["1" + name for name in SOME[:64]], HoldoutSettings(0.5, "a")),
             held_out(SOME[:64], HoldoutSettings(0.5, "a1"))]  # fmt: skip
    assert (sides[0] != sides[1]).any()


def test_a_share_of_0_holds_out_nobody():
    assert not held_out(SOME, HoldoutSettings(0.0)).any()


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
def test_a_share_that_cannot_be_is_refused(share: float):
    with pytest.raises(BadHoldout, match=r"policy\.holdout\.share is .*; it must be at least 0 and below 1"):
        HoldoutSettings(share)
