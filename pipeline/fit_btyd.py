"""DVC stage ``fit_btyd``: features in; buy-till-you-die models of every cutoff, and what they predict, out.

Where nobody was ever active (churn may be a cancellation, and payments no purchases) there is nothing to fit: the
columns are null, and what learns from them goes without.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from fedelta.models.btyd.purchase_prior import PurchasePrior, columns_read, fit_priors
from fedelta.models.panel import ORDER, to_pandas
from fedelta.pipeline import paths
from fedelta.pipeline.atomic_write import whole
from fedelta.pipeline.panel import from_pandas, has_value_cutoffs
from fedelta.pipeline.params import Params, load_params


def priors_of(
    params: Params, folder: Path = paths.FEATURES, fitted: Mapping[str, PurchasePrior] | None = None
) -> tuple[dict[str, PurchasePrior], pl.DataFrame]:
    """The fits of a feature table, and their columns as they are stored; those that are `fitted` are taken as such."""
    pays = params.churn.relationship.activity_pays
    parts = pl.scan_parquet(folder / "*.parquet")
    read = parts.select(*ORDER, "role", "status", *columns_read(parts.collect_schema().names()))
    priors: dict[str, PurchasePrior] = {}
    columns = []
    cutoffs = parts.select(pl.col("cutoff").unique().sort()).collect()["cutoff"].to_list()
    for cutoff in cutoffs or [None]:  # one in memory at a time; of a table without rows the columns alone
        rows = read.filter(pl.col("cutoff").is_in([cutoff])).sort("customer_id").collect()
        found, of_rows = fit_priors(to_pandas(rows), money=pays, fitted=fitted)
        priors |= found
        columns.append(from_pandas(of_rows))
    return priors, pl.concat(columns, rechunk=True)


def main() -> None:
    """Fit the purchase models of every cutoff of the project."""
    params = load_params()
    priors, columns = priors_of(params)
    of_value = columns.clear()
    if has_value_cutoffs():
        _, of_value = priors_of(params, paths.VALUE_FEATURES, priors)
    _write(priors, columns, of_value)
    if not priors:
        what = " or ".join(params.churn.activity)
        print(f"fit_btyd: skipped, as no customer in scope has a {what}: churn is learned without its answers")
        return
    notes = {note for p in priors.values() for note in (p.pareto.note, p.bg.note) if note}
    print(
        f"fit_btyd: {len(columns):,} rows at {len(priors)} cutoffs; {'; '.join(sorted(notes)) or 'every fit converged'}"
    )


def _write(priors: Mapping[str, PurchasePrior], columns: pl.DataFrame, of_value: pl.DataFrame) -> None:
    for path, table in ((paths.PRIOR, columns), (paths.VALUE_PRIOR, of_value)):
        with whole(path) as staged:
            table.write_parquet(staged)
    with whole(paths.BTYD_BUNDLE) as folder:
        folder.mkdir()
        document = {at: prior.to_dict() for at, prior in priors.items()}
        (folder / "model.json").write_text(json.dumps(document, indent=1, allow_nan=False), encoding="utf-8")
