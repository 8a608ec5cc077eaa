"""What contacting achieved: the arms compared in all, and by campaign, action, persona and risk tier.

A result is withheld, with the reason, where the arms are not what the design says they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil
from typing import Any

import numpy as np
import polars as pl

from fedelta.models.incrementality.entries import (
    COVARIATE,
    Epochs,
    covariates_of,
    epochs_of,
    first_entries,
    imbalance_p,
    ratio_varies_p,
)
from fedelta.models.incrementality.estimator import (
    LEAST_IN_ARM,
    Effect,
    adjusted_difference,
    detectable_effect,
    entries_needed,
    sample_ratio_p,
)

Json = dict[str, Any]

STOP = 0.001  # below this probability the arms are not what the design says, and no result is given
MOST_CONTAMINATED = 0.05  # of the held-out, without a warning
ALL = "all"
GROUPS = ("campaign", "action", "persona", "tier")
_CAMPAIGNS = 10  # that are distinguished in a comparison across campaigns; the smaller ones are one
_RATE_WEEKS = 8  # whose entries say how many come in a week


@dataclass(frozen=True)
class Design:
    """What is measured, and how the arms were meant to be drawn."""

    horizon_days: int
    until: datetime  # what happened before is known
    money: bool  # whether the source holds amounts
    currency: str
    margin: float
    share: float  # held out by `policy.holdout`
    shares: Mapping[str, float] = field(default_factory=dict)  # held out by campaigns that draw their own
    success: Mapping[str, float] = field(default_factory=dict)  # assumed, by action: what is to be detected
    otherwise: float = 0.15  # of other actions, for what is to be detected alone


def measured(rows: pl.DataFrame, design: Design) -> Json:
    """The report of what contacting achieved.

    Parameters
    ----------
    rows : DataFrame
        A row per treatment: the columns of `features.contract.TREATMENTS`, `tier` and `persona` at entry,
        `drawn_held_out` (in the present control group), `in_source` (at that time), `stayed` (0
        or 1) and `spent` in the horizon from entry, null before it is over, and columns that begin with ``x_``, known
        before entry.

    Returns
    -------
    dict
        As JSON: `epochs`, `comparisons` (each with `result`, or why it is `withheld`) and `says`.
    """
    rows = _with_contamination(rows, design.horizon_days)
    epochs = epochs_of(rows, design.share)
    begins = epochs.begins
    present = of_epoch(rows, epochs)
    comparisons = _comparisons(present, design, epochs)
    periods = [_period(present, comparisons[0])]
    if begins is not None:
        before = rows.filter(pl.col("treated_at") < begins)
        own = Epochs(drawn=False, begins=None)
        periods.insert(0, _period(before, _compare(ALL, None, first_entries(before), design, own)))
    return {
        "as_of": f"{design.until:%Y-%m-%d}",
        "horizon_days": design.horizon_days,
        "currency": design.currency,
        "treatments": rows.height,
        "customers": rows["customer_id"].n_unique(),
        "arms_drawn_by": "policy.holdout" if epochs.drawn else "campaign",
        "epochs": periods,
        "comparisons": comparisons,
        "says": comparisons[0]["says"],
    }


def nothing_measured(says: str) -> Json:
    """The report where there is nothing to compare."""
    return {"treatments": 0, "customers": 0, "epochs": [], "comparisons": [], "says": says}


def of_epoch(rows: pl.DataFrame, epochs: Epochs) -> pl.DataFrame:
    """The entries of the present control group."""
    return rows if epochs.begins is None else rows.filter(pl.col("treated_at") >= epochs.begins)


def _comparisons(rows: pl.DataFrame, design: Design, epochs: Epochs) -> list[Json]:
    everybody = first_entries(rows)
    found = [_compare(ALL, None, everybody, design, epochs)]
    for by in GROUPS:
        entered = first_entries(rows, by) if by in ("campaign", "action") else everybody
        names = entered[by].drop_nulls().unique().sort().to_list()
        found += [_compare(by, name, entered.filter(pl.col(by) == name), design, epochs) for name in names]
    return found


def _period(rows: pl.DataFrame, comparison: Json) -> Json:
    times: list[datetime] = rows["treated_at"].sort().to_list()
    return {
        "from": f"{times[0]:%Y-%m-%d}",
        "to": f"{times[-1]:%Y-%m-%d}",
        "entries": comparison["entered"],
        "says": comparison["says"],
    }


def _compare(by: str, group: str | None, entered: pl.DataFrame, design: Design, epochs: Epochs) -> Json:
    held, known = pl.col("arm") == "held_out", pl.col("stayed").is_not_null()
    mature = entered.filter(known)
    arms = {"treated": mature.filter(~held), "held_out": mature.filter(held)}
    numbers = {name: arm.height for name, arm in arms.items()}
    in_all = {"treated": entered.filter(~held).height, "held_out": entered.filter(held).height}
    ratio = _ratio(entered, in_all, design, epochs)
    strata = by != "campaign" and not epochs.drawn
    x = covariates_of(_with_campaigns(mature) if strata else mature)
    treated = (mature["arm"] == "treated").to_numpy()
    balance = imbalance_p(covariates_of(mature), treated)
    withheld = _withheld(numbers, in_all, ratio, balance, by)
    effects: dict[str, Effect] = {}
    if not withheld:
        effects["active"] = adjusted_difference(mature["stayed"].to_numpy(), treated, x)
        if design.money:
            effects["spend"] = adjusted_difference(mature["spent"].to_numpy(), treated, x)
    base = (
        effects["active"].held_out_mean if effects else _mean(arms["held_out"]["stayed"], _mean(mature["stayed"], 0.5))
    )
    result = _result(effects, arms["treated"], design) if effects else None
    outside = {
        name: entered.filter((pl.col("arm") == name) & ~pl.col("in_source")).height for name in ("treated", "held_out")
    }
    contaminated = entered.filter(held)["contaminated"].sum()
    share = in_all["held_out"] / max(entered.height, 1)
    comparison: Json = {
        "by": by,
        "group": group,
        "entered": in_all,
        "measured": numbers,
        "immature": 1 - mature.height / max(entered.height - sum(outside.values()), 1),
        "lost": outside,
        "reached": _mean(entered.filter(~held)["reached"].cast(pl.Float64)),
        "contaminated": int(contaminated),
        "ratio": ratio,
        "balance_p": balance,
        "result": result,
        "withheld": withheld,
        "detectable": detectable_effect(base, numbers["treated"], numbers["held_out"])
        if all(numbers.values())
        else None,
        "to_go": _to_go(entered, base, share, design, group if by == "action" else None),
    }
    ahead = entered.filter(pl.col("treated_at") > design.until + timedelta(days=design.horizon_days)).height
    comparison["warnings"] = _warnings(comparison, in_all, arms["treated"]["cost"].null_count(), ahead, design)
    comparison["says"] = says(comparison, design.currency, design.horizon_days)
    return comparison


def _with_contamination(rows: pl.DataFrame, horizon_days: int) -> pl.DataFrame:
    """Mark who was held out and yet contacted: reached at the entry, or treated later within the horizon."""
    contacts = rows.filter(pl.col("arm") == "treated").select("customer_id", contacted_at="treated_at")
    later = (
        rows.with_row_index("row")
        .filter(pl.col("arm") == "held_out")
        .join(contacts, on="customer_id")
        .filter(pl.col("contacted_at").is_between("treated_at", pl.col("treated_at") + timedelta(days=horizon_days)))
    )["row"].unique()
    number = pl.int_range(pl.len(), dtype=pl.UInt32)
    contacted = pl.col("reached").fill_null(value=False) | number.is_in(later.implode())
    return rows.with_columns(contaminated=(pl.col("arm") == "held_out") & contacted)


def _with_campaigns(rows: pl.DataFrame) -> pl.DataFrame:
    """Each large campaign as a covariate, before all others: where campaigns draw their own arms, it tells the odds."""
    largest = rows["campaign"].drop_nulls().value_counts().sort(["count", "campaign"], descending=[True, False])
    marks = [
        (pl.col("campaign") == name).fill_null(value=False).cast(pl.Float64).alias(f"{COVARIATE}campaign_{number}")
        for number, name in enumerate(largest["campaign"].head(_CAMPAIGNS).to_list())
    ]
    return rows.select(*marks, pl.all())


def _ratio(entered: pl.DataFrame, numbers: Mapping[str, int], design: Design, epochs: Epochs) -> Json:
    """The share held out, beside the one that was meant, or where none is declared, whether it stayed the same."""
    expected = design.share if epochs.drawn else None
    named: set[str] = {*entered["campaign"].drop_nulls()}
    declared = {design.shares[name] for name in named if name in design.shares}
    if named and named <= set(design.shares) and len(declared) == 1:
        expected = declared.pop()
    observed = numbers["held_out"] / max(sum(numbers.values()), 1)
    if expected is not None:
        return {"observed": observed, "expected": expected, "p": sample_ratio_p(**numbers, share_held_out=expected)}
    if entered["campaign"].n_unique() == 1:
        return {"observed": observed, "expected": None, "p": ratio_varies_p(entered)}
    together = {"observed": observed, "expected": None, "p": None}
    if not named:
        return together
    # One campaign whose arms are not what they were meant to be spoils the comparison that it is part of.
    each = {name: _ratio_of(entered.filter(pl.col("campaign") == name), design, epochs) for name in sorted(named)}
    campaign, worst = min(each.items(), key=lambda item: item[1]["p"])
    p = min(1.0, worst["p"] * len(each))
    if p < STOP:
        return {**worst, "p": p, "campaign": campaign}
    whole = entered["campaign"].null_count() == 0 and named <= set(design.shares)
    return {**together, "p": p} if whole else together


def _ratio_of(entered: pl.DataFrame, design: Design, epochs: Epochs) -> Json:
    numbers = {name: entered.filter(pl.col("arm") == name).height for name in ("treated", "held_out")}
    return _ratio(entered, numbers, design, epochs)


def _withheld(
    numbers: Mapping[str, int], in_all: Mapping[str, int], ratio: Json, balance: float, by: str
) -> str | None:
    if not in_all["held_out"]:
        advice = "Record them with the action that they would have received" if by == "action" else "Record them too"
        return f"Nobody held out is recorded here, so there is nothing to compare with. {advice}, with arm held_out."
    if not in_all["treated"]:
        return "Nobody treated is recorded here, so there is nothing to compare."
    if ratio["p"] is not None and ratio["p"] < STOP:
        return _wrong_ratio(ratio)
    few = [f"{n:,} {name.replace('_', '-')}" for name, n in numbers.items() if n < LEAST_IN_ARM]
    if few:
        return f"Too few customers whose horizon is over: {' and '.join(few)}, of at least {LEAST_IN_ARM} each."
    if balance < STOP:
        return (
            f"The arms differ before entry (p {_p(balance)}): they were not chosen by one rule. Record an entry "
            "for every eligible customer of both arms, at the same moment."
        )
    return None


def _wrong_ratio(ratio: Json) -> str:
    of = f"Of the campaign {ratio['campaign']}: " if "campaign" in ratio else ""
    if ratio["expected"] is None:
        return (
            f"{of}The share held out ({ratio['observed']:.1%}) changes from month to month more than chance allows "
            f"(p {_p(ratio['p'])}): the arms are not of one draw. Give each draw a campaign of its own."
        )
    return (
        f"{of}{ratio['observed']:.1%} are held out where {ratio['expected']:.1%} were meant to be (sample-ratio check, "
        f"p {_p(ratio['p'])}): some customers are missing from one arm, or the share is another (measure.held_out in "
        "params.yaml). Find out which before believing any figure."
    )


def _result(effects: Mapping[str, Effect], treated: pl.DataFrame, design: Design) -> Json:
    """The effects, and what they come to over everybody treated."""
    active, n = effects["active"], treated.height
    costs = treated["cost"]
    result: Json = {
        "active": active.as_dict(),
        "claimed": active.always_significant,
        "significant_once": active.significant,
        "saved": _times(active, n),
        "cost": None if costs.null_count() else float(costs.sum()),
    }
    if "spend" in effects:
        result["spend"] = effects["spend"].as_dict()
        result["value_saved"] = _times(effects["spend"], n * design.margin)
        if result["cost"] is not None:
            result["profit"] = {name: held - result["cost"] for name, held in result["value_saved"].items()}
    return result


def _times(effect: Effect, factor: float) -> Json:
    ends = ("value", "low", "high", "always_low", "always_high")
    return {name: getattr(effect, name) * factor for name in ends}


def _to_go(entered: pl.DataFrame, base: float, share: float, design: Design, action: str | None) -> Json | None:
    """How many weeks until the assumed effect can be detected, at the present rate of entries; None without a rate."""
    success = design.success.get(action, design.otherwise) if action else max([*design.success.values(), 0.0])
    effect = (success or design.otherwise) * (1 - base)
    if not (0 < share < 1 and 0 < base < 1 and effect > 0):
        return None
    needed = entries_needed(base, effect, share)
    horizon = timedelta(days=design.horizon_days)
    times: list[datetime] = entered["treated_at"].sort().to_list()
    since = max(design.until - timedelta(weeks=_RATE_WEEKS), times[0])
    recent = entered.filter(pl.col("treated_at") >= since).height
    weeks = max((design.until - since) / timedelta(weeks=1), 1.0)
    if entered.height >= needed:
        over = times[needed - 1] + horizon
        to_go = max(ceil((over - design.until) / timedelta(weeks=1)), 0)
    elif recent:
        to_go = ceil((needed - entered.height) / (recent / weeks) + horizon / timedelta(weeks=1))
    else:
        return {"effect": effect, "needed": needed, "a_week": 0.0, "weeks": None}
    return {"effect": effect, "needed": needed, "a_week": recent / weeks, "weeks": to_go}


def _warnings(comparison: Json, in_all: Mapping[str, int], unpriced: int, ahead: int, design: Design) -> list[str]:
    held_out, lost, treated = in_all["held_out"], comparison["lost"], comparison["measured"]["treated"]
    checks = (
        (
            comparison["contaminated"] > MOST_CONTAMINATED * held_out,
            f"{comparison['contaminated']:,} of {held_out:,} held-out customers were contacted all the same: the "
            "effect is larger than what is measured.",
        ),
        (
            sum(lost.values()) > 0,
            f"{lost['treated']:,} treated and {lost['held_out']:,} held-out customers are not in the source (erased, "
            "another id, or entered before its history begins): their outcomes are unknown"
            + ("." if _lost_alike(lost, in_all) else ", and one arm lost significantly more: the result is doubtful."),
        ),
        (
            comparison["ratio"]["p"] is None,
            "Campaigns draw their own arms, with shares that are not declared (measure.held_out in params.yaml), so "
            "the ratio of the arms is checked by campaign only.",
        ),
        (
            ahead > 0,
            f"{ahead:,} entries are dated more than {design.horizon_days} days after the last interaction of the "
            f"source ({design.until:%Y-%m-%d}): check their dates, or bring newer interactions.",
        ),
        (
            0 < unpriced < treated,
            f"What contacting cost is unknown of {unpriced:,} of {treated:,} treated customers, so neither cost nor "
            "profit is given.",
        ),
    )
    return [words for holds, words in checks if holds]


def _lost_alike(lost: Mapping[str, int], in_all: Mapping[str, int]) -> bool:
    """Whether both arms lost about the same share of their customers."""
    share = in_all["held_out"] / max(sum(in_all.values()), 1)
    return sample_ratio_p(**lost, share_held_out=share) >= STOP


def says(comparison: Json, currency: str, horizon_days: int) -> str:
    """A comparison in words."""
    if comparison["withheld"]:
        return f"{comparison['withheld']}{_when(comparison['to_go'])}"
    result = comparison["result"]
    active, saved = result["active"], result["saved"]
    text = (
        f"{active['treated_mean']:.1%} of {comparison['measured']['treated']:,} treated customers were still active in "
        f"the {horizon_days} days after entry, {active['held_out_mean']:.1%} of {comparison['measured']['held_out']:,} "
        f"held-out ones: a difference of {_points(active['value'])} points (95% interval {_points(active['low'])} to "
        f"{_points(active['high'])}; valid at every look {_points(active['always_low'])} to "
        f"{_points(active['always_high'])}). "
    )
    if not result["claimed"]:
        why = (
            "That is significant only if nobody looked before, so no effect is claimed yet"
            if result["significant_once"]
            else "No effect can be claimed"
        )
        return f"{text}{why}.{_when(comparison['to_go'])}"
    verb = "saved" if saved["value"] >= 0 else "driven away"
    text += f"About {abs(saved['value']):,.0f} customers were {verb} by contacting"
    if "value_saved" in result:
        text += _gained(result["value_saved"], currency)
        if "profit" in result:
            text += f", at a cost of {result['cost']:,.0f} {currency}"
    return text + "."


def _gained(money: Json, currency: str) -> str:
    """What margin the contacts brought, claimed like any effect: only where the interval for every look excludes 0."""
    once = f"95% interval {money['low']:,.0f} to {money['high']:,.0f}"
    always = f"valid at every look {money['always_low']:,.0f} to {money['always_high']:,.0f}"
    if money["always_low"] > 0 or money["always_high"] < 0:
        way = "gained" if money["value"] > 0 else "lost"
        return f", and {abs(money['value']):,.0f} {currency} of margin {way} ({once}; {always})"
    return f"; that margin was gained cannot be claimed yet ({money['value']:,.0f} {currency}, {once}; {always})"


def _when(to_go: Json | None) -> str:
    if not to_go:
        return ""
    aim = f" An effect of {_points(to_go['effect'])} points, as assumed, takes {to_go['needed']:,} entries"
    if to_go["weeks"] is None:
        return f"{aim}; none came in the last {_RATE_WEEKS} weeks."
    return f"{aim}: " + (f"about {to_go['weeks']:,} weeks to go." if to_go["weeks"] else "they have come.")


def _points(share: float) -> str:
    return f"{100 * share:+.1f}".replace("-", "−")


def _p(value: float) -> str:
    return "below 0.0001" if value < 1e-4 else f"{value:.4f}"


def _mean(values: pl.Series | Sequence[float], otherwise: float | None = None) -> Any:
    known = np.asarray(pl.Series(values).drop_nulls().to_numpy(), np.float64)
    return float(known.mean()) if known.size else otherwise
