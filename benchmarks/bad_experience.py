"""What the columns of bad experiences are worth: public churn tables, predicted with and without them.

    python benchmarks/bad_experience.py [--data ../shared/data] [--only mlc_churn] [--resamples 200]

Pooled 5-fold out-of-fold predictions, the same folds with and without the columns; identical rows share a fold. The
gain is a paired bootstrap on the same resamples, 95%. Two models: `small`, with which a project starts, and `plain`,
with the library's own settings. What the columns add depends on what is made of the others: the better a model does
without them, the less is left to gain. It ends with 1 if neither model gains as much as the goal.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# Before this folder, where features.py would stand for the package `features`.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl

from models.boosting import fit_ensemble
from models.bootstrap import USUAL, Interval, Resampling, replicate
from models.churn import sigmoid
from models.encoding import Encoding
from models.metrics import auc, log_loss
from models.settings import BoostingSettings

Floats = npt.NDArray[np.float64]
FOLDS = 5
MODELS = {
    "small": BoostingSettings(),
    "plain": BoostingSettings(
        trees=100, learning_rate=0.1, leaves=31, min_rows_share=0.0, row_share=1.0, column_share=1.0, l2=0.0, seeds=1
    ),
}
METRICS = {"auc": auc, "log_loss": log_loss}


@dataclass(frozen=True)
class Goal:
    """The gain an earlier program measured on the same rows."""

    auc_low: float  # lower end of its 95% interval
    log_loss: float


@dataclass(frozen=True)
class Task:
    """A churn table, and which of its columns tell of bad experiences."""

    file: str  # below the folder of data sets
    read: Callable[[Path], pl.DataFrame]  # features, and `churned`
    bad: tuple[str, ...]
    goal: Goal


def iranian(path: Path) -> pl.DataFrame:
    """A telecom's customers; churn at the end of the year."""
    return pl.read_csv(path).rename({"Churn": "churned"})


def iranian_distinct(path: Path) -> pl.DataFrame:
    """The same without the rows that repeat another."""
    return iranian(path).unique(maintain_order=True)


def mlc(path: Path) -> pl.DataFrame:
    """A telecom's customers; the customary training rows."""
    return pl.read_csv(path).head(3333).with_columns(churned=pl.col("churn") == "yes").drop("churn")


def dmc(path: Path) -> pl.DataFrame:
    """First orders at a media dealer, what came late, went back or was cancelled; churned: no order in 90 days more."""
    table = pl.read_csv(path, separator=";", infer_schema_length=None)
    dates = ("date", "datecreated", "deliverydatepromised", "deliverydatereal")
    ordered, created, promised, delivered = (pl.col(name).str.to_date(strict=False) for name in dates)
    return table.with_columns(
        account_days=(ordered - created).dt.total_days(),
        promised_days=(promised - ordered).dt.total_days(),
        late_days=(delivered - promised).dt.total_days(),
        day_of_year=ordered.dt.ordinal_day(),
        returned_share=pl.col("remi") / pl.col("numberitems"),
        cancelled_share=pl.col("cancel") / pl.col("numberitems"),
        churned=1 - pl.col("target90"),
    ).drop("customernumber", "target90", *dates)


TASKS = {
    "iranian_churn": Task(
        "iranian_churn/Customer_Churn.csv", iranian, ("Call  Failure", "Complains"), Goal(0.008, -0.041)
    ),
    "iranian_distinct": Task(
        "iranian_churn/Customer_Churn.csv", iranian_distinct, ("Call  Failure", "Complains"), Goal(0.010, -0.049)
    ),
    "mlc_churn": Task("mlc_churn/mlc_churn.csv.gz", mlc, ("number_customer_service_calls",), Goal(0.084, -0.112)),
    "dmc2010_train": Task(
        "dmc2010_train/dmc2010_train.txt.gz",
        dmc,
        ("late_days", "remi", "cancel", "returned_share", "cancelled_share"),
        Goal(0.013, -0.0048),
    ),
}


@dataclass(frozen=True)
class Gain:
    """What was reached with and without, and the difference on the same resamples."""

    rows: int
    churn_rate: float
    without: dict[str, float]
    including: dict[str, float]
    gain: dict[str, Interval]

    def reaches(self, goal: Goal) -> bool:
        """Whether AUC gained at least the goal's lower end, and the interval of log loss holds the goal or beats it."""
        return self.gain["auc"].value >= goal.auc_low and self.gain["log_loss"].low <= goal.log_loss


def measure(
    table: pl.DataFrame, bad: tuple[str, ...], settings: BoostingSettings, resampling: Resampling = USUAL
) -> Gain:
    """Predict `churned` from the other columns, with and without `bad`, and compare."""
    churned = table["churned"].cast(pl.Float64).to_numpy()
    fold = folds(table, churned)
    predictions = {
        name: out_of_fold(table.drop("churned", *left_out).to_pandas(), churned, fold, settings)
        for name, left_out in (("with", ()), ("without", bad))
    }
    found = replicate(churned, predictions, METRICS, resampling=resampling)
    figures = {model: {name: found.interval(model, name).value for name in METRICS} for model in predictions}
    gain = {name: found.difference(name, "with", "without") for name in METRICS}
    return Gain(len(table), float(churned.mean()), figures["without"], figures["with"], gain)


def folds(table: pl.DataFrame, churned: Floats) -> npt.NDArray[np.int64]:
    """A fold for every row (n_rows,): each with its share of churners, and identical rows in the same one."""
    group = table.select(pl.struct(pl.all()).rank("dense").cast(pl.Int64) - 1).to_series().to_numpy()
    firsts = np.unique(group, return_index=True)[1]
    shuffled = np.random.default_rng(7).permutation(len(firsts))
    dealt = shuffled[np.argsort(churned[firsts][shuffled], kind="stable")]  # stayers, then churners
    fold_of_group = np.empty(len(firsts), np.int64)
    fold_of_group[dealt] = np.arange(len(firsts)) % FOLDS
    return np.asarray(fold_of_group[group], np.int64)


def out_of_fold(
    table: pd.DataFrame, churned: Floats, fold: npt.NDArray[np.int64], settings: BoostingSettings
) -> Floats:
    """Probability of churn of every row, from a model that saw none of its fold (n_rows,)."""
    encoding = Encoding.of(table)
    matrix, out = encoding.matrix(table), np.empty(len(churned))
    for number in range(FOLDS):
        held = fold == number
        ensemble = fit_ensemble(matrix[~held], churned[~held], encoding, settings, "binary")
        out[held] = sigmoid(ensemble.raw(matrix[held]))
    return out


def line(name: str, model: str, found: Gain, goal: Goal) -> str:
    """One row of the table."""
    cells = [f"{name:17}{model:6}{found.rows:7,}{found.churn_rate:7.1%}"]
    for metric in METRICS:
        gain = found.gain[metric]
        cells.append(
            f"{found.without[metric]:9.4f}{found.including[metric]:9.4f}  "
            f"{f'{gain.value:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]':27}"
        )
    return "".join(cells) + f"{goal.auc_low:+.3f}, {goal.log_loss:+.4f}  {'yes' if found.reaches(goal) else 'NO'}"


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 1 if the gain of any model falls short."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the data sets")
    parser.add_argument("--only", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--resamples", type=int, default=200)
    options = parser.parse_args(arguments)
    print(f"{'':23}{'rows':>7}{'churn':>7}{'AUC':>9}{'':9}  {'':27}{'log loss':>9}{'':9}  {'':27}goal of the gains")
    print(f"{'':37}" + f"{'without':>9}{'with':>9}  {'gain':27}" * 2 + f"{'AUC, log loss':17}reached")
    short = False
    for name in options.only:
        task = TASKS[name]
        if not (path := options.data / task.file).is_file():
            print(f"{name:17}skipped: {path} is not there. Point --data at the folder that holds {task.file}.")
            continue
        table = task.read(path)
        for model, settings in MODELS.items():
            found = measure(table, task.bad, settings, Resampling(options.resamples))
            short |= not found.reaches(task.goal)
            print(line(name, model, found, task.goal), flush=True)
    return int(short)


if __name__ == "__main__":
    sys.exit(main())
