"""Margin shares: the spread among customers is found again, and what they predict is nearer than either extreme."""

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from fedelta.features.margins import margins_before
from fedelta.models.value.margins import MarginShares

AT = datetime(2026, 1, 1, tzinfo=UTC)


def company(between: float, within: float, seed: int, customers: int = 4_000) -> tuple[pl.DataFrame, np.ndarray]:
    """Sums of orders whose shares spread by ``within`` / sqrt(amount) around a customer's; and customers' shares."""
    rng = np.random.default_rng(seed)
    orders, true = rng.geometric(0.3, customers), rng.normal(0.4, between, customers)
    who = np.repeat(np.arange(customers), orders)
    amount = np.round(rng.gamma(2.0, 20.0, len(who)) + 1, 2)
    margin = np.round(amount * (true[who] + rng.normal(0, within, len(who)) / np.sqrt(amount)), 4)
    events = pl.DataFrame(
        {"customer_id": [f"{one:05d}" for one in who], "amount": amount, "margin": margin}
    ).with_columns(
        pl.lit("purchase").alias("kind"), pl.col("amount", "margin").cast(pl.Decimal(18, 4)),
        occurred_at=pl.lit(datetime(2025, 6, 1, tzinfo=UTC)), known_at=pl.lit(None, pl.Datetime("us", "UTC")),
    )  # fmt: skip
    return margins_before(events.lazy(), AT).sort("customer_id").collect(), true


def sums(recorded: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    return recorded["amount"].to_numpy(), recorded["margin"].to_numpy()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_weight_of_a_customers_own_record_is_that_of_the_world_it_comes_from(seed: int):
    recorded, true = company(between=0.1, within=1.0, seed=seed)
    shares = MarginShares.fit(recorded)
    assert shares is not None
    assert shares.outweighs is not None
    assert shares.level == pytest.approx(0.4, abs=0.01)
    assert shares.outweighs == pytest.approx(1.0**2 / 0.1**2, rel=0.25)
    amount, margin = sums(recorded)
    error = np.mean((shares.share(amount, margin) - true) ** 2)
    assert error < np.mean((margin / amount - true) ** 2)
    assert error < np.mean((shares.level - true) ** 2)


def test_customers_who_differ_by_chance_alone_are_near_the_level():
    recorded, _ = company(between=0.0, within=1.0, seed=4)
    shares = MarginShares.fit(recorded)
    assert shares is not None
    found = shares.share(*sums(recorded))
    assert np.std(found) < 0.1 * np.std(np.divide(*sums(recorded)[::-1]))


def test_one_order_each_cannot_show_a_difference_and_everybody_has_the_level():
    recorded = company(between=0.1, within=1.0, seed=5)[0].with_columns(orders=pl.lit(1, pl.Int64))
    shares = MarginShares.fit(recorded)
    assert shares is not None
    assert shares.outweighs is None
    assert set(shares.share(*sums(recorded))) == {shares.level}


def test_without_records_there_are_no_shares_and_those_without_one_have_the_level():
    recorded, _ = company(between=0.1, within=1.0, seed=6, customers=50)
    assert MarginShares.fit(recorded.clear()) is None
    shares = MarginShares.fit(recorded)
    assert shares is not None
    unknown, sold_at_a_loss = shares.share(np.array([0.0, 1e9]), np.array([0.0, -1e9]))
    assert unknown == shares.level
    assert sold_at_a_loss == 0.0
