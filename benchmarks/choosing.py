"""Which rule chooses among candidates when customers are few: draws of real and simulated bases, judged on the others.

    python benchmarks/choosing.py [--data ../shared/data] [--customers 300 700] [--draws 2]

From each split so many customers are drawn. Candidates are fitted and held out as in training, on them alone; purchase
models too. Each rule says which candidates are used; what they predict at the evaluation cutoff, which lies after all
outcomes learned from, is judged on customers who were not drawn. Not calibrated, one seed. A split whose data are
missing is skipped. Draws with too little to learn from are left out, so an event as rare as the airline's takes
`--customers 2400`.

Rules: `simplest`, the simplest candidate not significantly worse than that of the lowest held-out log loss, which was
the rule of the first release; `lowest`, the one of the lowest; `weights`, that of the product (`churn.selection`).
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

# Before this folder, where features.py would stand for the package `features`.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.panels import LOGS, company_panel, log_project, panel_of, project
from fedelta.models.btyd.purchase_prior import fit_prior
from fedelta.models.churn.baselines import BASELINES
from fedelta.models.churn.candidates import averaged, candidates, competing, fit_parts
from fedelta.models.churn.model import too_little
from fedelta.models.churn.selection import weigh
from fedelta.models.churn.settings import ChurnSettings
from fedelta.models.learning.competition import folds_to_weigh
from fedelta.models.learning.log_odds import prior_use, sigmoid
from fedelta.models.learning.season import levelled, seasonal
from fedelta.models.learning.settings import Prior
from fedelta.models.metrics.bootstrap import USUAL, replicate
from fedelta.models.metrics.metrics import CHURN_METRICS
from fedelta.models.panel import Panel
from fedelta.pipeline.params import Params
from fedelta.pipeline.simulator import Company

Floats = npt.NDArray[np.float64]
Weights = Mapping[str, float]

RULES = ("simplest", "lowest", "weights")
METRICS = {name: CHURN_METRICS[name] for name in ("log_loss", "auc")}
MOST_JUDGED = 4_000  # customers
RELEVANT = 0.002  # a smaller difference is none
SPLITS = (  # log, cutoff, horizon: the last two have horizons shorter than the one to be scored
    (LOGS[0], "1997-12-01", 90),
    (LOGS[2], "2011-08-31", 100),
    (LOGS[2], "2011-09-11", 60),
    (LOGS[3], "2007-05-01", 90),
    (LOGS[0], "1997-10-01", 273),
    (LOGS[3], "2007-01-01", 364),
)
REGIMES = ("dense", "sparse", "seasonal", "drifting")


@dataclass(frozen=True)
class Draw:
    """What candidates predict, as log-odds, of rows held out among the customers drawn, and of the others."""

    split: str
    kind: str  # of the split: long horizons, short ones, a season, an event
    held_out: Mapping[str, Floats]
    churned: Floats
    cutoff: npt.NDArray[np.intp]
    customer: npt.NDArray[np.str_]
    judged: Mapping[str, Floats]
    judged_churned: Floats

    def forecasts(self) -> dict[str, Floats]:
        """Probabilities of rows held out, their level set right where a season sets it."""
        predicted = {name: sigmoid(held) for name, held in self.held_out.items()}
        if self.kind != "season":
            return predicted
        return {name: levelled(self.churned, p, self.cutoff) for name, p in predicted.items()}


@dataclass(frozen=True)
class Outcome:
    """How a rule did on a draw: its figures beside the others, and whether a baseline was significantly better."""

    log_loss: float
    auc: float
    candidates: int
    worse: bool


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--customers", type=int, nargs="+", default=[300, 700])
    parser.add_argument("--draws", type=int, default=2)
    asked = parser.parse_args()
    drawn = []
    for split, panel, params, horizon_days in panels(asked.data.resolve()):
        for customers in asked.customers:
            for seed in range(1, asked.draws + 1):
                if draw := draw_of(split, panel, params, horizon_days, customers, seed):
                    drawn.append(draw)
                    print(f"{split}: {customers} customers, draw {seed}", file=sys.stderr)
    print(table_of(drawn))


def panels(data: Path) -> Iterator[tuple[str, Panel, Params, int]]:
    """Every split whose data are there."""
    for log, at, horizon_days in SPLITS:
        if (data / log.file).is_file():
            with log_project(log, data) as params:
                yield f"{log.name}, {horizon_days} d", _panel(params, at, horizon_days), params, horizon_days
    if (data / "airline_loyalty").is_dir():
        with project("airline_loyalty", data / "airline_loyalty") as params:
            yield "airline, 184 d", _panel(params, "2018-07-01", 184), params, 184
    for regime in REGIMES:
        panel, params = company_panel(Company(5_000, 2_001, regime=regime))  # type: ignore[arg-type]
        yield regime, panel, params, params.horizon_days


def draw_of(split: str, panel: Panel, params: Params, horizon_days: int, customers: int, seed: int) -> Draw | None:
    """Candidates of so many customers; None where these, or the others, are too few."""
    settings, rng = replace(params.churn, seeds=1), np.random.default_rng(seed)
    panel = panel.where(panel.table["status"] == "scored")
    everybody = np.sort(panel.of_role("train").table["customer_id"].unique())
    mine = set(rng.permutation(everybody)[:customers])
    if settings.definition == "inactivity":
        panel = _with_own_prior(panel, mine)
    is_mine = panel.table["customer_id"].isin(mine)
    known = panel.where(is_mine & (panel.table["role"] == "train"))
    others = panel.where(~is_mine & (panel.table["role"] == "evaluate"))
    others = others.where(rng.permutation(len(others)) < MOST_JUDGED)
    if too_little(known, settings) or too_little(others, settings):
        return None
    inactive = settings.definition == "inactivity"
    prior = prior_use(settings, known, horizon_days) if inactive else "features"
    names = competing(known, settings, horizon_days)
    in_season = seasonal(known, horizon_days, params.lead_days)
    tested = [
        fold
        for fold in folds_to_weigh(known, horizon_days, seasonal=in_season)
        if fold.past.churned(settings.definition).std() > 0
    ]
    held_out: dict[str, list[Floats]] = {name: [] for name in names}
    for fold in tested:
        for name, predicted in _log_odds(names, fold.past, fold.present, settings, prior).items():
            held_out[name].append(predicted)
    rows = pd.concat([fold.present.table[["cutoff", "customer_id"]] for fold in tested])
    short = bool((known.table["horizon_days"] < horizon_days).any())
    return Draw(
        split,
        "short horizons" if short else "season" if in_season else "whole horizons" if inactive else "event",
        {name: np.concatenate(parts) for name, parts in held_out.items()},
        np.concatenate([fold.present.churned(settings.definition) for fold in tested]),
        pd.factorize(rows["cutoff"], sort=True)[0],
        rows["customer_id"].to_numpy(str),
        _log_odds(names, known, others, settings, prior),
        others.churned(settings.definition),
    )


def _log_odds(
    names: Sequence[str], past: Panel, present: Panel, settings: ChurnSettings, prior: Prior
) -> dict[str, Floats]:
    """What candidates fitted on some rows predict of others."""
    parts = fit_parts(names, past, settings, prior, threads=1)
    predicted = {part: component.log_odds(present.table) for part, component in parts.items()}
    return {name: averaged({name: 1.0}, predicted) for name in names}


def chosen(rule: str, draw: Draw) -> Weights:
    """The candidates that a rule uses on a draw, with their weights."""
    forecasts = draw.forecasts()
    weights, results = weigh(draw.churned, forecasts, draw.customer)
    if rule == "weights":
        return weights
    best = next(s.candidate for s in results if s.log_loss_difference.low == s.log_loss_difference.high == 0)
    if rule == "lowest":
        return {best: 1.0}
    return {next(s.candidate for s in results if "significantly" not in s.verdict): 1.0}


def outcome(draw: Draw, weights: Weights) -> Outcome:
    """How it predicts the customers who were not drawn."""
    p = sigmoid(np.sum([weight * draw.judged[name] for name, weight in weights.items()], axis=0))
    predicted = {
        name: sigmoid(held)
        for name, held in draw.judged.items()
        if name in BASELINES or candidates()[name].purchases_only
    }
    measured = replicate(draw.judged_churned, {"it": p, **predicted}, METRICS, resampling=USUAL)
    rival = min(predicted, key=lambda name: measured.figures[name]["log_loss"][0])
    against = measured.difference("log_loss", "it", rival)
    log_loss, auc = (float(measured.figures["it"][metric][0]) for metric in ("log_loss", "auc"))
    return Outcome(log_loss, auc, len(weights), against.low > 0 and against.value >= RELEVANT)


def table_of(draws: Sequence[Draw]) -> str:
    """Means over draws: log loss and AUC of the first rule, then differences to it with their standard error."""
    found = {rule: [outcome(draw, chosen(rule, draw)) for draw in draws] for rule in RULES}
    of: dict[str, list[int]] = defaultdict(list)
    for number, draw in enumerate(draws):
        for group in ("all", draw.kind, draw.split):
            of[group].append(number)
    lines = [
        "| draws | rule | log loss | AUC | candidates | significantly worse than the best baseline in hindsight |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for group, numbers in sorted(of.items(), key=lambda item: -len(item[1])):
        first = [found[RULES[0]][n] for n in numbers]
        for rule in RULES:
            mine = [found[rule][n] for n in numbers]
            figures = [
                _figure([getattr(o, metric) for o in mine], [getattr(o, metric) for o in first], rule == RULES[0])
                for metric in ("log_loss", "auc")
            ]
            used, worse = np.mean([o.candidates for o in mine]), np.mean([o.worse for o in mine])
            lines.append(f"| {group} ({len(numbers)}) | {rule} | {' | '.join(figures)} | {used:.1f} | {worse:.0%} |")
    return "\n".join(lines)


def _figure(mine: Sequence[float], first: Sequence[float], plain: bool) -> str:
    if plain:
        return f"{np.mean(mine):.4f}"
    difference = np.subtract(mine, first)
    return f"{difference.mean():+.4f} ± {difference.std() / np.sqrt(len(difference)):.4f}"


def _panel(params: Params, at: str, horizon_days: int) -> Panel:
    return panel_of(params, datetime.fromisoformat(at).replace(tzinfo=UTC), horizon_days)


def _with_own_prior(panel: Panel, mine: set[str]) -> Panel:
    """The panel with purchase models fitted on these customers alone."""
    table = panel.table.copy()
    for _, rows in table.groupby("cutoff"):
        own = rows[rows["customer_id"].isin(mine) & (rows["purchase_day_count"] > 0)]
        columns = fit_prior(own).columns(rows)
        table.loc[rows.index, columns.columns] = columns
    return Panel(table, panel.outcomes)


if __name__ == "__main__":
    main()
