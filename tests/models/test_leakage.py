"""The leakage gate: planted leaks are all found and named; a clean company raises no alarm."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import polars as pl
import pytest
from company import RULES, cutoffs, interactions, panel_of, with_columns, with_outcomes

from features.kernel import KernelSettings, features_at
from models import selection
from models.leakage import leaks, replayed
from models.leaky_rows import future_dated, shared_customers
from models.panel import Panel

DECLARED = ("plan", "noise", "leak")
NOT_FEATURES = ["horizon_days", "lead_days", "role", "status", "last_bad_experience"]


@pytest.fixture(scope="module")
def clean() -> Panel:
    """Training and evaluation rows of a company of 1,500 customers with honest attributes."""
    panel = panel_of(interactions(1500), cutoffs())
    panel = panel.where(panel.table["role"] != "score")
    customer = pd.factorize(panel.table["customer_id"])[0]
    chance = np.random.default_rng(11)
    plans, noise = chance.choice(["gold", "tin"], 2000), chance.normal(size=2000)
    return with_columns(panel, attribute_plan=plans[customer], attribute_noise=noise[customer])


def test_a_clean_company_raises_no_alarm(clean):
    assert leaks(clean, "inactivity", DECLARED) == []


@pytest.mark.parametrize("seed", [2, 3, 4])
def test_nor_does_a_small_one(seed):
    panel = panel_of(interactions(200, seed), cutoffs())
    assert leaks(panel.where(panel.table["role"] != "score"), "inactivity") == []


def test_too_few_churners_prove_nothing(clean):
    few = clean.where(np.arange(len(clean)) < 60)
    churned = few.churned("inactivity")
    assert churned.sum() < 30 or (1 - churned).sum() < 30
    found = leaks(with_columns(few, attribute_leak=churned), "inactivity", DECLARED)
    assert "telling_column" not in {leak.check for leak in found}


def labelled(panel: Panel) -> np.ndarray:
    return panel.churned("inactivity")


def flipped(panel: Panel, share: float) -> np.ndarray:
    churned = labelled(panel)
    return np.where(np.random.default_rng(5).random(len(churned)) < share, 1 - churned, churned)


def strange_value(panel: Panel) -> np.ndarray:
    """Neither low nor high: churners hold a value in the middle."""
    other = np.where(np.arange(len(panel)) % 2 == 0, 1.0, 9.0)
    return np.where(labelled(panel) > 0, 5.0, other)


def closing_code(panel: Panel) -> np.ndarray:
    codes = np.array(["moved away", "too dear", "no answer"])
    return np.where(labelled(panel) > 0, codes[np.arange(len(panel)) % 3], "open")


def known_of_leavers_only(panel: Panel) -> np.ndarray:
    return np.where(labelled(panel) > 0, np.random.default_rng(7).normal(size=len(panel)), np.nan)


def time_to_next_purchase(panel: Panel) -> np.ndarray:
    """A monotone transform of what comes: far away for churners."""
    return np.where(
        labelled(panel) > 0,
        np.random.default_rng(7).uniform(60, 400, len(panel)),
        np.random.default_rng(7).uniform(0, 65, len(panel)),
    )


def later_activity(panel: Panel) -> np.ndarray:
    """Activity of the horizon of most stayers, of no churner: too coarse for a high AUC."""
    return np.where(labelled(panel) > 0, 0.0, np.random.default_rng(7).integers(0, 3, len(panel)))


COLUMNS: dict[str, tuple[str, Callable[[Panel], np.ndarray]]] = {
    "the label": ("telling_column", labelled),
    "its opposite": ("telling_column", lambda panel: 1 - labelled(panel)),
    "the label with mistakes": ("telling_column", lambda panel: flipped(panel, 0.02)),
    "a value neither low nor high": ("telling_column", strange_value),
    "the code of a closed account": ("telling_column", closing_code),
    "a field filled in when they leave": ("telling_column", known_of_leavers_only),
    "days to the next purchase": ("telling_column", time_to_next_purchase),
    "activity after the cutoff": ("structural_zero", later_activity),
    "spend in the horizon": ("copied_outcome", lambda panel: panel.spend),
}


@pytest.mark.parametrize("planted", COLUMNS)
def test_a_column_that_knows_the_outcome_is_named(clean, planted):
    check, values = COLUMNS[planted]
    found = leaks(with_columns(clean, attribute_leak=values(clean)), "inactivity", DECLARED)
    assert {leak.column for leak in found} == {"attribute_leak"}
    assert check in {leak.check for leak in found}
    assert all(leak.evidence and leak.remedy for leak in found)


def test_an_outcome_that_is_no_label_leaks_as_well(clean):
    """Of cancellations the label knows nothing of spend; the value model would learn it all the same."""
    rare = with_outcomes(clean, horizon_cancellation_count=(np.arange(len(clean)) % 9 == 0).astype(float))
    found = leaks(with_columns(rare, attribute_leak=rare.spend), "event", DECLARED)
    assert [(leak.check, leak.column) for leak in found] == [("copied_outcome", "attribute_leak")]


def test_a_total_of_the_day_of_extraction_is_told_from_one_of_the_time(clean):
    last = clean.table[clean.table["cutoff"] == clean.table["cutoff"].max()].set_index("customer_id")
    today = clean.table["customer_id"].map(last["spend"]).fillna(0.0)
    found = leaks(with_columns(clean, attribute_leak=today * 1.2), "inactivity", DECLARED)
    assert ("as_of_today", "attribute_leak") in {(leak.check, leak.column) for leak in found}
    honest = with_columns(clean, attribute_leak=clean.table["spend"] * 1.2)
    assert leaks(honest, "inactivity", DECLARED) == []


def test_an_attribute_that_nobody_declared_has_no_time(clean):
    found = leaks(clean, "inactivity", declared=("plan",))
    assert [(leak.check, leak.column) for leak in found] == [("untimed_attribute", "attribute_noise")]


def test_a_customer_twice_at_one_cutoff_is_found(clean):
    twice = Panel(pd.concat([clean.table, clean.table.head(3)]), pd.concat([clean.outcomes, clean.outcomes.head(3)]))
    (leak,) = leaks(twice, "inactivity", DECLARED)
    assert (leak.check, leak.evidence[:6]) == ("repeated_rows", "3 rows")


def test_customers_copied_under_other_ids_are_found(clean):
    some = (pd.factorize(clean.table["customer_id"])[0] % 10 == 0) & (clean.table["purchase_day_count"] >= 3)
    copies = clean.where(some)
    table = pd.concat([clean.table, copies.table.assign(customer_id="x" + copies.table["customer_id"])])
    both = Panel(table.reset_index(drop=True), pd.concat([clean.outcomes, copies.outcomes]).reset_index(drop=True))
    assert [leak.check for leak in leaks(both, "inactivity", DECLARED)] == ["twin_customers"]


def test_members_whose_histories_coincide_where_no_money_is_known_are_no_twins(clean):
    spends = {name: 0.0 for name in clean.table.columns if "spend" in str(name)}
    table = clean.table.assign(**spends)
    regular = table["purchase_day_count"] >= 3
    alike = table[regular].groupby("cutoff").transform("first")
    table.loc[regular, alike.columns.difference(["customer_id"])] = alike
    found = leaks(Panel(table, clean.outcomes), "inactivity", DECLARED)
    assert "twin_customers" not in {leak.check for leak in found}


def test_training_outcomes_must_be_over_when_evaluation_begins(clean):
    found = leaks(with_columns(clean, horizon_days=61), "inactivity", DECLARED)
    assert [leak.check for leak in found] == ["overlapping_horizons"]


def test_a_horizon_that_begins_before_its_cutoff_is_found(clean):
    found = leaks(with_columns(clean, lead_days=-5), "inactivity", DECLARED)
    assert [leak.check for leak in found] == ["early_horizon"]


def test_customers_who_left_are_not_learned_from_again(clean):
    table = clean.table
    gone_at = table["customer_id"].map(
        table[table["interaction_count_90d"] == 0].groupby("customer_id")["cutoff"].min()
    )
    left = (table["cutoff"] >= gone_at - pd.Timedelta(days=90)).to_numpy()  # they cancelled, then were silent
    cancelled = with_outcomes(clean, horizon_cancellation_count=left.astype(float))
    assert "after_the_outcome" in {leak.check for leak in leaks(cancelled, "event", DECLARED)}


def test_one_customer_on_both_sides_of_a_split_is_named():
    (leak,) = shared_customers(pd.Series(["ann", "bob", "cid"]), pd.Series(["cid", "dan"]))
    assert leak.evidence == "1 customers are on both sides of the split, cid among them"
    assert not list(shared_customers(pd.Series(["ann"]), pd.Series(["bob"])))


@pytest.mark.parametrize("train_days", [60, 30], ids=["whole horizons", "short horizons"])
def test_folds_that_part_rows_instead_of_customers_are_caught_by_the_gate(monkeypatch, train_days):
    """The folds of training themselves are looked at, however they are made."""
    panel = panel_of(interactions(200), cutoffs(train_days=train_days))
    panel = panel.where(panel.table["role"] != "score")
    assert leaks(panel, "inactivity") == []
    monkeypatch.setattr(selection, "customer_groups", by_row)
    (leak,) = leaks(panel, "inactivity")
    assert (leak.check, leak.column) == ("shared_customers", "customer_id")
    assert "customers are on both sides of the split" in leak.evidence


def by_row(customer: pd.Series) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 2, len(customer))


def test_a_single_customer_who_strays_to_the_other_side_is_named(clean, monkeypatch):
    parted = selection.customer_groups

    def stray(customer: pd.Series) -> np.ndarray:
        group, last = parted(customer), clean.table["cutoff"].max()
        astray = (customer == "c0007") & (clean.table["cutoff"].loc[customer.index] < last)
        return np.where(astray & (np.arange(len(customer)) % 2 == 0), 1 - group, group)

    monkeypatch.setattr(selection, "customer_groups", stray)
    (leak,) = leaks(clean, "inactivity", DECLARED)
    assert leak.evidence == "1 customers are on both sides of the split, c0007 among them"


def test_interactions_from_the_future_are_found():
    dated = pd.Series(pd.to_datetime(["2026-01-01", "2027-01-01"]))
    (leak,) = future_dated(dated, pd.Timestamp("2026-06-01"))
    assert leak.evidence.startswith("1 interactions are dated after 2026-06-01")
    assert not list(future_dated(dated, pd.Timestamp("2027-06-01")))


def features_of(events: pl.DataFrame, *, shift_days: int = 0) -> pd.DataFrame:
    """Features at the first two cutoffs; a positive shift reads that far beyond them."""
    tables = []
    for cutoff in cutoffs()[:2]:
        table, _ = features_at(
            events, (replace(cutoff, at=cutoff.at + pd.Timedelta(days=shift_days)),), KernelSettings(RULES)
        )
        tables.append(table.with_columns(cutoff=pl.lit(cutoff.at).cast(pl.Datetime("us", "UTC"))).drop(NOT_FEATURES))
    return pl.concat(tables).to_pandas()


def test_the_kernel_passes_the_replay():
    events = interactions(100)
    assert replayed(features_of(events), features_of(events)) == []
    for cutoff in cutoffs()[:2]:
        past = events.filter(pl.col("occurred_at") < cutoff.at)
        stored = features_of(events)
        at = stored["cutoff"] == cutoff.at
        replay = features_of(past)
        assert replayed(stored[at], replay[replay["cutoff"] == cutoff.at]) == []


def test_a_feature_that_reads_a_week_beyond_its_cutoff_does_not():
    events = interactions(100)
    found = replayed(features_of(events, shift_days=7), features_of(events))
    moved = {leak.column for leak in found}
    assert {"interaction_count_30d", "days_since_last_purchase", "spend"} <= moved
    assert all("change when the events from the cutoff on are deleted" in leak.evidence for leak in found)


def test_a_single_moved_value_is_seen_and_two_nulls_are_equal():
    table = pd.DataFrame({"customer_id": ["ann", "bob"], "cutoff": pd.Timestamp("2026-01-01"), "x": [1.0, np.nan]})
    assert replayed(table, table) == []
    (leak,) = replayed(table.assign(x=[1.0 + 1e-15 * 4, np.nan]), table)
    assert leak.evidence.startswith("1 of 2 rows")
    (leak,) = replayed(table, table.head(1))
    assert leak.evidence.startswith("1 of 2 rows")
