"""The scores of a run, as pages about it read them."""

from pathlib import Path

import polars as pl

from fedelta.features.contract import SCORES
from fedelta.features.errors import FedeltaError
from fedelta.models.policy.economics import Economics, economics
from fedelta.models.policy.settings import PolicySettings


class NothingToReport(FedeltaError):
    """A file that the report is made of is missing or damaged."""


# Columns that `economics_of`, `models.policy.plan.plan_of` and `contact_curve` read, and those that name a run.
OF_PLAN = (
    "customer_id", "status", "as_of", "model_version", "churn_probability", "p_here", "p_leaves", "value_at_risk",
    "win_back_value", "action", "expected_profit", "p_saved", "contact_cost", "held_out", "suppression_reason",
)  # fmt: skip


def scan_scores(path: Path) -> pl.LazyFrame:
    """The scores of a run, at least one of them of a scored customer, read as far as is asked.

    Raises
    ------
    NothingToReport
        If they are missing, of another version of this program, or of nobody.
    """
    if not path.is_file():
        raise NothingToReport(f"{path} is missing. Run `dvc repro score` first.")
    scores = pl.scan_parquet(path)
    columns = scores.collect_schema().names()
    if missing := [name for name in SCORES if name not in columns]:
        raise NothingToReport(f"{path} lacks {', '.join(missing)}. Run `dvc repro score` to write it anew.")
    if not scores.select((pl.col("status") == "scored").any()).collect().item():
        raise NothingToReport(f"{path} holds no scored customer, so there is nothing to report.")
    return scores


def economics_of(scores: pl.DataFrame, policy: PolicySettings) -> Economics:
    """What keeping the scored customers costs and brings; without money, what can be stated without it."""
    scored = scores.filter(pl.col("status") == "scored")
    here = scored["p_here"].fill_null(1.0).to_numpy()
    leaving = here * scored["p_leaves"].fill_null(scored["churn_probability"]).to_numpy()
    if scored["value_at_risk"].null_count() == scored.height:
        return economics(leaving, here, None, policy)
    at_risk, back = (scored[name].fill_null(0).to_numpy() for name in ("value_at_risk", "win_back_value"))
    return economics(leaving, here, at_risk, policy, back)
