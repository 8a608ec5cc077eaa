"""The scores of a run, as pages about it read them."""

from pathlib import Path

import polars as pl

from fedelta.features.contract import SCORES
from fedelta.features.errors import FedeltaError
from fedelta.models.policy.economics import Economics, economics
from fedelta.models.policy.settings import PolicySettings


class NothingToReport(FedeltaError):
    """A file that the report is made of is missing or damaged."""


def read_scores(path: Path) -> pl.DataFrame:
    """The scores of a run, at least one of them of a scored customer.

    Raises
    ------
    NothingToReport
        If they are missing, of another version of this program, or of nobody.
    """
    if not path.is_file():
        raise NothingToReport(f"{path} is missing. Run `dvc repro score` first.")
    scores = pl.read_parquet(path)
    if missing := [name for name in SCORES if name not in scores.columns]:
        raise NothingToReport(f"{path} lacks {', '.join(missing)}. Run `dvc repro score` to write it anew.")
    if not (scores["status"] == "scored").any():
        raise NothingToReport(f"{path} holds no scored customer, so there is nothing to report.")
    return scores


def economics_of(scores: pl.DataFrame, policy: PolicySettings) -> Economics:
    """What keeping the scored customers costs and brings; without expected spend, what can be stated without money."""
    scored = scores.filter(pl.col("status") == "scored")
    spend = scored["clv_expected"]
    if spend.null_count() == scored.height:  # a table may say what customers are worth where no spend is expected
        spend = scored["value_at_risk"] / (scored["churn_probability"] * policy.margin)
    money = spend.null_count() < scored.height
    return economics(scored["churn_probability"].to_numpy(), spend.fill_null(0).to_numpy() if money else None, policy)
