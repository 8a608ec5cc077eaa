"""Public churn tables without a time as panels of attributes, predicted out of fold by the same fit as event logs."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl

from fedelta.features.attributes import PREFIX
from fedelta.features.registry import FEATURES
from fedelta.models.churn.baselines import fit_logistic
from fedelta.models.churn.model import fit_churn
from fedelta.models.churn.settings import ChurnSettings
from fedelta.models.minimum import Minimum
from fedelta.models.panel import PRIOR_FEATURES, Panel

Floats = npt.NDArray[np.float64]
FOLDS = 5


@dataclass(frozen=True)
class Table:
    """A churn table: where it lies below the folder of data sets, and how it is read (features, and `churned`)."""

    name: str
    file: str
    read: Callable[[Path], pl.DataFrame]


def telco(path: Path) -> pl.DataFrame:
    """A telecom's customers; churn within the last month."""
    table = pl.read_csv(path, schema_overrides={"TotalCharges": pl.String})
    charges = pl.col("TotalCharges").str.strip_chars().cast(pl.Float64, strict=False)  # blank in the first month
    return table.with_columns(TotalCharges=charges, churned=pl.col("Churn") == "Yes").drop("Churn", "customerID")


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


TABLES = (
    Table("IBM Telco", "telco_ibm/Telco-Customer-Churn.csv.gz", telco),
    Table("Iranian", "iranian_churn/Customer_Churn.csv", iranian),
    Table("Iranian, no duplicates", "iranian_churn/Customer_Churn.csv", iranian_distinct),
    Table("MLC, first 3,333", "mlc_churn/mlc_churn.csv.gz", mlc),
    Table("DMC2010 train", "dmc2010_train/dmc2010_train.txt.gz", dmc),
)


def panel_of_table(table: pl.DataFrame) -> Panel:
    """A panel of one cutoff whose only features are attributes; identical rows count as one customer."""
    churned = table["churned"].cast(pl.Float64).to_numpy()
    plain = table.drop("churned").with_columns(pl.col(pl.Boolean).cast(pl.Int8))
    known = plain.rename({name: PREFIX + name for name in plain.columns}).to_pandas()
    same = pd.util.hash_pandas_object(known, index=False)
    unknown = dict.fromkeys([*(feature.name for feature in FEATURES), *PRIOR_FEATURES], np.nan)
    keys = {"cutoff": pd.Timestamp(0), "horizon_days": 30, "lead_days": 0, "tenure_days": 0.0}
    rows = pd.DataFrame(unknown | keys, index=known.index).assign(customer_id=same.astype(str))
    return Panel(pd.concat([rows, known], axis=1), pd.DataFrame({"horizon_purchase_count": 1.0 - churned}))


def folds(table: pl.DataFrame, churned: Floats) -> npt.NDArray[np.int64]:
    """A fold for every row (n_rows,): each with its share of churners, and identical rows in the same one."""
    group = table.select(pl.struct(pl.all()).rank("dense").cast(pl.Int64) - 1).to_series().to_numpy()
    firsts = np.unique(group, return_index=True)[1]
    shuffled = np.random.default_rng(7).permutation(len(firsts))
    dealt = shuffled[np.argsort(churned[firsts][shuffled], kind="stable")]  # stayers, then churners
    fold_of_group = np.empty(len(firsts), np.int64)
    fold_of_group[dealt] = np.arange(len(firsts)) % FOLDS
    return np.asarray(fold_of_group[group], np.int64)


def out_of_fold(table: pl.DataFrame, settings: ChurnSettings) -> tuple[Floats, dict[str, Floats], list[str]]:
    """Outcomes, held-out predictions of the chosen model and of a logistic regression, and which was chosen by fold."""
    panel = panel_of_table(table)
    churned = panel.churned(settings.definition)
    fold = folds(table, churned)
    settings = replace(settings, minimum=Minimum(span_days=0))  # there is no time in a table
    predicted: dict[str, Floats] = {name: np.zeros(len(churned)) for name in ("chosen", "logistic")}
    chosen: list[str] = []
    for number in range(FOLDS):
        past, present = panel.where(fold != number), panel.where(fold == number)
        model = fit_churn(past, settings, horizon_days=30, lead_days=0)
        predicted["chosen"][fold == number] = model.churn_probability(present.table)
        predicted["logistic"][fold == number] = fit_logistic(past, settings.definition).churn_probability(present.table)
        chosen.append(model.name)
    return churned, predicted, chosen
