"""The simulated company: believable to look at, and true to what it says of itself."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from fedelta.features.contract import CHANNELS, KINDS
from fedelta.pipeline.commands.simulate import NotWritten, figures, main
from fedelta.pipeline.ingest import Outputs, ingest
from fedelta.pipeline.intake.sources import load_source
from fedelta.pipeline.simulator import (
    Company,
    CompanyError,
    ForeignFolder,
    Simulation,
    campaigns,
    folder,
    simulate,
    write,
)
from fedelta.pipeline.simulator.clock import company_clock
from fedelta.pipeline.simulator.company import CLIMATES, Effects
from fedelta.pipeline.simulator.life import Life, live
from fedelta.pipeline.simulator.raw import ZONE, customer_id
from fedelta.pipeline.simulator.tastes import CATEGORIES, NAMES
from fedelta.pipeline.simulator.truth import Prospects, gap_survival, no_purchase, staying, true_churn

HERE = Path(__file__).parents[3]
REGIMES = tuple(CLIMATES)
NO_WAIT = st.floats(0, 400)


@pytest.fixture(scope="module")
def shop() -> Simulation:
    return simulate(Company(customers=3000, seed=1))


@pytest.fixture(scope="module")
def outcome(shop: Simulation, tmp_path_factory: pytest.TempPathFactory) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What ingest makes of the shop's files: interactions and quarantine."""
    home = tmp_path_factory.mktemp("shop")
    write(shop, home / "raw")
    outputs = Outputs.within(home)
    now = datetime(2025, 6, 1, tzinfo=UTC)
    ingest(load_source("demo"), home / "raw", outputs, memory_limit="1GB", workers=1, now=now)
    interactions = pl.read_parquet(home / "interactions" / "*.parquet")
    return interactions, pl.read_parquet(home / "quarantine" / "interactions.parquet")


def true_rows(shop: Simulation, name: str) -> pl.DataFrame:
    soiled = shop.files[name]
    return soiled.table.head(soiled.outcome["valid"])


def orders(shop: Simulation) -> pl.DataFrame:
    """The orders as anyone can read them in the file, in UTC."""
    placed = pl.col("placed_at").str.to_datetime(time_unit="us").dt.replace_time_zone(ZONE, ambiguous="earliest")
    return true_rows(shop, "orders").select(
        "customer", placed.dt.convert_time_zone("UTC").alias("at"), pl.col("gross").cast(pl.Float64), "shop"
    )


def replay(truth: pl.DataFrame, bought: pl.DataFrame) -> np.ndarray:
    """By decile of the true probability: standard errors between the realised share of no purchase and the truth.

    ``truth`` holds customer_id, cutoff, horizon_days, churn_probability of customers still there; ``bought`` holds
    customer, at.
    """
    horizon = pl.duration(days="horizon_days")
    hits = truth.join(bought, left_on="customer_id", right_on="customer").filter(
        (pl.col("at") >= pl.col("cutoff")) & (pl.col("at") < pl.col("cutoff") + horizon)
    )
    key = ["customer_id", "cutoff", "horizon_days"]
    p = pl.col("churn_probability")
    z = (
        truth.join(hits.select(key).unique().with_columns(buys=True), on=key, how="left")
        .with_columns(decile=p.rank("ordinal") * 10 // (pl.len() + 1), churned=pl.col("buys").is_null())
        .group_by("decile")
        .agg((pl.col("churned").cast(pl.Float64) - p).sum() / (p * (1 - p)).sum().sqrt())
    )
    return z.sort("decile")["churned"].to_numpy()


def replayed(companies: list[Simulation], cutoffs: tuple[int, ...], horizon: int) -> np.ndarray:
    """The replay of several companies at once; their customers stay apart."""
    truths, purchases = [], []
    for company in companies:
        mark = pl.lit(f" of {company.company.seed}")
        truth = company.churn_at(cutoffs, (horizon,)).filter(pl.col("alive"))
        truths.append(truth.with_columns(pl.col("customer_id") + mark))
        purchases.append(orders(company).select(pl.col("customer") + mark, "at"))
    return replay(pl.concat(truths), pl.concat(purchases))


# --- the truth -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("regime", REGIMES)
def test_in_every_decile_of_true_churn_as_many_stop_buying_as_the_truth_says(regime):
    companies = [simulate(Company(customers=1500, seed=seed, regime=regime)) for seed in (11, 12)]
    z = replayed(companies, (190, 370, 550), 180)
    assert np.abs(z).max() < 3.9, z
    assert (z**2).sum() < 29.6, z  # chi-squared with 10 degrees of freedom, 1 in 1000


@pytest.mark.parametrize("horizon", [30, 90])
def test_shorter_horizons_are_as_true(horizon):
    companies = [simulate(Company(customers=1500, seed=seed, bad_effect=2.0)) for seed in (13, 14)]
    z = replayed(companies, (310, 400, 490, 580), horizon)
    assert np.abs(z).max() < 3.9, z
    assert (z**2).sum() < 29.6, z


def test_the_replay_would_notice_a_truth_that_forgets_bad_experiences():
    company = simulate(Company(customers=3000, seed=15, bad_effect=2.0))
    forgetful = replace(company, life=replace(company.life, company=replace(company.company, bad_effect=0.0)))
    assert np.abs(replayed([forgetful], (190, 370, 550), 180)).max() > 5


def test_whoever_has_left_does_not_buy(shop):
    gone = shop.churn.filter(~pl.col("alive"))
    assert gone.height > 0
    assert (gone["churn_probability"] == 1).all()
    after = (
        orders(shop)
        .join(shop.customers, left_on="customer", right_on="customer_id")
        .filter(pl.col("at") > pl.col("left_at"))
    )
    assert after.is_empty()


def test_the_longer_the_horizon_the_less_likely_no_purchase(shop):
    wide = shop.churn.pivot("horizon_days", index=["customer_id", "cutoff"], values="churn_probability")
    assert (wide["30"] >= wide["90"] - 1e-12).all()
    assert (wide["90"] >= wide["180"] - 1e-12).all()


def test_the_truth_has_everyone_who_signed_up_before_each_cutoff(shop):
    last = shop.churn.filter(pl.col("cutoff") == pl.col("cutoff").max(), pl.col("horizon_days") == 90)
    assert last["cutoff"][0].date() == shop.company.end
    assert set(last["customer_id"]) == set(shop.customers["customer_id"])


@settings(max_examples=50)
@given(rhythm=st.floats(0.5, 12), rate=st.floats(1e-4, 0.5), waited=st.floats(0, 60))
def test_a_gap_only_ever_gets_likelier_to_end(rhythm, rate, waited):
    survival = gap_survival(
        np.array([rhythm]), np.array([rate]), np.array([min(waited, 5 / rate)]), np.linspace(0, 200, 41)
    )[0]
    assert survival[0] == pytest.approx(1)
    assert (np.diff(survival) <= 1e-12).all()
    assert survival.min() >= 0


@given(rate=st.floats(1e-4, 0.2), waited=NO_WAIT, ahead=NO_WAIT)
def test_an_irregular_buyer_forgets_how_long_ago_the_last_purchase_was(rate, waited, ahead):
    waited = min(waited, 20 / rate)
    survival = gap_survival(np.array([1.0]), np.array([rate]), np.array([waited]), np.array([ahead]))
    assert survival[0, 0] == pytest.approx(np.exp(-rate * ahead), rel=1e-9)


def nothing_but(
    steps: int, hazard: float = 0.0, arrivals: float = 0.0, weight: float = 0.0, **more: object
) -> Prospects:
    calm = Prospects(
        hazard=np.array([hazard]),
        recent=np.zeros((1, steps), dtype=np.int64),
        arrivals=np.full((1, steps), arrivals),
        weight=np.full((1, steps), weight),
        pending=[],
        shield=np.zeros((1, steps)),
        annoyed=np.zeros((1, steps)),
    )
    return replace(calm, **more)


def test_with_no_bad_experience_churn_is_the_race_of_buying_and_leaving_by_habit():
    rate, hazard, grid = 0.02, 0.004, np.linspace(0, 180, 181)
    survival = gap_survival(np.array([1.0]), np.array([rate]), np.array([12.0]), grid)
    churn = no_purchase(survival, staying(grid, nothing_but(180, hazard), Effects()))[0]
    by_hand = 1 - rate / (rate + hazard) * (1 - np.exp(-(rate + hazard) * grid))
    np.testing.assert_allclose(churn, by_hand, atol=1e-5)


def test_a_first_late_parcel_on_its_way_costs_one_in_six_and_a_second_more():
    grid = np.array([0.0, 5, 10, 15])
    one = (1, np.array([0]), np.array([1.0]))
    np.testing.assert_allclose(staying(grid, nothing_but(3, pending=[one]), Effects())[0], [1, 1, 5 / 6, 5 / 6])
    two = staying(grid, nothing_but(3, pending=[one, one]), Effects())[0]
    assert two[-1] == pytest.approx(5 / 6 * 0.76)
    remembered = nothing_but(3, pending=[one], recent=np.array([[3, 3, 3]]))
    assert staying(grid, remembered, Effects())[0, -1] == pytest.approx(1 - 0.45)


def test_bad_experiences_without_purchase_drive_away_at_their_rate_times_their_chance():
    even = replace(Effects(), chance_of_leaving=(0.2, 0.2, 0.2))
    grid = np.linspace(0, 100, 1001)
    there = staying(grid, nothing_but(1000, arrivals=0.01 * 0.1, weight=0.5), even)[0]
    np.testing.assert_allclose(there, np.exp(-0.01 * 0.5 * 0.2 * grid), rtol=1e-3)


def test_the_truth_does_not_look_beyond_what_it_knows(shop):
    with pytest.raises(CompanyError, match="1 to 180 days ahead"):
        true_churn(shop.life, [100], [181])
    with pytest.raises(CompanyError, match="730 days of the company"):
        true_churn(shop.life, [731])


# --- the planted effects -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def big() -> Life:
    return live(Company(customers=12_000, seed=2, campaigns=False))


def decided_while_customer(life: Life) -> pl.DataFrame:
    return life.experiences.filter(pl.col("decided") <= pl.Series(life.left_at)[life.experiences["customer"]])


@pytest.mark.parametrize(
    ("recent", "recovered", "chance"), [(1, False, 1 / 6), (2, False, 0.24), (3, False, 0.34), (1, True, 0.4 / 6)]
)
def test_as_many_leave_at_a_bad_experience_as_planted(big, recent, recovered, chance):
    met = decided_while_customer(big).filter(
        ~pl.col("kind").is_in(["error", "outage"]), pl.col("recent") == recent, pl.col("recovered") == recovered
    )
    assert met.height > 300
    assert met["left"].mean() == pytest.approx(chance, abs=4 * np.sqrt(chance * (1 - chance) / met.height))


def leavers_against_habit(life: Life) -> float:
    """How many more than their habit lets expect leave after a first bad experience, in standard errors."""
    first = decided_while_customer(life).group_by("customer").agg(pl.col("at").min())
    who, since = first["customer"].to_numpy(), first["at"].to_numpy()
    until = np.minimum(life.left_at[who], life.company.days)
    expected = (life.traits["hazard"].to_numpy()[who] * np.maximum(until - since, 0)).sum()
    return float((np.isfinite(life.left_at[who]).sum() - expected) / np.sqrt(expected))


def test_with_no_effect_planted_bad_experiences_change_nothing(big):
    harmless = live(replace(big.company, bad_effect=0.0))
    assert set(harmless.left_because.drop_nulls()) == {"habit"}
    assert abs(leavers_against_habit(harmless)) < 4
    assert leavers_against_habit(big) > 20


def test_nobody_leaves_later_because_bad_experiences_hurt_more(big):
    harmless = live(replace(big.company, bad_effect=0.0))
    assert (big.left_at <= harmless.left_at).all()
    assert (big.left_at < harmless.left_at).any()


def test_when_bad_experiences_merely_follow_heavy_buying_those_who_have_them_stay_longer():
    life = live(Company(customers=6000, seed=3, exposure_only=True))
    assert life.experiences["chance"].max() == 0
    met = np.isin(np.arange(6000), life.experiences["customer"].to_numpy())
    rate = life.traits["purchase_rate"].to_numpy()
    assert rate[met].mean() > 2 * rate[~met].mean()
    hazard = life.traits["hazard"].to_numpy()
    assert hazard[met].mean() < 0.8 * hazard[~met].mean()


def test_spend_is_a_quarter_lower_for_sixty_days_after_a_bad_experience_and_eased_by_recovery(big):
    calm = live(replace(big.company, spend_effect=0.0))
    ratio = (big.orders["gross"] / calm.orders["gross"]).filter(calm.orders["gross"] > 20)
    assert set(ratio.round(2)) == {0.75, 0.9, 1.0}
    assert live(replace(big.company, spend_effect=2.0)).orders["gross"].sum() < big.orders["gross"].sum()


# --- campaigns -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def contacted() -> Simulation:
    """Every customer is drawn into every campaign, so that few customers tell much."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(campaigns, "DRAWN_SHARE", 1.0)
        return simulate(Company(customers=6000, seed=21, bad_effect=2.0, contact_effect=2.0))


def test_a_contact_that_averts_half_and_drives_away_a_tenth_by_hand():
    grid = np.array([0.0, 10, 20])
    half, tenth = np.array([[0.0, 0.5]]), np.array([[0.0, 0.1]])
    there = staying(grid, nothing_but(2, hazard=0.01, shield=half, annoyed=tenth), Effects())[0]
    np.testing.assert_allclose(there, [1, np.exp(-0.1), np.exp(-0.15) * 0.9])


@pytest.mark.parametrize(("disposition", "days_before"), [("shield", 0), ("reactance", 20)])
def test_the_truth_knows_whom_a_campaign_keeps_and_whom_it_drives_away(contacted, disposition, days_before):
    def off_by(simulation: Simulation) -> float:
        """Standard errors between how many of those reached stop buying, and what the truth expects."""
        missed, variance = 0.0, 0.0
        for number, at in enumerate(simulation.life.campaigns.at):
            of_this = pl.col("campaign") == f"stay with us {number + 1}"
            those = contacted.treatments.filter("reached", of_this, pl.col(disposition) > 0)
            # Of a company from which few would leave anyway, few can be kept.
            restless = contacted.customers.filter(pl.col("hazard_per_day") > pl.col("hazard_per_day").median())
            reached = those.join(restless, on="customer_id", how="semi")["customer_id"]
            truth = simulation.churn_at([float(at) - days_before], (90,)).filter(
                "alive", pl.col("customer_id").is_in(reached.implode())
            )
            ends = pl.col("cutoff") + timedelta(days=90)
            bought = orders(contacted).rename({"customer": "customer_id"})
            buys = truth.join(bought, on="customer_id").filter(pl.col("at").is_between("cutoff", ends, closed="left"))
            p = truth["churn_probability"].to_numpy()
            missed += truth.height - buys["customer_id"].n_unique() - p.sum()
            variance += (p * (1 - p)).sum()
        return float(missed / np.sqrt(variance))

    assert abs(off_by(contacted)) < 2
    assert abs(off_by(_forgetting_campaigns(contacted))) > 2.5


def _forgetting_campaigns(simulation: Simulation) -> Simulation:
    none = replace(simulation.life.campaigns, reached=np.zeros_like(simulation.life.campaigns.reached))
    return replace(simulation, life=replace(simulation.life, campaigns=none))


def test_treated_and_held_out_differ_by_the_mean_of_the_known_effects(contacted):
    treatments, left = contacted.treatments, contacted.customers.select("customer_id", "left_at")
    outcome = treatments.join(left, on="customer_id").with_columns(
        gone=(pl.col("left_at") < pl.col("entered_at") + timedelta(days=90)).fill_null(False)
    )
    met = pl.when("reached").then("leaves_if_treated").otherwise("leaves_if_held_out")
    assert outcome.select((pl.col("gone") == met).all()).item()  # what happened is the one of the two that was met
    rise = (pl.col("leaves_if_treated").cast(int) - pl.col("leaves_if_held_out").cast(int) - pl.col("effect")).mean()
    for arm in ("treated", "held_out"):
        rows = treatments.filter(pl.col("arm") == arm)
        assert abs(rows.select(rise).item()) < 4 * 0.25 / np.sqrt(rows.height)
    kept = treatments.filter(pl.col("shield") > 0, pl.col("type") != "lost cause")["effect"]
    assert kept.max() < 0
    assert treatments.filter(pl.col("reactance") > 0)["effect"].max() > 0.1


def test_the_four_types_follow_from_what_would_happen_with_contact_and_without(contacted):
    pairs = contacted.treatments.select("type", "leaves_if_held_out", "leaves_if_treated").unique()
    assert sorted(pairs.rows()) == [
        ("do not disturb", False, True),
        ("lost cause", True, True),
        ("persuadable", True, False),
        ("sure thing", False, False),
    ]


def test_the_arms_are_drawn_without_regard_to_what_customers_do(contacted):
    treatments = contacted.treatments
    assert treatments.filter(pl.col("arm") == "held_out")["reached"].sum() == 0
    by_type = treatments.group_by("type").agg(treated=(pl.col("arm") == "treated").mean(), n=pl.len())
    spread = (by_type["treated"] - 0.6).abs() / (0.24 / by_type["n"]).sqrt()
    assert spread.max() < 4


def test_contact_without_effect_and_no_campaigns_leave_everybody_as_they_would_have_been():
    quiet, idle = (live(Company(1500, 4, campaigns=planted, contact_effect=0.0)) for planted in (False, True))
    assert quiet.treatments.is_empty()
    assert idle.treatments.height > 500
    assert set(idle.treatments["type"]) == {"sure thing", "lost cause"}
    np.testing.assert_array_equal(quiet.left_at, idle.left_at)
    assert quiet.orders.equals(idle.orders)


def test_the_log_of_campaigns_reads_as_treatments_of_the_contract(contacted, tmp_path):
    write(contacted, tmp_path / "demo")
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'Europe/Rome'")
        connection.read_csv(str(tmp_path / "demo/treatments.csv"), all_varchar=True).create_view("treatments")
        select = (HERE / "sources/demo/treatments.sql").read_text()
        read = connection.sql(f"SELECT * REPLACE (treated_at::TIMESTAMPTZ AS treated_at) FROM ({select})").pl()
    truth = contacted.treatments.select("customer_id", "campaign", "arm", "reached", at="entered_at")
    assert read.columns == ["customer_id", "treated_at", "campaign", "action", "arm", "reached", "cost"]
    assert read.select("customer_id", "campaign", "arm").rows() == truth.select("customer_id", "campaign", "arm").rows()
    assert (read["treated_at"].dt.convert_time_zone("UTC") == truth["at"]).all()
    assert read.filter(pl.col("arm") == "held_out")["reached"].null_count() == (truth["arm"] == "held_out").sum()
    assert set(read.select("arm", "cost").unique().rows()) == {("treated", 7.0), ("held_out", 0.0)}


# --- tastes and margins --------------------------------------------------------------------------------------------


def test_what_was_bought_last_makes_its_companion_likelier_as_planted(big):
    bought = big.orders.sort("customer", "at").with_columns(
        before=pl.col("category").shift(1).over("customer"), taste=pl.lit(0.0)
    )
    places = bought["category"].replace_strict({name: k for k, name in enumerate(NAMES)}, return_dtype=pl.Int64)
    bought = bought.with_columns(taste=pl.Series(big.tastes[bought["customer"], places]))
    for name, category in CATEGORIES.items():
        after = bought.filter(pl.col("before") == name)
        then = NAMES.index(category.then)
        by_taste = (1 - category.again - category.follows) * big.tastes[after["customer"], then]
        expected, found = category.follows + by_taste.mean(), (after["category"] == category.then).mean()
        assert abs(found - expected) < 4 * 0.5 / np.sqrt(after.height), name


def test_each_customer_has_tastes_of_their_own_that_sum_to_one(shop):
    tastes = shop.tastes.drop("customer_id").to_numpy()
    np.testing.assert_allclose(tastes.sum(axis=1), 1)
    assert 0.3 < np.median(tastes.max(axis=1)) < 0.6
    assert shop.tastes["customer_id"].to_list() == shop.customers["customer_id"].to_list()


def test_an_orders_margin_is_that_of_its_category_and_reaches_the_interactions(shop, outcome):
    interactions, _ = outcome
    bought = interactions.filter(pl.col("kind") == "purchase")
    assert bought["margin"].null_count() == 0
    share = bought.group_by("topic").agg(pl.col("margin").sum().cast(float) / pl.col("amount").sum().cast(float))
    for name, found in share.iter_rows():
        assert found == pytest.approx(CATEGORIES[name].margin, abs=0.02)
    assert interactions.filter(pl.col("kind") != "purchase")["margin"].is_null().all()


# --- a believable company ------------------------------------------------------------------------------------------


def test_twenty_thousand_customers_would_make_about_a_million_interactions(shop):
    assert 40 < shop.interactions / shop.company.customers < 60


def test_a_few_customers_buy_spend_and_are_seen_far_more_than_the_rest(shop):
    per_customer = orders(shop).group_by("customer").agg(pl.len().alias("n"), pl.col("gross").sum())
    for column in ("n", "gross"):
        values = per_customer[column].sort(descending=True)
        assert values.head(len(values) // 10).sum() > 0.3 * values.sum()
    views = true_rows(shop, "reviews")["views"]
    assert views.max() > 50 * views.median()


def test_saturdays_sell_more_than_tuesdays_and_evenings_more_than_nights(shop):
    at = orders(shop)["at"].dt.convert_time_zone(ZONE)
    weekday = at.dt.weekday().value_counts().sort("at")["count"]
    assert weekday[5] > 1.25 * weekday[1]
    assert at.dt.hour().is_between(18, 21).sum() > 10 * at.dt.hour().is_between(2, 5).sum()


def test_a_seasonal_company_sells_most_around_christmas_and_a_drifting_one_less_each_year():
    seasonal = orders(simulate(Company(customers=1500, seed=4, regime="seasonal")))["at"]
    month = seasonal.filter(seasonal.dt.year() == 2023).dt.month()
    assert (month >= 11).sum() > 1.8 * month.is_between(5, 6).sum()
    drifting, steady = (live(Company(customers=1500, seed=4, regime=regime)) for regime in ("drifting", "dense"))
    halves = {
        name: [life.orders.filter((pl.col("at") < 365) == early).height for early in (True, False)]
        for name, life in (("drifting", drifting), ("dense", steady))
    }
    assert halves["drifting"][1] / halves["drifting"][0] < 0.8 * halves["dense"][1] / halves["dense"][0]
    late = drifting.parcels.group_by(pl.col("ordered") > 365).agg(pl.col("late").mean()).sort("ordered")["late"]
    assert late[1] > 1.2 * late[0]


def test_regular_customers_buy_to_a_beat(big):
    gaps = big.purchases.with_columns(gap=pl.col("operational").diff().over("customer")).drop_nulls()
    spread = gaps.group_by("customer").agg((pl.col("gap").std() / pl.col("gap").mean()).alias("cv"), pl.len())
    spread = spread.filter(pl.col("len") > 10).join(big.traits, on="customer")
    regular = pl.col("rhythm") > 3
    assert spread.filter(regular)["cv"].mean() < 0.5
    assert spread.filter(~regular)["cv"].mean() > 0.85


def test_leaving_is_silent_for_most_while_the_company_keeps_writing(shop):
    left = shop.customers.drop_nulls("left_at").select("customer_id", "left_at")
    closed = true_rows(shop, "programme").filter(pl.col("event") == "closed the account")
    assert 0.02 < closed.height / left.height < 0.2
    sent = true_rows(shop, "campaigns").with_columns(pl.col("sent_at").str.to_datetime(time_zone="UTC"))
    later = sent.join(left, left_on="customer", right_on="customer_id").filter(
        pl.col("sent_at") > pl.col("left_at") + timedelta(hours=3)
    )
    assert later.height > 1000
    assert later["reaction"].null_count() == later.height


def test_a_plan_is_known_from_the_day_it_began(shop):
    members = true_rows(shop, "members")
    assert (members["plan"].is_null() == members["plan_since"].is_null()).all()
    assert (members["plan_since"] >= members["registered_at"]).all()
    assert (members["plan_since"] > members["registered_at"]).any()


@settings(max_examples=60)
@given(regime=st.sampled_from(REGIMES), day=st.floats(-365, 730))
def test_the_two_clocks_agree(regime, day):
    clock = company_clock(Company(customers=1, regime=regime))
    assert clock.calendar_at(clock.operational_at(np.array([day])))[0] == pytest.approx(day, abs=1e-6)
    assert float(clock.operational_at(0.0)) == 0
    assert (np.diff(clock.operational) > 0).all()


def test_a_year_of_steady_demand_is_a_year():
    clock = company_clock(Company(customers=1, regime="seasonal"))
    assert float(clock.operational_at(728.0)) == pytest.approx(730, abs=6)


# --- its files -----------------------------------------------------------------------------------------------------


def test_ingest_finds_exactly_the_dirt_that_was_planted(shop, outcome):
    interactions, quarantine = outcome
    assert interactions.height == shop.interactions
    planted: dict[str, int] = {}
    for name, counts in shop.dirt.items():
        for rule, rows in counts.items():
            if name != "members" and rule not in ("valid", "duplicate", "out_of_scope"):
                planted[rule] = planted.get(rule, 0) + rows
    found = quarantine.filter(pl.col("rule").is_not_null()).group_by("rule").len()
    assert dict(found.iter_rows()) == planted


def test_every_channel_and_kind_of_the_contract_occurs(outcome):
    interactions, _ = outcome
    assert set(interactions["channel"].drop_nulls()) == set(CHANNELS)
    assert set(interactions["kind"]) == set(KINDS)


def test_no_interaction_lies_outside_the_span(shop, outcome):
    interactions, _ = outcome
    begin = datetime(2023, 1, 1, tzinfo=UTC)
    assert interactions["occurred_at"].is_between(begin, begin + timedelta(days=shop.company.days), closed="left").all()


def test_ingested_purchases_are_the_true_ones(shop, outcome):
    interactions, _ = outcome
    cut = pl.col("at") < pl.Series(shop.life.left_at)[shop.life.orders["customer"]]
    true = shop.life.orders.filter(cut).group_by(customer_id("customer")).agg(pl.len(), pl.col("gross").sum().round(2))
    seen = (
        interactions.filter(pl.col("kind") == "purchase")
        .group_by(customer="customer_id")
        .agg(pl.len(), pl.col("amount").sum().cast(pl.Float64).round(2).alias("gross"))
    )
    assert true.sort("customer").equals(seen.sort("customer").select(true.columns))


def test_every_planted_bad_experience_can_be_seen_by_its_rule(shop, outcome):
    interactions, _ = outcome
    rules = shop.effects["rules"]
    assert isinstance(rules, dict)
    for kind, rule in rules.items():
        seen = interactions.filter(pl.sql_expr(rule)).select("customer_id", at="occurred_at")
        planted = shop.experiences.filter(pl.col("kind") == kind).select("customer_id", "at")
        assert planted.height > 0
        assert planted.join(seen, on=["customer_id", "at"], how="anti").is_empty(), kind
        assert seen.height < 1.15 * planted.height + 20, kind  # the rest reached customers who had just left


def test_the_same_company_gives_the_same_bytes_and_another_seed_others(tmp_path):
    company = Company(customers=200, seed=5)
    for name, made in (("a", company), ("b", company), ("c", replace(company, seed=6))):
        write(simulate(made), tmp_path / name)
    contents = {
        name: {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
        for name in "abc"
    }
    assert len(contents["a"]) == 19
    assert contents["a"] == contents["b"]
    assert all(contents["a"][path] != contents["c"][path] for path in contents["a"] if path.suffix != ".json")


@pytest.fixture(scope="module")
def corner_shop() -> Simulation:
    return simulate(Company(customers=50, seed=5, days=90))


def test_a_folder_with_anything_of_someone_elses_is_refused_and_not_changed(corner_shop, tmp_path):
    theirs = tmp_path / "demo" / "orders.csv.gz"
    theirs.parent.mkdir()
    theirs.write_bytes(b"years of real orders")
    with pytest.raises(ForeignFolder, match=r"orders\.csv\.gz .* did not write"):
        write(corner_shop, tmp_path / "demo")
    assert [path.name for path in tmp_path.rglob("*")] == ["demo", "orders.csv.gz"]
    with pytest.raises(ForeignFolder, match="is a file"):
        write(corner_shop, theirs)


def test_its_own_folder_is_replaced_unless_someone_changed_it(corner_shop, tmp_path):
    demo = tmp_path / "demo"
    write(corner_shop, demo)
    write(simulate(Company(customers=60, seed=5, days=90)), demo)
    assert (demo / "members.csv").read_text().count("\nC0") == 60
    (demo / "members.csv").write_text("edited by hand")
    with pytest.raises(ForeignFolder, match=r"members\.csv"):
        write(corner_shop, demo)


def test_a_run_that_fails_leaves_the_folder_as_it_was(corner_shop, tmp_path, monkeypatch):
    write(corner_shop, tmp_path / "demo")
    before = (tmp_path / "demo" / "truth" / "written.json").read_bytes()

    def full_disk(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(folder, "_write_truth", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write(simulate(Company(customers=60, days=90)), tmp_path / "demo")
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]
    assert (tmp_path / "demo" / "truth" / "written.json").read_bytes() == before


def test_the_truth_lies_beside_the_files(corner_shop, tmp_path):
    write(corner_shop, tmp_path / "demo")
    truth = tmp_path / "demo" / "truth"
    assert_frame_equal(pl.read_parquet(truth / "churn.parquet"), corner_shop.churn, rel_tol=1e-6)
    assert json.loads((truth / "dirt.json").read_text()) == corner_shop.dirt
    assert json.loads((truth / "effects.json").read_text())["chance_of_leaving"]["recovery_share"] == 0.6


@pytest.mark.parametrize("customers", [1, 2, 7])
def test_even_the_smallest_company_has_a_truth(customers):
    for seed in range(5):
        tiny = simulate(Company(customers=customers, seed=seed, days=30))
        assert tiny.churn["churn_probability"].is_between(0, 1).all()
        assert tiny.customers.height == customers


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"customers": 0}, "at least 1 customer, not 0"),
        ({"days": 7}, "at least 30 days, not 7"),
        ({"seed": -1}, "0 or more, not -1"),
        ({"regime": "chaotic"}, "'chaotic'. Choose one of sparse, dense, seasonal, drifting"),
        ({"bad_effect": 3.0}, "lies in 0 to 2, not 3.0"),
        ({"contact_effect": -1.0}, "lies in 0 to 2, not -1.0"),
    ],
)
def test_an_impossible_company_is_refused_in_one_line(settings, says):
    with pytest.raises(CompanyError) as refusal:
        Company(**settings)
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_the_command_ends_with_one_line_of_figures(tmp_path, capsys):
    main(customers=100, seed=1, out=Path(tmp_path / "demo"))
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("simulate: 100 customers, ")
    assert "silently left" in line
    assert figures(simulate(Company(customers=100, seed=1))) in line


def test_the_command_says_in_one_line_why_it_did_nothing(tmp_path):
    with pytest.raises(CompanyError, match=r"^A company needs at least 1 customer, not 0\.$"):
        main(customers=0, out=tmp_path / "demo")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ForeignFolder, match=r"holds notes\.txt that the simulator did not write"):
        main(customers=100, out=tmp_path)
    with pytest.raises(NotWritten, match=r"could not be written \(Not a directory\)"):
        main(customers=100, out=tmp_path / "notes.txt" / "demo")
