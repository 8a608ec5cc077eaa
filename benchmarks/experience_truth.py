"""Whether the measured harm of bad experiences covers the harm that was planted, over simulated companies.

    python -m benchmarks.experience_truth [--seeds 10] [--customers 8000] [--horizon 90] [--worlds planted]

Three worlds: harm as planted; none; and bad experiences that merely follow heavy buying. A company is simulated a
horizon beyond the data that are measured, so that the truth of every episode is known. Printed by figure: true and
found value, width of the 90% interval, error in standard errors (z: mean and spread), how many intervals cover the
truth and how many claim harm. Set OMP_NUM_THREADS=1: threads only hinder the small matrices here.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from benchmarks.planted_harm import true_harm
from fedelta.features.contract import INTERACTIONS
from fedelta.features.episodes import episodes
from fedelta.features.experience_rules import ExperienceSettings, Rule
from fedelta.models.experience.harm import NUMBERS
from fedelta.models.experience.moments import moments_of_truth
from fedelta.models.experience.tolerance import tolerance_curve
from fedelta.models.metrics.bootstrap import Interval
from fedelta.pipeline.simulator import touchpoints
from fedelta.pipeline.simulator.company import Company
from fedelta.pipeline.simulator.life import Life, live
from fedelta.pipeline.simulator.raw import customer_id, moment
from fedelta.pipeline.simulator.simulation import PLANTED_RULES
from fedelta.pipeline.simulator.touchpoints import while_customer

MEASURED_DAYS = 730
RULES = {
    "late_delivery": Rule(PLANTED_RULES["late_delivery"], "expectations", "needs", 2, "kind = 'delivery'"),
    "faulty_return": Rule(PLANTED_RULES["faulty_return"], "integrity", "needs", 2, "kind = 'return'"),
    "unresolved_contact": Rule(
        PLANTED_RULES["unresolved_contact"], "resolution", "needs", 3, "kind IN ('contact', 'complaint')"
    ),
    "error": Rule(PLANTED_RULES["error"], "time_and_effort", "ease", 1, "kind IN ('visit', 'error')"),
    "outage": Rule(PLANTED_RULES["outage"], "empathy", "ease", 1, "kind IN ('visit', 'outage')"),
}
WORLDS: dict[str, Callable[[int, int, int], Company]] = {
    "planted": lambda customers, seed, days: Company(customers, seed, days=days, campaigns=False),
    "no effect": lambda customers, seed, days: Company(
        customers, seed, days=days, bad_effect=0, spend_effect=0, campaigns=False
    ),
    "exposure only": lambda customers, seed, days: Company(
        customers, seed, days=days, exposure_only=True, campaigns=False
    ),
}


def events_of(life: Life) -> pl.DataFrame:
    """The interactions of a company in the form of the contract, as ingest reads them from its files."""
    orders = while_customer(life, life.orders)
    visits = while_customer(life, life.visits)
    tickets = pl.concat(
        [while_customer(life, table, begins="opened") for table in (life.contacts, life.second_contacts)],
        how="diagonal",
    )
    outages = while_customer(life, life.experiences.filter(pl.col("kind") == "outage"))
    parts = [
        orders.select("customer", "at", "channel", kind=pl.lit("purchase"), amount="gross"),
        visits.select("customer", "at", channel="source", kind=pl.lit("visit")),
        touchpoints.checkout_sessions(life, orders).select("customer", "at", channel="source", kind=pl.lit("visit")),
        visits.filter("error").select("customer", "at", channel="source", kind=pl.lit("error")),
        outages.select("customer", "at", channel=pl.lit("web"), kind=pl.lit("outage")),
        while_customer(life, life.parcels, begins="ordered").select(
            "customer", "at", kind=pl.lit("delivery"), delay_hours=(pl.col("at") - pl.col("promised")) * 24
        ),
        while_customer(life, life.returns).select("customer", "at", kind=pl.lit("return"), topic="reason"),
        tickets.select(
            "customer", "at", "channel", kind=pl.lit("contact"), resolved="solved", wait_hours="wait_hours",
            topic="subject",
        ),
    ]  # fmt: skip
    table = pl.concat(parts, how="diagonal").filter(pl.col("at") < MEASURED_DAYS).with_row_index("number")
    known = table.select(
        *(name for name in table.columns if name in INTERACTIONS),
        customer_id("customer").alias("customer_id"),
        moment(life.company, "at").alias("occurred_at"),
        interaction_id=pl.format("i{}", pl.col("number").cast(pl.String).str.zfill(9)),
    )
    unknown = [pl.lit(None).alias(name) for name in INTERACTIONS if name not in known.columns]
    return (
        known.with_columns(unknown)
        .select(pl.col(name).cast(dtype) for name, dtype in INTERACTIONS.items())
        .sort("customer_id", "occurred_at", "interaction_id")
    )


@dataclass(frozen=True)
class Case:
    """One interval and the truth it should cover, of `n` bad experiences."""

    figure: str
    interval: Interval
    truth: float
    n: int

    @property
    def covered(self) -> bool:
        """Whether the interval holds the truth."""
        return self.interval.low <= self.truth <= self.interval.high

    @property
    def claims_harm(self) -> bool:
        """Whether the interval lies on the side of harm: more leaving, less spend."""
        return self.interval.high < 0 if self.figure.endswith("spend") else self.interval.low > 0

    @property
    def error(self) -> float:
        """Found minus true, in standard errors."""
        return (self.interval.value - self.truth) / (self.interval.high - self.interval.low) * 2 * 1.645


def cases(world: str, seed: int, customers: int, horizon_days: int) -> Iterator[Case]:
    """Every interval of the tolerance curve and the moments of truth of one company, beside the truth."""
    company = WORLDS[world](customers, seed, MEASURED_DAYS + horizon_days)
    life = live(company)
    ends_at = datetime.combine(company.start, datetime.min.time(), UTC) + timedelta(days=MEASURED_DAYS)
    table = episodes(events_of(life), ExperienceSettings(RULES), horizon_days, ends_at)
    planted = true_harm(life, MEASURED_DAYS, horizon_days).select(
        "customer_id", "occurred_at", rule="kind", true_left="left", true_spend="spend", answered="recovered"
    )
    bad = table.filter(pl.col("rule").is_not_null()).with_columns(pl.col("number").clip(upper_bound=NUMBERS))
    truth = bad.join(planted, on=["customer_id", "occurred_at", "rule"], how="left")
    if truth["true_left"].null_count():
        raise AssertionError("A bad experience of the data is missing from the truth.")
    yield from _tolerance_cases(table, truth, horizon_days)
    yield from _moment_cases(table, truth, horizon_days)


def _tolerance_cases(table: pl.DataFrame, truth: pl.DataFrame, horizon_days: int) -> Iterator[Case]:
    for step in tolerance_curve(table, horizon_days).steps:
        mine = truth if step.group == "all" else truth.filter(pl.col(step.group) == step.value)
        mine = mine if step.number is None else mine.filter(pl.col("number") == step.number)
        if step.excess:
            name = f"tolerance {step.group} {step.value} {step.number or 'any'}"
            yield Case(name, step.excess, _mean(mine["true_left"]), mine.height)


def _moment_cases(table: pl.DataFrame, truth: pl.DataFrame, horizon_days: int) -> Iterator[Case]:
    for found in moments_of_truth(table, horizon_days).moments:
        mine = truth.filter((pl.col("kind") == found.kind) & (pl.col("pillar") == found.pillar))
        over = mine.filter(pl.col("spend").is_not_null())
        if found.churn:
            yield Case(f"moment {found.kind} churn", found.churn, _mean(mine["true_left"]), mine.height)
        if found.spend:
            yield Case(f"moment {found.kind} spend", found.spend, _mean(over["true_spend"]), over.height)
        if found.recovery_churn:
            # Whether it is made good is drawn, so the harm of those made good beside the others is what that gives.
            yes, no = (mine.filter(pl.col("answered") == answered)["true_left"] for answered in (True, False))
            yield Case(f"recovery {found.kind} churn", found.recovery_churn, _mean(yes) - _mean(no), mine.height)


def _mean(values: pl.Series) -> float:
    return float(values.to_numpy().mean())


def main() -> None:
    """Print a table per world."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--customers", type=int, default=8_000)
    parser.add_argument("--horizon", type=int, default=90)
    parser.add_argument("--worlds", nargs="+", choices=WORLDS, default=list(WORLDS))
    options = parser.parse_args()
    began = time.perf_counter()
    for world in options.worlds:
        seeds = range(options.first_seed, options.first_seed + options.seeds)
        found = [case for seed in seeds for case in cases(world, seed, options.customers, options.horizon)]
        print(f"\n{world}, {options.seeds} seeds ({time.perf_counter() - began:.0f} s so far)")
        print(f"{'figure':36} {'n':>6} {'true':>9} {'found':>9} {'width':>9} {'z':>6} {'spread':>6} covered  harm")
        for figure in sorted({case.figure for case in found}):
            line(figure, [case for case in found if case.figure == figure])
        for part in ("tolerance all", "tolerance pillar", "moment", "recovery"):
            if mine := [case for case in found if case.figure.startswith(part)]:
                covered, harm = (np.mean([getter(case) for case in mine]) for getter in (_covered, _claims_harm))
                print(f"= {part:34} {len(mine):4} intervals {' ' * 35} {covered:7.0%} {harm:5.0%}")


def line(figure: str, some: Sequence[Case]) -> None:
    """One figure over all seeds."""
    n, true, found = (np.mean(each) for each in zip(*((c.n, c.truth, c.interval.value) for c in some), strict=True))
    width = np.mean([case.interval.high - case.interval.low for case in some])
    errors = np.array([case.error for case in some])
    covered, harm = (np.mean([getter(case) for case in some]) for getter in (_covered, _claims_harm))
    print(f"{figure:36} {n:6.0f} {true:9.4f} {found:9.4f} {width:9.4f} {errors.mean():+6.2f} {errors.std():6.2f} "
          f"{covered:7.0%} {harm:5.0%}", flush=True)  # fmt: skip


def _covered(case: Case) -> bool:
    return case.covered


def _claims_harm(case: Case) -> bool:
    return case.claims_harm


if __name__ == "__main__":
    main()
