"""Whom to contact: what lists of customers truly earn, beside the best possible list, on simulated truth.

    python -m benchmarks.policy [--seeds 5] [--customers 8000] [--worlds dense sparse seasonal gamma contract]

For each company the product's own scores at a date are ranked by several rules, and the best 5% and 10% are contacted.
What that earns within 365 days is known in expectation from 400 futures of every customer: a contact keeps who would
leave within the horizon with a chance of .15 on average, brings back who has left with .03, halved for every 120 days
since, and costs 7. The chances differ between customers (0 to twice the mean) and nothing tells them. The oracle knows
every customer's traits and past and whether they are still there; not the bad experiences to come, of which the
futures have 20 courses, nor how people respond. A second oracle knows the response too, as nobody could; with
`--courses 1` both know the bad experiences to come, which are then those that came.

- `dense`, `sparse`, `seasonal`: companies of ``fedelta simulate`` that people leave silently, at a rate of their own or
  after bad experiences.
- `gamma`: a dense one, but who leaves by habit does so after a Gamma(3) lifetime: who has just come hardly ever.
- `contract`: the same, and leaving is a cancellation that everybody sees.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
from scipy.special import gammaincc, gammainccinv

import fedelta
from fedelta.features.cutoffs import Cutoff
from fedelta.features.interaction_frames import interactions_of
from fedelta.features.kernel import features_at
from fedelta.models.btyd.purchase_prior import PurchasePrior, at_horizon, prior_columns
from fedelta.models.churn.model import ChurnModel, fit_churn
from fedelta.models.learning.cross_fitting import copies_as_one
from fedelta.models.leaving.model import LeavingModel
from fedelta.models.leaving.storage import load_leaving
from fedelta.models.panel import floats, to_pandas
from fedelta.models.policy.stakes import Stakes, contract_stakes, stakes, value_while_here
from fedelta.models.value.model import ClvModel
from fedelta.pipeline import build_features, fit_btyd, ingest, paths, train_leaving
from fedelta.pipeline.commands.use import set_params, use
from fedelta.pipeline.panel import read_panel, read_training
from fedelta.pipeline.params import load_params
from fedelta.pipeline.score_inputs import read_prior
from fedelta.pipeline.simulator.company import Company
from fedelta.pipeline.simulator.dirt import soil
from fedelta.pipeline.simulator.folder import write
from fedelta.pipeline.simulator.life import Life, meet, with_chance_of_leaving
from fedelta.pipeline.simulator.raw import company_files
from fedelta.pipeline.simulator.simulation import Simulation, simulate

HERE = Path(__file__).resolve().parents[1]
Floats = npt.NDArray[np.float64]

WORLDS = ("dense", "sparse", "seasonal", "gamma", "contract")
DAYS, HORIZON, SPAN, FUTURES = 730, 90, 365, 400
SHAPE = 3.0  # of lifetimes by habit, where they are not exponential
COST, KEEPS, BRINGS_BACK, HALF_LIFE = 7.0, 0.15, 0.03, 120.0
SHARES = (0.05, 0.10)
OURS, BY_RHYTHM = "here and gone split", "split, leaving by rhythm alone"
COURSES = 20
ORACLE, KNOWS_RESPONSE = "oracle", "oracle that knows the response too"


@dataclass(frozen=True)
class Truth:
    """What contacting each customer truly brings, in expectation, before its cost (n_customers,)."""

    by_life: Floats  # at the mean response
    by_response: Floats  # at their own


@dataclass(frozen=True)
class Scored:
    """What the product knows of each customer at the date (n_customers,)."""

    probability: Floats
    spend: Floats  # expected within the horizon
    value: Floats  # within the span, if they stay
    stakes: Stakes
    by_rhythm: Stakes  # the same without experience in the hazard


def futures(
    begins: Floats,
    hazard_left: "Leaving",
    worth: "Worth",
    left_at: Floats,
    rng: np.random.Generator,
) -> Truth:
    """Expected gains of a contact at `begins` (one day) for who is there, and for who left at `left_at` before it."""
    now = float(begins[0])
    there = left_at >= now
    end = np.full(len(there), now + SPAN)
    kept, back = np.zeros(len(there)), np.zeros(len(there))
    for future in range(FUTURES):
        first = hazard_left(begins, there, rng, future)
        again = hazard_left(np.where(np.isfinite(first), first, now), np.ones(len(there), bool), rng, future)
        leaves = there & (first < now + HORIZON)
        kept += np.where(leaves, worth(np.minimum(first, end), np.minimum(again, end)), 0.0)
        returned = hazard_left(begins, np.ones(len(there), bool), rng, future)
        back += np.where(there, 0.0, worth(begins, np.minimum(returned, end)))
    fade = np.where(there, 0.0, 2.0 ** (-(now - np.where(there, now, left_at)) / HALF_LIFE))
    gain = (KEEPS * kept, BRINGS_BACK * fade * back)
    response = rng.uniform(0, 2, (2, len(there)))
    by_life, own = gain[0] + gain[1], response[0] * gain[0] + response[1] * gain[1]
    return Truth(by_life / FUTURES, own / FUTURES)


class Leaving:
    """When customers leave, if they are there at a time: of a company of `fedelta simulate`."""

    def __init__(self, life: Life, rows: npt.NDArray[np.int64], courses: int, *, aged: bool):
        self.hazard = life.traits["hazard"].to_numpy()[rows]
        self.mean = _mean_lifetime(life)[rows] if aged else None
        self.begin = np.maximum(life.traits["signed_up"].to_numpy()[rows], 0.0)
        number = np.full(life.traits.height, -1)
        number[rows] = np.arange(len(rows))
        self.courses = []
        for experiences in _courses(life, courses):
            owner = number[experiences["customer"].to_numpy()]
            mine = owner >= 0
            decided, chance = experiences["decided"].to_numpy(), experiences["chance"].to_numpy()
            self.courses.append((owner[mine], decided[mine], chance[mine]))

    def __call__(self, since: Floats, asked: npt.NDArray[np.bool_], rng: np.random.Generator, future: int) -> Floats:
        """Leaving times after `since`, infinite for who is not asked about."""
        customer, decided, chance = self.courses[future % len(self.courses)]
        if self.mean is None:
            habit = since + rng.exponential(1.0, len(since)) / self.hazard
        else:  # the rest of a lifetime that has lasted so long already; a new one after leaving
            age = np.where(since > DAYS, 0.0, np.maximum(since - self.begin, 0.0)) * SHAPE / self.mean
            left = gammaincc(SHAPE, age) * rng.random(len(since))
            habit = since + (gammainccinv(SHAPE, left) - age) * self.mean / SHAPE
        fatal = (rng.random(len(decided)) < chance) & (decided > since[customer])
        straw = np.full(len(since), np.inf)
        np.minimum.at(straw, customer[fatal], decided[fatal])
        return np.where(asked, np.minimum(habit, straw), np.inf)


def _courses(life: Life, courses: int) -> Iterator[pl.DataFrame]:
    """The bad experiences of each course: those bound to come at the date, then others as likely as those that came."""
    if courses == 1:
        yield life.experiences
        return
    for course in range(courses):
        other = replace(life.company, seed=1_000_003 * (course + 1) + life.company.seed)
        _, met = meet(other, life.clock, life.traits, life.tastes)
        known = life.experiences.select(met.columns).filter(pl.col("origin") < DAYS)
        together = pl.concat([known, met.filter(pl.col("origin") >= DAYS)]).sort("customer", "decided", "at", "kind")
        yield with_chance_of_leaving(together, life.company.effects)


class Worth:
    """Expected spend between two times: of a company of `fedelta simulate`."""

    def __init__(self, life: Life, rows: npt.NDArray[np.int64]):
        self.clock = life.clock
        self.per_day = (life.traits["purchase_rate"] * life.traits["spend_mean"]).to_numpy()[rows]

    def __call__(self, begin: Floats, end: Floats) -> Floats:
        """Spend of each customer."""
        passed = self.clock.operational_at(end) - self.clock.operational_at(begin)
        return np.asarray(np.maximum(passed, 0.0) * self.per_day)


def company(world: str, seed: int, customers: int, courses: int) -> tuple[Scored, Truth]:
    """A company of `fedelta simulate` through the real stages, scored at the end of its second year."""
    aged = world in ("gamma", "contract")
    made = Company(customers, seed, days=DAYS + SPAN + 5, regime="dense" if aged else world, campaigns=False)  # type: ignore[arg-type]
    simulation = _aged(simulate(made)) if aged else simulate(made)
    at = str(made.start + timedelta(days=DAYS))
    with _project() as folder:
        write(simulation, folder / "demo")
        use("demo", folder / "demo")
        set_params(paths.PARAMS, {"cutoffs.score_at": at, "clv.horizon_days": HORIZON})
        ingest.main()
        scored, table = _contracts(simulation) if world == "contract" else _silent()
    rows = _rows(simulation, table)
    leaving = Leaving(simulation.life, rows, courses, aged=aged)
    rng = np.random.default_rng(seed + 77)
    begins = np.full(len(rows), float(DAYS))
    return scored, futures(begins, leaving, Worth(simulation.life, rows), simulation.life.left_at[rows], rng)


def _silent() -> tuple[Scored, pd.DataFrame]:
    """What the stages know of each customer at the date, and the rows of features."""
    build_features.main()
    fit_btyd.main()
    params = load_params()
    churn = fit_churn(
        copies_as_one(read_training("delivered")), params.churn, horizon_days=HORIZON, lead_days=0, threads=2
    )
    table = read_panel(["score"]).of_role("score").table
    prior = read_prior(table["cutoff"].iloc[0])
    assert prior is not None
    train_leaving.main()
    return _scored(table, churn, prior, leaving=load_leaving(paths.LEAVING_BUNDLE)), table


def _rows(simulation: Simulation, table: pd.DataFrame) -> npt.NDArray[np.int64]:
    """The number of each scored customer in the life."""
    number = {name: k for k, name in enumerate(simulation.customers["customer_id"].to_list())}
    return np.array([number[name] for name in table["customer_id"]], np.int64)


def _aged(simulation: Simulation) -> Simulation:
    """The same company, where people leave by habit after a Gamma(3) lifetime: hardly anybody at first."""
    life, rng = simulation.life, np.random.default_rng(simulation.company.seed + 55)
    begin = np.maximum(life.traits["signed_up"].to_numpy(), 0.0)
    habit = begin + rng.gamma(SHAPE, 1.0, len(begin)) * _mean_lifetime(life) / SHAPE
    customer, decided = life.experiences["customer"].to_numpy(), life.experiences["decided"].to_numpy()
    fatal = rng.random(len(decided)) < life.experiences["chance"].to_numpy()
    left_at = habit.copy()
    np.minimum.at(left_at, customer[fatal], decided[fatal])
    left_at = np.where(left_at >= simulation.company.days, np.inf, left_at)
    straw = fatal & (decided == left_at[customer])
    life = replace(life, left_at=left_at, experiences=life.experiences.with_columns(left=straw))
    files = {name: soil(simulation.company, name, table) for name, table in company_files(life).items()}
    return replace(simulation, life=life, files=files)


def _mean_lifetime(life: Life) -> Floats:
    """Days after which people leave by habit where lifetimes are Gamma(3), on average (n_customers,)."""
    return np.asarray(0.5 / life.traits["hazard"].to_numpy())


def _contracts(simulation: Simulation) -> tuple[Scored, pd.DataFrame]:
    """What `fedelta.fit` knows of who has not cancelled by the date, and the rows of features."""
    made, left_at, params = simulation.company, simulation.life.left_at, load_params()
    begin = datetime.combine(made.start, datetime.min.time(), UTC)
    now, gone = begin + timedelta(days=DAYS), np.flatnonzero(left_at < DAYS)
    events = pl.read_parquet(paths.INTERACTIONS / "*.parquet").drop("customer_hash")
    events = events.with_columns(pl.col(pl.Enum, pl.Categorical).cast(pl.String))
    cancelled = pl.DataFrame(
        {
            "customer_id": simulation.customers["customer_id"].gather(gone),
            "interaction_id": [f"cancelled {number}" for number in gone],
            "occurred_at": [begin + timedelta(days=float(day)) for day in left_at[gone]],
            "kind": "cancellation",
        }
    ).cast({"occurred_at": events.schema["occurred_at"]})
    events = pl.concat([events.filter(pl.col("occurred_at") < now), cancelled], how="diagonal")
    model = fedelta.fit(
        events,
        horizon_days=HORIZON,
        churn=replace(params.churn, definition="event"),
        clv=replace(params.clv, horizon_days=SPAN),
        experience=params.experience,
        cutoffs=params.cutoffs,
    )
    cutoff = Cutoff(now, HORIZON, 0, "score")
    table = to_pandas(features_at(interactions_of(events, (), ()), (cutoff,), model.settings)[0])
    table = table[table["status"] == "scored"].reset_index(drop=True)
    prior = model.priors[max(model.priors)]
    table = table.join(prior_columns(prior, table))
    return _scored(table, model.churn, prior, model.clv), table


def _scored(
    table: pd.DataFrame,
    churn: ChurnModel,
    prior: PurchasePrior,
    clv: ClvModel | None = None,
    leaving: LeavingModel | None = None,
) -> Scored:
    probability = churn.churn_probability(table)
    spend = floats(table, "pareto_expected_spend")
    if clv is not None:
        value = clv.expected_spend(at_horizon(table, prior, clv.horizon_days))
        value = value_while_here(table, prior, span_days=SPAN, otherwise=value)
        held = contract_stakes(probability, value, margin=1.0)
        return Scored(probability, spend, value, held, held)
    held = stakes(table, probability, prior, margin=1.0, span_days=SPAN, leaving=leaving)
    plain = stakes(table, probability, prior, margin=1.0, span_days=SPAN)
    whole = stakes(table, np.zeros(len(table)), prior, margin=1.0, span_days=SPAN)
    value = whole.value_at_risk / np.maximum(whole.p_leaves * whole.p_here, 1e-9)
    return Scored(probability, spend, value, held, plain)


def rules(of: Scored) -> Mapping[str, Floats]:
    """What each rule ranks customers by (n_customers,)."""

    def split(at: Stakes) -> Floats:
        fade = 2.0 ** (-at.days_gone / HALF_LIFE)
        return np.asarray(KEEPS * at.value_at_risk + BRINGS_BACK * fade * at.win_back_value - COST, np.float64)

    return {
        "probability": of.probability,
        "expected spend of the horizon": of.spend,
        "probability × expected spend": of.probability * of.spend,
        "probability × value if they stay": of.probability * of.value,
        BY_RHYTHM: split(of.by_rhythm),
        OURS: split(of.stakes),
    }


def profits(of: Scored, truth: Truth) -> dict[tuple[str, float], float]:
    """What each rule truly earns at each share of contacts; a split contacts nobody whom it expects to cost more."""
    found = {}
    ranked = {**rules(of), ORACLE: truth.by_life - COST, KNOWS_RESPONSE: truth.by_response - COST}
    for share in SHARES:
        most = max(int(share * len(truth.by_life)), 1)
        for name, rank in ranked.items():
            order = np.argsort(-np.nan_to_num(rank, nan=-np.inf), kind="stable")[:most]
            chosen = order[rank[order] > 0] if name in (OURS, BY_RHYTHM, ORACLE, KNOWS_RESPONSE) else order
            found[name, share] = float(truth.by_response[chosen].sum() - len(chosen) * COST)
    return found


def main() -> None:
    """Print a line per company, and shares of the oracle's profit with intervals over companies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=4_201)
    parser.add_argument("--customers", type=int, default=8_000)
    parser.add_argument("--courses", type=int, default=COURSES, help="of the bad experiences to come")
    parser.add_argument("--worlds", nargs="+", choices=WORLDS, default=list(WORLDS))
    asked = parser.parse_args()
    together: list[dict[tuple[str, float], float]] = []
    for world in asked.worlds:
        found = []
        for seed in range(asked.first_seed, asked.first_seed + asked.seeds):
            found.append(profits(*company(world, seed, asked.customers, asked.courses)))
            shares = (f"{name} {share:.0%} {value:,.0f}" for (name, share), value in found[-1].items())
            print(f"{world} {seed}: {'; '.join(shares)}", flush=True)
        _print(world, found)
        if world in ("dense", "sparse", "seasonal"):
            together += found
    if len(together) > asked.seeds:
        _print("simulated", together)


def _print(world: str, found: list[dict[tuple[str, float], float]]) -> None:
    for name, share in found[0]:
        best = np.array([one[ORACLE, share] for one in found])
        own = np.array([one[name, share] for one in found])
        line = f"RESULT {world:9} {share:4.0%} {name:36} {_interval(own, best)} of the oracle's profit"
        if name not in (OURS, ORACLE):
            ahead = np.array([one[OURS, share] for one in found]) - own
            line += f"; {OURS} minus it {_interval(ahead, best)}"
        print(line, flush=True)


def _interval(values: Floats, best: Floats) -> str:
    """A sum over companies as a share of the oracle's sum, with its 95% interval: companies resampled."""
    rng = np.random.default_rng(7)
    rows = rng.integers(len(values), size=(10_000, len(values)))
    low, high = np.quantile(values[rows].sum(axis=1) / best[rows].sum(axis=1), (0.025, 0.975))
    return f"{values.sum() / best.sum():.2f} [{low:.2f}, {high:.2f}]"


@contextmanager
def _project() -> Iterator[Path]:
    """Work in a temporary project."""
    before = Path.cwd()
    with TemporaryDirectory(prefix="fedelta-policy-") as scratch:
        folder = Path(scratch)
        shutil.copytree(HERE / "sources", folder / "sources")
        shutil.copy(HERE / paths.PARAMS, folder / paths.PARAMS)
        os.chdir(folder)
        try:
            yield folder
        finally:
            os.chdir(before)


if __name__ == "__main__":
    main()
