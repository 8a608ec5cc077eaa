"""``fedelta at-risk``: the customers most at risk, with what raises their risk."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from fedelta.features.contract import RISK_TIERS, RiskTier
from fedelta.features.experience_rules import Language
from fedelta.models.policy.plan import NOT_CONTACTED
from fedelta.models.reasons.wording import in_language, leading
from fedelta.pipeline import paths
from fedelta.pipeline.scores import scan_scores

_SHOWN = 3  # reasons of a customer


def main(*, limit: int, tiers: Sequence[RiskTier] = (), language: Language = "en", as_json: bool = False) -> None:
    """Print who may be contacted, most at stake first (by probability where no money is known)."""
    rows = listed(scan_scores(paths.SCORES), limit, tiers)
    if as_json:
        print(json.dumps(rows, indent=1, ensure_ascii=False, allow_nan=False, default=str))
        return
    print("\n".join(text_of(row, language) for row in rows) or "Nobody is at such a risk and may be contacted.")


def listed(scores: pl.LazyFrame | pl.DataFrame, limit: int, tiers: Sequence[RiskTier] = ()) -> list[dict[str, Any]]:
    """The first scored customers of these tiers (by default of any) who may be contacted."""
    of_tiers = pl.col("risk_tier").is_in(list(tiers or RISK_TIERS))
    scored = scores.lazy().filter(pl.col("status") == "scored", of_tiers).with_columns(NOT_CONTACTED)
    wanted = scored.filter(pl.col("not_contacted").is_null())
    order = [-pl.col("value_at_risk"), -pl.col("churn_probability"), pl.col("customer_id")]
    return wanted.sort(*order, nulls_last=True).head(limit).drop("not_contacted").collect().to_dicts()


def text_of(row: Mapping[str, Any], language: Language) -> str:
    """A customer and why they may leave, in lines to read in a terminal."""
    money = "" if row["value_at_risk"] is None else f", {row['value_at_risk']:,.0f} {row['currency']} at risk"
    action = f", {row['action']}" if row["action"] else ""
    lines = [f"{row['customer_id']}  {row['risk_tier']} ({row['churn_probability']:.0%}{money}{action})"]
    return "\n".join([*lines, *(f"    {in_language(one, language)}" for one in leading(row["reasons"], _SHOWN))])
