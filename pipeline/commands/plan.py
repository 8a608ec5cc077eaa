"""``fedelta plan``: what contacting customers would bring, by how many are contacted: the most profitable first."""

import json
import sys

import polars as pl

from fedelta.features.errors import FedeltaError
from fedelta.models.policy.plan import contact_curve, plan_of
from fedelta.models.policy.settings import PolicySettings
from fedelta.pipeline import paths
from fedelta.pipeline.params import load_params
from fedelta.pipeline.saves import policy_in_use
from fedelta.scoring.context import load_settings

ROWS = 12  # of the table, besides those that are marked


class NoPlan(FedeltaError):
    """There are no scores, or nothing is known of money, costs or success."""


def main(capacity: int | None = None, *, as_json: bool = False) -> None:
    """Print the curve of the scores on disk, and what the run has planned.

    Raises
    ------
    NoPlan
        If there is nothing to plan by.
    """
    if not paths.SCORES.is_file():
        raise NoPlan(f"{paths.SCORES} is missing. Run `dvc repro score` first.")
    scores, policy = pl.read_parquet(paths.SCORES), _policy_of_scores()
    if "p_saved" not in scores.columns:
        raise NoPlan(f"{paths.SCORES} was written by another version. Run `dvc repro score` to write it anew.")
    plan = plan_of(scores, policy)
    if plan is None:
        raise NoPlan(
            "The scores hold no expected profit: the source knows no money, or policy.economics in params.yaml lacks "
            "contact_cost, offer_cost or a success. Give them, then run `dvc repro score`."
        )
    curve = contact_curve(scores, policy.capacity if capacity is None else capacity)
    if as_json:
        print(json.dumps({"curve": curve.to_dicts(), "planned": {**vars(plan)}}, indent=1, allow_nan=False))
        return
    currency = scores["currency"].drop_nulls().first() or ""
    print(table_of(curve, str(currency)))
    print(plan.says(str(currency)))


def _policy_of_scores() -> PolicySettings:
    """The policy that the scores were made by; says so where params.yaml has another by now."""
    now = policy_in_use(load_params().policy)
    try:
        then = load_settings(paths.SCORING).policy
    except (FileNotFoundError, ValueError):  # not frozen by this version: nothing to compare with
        return now
    if then != now:
        print("plan: params.yaml has another policy than the scores. Run `dvc repro score`.", file=sys.stderr)
    return then


def table_of(curve: pl.DataFrame, currency: str) -> str:
    """The curve to read in a terminal: some of its points, and every one that is marked."""
    step = max(curve.height // ROWS, 1)
    shown = curve.with_row_index("n").filter((pl.col("n") % step == 0) | pl.col("mark").is_not_null())
    lines = [f"{'contacts':>9}{'saves':>10}{f'cost, {currency}':>14}{f'profit, {currency}':>16}{'of the last':>13}"]
    for row in shown.iter_rows(named=True):
        last = "" if row["last_profit"] is None else f"{row['last_profit']:,.2f}"
        mark = f"  {row['mark']}" if row["mark"] else ""
        lines.append(
            f"{row['contacts']:>9,}{row['saves']:>10,.1f}{row['cost']:>14,.0f}{row['profit']:>16,.0f}{last:>13}{mark}"
        )
    return "\n".join(lines)
