"""What the columns of bad experiences are worth: public churn tables, predicted with and without them.

    python benchmarks/bad_experience.py [--data ../shared/data] [--only mlc_churn] [--resamples 200]

Pooled 5-fold out-of-fold predictions of the churn model as the program fits it, which chooses its own candidate on the
rows it learns from; the same folds with and without the columns; identical rows share a fold. The gain is a paired
bootstrap on the same resamples, 95%. What the columns add depends on what is made of the others: the better a model
does without them, the less is left to gain. It ends with 1 if a gain falls short of the published one.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# Before this folder, where features.py would stand for the package `features`.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import polars as pl

from benchmarks.tables import dmc, iranian, iranian_distinct, mlc, out_of_fold
from fedelta.models.churn.settings import ChurnSettings
from fedelta.models.metrics.bootstrap import USUAL, Interval, Resampling, replicate
from fedelta.models.metrics.metrics import auc, log_loss
from fedelta.pipeline import paths
from fedelta.pipeline.params import load_params

METRICS = {"auc": auc, "log_loss": log_loss}


@dataclass(frozen=True)
class Goal:
    """The gain published for the same rows."""

    auc: float
    auc_low: float  # lower end of its 95% interval
    log_loss: float


@dataclass(frozen=True)
class Task:
    """A churn table, and which of its columns tell of bad experiences."""

    file: str  # below the folder of data sets
    read: Callable[[Path], pl.DataFrame]  # features, and `churned`
    bad: tuple[str, ...]
    goal: Goal


TASKS = {
    "iranian_churn": Task(
        "iranian_churn/Customer_Churn.csv", iranian, ("Call  Failure", "Complains"), Goal(0.0133, 0.008, -0.041)
    ),
    "iranian_distinct": Task(
        "iranian_churn/Customer_Churn.csv",
        iranian_distinct,
        ("Call  Failure", "Complains"),
        Goal(0.0142, 0.010, -0.049),
    ),
    "mlc_churn": Task(
        "mlc_churn/mlc_churn.csv.gz", mlc, ("number_customer_service_calls",), Goal(0.1040, 0.084, -0.112)
    ),
    "dmc2010_train": Task(
        "dmc2010_train/dmc2010_train.txt.gz",
        dmc,
        ("late_days", "remi", "cancel", "returned_share", "cancelled_share"),
        Goal(0.0168, 0.013, -0.0048),
    ),
}


@dataclass(frozen=True)
class Gain:
    """What was reached with and without, and the difference on the same resamples."""

    rows: int
    churn_rate: float
    chosen: str  # candidates, without and with
    without: dict[str, float]
    including: dict[str, float]
    gain: dict[str, Interval]

    def reaches(self, goal: Goal) -> bool:
        """Whether the intervals hold the published gains or lie beyond, and AUC gains no less than theirs may be."""
        found = self.gain["auc"]
        return found.value >= goal.auc_low and found.high >= goal.auc and self.gain["log_loss"].low <= goal.log_loss


def measure(table: pl.DataFrame, bad: tuple[str, ...], settings: ChurnSettings, resampling: Resampling = USUAL) -> Gain:
    """Predict `churned` from the other columns, with and without `bad`, and compare."""
    chosen_names, predictions, churned = {}, {}, np.empty(0)
    for name, left_out in (("without", bad), ("with", ())):
        churned, predicted, chosen = out_of_fold(table.drop(*left_out), settings)
        predictions[name] = predicted["chosen"]
        chosen_names[name] = ", ".join(f"{n}× {candidate}" for candidate, n in Counter(chosen).items())
    found = replicate(churned, predictions, METRICS, resampling=resampling)
    figures = {model: {name: found.interval(model, name).value for name in METRICS} for model in predictions}
    gain = {name: found.difference(name, "with", "without") for name in METRICS}
    chosen_by = f"{chosen_names['without']} / {chosen_names['with']}"
    return Gain(len(table), float(churned.mean()), chosen_by, figures["without"], figures["with"], gain)


def line(name: str, found: Gain, goal: Goal) -> str:
    """One row of the table."""
    cells = [f"{name:17}{found.rows:7,}{found.churn_rate:7.1%}"]
    for metric in METRICS:
        gain = found.gain[metric]
        cells.append(
            f"{found.without[metric]:9.4f}{found.including[metric]:9.4f}  "
            f"{f'{gain.value:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]':27}"
        )
    reached = "yes" if found.reaches(goal) else "NO"
    return "".join(cells) + f"{goal.auc:+.4f}, {goal.log_loss:+.4f}  {reached:9}{found.chosen}"


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 1 if a gain falls short."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the data sets")
    parser.add_argument("--only", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--resamples", type=int, default=200)
    options = parser.parse_args(arguments)
    settings = load_params(Path(__file__).parents[1] / paths.PARAMS).churn
    print(f"{'':17}{'rows':>7}{'churn':>7}{'AUC':>9}{'':9}  {'':27}{'log loss':>9}{'':9}  {'':27}published gains")
    print(f"{'':31}" + f"{'without':>9}{'with':>9}  {'gain':27}" * 2 + f"{'AUC, log loss':18}reached  chosen")
    short = False
    for name in options.only:
        task = TASKS[name]
        if not (path := options.data / task.file).is_file():
            print(f"{name:17}skipped: {path} is not there. Point --data at the folder that holds {task.file}.")
            continue
        found = measure(task.read(path), task.bad, settings, Resampling(options.resamples))
        short |= not found.reaches(task.goal)
        print(line(name, found, task.goal), flush=True)
    return int(short)


if __name__ == "__main__":
    sys.exit(main())
