"""DVC stage ``train_leaving``: past cutoffs and the present in; who leaves of those still here, by hindsight, out."""

import json

import pandas as pd
import polars as pl

from fedelta.models.btyd.purchase_prior import PurchasePrior
from fedelta.models.leaving.model import LeavingModel, columns_read, fit_leaving
from fedelta.models.leaving.storage import save_leaving
from fedelta.models.panel import ORDER, to_pandas
from fedelta.pipeline import paths
from fedelta.pipeline.atomic_write import whole
from fedelta.pipeline.panel import sampled_customers
from fedelta.pipeline.params import Params, load_params


def main() -> None:
    """Learn the project's hazard of leaving, where leaving is silent; otherwise the bundle says that there is none."""
    params = load_params()
    model = _fitted(params) if params.churn.definition == "inactivity" else None
    with whole(paths.LEAVING_BUNDLE) as folder:
        save_leaving(model, folder)
    if model is None:
        why = "too little to learn from" if params.churn.definition == "inactivity" else "leaving is seen"
        print(f"train_leaving: none learned: {why}")
        return
    print(
        f"train_leaving: Pareto/NBD's hazard corrected by {len(model.encoding.names)} columns of experience and ratings"
    )


def _fitted(params: Params) -> LeavingModel | None:
    held = json.loads((paths.BTYD_BUNDLE / "model.json").read_text(encoding="utf-8"))
    priors = {pd.Timestamp(day): PurchasePrior.from_dict(prior) for day, prior in held.items()}
    rows = pl.scan_parquet(paths.FEATURES / "*.parquet").filter(status="scored")
    if (sample := sampled_customers(params.engine.sample_customers)) is not None:
        rows = rows.filter(pl.col("customer_id").is_in(sample.implode()))
    read = columns_read(rows.collect_schema().names())
    rows = rows.sort(*ORDER).select(list(dict.fromkeys([*ORDER, "role", "refit", "horizon_days", *read])))
    now = to_pandas(rows.filter(pl.col("role") == "score").collect())
    if not priors or now.empty:
        return None
    past = to_pandas(rows.filter(pl.col("refit") & (pl.col("horizon_days") == params.horizon_days)).collect())
    return fit_leaving(past, now, priors, params.horizon_days)
