"""DVC stage ``fit_btyd``: features in; buy-till-you-die models of every cutoff, and what they say of every row, out."""

import json
from collections.abc import Mapping

import pandas as pd
import polars as pl

from models.purchase_prior import READS, PurchasePrior, fit_prior
from pipeline import paths
from pipeline.panel import ORDER, NoRows, from_pandas, read_features, to_pandas
from pipeline.params import load_params
from pipeline.sources import load_source
from pipeline.whole_files import whole

# What the models add to a row, named by them and by fedelta (`PurchasePrior.columns`).
_ADDED = [
    f"{model}_{what}"
    for model in ("pareto", "bg")
    for what in ("p_alive", "p_any", "expected_orders", "expected_spend")
]


def fit_priors(table: pd.DataFrame) -> tuple[dict[str, PurchasePrior], pd.DataFrame]:
    """One fit per cutoff on the customers in scope there, and its columns for them, in row order."""
    priors: dict[str, PurchasePrior] = {}
    columns = []
    for cutoff, rows in table.groupby("cutoff", sort=True):
        scored = rows[(rows["status"] == "scored") & (rows["purchase_day_count"] > 0)]
        if scored.empty:
            continue
        prior = priors[pd.Timestamp(str(cutoff)).strftime("%Y-%m-%d")] = fit_prior(scored)
        columns.append(pd.concat([scored[list(ORDER)], prior.columns(scored)], axis=1))
    if not columns:
        raise NoRows("No customer had bought anything at any cutoff, so no model of purchases can be fitted.")
    return priors, pd.concat(columns)


def main() -> None:
    """Fit the purchase models of every cutoff of the project; none, where the source is a table without purchases."""
    if load_source(load_params().source).kind == "table":
        _write({}, read_features(columns=ORDER).clear().with_columns(pl.lit(None, pl.Float64).alias(n) for n in _ADDED))
        print("fit_btyd: skipped: a table of customers holds no purchases")
        return
    table = read_features(columns=[*ORDER, "role", "status", *READS])
    priors, columns = fit_priors(to_pandas(table))
    _write(priors, from_pandas(columns))
    notes = {note for p in priors.values() for note in (p.pareto.note, p.bg.note) if note}
    print(
        f"fit_btyd: {len(columns):,} rows at {len(priors)} cutoffs; {'; '.join(sorted(notes)) or 'every fit converged'}"
    )


def _write(priors: Mapping[str, PurchasePrior], columns: pl.DataFrame) -> None:
    with whole(paths.PRIOR) as staged:
        columns.write_parquet(staged)
    with whole(paths.BTYD_BUNDLE) as folder:
        folder.mkdir()
        document = {at: prior.to_dict() for at, prior in priors.items()}
        (folder / "model.json").write_text(json.dumps(document, indent=1, allow_nan=False), encoding="utf-8")
