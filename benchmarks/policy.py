"""Whom to contact: what lists of customers truly earn, beside the best possible list, on simulated truth.

    python -m benchmarks.policy [--seeds 5] [--customers 8000] [--worlds dense sparse seasonal gamma contract]

For each company the product's own scores at a date are ranked by several rules, and the best 5% and 10% are contacted.
What that earns within 365 days is known in expectation from 400 futures of every customer: a contact keeps who would
leave within the horizon with a chance of .15 on average, brings back who has left with .03, halved for every 120 days
since, and costs 7. The chances differ between customers (0 to twice the mean) and nothing tells them. The oracle knows
every life, not how people respond; a second one knows that too, as nobody could.

- `dense`, `sparse`, `seasonal`: companies of ``fedelta simulate`` that people leave silently, at a rate of their own or
  after bad experiences.
- `gamma`: silent, but lifetimes are Gamma(3): who has just come leaves less than who has been there for long.
- `contract`: lifetimes Gamma(3) too, and leaving is a cancellation that everybody sees.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl

import fedelta
from fedelta.features.cutoffs import Cutoff
from fedelta.features.kernel import features_at
from fedelta.models.btyd.purchase_prior import PurchasePrior, at_horizon, prior_columns
from fedelta.models.churn.model import ChurnModel, fit_churn
from fedelta.models.learning.cross_fitting import copies_as_one
from fedelta.models.leaving.model import LeavingModel
from fedelta.models.leaving.storage import load_leaving
from fedelta.models.panel import floats, to_pandas
from fedelta.models.policy.stakes import Stakes, contract_stakes, stakes
from fedelta.models.value.model import ClvModel
from fedelta.pipeline import build_features, fit_btyd, ingest, paths, train_leaving
from fedelta.pipeline.commands.use import set_params, use
from fedelta.pipeline.panel import read_panel, read_training
from fedelta.pipeline.params import load_params
from fedelta.pipeline.score_inputs import read_prior
from fedelta.pipeline.simulator.company import Company
from fedelta.pipeline.simulator.folder import write
from fedelta.pipeline.simulator.life import Life
from fedelta.pipeline.simulator.simulation import Simulation, simulate

HERE = Path(__file__).resolve().parents[1]
Floats = npt.NDArray[np.float64]

WORLDS = ("dense", "sparse", "seasonal", "gamma", "contract")
DAYS, HORIZON, SPAN, FUTURES = 730, 90, 365, 400
COST, KEEPS, BRINGS_BACK, HALF_LIFE = 7.0, 0.15, 0.03, 120.0
SHARES = (0.05, 0.10)
OURS, BY_RHYTHM = "here and gone split", "split, leaving by rhythm alone"
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
    for _ in range(FUTURES):
        first = hazard_left(begins, there, rng)
        again = hazard_left(np.where(np.isfinite(first), first, now), np.ones(len(there), bool), rng)
        leaves = there & (first < now + HORIZON)
        kept += np.where(leaves, worth(np.minimum(first, end), np.minimum(again, end)), 0.0)
        returned = hazard_left(begins, np.ones(len(there), bool), rng)
        back += np.where(there, 0.0, worth(begins, np.minimum(returned, end)))
    fade = np.where(there, 0.0, 2.0 ** (-(now - np.where(there, now, left_at)) / HALF_LIFE))
    gain = (KEEPS * kept, BRINGS_BACK * fade * back)
    response = rng.uniform(0, 2, (2, len(there)))
    by_life, own = gain[0] + gain[1], response[0] * gain[0] + response[1] * gain[1]
    return Truth(by_life / FUTURES, own / FUTURES)


class Leaving:
    """When customers leave, if they are there at a time: of a company of `fedelta simulate`."""

    def __init__(self, life: Life, rows: npt.NDArray[np.int64]):
        self.hazard = life.traits["hazard"].to_numpy()[rows]
        number = np.full(life.traits.height, -1)
        number[rows] = np.arange(len(rows))
        owner = number[life.experiences["customer"].to_numpy()]
        mine = owner >= 0
        self.customer = owner[mine]
        self.decided = life.experiences["decided"].to_numpy()[mine]
        self.chance = life.experiences["chance"].to_numpy()[mine]

    def __call__(self, since: Floats, asked: npt.NDArray[np.bool_], rng: np.random.Generator) -> Floats:
        """Leaving times after `since`, infinite for who is not asked about."""
        habit = since + rng.exponential(1.0, len(since)) / self.hazard
        fatal = (rng.random(len(self.decided)) < self.chance) & (self.decided > since[self.customer])
        straw = np.full(len(since), np.inf)
        np.minimum.at(straw, self.customer[fatal], self.decided[fatal])
        return np.where(asked, np.minimum(habit, straw), np.inf)


class Worth:
    """Expected spend between two times: of a company of `fedelta simulate`."""

    def __init__(self, life: Life, rows: npt.NDArray[np.int64]):
        self.clock = life.clock
        self.per_day = (life.traits["purchase_rate"] * life.traits["spend_mean"]).to_numpy()[rows]

    def __call__(self, begin: Floats, end: Floats) -> Floats:
        """Spend of each customer."""
        passed = self.clock.operational_at(end) - self.clock.operational_at(begin)
        return np.asarray(np.maximum(passed, 0.0) * self.per_day)


def simulated(regime: str, seed: int, customers: int) -> tuple[Scored, Truth]:
    """A company of `fedelta simulate` through the real stages, scored at the end of its second year."""
    company = Company(customers, seed, days=DAYS + SPAN + 5, regime=regime)  # type: ignore[arg-type]
    simulation = simulate(company)
    with _project() as folder:
        write(simulation, folder / "demo")
        use("demo", folder / "demo")
        set_params(
            paths.PARAMS, {"cutoffs.score_at": str(company.start + timedelta(days=DAYS)), "clv.horizon_days": HORIZON}
        )
        ingest.main()
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
        leaving = load_leaving(paths.LEAVING_BUNDLE)
    rows = _rows(simulation, table)
    life, rng = simulation.life, np.random.default_rng(seed + 77)
    begins = np.full(len(rows), float(DAYS))
    truth = futures(begins, Leaving(life, rows), Worth(life, rows), life.left_at[rows], rng)
    return _scored(table, churn, prior, leaving=leaving), truth


def _rows(simulation: Simulation, table: pd.DataFrame) -> npt.NDArray[np.int64]:
    """The number of each scored customer in the life."""
    number = {name: k for k, name in enumerate(simulation.customers["customer_id"].to_list())}
    return np.array([number[name] for name in table["customer_id"]], np.int64)


def lifetimes(seed: int, customers: int, *, contract: bool) -> tuple[Scored, Truth]:
    """A company in memory whose lifetimes are Gamma(3), silent or with a cancellation, scored by `fedelta.fit`."""
    rng = np.random.default_rng(seed)
    joined = rng.uniform(0, DAYS - 60, customers)
    mean_life = 1 / rng.gamma(1.5, 1 / (1.5 * 300), customers)
    lived = rng.gamma(3.0, mean_life / 3)
    rate = rng.gamma(1.2, 1 / (1.2 * 25), customers)
    order = 6.0 / rng.gamma(3.2, 1 / 17.0, customers)
    left_at = joined + lived
    begin, rows = datetime(2023, 1, 1, tzinfo=UTC), []
    for k in range(customers):
        end = min(left_at[k], DAYS)
        times = np.append(joined[k], rng.uniform(joined[k], end, rng.poisson(rate[k] * max(end - joined[k], 0))))
        amounts = order[k] * rng.gamma(6.0, 1 / 6, len(times))
        rows += [(f"c{k:05}", t, "purchase", a) for t, a in zip(times, amounts, strict=True)]
        if contract and left_at[k] < DAYS:
            rows.append((f"c{k:05}", left_at[k], "cancellation", None))
    events = pl.DataFrame(rows, schema=["customer_id", "day", "kind", "amount"], orient="row", infer_schema_length=None)
    events = events.select(
        "customer_id",
        (pl.lit(begin) + pl.duration(microseconds=(pl.col("day") * 86_400_000_000).cast(pl.Int64))).alias(
            "occurred_at"
        ),
        kind="kind",
        amount=pl.col("amount").round(2),
    )
    definition = "event" if contract else "inactivity"
    model = fedelta.fit(
        events,
        horizon_days=HORIZON,
        churn=fedelta.ChurnSettings(definition=definition),
        clv=fedelta.ClvSettings() if contract else None,
        cutoffs=fedelta.CutoffSettings(step_days=60, score_at=str((begin + timedelta(days=DAYS)).date())),
        resampling=None,
    )
    cutoff = Cutoff(begin + timedelta(days=DAYS), HORIZON, 0, "score")
    table = to_pandas(features_at(fedelta.frames.interactions_of(events, (), ()), (cutoff,), model.settings)[0])
    table = table[table["status"] == "scored"].reset_index(drop=True)
    prior = model.priors[max(model.priors)]
    table = table.join(prior_columns(prior, table))
    own = table["customer_id"].str[1:].astype(int).to_numpy()

    def leaving(since: Floats, asked: npt.NDArray[np.bool_], chance: np.random.Generator) -> Floats:
        """Given a life of so long already, the rest of a gamma lifetime, by rejection; anew after a return."""
        age = np.maximum(since - joined[own], 0.0)
        new = since > DAYS
        total = np.full(len(since), np.nan)
        open_rows = np.flatnonzero(asked)
        for _ in range(400):
            drawn = chance.gamma(3.0, mean_life[own][open_rows] / 3)
            fits = drawn > np.where(new[open_rows], 0.0, age[open_rows])
            total[open_rows[fits]] = drawn[fits] - np.where(new[open_rows], 0.0, age[open_rows])[fits]
            open_rows = open_rows[~fits]
            if not len(open_rows):
                break
        total[open_rows] = mean_life[own][open_rows] / 3  # deep in the tail the rest is exponential
        return np.where(asked, since + total, np.inf)

    def worth(begin_day: Floats, end_day: Floats) -> Floats:
        return np.maximum(end_day - begin_day, 0.0) * (rate * order)[own]

    truth = futures(np.full(len(own), float(DAYS)), leaving, worth, left_at[own], rng)  # type: ignore[arg-type]
    return _scored(table, model.churn, prior, model.clv if contract else None), truth


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
    parser.add_argument("--worlds", nargs="+", choices=WORLDS, default=list(WORLDS))
    asked = parser.parse_args()
    together: list[dict[tuple[str, float], float]] = []
    for world in asked.worlds:
        found = []
        for seed in range(asked.first_seed, asked.first_seed + asked.seeds):
            if world in ("gamma", "contract"):
                of, truth = lifetimes(seed, asked.customers, contract=world == "contract")
            else:
                of, truth = simulated(world, seed, asked.customers)
            found.append(profits(of, truth))
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
