"""`fedelta saves`: what contacting achieved, as the stage ``measure`` found it; and what a campaign could find."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from fedelta.features.errors import FedeltaError
from fedelta.models.incrementality.comparison import ALL, nothing_measured
from fedelta.models.incrementality.estimator import detectable_effect
from fedelta.models.incrementality.recording import entries_of
from fedelta.pipeline import paths
from fedelta.pipeline.atomic_write import whole
from fedelta.pipeline.params import load_params
from fedelta.pipeline.saves import read_saves

Json = Mapping[str, Any]


class CannotRecord(FedeltaError):
    """The list cannot be recorded there."""


class CannotPlan(FedeltaError):
    """What a campaign could find cannot be computed."""


def saves() -> Json:
    """The report of the stage ``measure``."""
    return read_saves() or nothing_measured("Nothing was measured yet. Run `dvc repro measure`.")


def in_words(report: Json) -> str:
    """The report for people: what was found in all, a table of the groups, and what was not as planned."""
    lines: list[str] = [report["says"]]
    if not report["comparisons"]:
        return lines[0]
    overall, *groups = report["comparisons"]
    if len(report["epochs"]) > 1:
        before, now = report["epochs"][0], report["epochs"][-1]
        lines.append(
            f"The control group was drawn anew: the comparison starts on {now['from']}. Before ({before['from']} to "
            f"{before['to']}): {before['says']}"
        )
    lines += [f"warning: {words}" for words in overall["warnings"]]
    lines += ["", _HEADER, *(_row(one) for one in (overall, *groups))]
    lines += [
        f"{one['by']} {one['group']}: {words}"
        for one in groups
        for words in [*([one["withheld"]] if one["withheld"] else []), *one["warnings"]]
    ]
    lines += ["", report["uplift"]["says"]]
    return "\n".join(lines)


def record(path: Path, campaign: str | None, at: datetime) -> str:
    """Write the entries of the present list, of both arms by one rule, to a file of treatments; say how many.

    Raises
    ------
    CannotRecord
        If the file is there already, or there are no scores.
    NothingToRecord
        If the scores plan no action.
    """
    if path.suffix != ".parquet" or path.exists():
        raise CannotRecord(f"{path} must be a new .parquet file, such as {paths.TREATMENTS}/{at:%Y-%m-%d}.parquet.")
    if not paths.SCORES.is_file():
        raise CannotRecord(f"{paths.SCORES} is missing. Run `dvc repro score` first.")
    entries = entries_of(pl.read_parquet(paths.SCORES), at, campaign)
    with whole(path) as staged:
        entries.write_parquet(staged)
    held = entries.filter(pl.col("arm") == "held_out").height
    text = f"{path}: {entries.height - held:,} customers enter as treated, {held:,} as held out."
    if path.parent != paths.TREATMENTS:
        text += f" Runs read what lies in {paths.TREATMENTS}/."
    return text


def planned(entries: int, base: float | None, held_out: float | None) -> dict[str, float | int]:
    """What a campaign of so many entries could find: shares as fractions.

    `base` is the share that stays without a contact: by default one less the mean churn probability of so many who
    would be contacted first, the most profitable, or where no profit is known those whose risk is highest. `held_out`
    is by default the share of `policy.holdout`.

    Raises
    ------
    CannotPlan
        If there is no score to take the base from, or an arm would be empty.
    """
    share = load_params().policy.holdout.share if held_out is None else held_out
    apart = round(entries * share)
    if not 0 < apart < entries:
        raise CannotPlan(
            f"Of {entries:,} entries {share:.0%} would be held out, which leaves an arm empty. Plan more entries, or "
            "give another share: --held-out 0.1."
        )
    if base is None:
        base = _base(entries)
    if not 0 < base < 1:
        raise CannotPlan(f"--base is {base:g}; it must be a share between 0 and 1, of who stay by themselves.")
    return {
        "entries": entries,
        "held_out": apart,
        "base": base,
        "detectable": detectable_effect(base, entries - apart, apart),
    }


def plan_in_words(plan: Mapping[str, float | int]) -> str:
    """The plan for people."""
    detectable, base = plan["detectable"], plan["base"]
    needed = detectable / (1 - base)
    text = (
        f"With {plan['held_out']:,} of {plan['entries']:,} entries held out, and {base:.1%} staying by themselves, a "
        f"difference of {100 * detectable:.1f} points is found in 80% of experiments (one look, 95%)"
    )
    if needed > 1:
        return f"{text}: more than all who leave. This campaign can show nothing; plan more entries."
    return f"{text}: contacting would have to keep {needed:.0%} of those who would leave."


def _base(entries: int) -> float:
    if not paths.SCORES.is_file():
        raise CannotPlan("There are no scores to take the share that stays from. Give it: --base 0.2.")
    columns = ["customer_id", "churn_probability", "expected_profit", "suppression_reason"]
    scored = pl.read_parquet(paths.SCORES, columns=columns).filter(pl.col("churn_probability").is_not_null())
    may_enter = scored.filter(pl.col("suppression_reason").is_null())
    if may_enter.is_empty():
        raise CannotPlan("The scores hold nobody who may be contacted, to take the share that stays from. Give --base.")
    order = [-pl.col("expected_profit"), -pl.col("churn_probability"), pl.col("customer_id")]
    first = may_enter.sort(*order, nulls_last=True).head(entries)
    return 1 - float(first["churn_probability"].to_numpy().mean())


_HEADER = (
    f"{'':<28} {'treated':>8} {'held out':>8} {'not over':>8} {'active':>7} {'control':>7}   "
    f"{'difference, points (95%; every look)':<42} {'saved':>7}"
)


def _row(one: Json) -> str:
    name = "everybody" if one["by"] == ALL else f"{one['by']} {one['group']}"
    start = (
        f"{name[:28]:<28} {one['measured']['treated']:>8,} {one['measured']['held_out']:>8,} {one['immature']:>8.0%} "
    )
    if one["result"] is None:
        return start + "no result"
    active = one["result"]["active"]
    points = {key: f"{100 * active[key]:+.1f}" for key in ("value", "low", "high", "always_low", "always_high")}
    difference = (
        f"{points['value']} ({points['low']} to {points['high']}; {points['always_low']} to {points['always_high']})"
    )
    return (
        f"{start}{active['treated_mean']:>7.1%} {active['held_out_mean']:>7.1%}   {difference:<42} "
        f"{one['result']['saved']['value']:>7,.0f}"
    )
