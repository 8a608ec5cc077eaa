"""DVC stage ``fit_btyd``: features in; buy-till-you-die models of every cutoff, and what they say of every row, out."""

import json

import pandas as pd

from models.purchase_prior import COLUMNS, READS, PurchasePrior, fit_prior
from pipeline import paths
from pipeline.panel import ORDER, from_pandas, read_features, to_pandas
from pipeline.whole_files import whole


def fit_priors(table: pd.DataFrame) -> tuple[dict[str, PurchasePrior], pd.DataFrame]:
    """One fit per cutoff on the customers in scope there, and its columns for them, in row order.

    No fit and no rows where nobody had bought anything, as in a table of customers without a history.
    """
    priors: dict[str, PurchasePrior] = {}
    columns = []
    for cutoff, rows in table.groupby("cutoff", sort=True):
        scored = rows[(rows["status"] == "scored") & (rows["purchase_day_count"] > 0)]
        if scored.empty:
            continue
        prior = priors[pd.Timestamp(str(cutoff)).strftime("%Y-%m-%d")] = fit_prior(scored)
        columns.append(pd.concat([scored[list(ORDER)], prior.columns(scored)], axis=1))
    if not columns:
        return priors, table.loc[[], list(ORDER)].assign(**dict.fromkeys(COLUMNS, pd.Series(dtype="float64")))
    return priors, pd.concat(columns)


def main() -> None:
    """Fit the purchase models of every cutoff of the project."""
    table = read_features(columns=[*ORDER, "role", "status", *READS])
    priors, columns = fit_priors(to_pandas(table))
    with whole(paths.PRIOR) as staged:
        from_pandas(columns).write_parquet(staged)
    with whole(paths.BTYD_BUNDLE) as folder:
        folder.mkdir()
        document = {at: prior.to_dict() for at, prior in priors.items()}
        (folder / "model.json").write_text(json.dumps(document, indent=1, allow_nan=False), encoding="utf-8")
    if not priors:
        print("fit_btyd: skipped, as no customer in scope has a purchase: churn is learned without its answers")
        return
    notes = {note for p in priors.values() for note in (p.pareto.note, p.bg.note) if note}
    print(
        f"fit_btyd: {len(columns):,} rows at {len(priors)} cutoffs; {'; '.join(sorted(notes)) or 'every fit converged'}"
    )
