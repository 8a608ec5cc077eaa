"""``fedelta backtest --rolling N``: the whole recipe at several past dates, and how steady it is between them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fedelta.features.cutoffs import Cutoff, TooLittleHistory, backtest_calendar, calendar, value_calendar
from fedelta.features.errors import FedeltaError
from fedelta.models.evaluation import Evaluation
from fedelta.pipeline import paths
from fedelta.pipeline.atomic_write import write_json
from fedelta.pipeline.commands.backtest import CHURN_COLUMNS, CLV_COLUMNS, choice_of, measured, panels_at, table_of
from fedelta.pipeline.declared import cutoff_settings
from fedelta.pipeline.params import Params, load_params
from fedelta.pipeline.span import span

TOP = 0.1  # of the customers in both lists


class BadRolling(FedeltaError):
    """Cutoffs that cannot be stepped through."""


@dataclass(frozen=True)
class Turn:
    """One cutoff of the backtest: the predictions for each customer, the outcomes, and the report."""

    customers: npt.NDArray[np.str_]
    found: Evaluation

    @property
    def cutoff(self) -> str:
        """The day."""
        return str(self.found.report["cutoff"])

    @property
    def risk(self) -> pd.Series:
        """Chance of leaving, by customer."""
        return pd.Series(self.found.churn["chosen"], self.customers)

    @property
    def value_at_risk(self) -> pd.Series | None:
        """Chance of leaving times expected spend, by customer; None without money."""
        return self.risk * self.found.clv["chosen"] if self.found.clv else None


def main(number: int, step_days: int | None = None) -> None:
    """Backtest the project at up to `number` dates, print the tables, write reports/backtest.json."""
    params = load_params()
    first, last = span(paths.INTERACTIONS)
    step = params.horizon_days + params.lead_days if step_days is None else step_days
    calendars = rolling_calendars(first, last, params, number, step)
    settings, days = cutoff_settings(params), params.value_days
    of_value = [value_calendar(first, last, settings, cutoffs, days=days) for cutoffs in calendars]
    report = rolling_backtest(calendars, of_value, params, asked=number, step_days=step)
    write_json(paths.BACKTEST, report)
    print(table_of(report))
    print(rolling_table(report["rolling"]))
    print(f"Written to {paths.BACKTEST}.")


def rolling_calendars(
    first: datetime, last: datetime, params: Params, number: int, step_days: int
) -> list[tuple[Cutoff, ...]]:
    """The calendars of up to `number` backtests, the latest first: as many as the history holds.

    The latest is the project's own evaluation cutoff; the others step back from it. A step of a whole horizon, the
    default, keeps outcomes apart: no day is predicted twice.

    Raises
    ------
    BadRolling
        If fewer than one, or steps of less than a day, are asked for.
    TooLittleHistory
        If the history does not hold even one.
    """
    for name, value in (("--rolling", number), ("--step", step_days)):
        if value < 1:
            raise BadRolling(f"{name} is {value}; it must be at least 1.")
    spans = {"horizon_days": params.horizon_days, "lead_days": params.lead_days}
    settings = cutoff_settings(params)
    own = calendar(first, last, settings, **spans)
    at: datetime | None = next(cutoff.at for cutoff in own if cutoff.role == "evaluate")
    found: list[tuple[Cutoff, ...]] = []
    while len(found) < number and at is not None:
        try:
            found.append(backtest_calendar(first, last, at, settings, **spans))
        except TooLittleHistory:
            if not found:
                raise
            break
        at = settings.before(at, step_days)
    return found


def rolling_backtest(
    calendars: Sequence[Sequence[Cutoff]],
    of_value: Sequence[Sequence[Cutoff]],
    params: Params,
    *,
    asked: int,
    step_days: int,
) -> dict[str, Any]:
    """The report of the latest backtest (reports/backtest.json as documented), with `rolling` on all of them."""
    turns = []
    panels = panels_at([cutoffs for pair in zip(calendars, of_value, strict=True) for cutoffs in pair], params)
    for panel, valued in zip(panels, panels, strict=True):  # by turns from the same iterator
        who = panel.of_role("evaluate").table["customer_id"].to_numpy(str)
        turns.append(Turn(who, measured(panel, params, valued)))
    return {**turns[0].found.report, "rolling": rolled(turns, asked=asked, step_days=step_days)}


def rolled(turns: Sequence[Turn], *, asked: int, step_days: int) -> dict[str, Any]:
    """What several backtests (the latest first) tell together; null for what one alone cannot."""
    return {
        "asked": asked,
        "possible": len(turns),
        "step_days": step_days,
        "cutoffs": [_turn(turn) for turn in turns],
        "metrics": {what: _spread([turn.found.report[what] for turn in turns]) for what in ("churn", "clv")},
        "stability": [_overlap(before, after) for after, before in pairwise(turns)],
    }


def rolling_table(rolling: dict[str, Any]) -> str:
    """The backtests together, as tables to read in a terminal."""
    step, possible = rolling["step_days"], rolling["possible"]
    lines = ["", f"{possible} of {rolling['asked']} cutoffs, {step} days apart."]
    if possible < rolling["asked"]:
        lines[-1] += " The history holds no more: bring a longer one, or take smaller steps (--step)."
    lines += ["", f"{'cutoff':<12}{'customers':>10}{'estimated':>11}{'realised':>10}{'difference [95%]':>28}"]
    for row in rolling["cutoffs"]:
        rate = row["churn_rate"]
        off = "{value:+.2%} [{low:+.2%}, {high:+.2%}]".format(**rate["difference"])
        lines.append(
            f"{row['cutoff']:<12}{row['rows']:>10,}{rate['estimated']:>11.1%}{rate['realised']:>10.1%}{off:>28}"
        )
    lines += ["", *(f"{row['cutoff']}: {choice_of(row)}." for row in rolling["cutoffs"])]
    for what, columns in (("churn", CHURN_COLUMNS), ("clv", CLV_COLUMNS)):
        if rolling["metrics"][what]:
            title = f"{'spend' if what == 'clv' else what}: mean ± deviation"
            lines += ["", f"{title:<24}" + "".join(f"{name.replace('_', ' '):>20}" for name in columns)]
            for model, metrics in rolling["metrics"][what].items():
                lines.append(f"{model:<24}" + "".join(f"{_figure(metrics.get(name)):>20}" for name in columns))
    lines += ["", *(_overlap_line(row) for row in rolling["stability"])]
    return "\n".join(lines)


def _turn(turn: Turn) -> dict[str, Any]:
    report = turn.found.report
    return {
        "cutoff": turn.cutoff,
        "rows": report["rows"],
        "candidate": report["candidate"],
        "training": report["training"],
        "churn_rate": _estimated_and_realised(turn.found),
        **{what: report[what].get("chosen", {}) for what in ("churn", "clv")},
        "clv_interval": report["clv_interval"],
    }


def _estimated_and_realised(found: Evaluation) -> dict[str, Any]:
    """Mean predicted and actual churn rate, and their difference with its 95% interval (customers are the chance)."""
    off = found.churn["chosen"] - found.churned
    value, width = float(off.mean()), 1.96 * float(off.std() / np.sqrt(off.size))
    return {
        "estimated": float(found.churn["chosen"].mean()),
        "realised": float(found.churned.mean()),
        "difference": {"value": value, "low": value - width, "high": value + width},
    }


def _spread(reports: Sequence[dict[str, Any]]) -> dict[str, dict[str, dict[str, float | None]]]:
    """Mean, deviation and range of every metric of every model over the cutoffs where it has a value."""
    models = dict.fromkeys(model for report in reports for model in report)
    out: dict[str, dict[str, dict[str, float | None]]] = {}
    for model in models:
        held = [report[model] for report in reports if model in report]
        names = dict.fromkeys(name for metrics in held for name in metrics)
        out[model] = {name: _summary(metrics.get(name) for metrics in held) for name in names}
    return out


def _summary(intervals: Iterable[dict[str, float | None] | None]) -> dict[str, float | None]:
    values = [held["value"] for held in intervals if held is not None and held["value"] is not None]
    if not values:
        return {"mean": None, "deviation": None, "lowest": None, "highest": None, "cutoffs": 0}
    return {
        "mean": float(np.mean(values)),
        "deviation": float(np.std(values, ddof=1)) if len(values) > 1 else None,
        "lowest": float(min(values)),
        "highest": float(max(values)),
        "cutoffs": len(values),
    }


def _overlap(before: Turn, after: Turn) -> dict[str, Any]:
    """Of the customers in both lists, how many of the top tenth of one are in that of the other.

    ``overlap`` is that of the riskiest, ``overlap_by_value`` of those with most at risk (chance of leaving times
    expected spend); null without money.
    """
    both = pd.Index(np.intersect1d(before.customers, after.customers))
    top = max(round(TOP * len(both)), 1)

    return {
        "before": before.cutoff,
        "after": after.cutoff,
        "customers": len(both),
        "overlap": _shared(before.risk, after.risk, both, top),
        "overlap_by_value": _shared(before.value_at_risk, after.value_at_risk, both, top),
        "by_chance": top / len(both) if len(both) else None,
    }


def _shared(before: pd.Series | None, after: pd.Series | None, both: pd.Index, top: int) -> float | None:
    if before is None or after is None or both.empty:
        return None
    lists = [set(score[both].sort_values(ascending=False, kind="stable").index[:top]) for score in (before, after)]
    return len(lists[0] & lists[1]) / top


def _overlap_line(row: dict[str, Any]) -> str:
    if row["overlap"] is None:
        return f"{row['before']} and {row['after']} have no customer in common."
    by_value = row["overlap_by_value"]
    value = "" if by_value is None else f", of the tenth with most at risk {by_value:.0%}"
    return (
        f"Of the riskiest tenth on {row['before']}, {row['overlap']:.0%} were in it on {row['after']} too{value} "
        f"({row['customers']:,} customers in both; {row['by_chance']:.0%} by chance)."
    )


def _figure(held: dict[str, float | None] | None) -> str:
    if held is None or held["mean"] is None:
        return "-"
    digits = 2 if abs(held["mean"]) >= 10 else 4
    spread = "" if held["deviation"] is None else f" ± {held['deviation']:.{digits}f}"
    return f"{held['mean']:.{digits}f}{spread}"
