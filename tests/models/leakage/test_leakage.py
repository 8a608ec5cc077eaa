"""The leakage gate: planted leaks are all found and named; a clean company raises no alarm."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import polars as pl
import pytest
from company import RULES, cutoffs, interactions, panel_of, with_columns, with_outcomes

from fedelta.features.kernel import KernelSettings, features_at
from fedelta.features.registry import FEATURES
from fedelta.models.leakage.gate import leaks, replayed, without_accepted
from fedelta.models.leakage.leaky_rows import Leak, future_dated, shared_customers
from fedelta.models.learning import competition
from fedelta.models.panel import Panel

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


def at_the_last_cutoff(panel: Panel) -> np.ndarray:
    """Whether the row's customer leaves at the last cutoff: what an extract taken afterwards knows, at every cutoff."""
    last = panel.table["cutoff"] == panel.table["cutoff"].max()
    gone = pd.Series(labelled(panel)[last], panel.table["customer_id"][last])
    return panel.table["customer_id"].map(gone).to_numpy(float)


def by_customer(panel: Panel, seed: int = 9) -> np.ndarray:
    """A number drawn for each customer, the same in all of their rows."""
    customer = pd.factorize(panel.table["customer_id"])[0]
    return np.random.default_rng(seed).random(customer.max() + 1)[customer]


def state_of_today(panel: Panel) -> np.ndarray:
    """Written on leaving: of the last cutoff it knows all, of those before ever less."""
    return np.where(at_the_last_cutoff(panel) > 0, "closed", "open")


def state_of_today_with_mistakes(panel: Panel) -> np.ndarray:
    gone = at_the_last_cutoff(panel)
    return np.where(by_customer(panel) < 0.02, 1 - gone, gone)


def flag_of_some_leavers(panel: Panel) -> np.ndarray:
    return ((at_the_last_cutoff(panel) > 0) & (by_customer(panel) < 0.3)).astype(float)


def closing_fee(panel: Panel) -> np.ndarray:
    """Paid by a third of the leavers, each another amount."""
    return flag_of_some_leavers(panel) * np.round(5 + 20 * by_customer(panel, 3), 2)


def category_of_some_leavers(panel: Panel) -> np.ndarray:
    plans = np.array(["gold", "tin", "wood"])[(by_customer(panel, 4) * 3).astype(int)]
    return np.where(flag_of_some_leavers(panel) > 0, "closed", plans)


def missing_for_some_leavers(panel: Panel) -> np.ndarray:
    return np.where(flag_of_some_leavers(panel) > 0, np.nan, by_customer(panel, 4))


def remark_on_some_leavers(panel: Panel) -> np.ndarray:
    """Free text, no two equal."""
    remark = np.array([f"called on {n}, wants to close" for n in range(len(panel))], dtype=object)
    return np.where(flag_of_some_leavers(panel) > 0, remark, None)


def never_missing_of_leavers(panel: Panel) -> np.ndarray:
    """A flag of every leaver and of a third of the stayers: without it nobody left."""
    return np.maximum(at_the_last_cutoff(panel), by_customer(panel) < 0.3)


def last_seen(panel: Panel) -> pd.Series:
    """The day of the last interaction as of the extract."""
    events = interactions(1500).to_pandas()
    last = events[events["occurred_at"] < cutoffs()[-1].at].groupby("customer_id")["occurred_at"].max()
    return panel.table["customer_id"].map(last)


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
    "a state written on leaving": ("telling_column", state_of_today),
    "a static state with mistakes": ("telling_column", state_of_today_with_mistakes),
    "a flag of some leavers": ("one_sided", flag_of_some_leavers),
    "a fee of some leavers": ("one_sided", closing_fee),
    "a category of some leavers": ("one_sided", category_of_some_leavers),
    "missing for some leavers": ("one_sided", missing_for_some_leavers),
    "a remark on some leavers": ("one_sided", remark_on_some_leavers),
    "a flag without which nobody left": ("one_sided", never_missing_of_leavers),
    "the day last seen, as a date": ("later_date", last_seen),
    "the day last seen, as text": ("later_date", lambda panel: last_seen(panel).dt.strftime("%Y-%m-%d")),
    "the day last seen, as a number": (
        "telling_column",
        lambda panel: (last_seen(panel) - last_seen(panel).min()).dt.days,
    ),
}


@pytest.mark.parametrize("planted", COLUMNS)
def test_a_column_that_knows_the_outcome_is_named(clean, planted):
    check, values = COLUMNS[planted]
    found = leaks(with_columns(clean, attribute_leak=values(clean)), "inactivity", DECLARED)
    assert {leak.column for leak in found} == {"attribute_leak"}
    assert check in {leak.check for leak in found}
    assert all(leak.evidence and leak.remedy for leak in found)


def test_a_leak_that_drifts_is_named_with_the_cutoff_at_which_it_tells_most(clean):
    (leak,) = leaks(with_columns(clean, attribute_leak=state_of_today(clean)), "inactivity", DECLARED)
    assert "an AUC of 1.000 at 2025-12-27 (0.761 over all cutoffs)" in leak.evidence
    assert "known_from" in leak.remedy or "leave it out" in leak.remedy


def test_one_sided_evidence_says_under_which_value_how_many_left_and_at_which_cutoff(clean):
    (leak,) = leaks(with_columns(clean, attribute_leak=category_of_some_leavers(clean)), "inactivity", DECLARED)
    assert leak.evidence.startswith("where it is 'closed', 100.0% of ")
    assert "customers left at 2025-12-27" in leak.evidence
    assert "that covers 31% of all who left" in leak.evidence


def test_ids_given_in_the_order_of_the_outcome_are_found(clean):
    order = np.lexsort((by_customer(clean), at_the_last_cutoff(clean)))
    place = {customer: f"c{n}" for n, customer in enumerate(clean.table["customer_id"].iloc[order].unique())}
    found = leaks(with_columns(clean, customer_id=clean.table["customer_id"].map(place)), "inactivity", DECLARED)
    assert [(leak.check, leak.column) for leak in found] == [("telling_column", "customer_id")]


def test_a_kind_recorded_on_leaving_and_dated_before_is_named(clean):
    chance = np.random.default_rng(3)
    leaving = (labelled(clean) > 0) & (chance.random(len(clean)) < 0.3)
    honest = np.where(chance.random(len(clean)) < 0.5, chance.uniform(0, 200, len(clean)), np.nan)
    closing = np.where(leaving, chance.uniform(0, 30, len(clean)), np.nan)
    days = pd.DataFrame({"contact": honest, "account_closed": closing}, clean.table.index)
    (leak,) = leaks(clean, "inactivity", DECLARED, days)
    assert (leak.check, leak.column) == ("telling_kind", "account_closed")
    assert "known_at" in leak.remedy


def test_what_was_looked_into_and_accepted_stops_no_run_but_a_feature_that_moves_does():
    judged = Leak("one_sided", "attribute_notice", "all left", "leave it out", 0.9)
    moved = Leak("replay", "visit_count", "3 rows change", "rebuild", 1.0)
    assert without_accepted([judged, moved], ["notice", "visit_count"]) == ([moved], [judged])
    assert without_accepted([judged], []) == ([judged], [])


def honest(panel: Panel, seed: int) -> Panel:
    """Attributes of real effect: a customer's inclination to leave shows in price, contract and complaints."""
    chance, customer = np.random.default_rng(seed), pd.factorize(panel.table["customer_id"])[0]
    count = customer.max() + 1
    rate = np.bincount(customer, labelled(panel), count) / np.bincount(customer, minlength=count)
    inclined = 1.2 * (rate - rate.mean()) / rate.std() + chance.normal(size=count)
    contract = np.digitize(inclined + chance.normal(size=count), [-0.5, 0.8])
    columns = {
        "attribute_price": 20 + 8 * (inclined + chance.normal(size=count)),
        "attribute_contract": np.array(["two years", "year", "month"])[contract],
        "attribute_city": chance.zipf(1.4, count).clip(max=400).astype(str),  # many of them of one customer
        "attribute_income": np.where(chance.random(count) < 0.3, np.nan, chance.normal(size=count)),
        "attribute_complained": (chance.random(count) < 1 / (1 + np.exp(3 - 2 * inclined))).astype(float),
        "attribute_contract_end": pd.Timestamp("2025-06-01") + pd.to_timedelta(chance.integers(0, 2000, count), "D"),
    }
    return with_columns(panel, **{name: values[customer] for name, values in columns.items()})


@pytest.mark.parametrize("seed", range(4))
def test_honest_attributes_of_a_small_company_are_let_be_however_much_they_tell(seed):
    """Of 20 seeds as of these, none raised an alarm."""
    panel = panel_of(interactions(300, seed), cutoffs())
    harmless = honest(panel.where(panel.table["role"] != "score"), seed)
    names = [str(name).removeprefix("attribute_") for name in harmless.table if str(name).startswith("attribute_")]
    assert leaks(harmless, "inactivity", names) == []


def daily(panel: Panel) -> tuple[Panel, np.ndarray]:
    """The same where customers come every few days, and the days of silence: who was silent for two weeks has left."""
    left, chance = labelled(panel) > 0, np.random.default_rng(2)
    days = np.where(left, chance.uniform(10, 90, len(panel)), chance.exponential(4, len(panel)))
    count = np.maximum(30 - days, 0) // 4
    columns = {"days_since_last_interaction": days, "days_since_last_purchase": days + 1}
    return with_columns(panel, **columns, interaction_count_30d=count), days


def test_silence_that_tells_nearly_all_is_honest_of_our_own_columns_and_of_no_attribute(clean):
    often, days = daily(clean)
    assert leaks(often, "inactivity", DECLARED) == []
    found = leaks(with_columns(often, attribute_leak=days), "inactivity", DECLARED)
    assert [(leak.check, leak.column) for leak in found] == [("telling_column", "attribute_leak")]
    found = leaks(with_columns(often, visit_count_30d=1 - labelled(clean)), "inactivity", DECLARED)
    assert [leak.column for leak in found] == ["visit_count_30d"]


def test_a_value_is_no_evidence_where_silence_explains_it(clean):
    """A shop that closed a month ago is the last known of those who had long gone."""
    often, days = daily(clean)
    shop = np.where(days > 30, "closed shop", "open shop")
    assert leaks(with_columns(often, attribute_leak=shop), "inactivity", DECLARED) == []
    (leak,) = leaks(with_columns(clean, attribute_leak=shop), "inactivity", DECLARED)
    assert leak.check == "one_sided"


def test_chance_at_a_tiny_cutoff_proves_nothing(clean):
    """Some customers of whom a number, over all no better than a coin, happens to tell nearly all at one cutoff."""
    last = (clean.table["cutoff"] == clean.table["cutoff"].max()).to_numpy()
    few = clean.where(~last | (np.cumsum(last) <= 120))
    tiny = (few.table["cutoff"] == few.table["cutoff"].max()).to_numpy()
    assert min(labelled(few)[tiny].sum(), (1 - labelled(few)[tiny]).sum()) >= 30
    lucky = np.where(tiny, labelled(few) * 0.75, 0.0) + by_customer(few)
    assert leaks(with_columns(few, attribute_leak=lucky), "inactivity", DECLARED) == []


def table_of(churned: np.ndarray, **attributes: np.ndarray) -> Panel:
    """One row per customer at one cutoff: only attributes are known."""
    rows = len(churned)
    keys = {"customer_id": [f"c{n}" for n in range(rows)], "cutoff": pd.Timestamp("2026-01-01"), "horizon_days": 30}
    unknown = {f.name: np.full(rows, np.nan) for f in FEATURES}
    known = {f"attribute_{name}": values for name, values in attributes.items()}
    table = pd.DataFrame({**keys, "lead_days": 0, "role": "train", "status": "scored", **unknown, **known})
    return Panel(table, pd.DataFrame({"horizon_purchase_count": 1 - churned, "horizon_spend": np.nan}))


def disguises(churned: np.ndarray) -> dict[str, np.ndarray]:
    chance = np.random.default_rng(6)
    reasons = np.array(["price", "moved", "service"])[chance.integers(0, 3, len(churned))]
    return {
        "copied": churned,
        "as_text": np.where(churned > 0, "Yes", "No"),
        "reason": np.where(churned > 0, reasons, None),
        "reason_of_some": np.where((churned > 0) & (chance.random(len(churned)) < 0.3), reasons, None),
        "flipped": np.where(chance.random(len(churned)) < 0.02, 1 - churned, churned),
        "times_tenure": churned * chance.integers(1, 72, len(churned)),
    }


def test_a_table_of_customers_goes_through_the_same_gate():
    """Rates and effects as of IBM's Telco and of Iranian churn: complaints, contracts, tenure, heavy users who stay."""
    chance, rows = np.random.default_rng(8), 5_000
    contract, use = chance.choice(["month", "year", "two years"], rows, p=[0.55, 0.2, 0.25]), chance.gamma(2, 1, rows)
    complained = chance.random(rows) < 0.06
    odds = np.select([contract == "month", contract == "year"], [0.75, 0.13], 0.03) * np.where(use > 3.5, 0.02, 1)
    churned = (chance.random(rows) < np.where(complained, 0.83, odds / (1 + odds))).astype(float)
    honest_columns = {"contract": contract, "use": use, "complained": complained.astype(float)}
    assert leaks(table_of(churned, **honest_columns), "inactivity", list(honest_columns)) == []
    planted = honest_columns | disguises(churned)
    found = leaks(table_of(churned, **planted), "inactivity", list(planted))
    assert {leak.column for leak in found} == {f"attribute_{name}" for name in disguises(churned)}


def test_an_outcome_that_is_no_label_leaks_as_well(clean):
    """Of cancellations the label knows nothing of spend; the value model would learn it all the same."""
    rare = with_outcomes(clean, horizon_cancellation_count=(np.arange(len(clean)) % 9 == 0).astype(float))
    found = leaks(with_columns(rare, attribute_leak=rare.spend), "event", DECLARED)
    assert [(leak.check, leak.column) for leak in found] == [("copied_outcome", "attribute_leak")]


def test_a_total_of_the_day_of_extraction_is_distinguished_from_one_of_the_time(clean):
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
    same = table[regular].groupby("cutoff").transform("first")
    table.loc[regular, same.columns.difference(["customer_id"])] = same
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


def test_where_nobody_has_left_nobody_is_learned_from_again(clean):
    nobody = with_outcomes(clean, horizon_cancellation_count=np.zeros(len(clean)))
    assert "after_the_outcome" not in {leak.check for leak in leaks(nobody, "event", DECLARED)}


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
    monkeypatch.setattr(competition, "customer_groups", by_row)
    (leak,) = leaks(panel, "inactivity")
    assert (leak.check, leak.column) == ("shared_customers", "customer_id")
    assert "customers are on both sides of the split" in leak.evidence


def by_row(customer: pd.Series) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 2, len(customer))


def test_a_single_customer_who_strays_to_the_other_side_is_named(clean, monkeypatch):
    parted = competition.customer_groups

    def stray(customer: pd.Series) -> np.ndarray:
        group, last = parted(customer), clean.table["cutoff"].max()
        astray = (customer == "c0007") & (clean.table["cutoff"].loc[customer.index] < last)
        return np.where(astray & (np.arange(len(customer)) % 2 == 0), 1 - group, group)

    monkeypatch.setattr(competition, "customer_groups", stray)
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
