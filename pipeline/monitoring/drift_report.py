"""What reports/drift.json says: each check with its figure, its limit and a verdict in words; the effects behind it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from fedelta.models.explain import says
from fedelta.models.monitoring.data_drift import Surprise, Track, newcomers, surprises
from fedelta.models.monitoring.drift import LEAST_PAST, RUNS, Judged, chance_per_check
from fedelta.models.monitoring.population_drift import (
    YEAR,
    Month,
    PopulationDrift,
    Watch,
    population_drift,
    reference_lag,
)
from fedelta.models.monitoring.settings import MonitorSettings
from fedelta.pipeline.experience_report import Json, tidy

CHECKS = 5  # features, scores, a single feature, data, newcomers
TOO_SHORT = (
    f"The history is too short to tell what is usual: it takes {LEAST_PAST} changes between earlier months. Nothing is "
    "judged, nothing alarms."
)


@dataclass(frozen=True)
class Check:
    """One question put to the newest month and its answer; figures are None where there is no past to judge by."""

    name: str
    asks: str
    value: float
    usual: float | None
    limit: float | None
    past: int  # earlier months' figures that the limit is made of
    alarm: bool | None  # None: too little past to tell
    says: str


def checked(
    watch: Watch,
    months: Sequence[Month],
    cutoffs: Sequence[datetime],
    found: Sequence[Track],
    age_days: int,
    settings: MonitorSettings,
) -> tuple[list[Check], dict[str, object]]:
    """Every check of the newest month, and the effects behind them.

    Parameters
    ----------
    months : sequence of Month
        The customers at `cutoffs`, newest first.
    found : sequence of Track
        The data of each month, newest first.
    age_days : int
        From the newest training cutoff to the newest month.
    """
    chance = chance_per_check(settings.false_alarms, CHECKS)
    population, checks = _population(watch, months, cutoffs, age_days, chance)
    data, more = _data(found, chance)
    budget = {"false_alarms": settings.false_alarms, "runs": RUNS, "chance_per_check": chance}
    return checks + more, {"budget": budget, **population, "data": data}


def document(checks: Sequence[Check], effects: Mapping[str, object]) -> dict[str, Json]:
    """The report, ready for JSON; `reason` says why nothing is judged, where nothing is."""
    judged = any(check.alarm is not None for check in checks)
    head = {
        "reason": None if judged else TOO_SHORT,
        "alarms": [check.says for check in checks if check.alarm],
        "checks": checks,
    }
    return {name: tidy(held) for name, held in {**head, **effects}.items()}


def headline(report: Mapping[str, Any]) -> str:
    """The report in one line."""
    alarms, checks = report["alarms"], report["checks"]
    if report["reason"]:
        return f"{report['as_of']}: {report['reason']}"
    judged = sum(check["alarm"] is not None for check in checks)
    head = f"{report['as_of']}: {len(alarms) or 'no'} alarm{'s' * (len(alarms) > 1)} in {judged} checks"
    return f"{head}. {' '.join(alarms) or report['performance_says']}"


def _population(
    watch: Watch, months: Sequence[Month], cutoffs: Sequence[datetime], age_days: int, chance: float
) -> tuple[dict[str, object], list[Check]]:
    if len(months) < 2:
        return {"reference": None, "scores": None, "features": []}, []
    lag = reference_lag(len(months), age_days)
    drift = population_drift(watch, months, lag, chance)
    season = "the same season a year before"
    learned = "when the model last learned, or as near to it as the history goes"
    scores = {
        "mean": float(np.mean(months[0].scores)),
        "mean_before": float(np.mean(months[lag].scores)),
        "psi": drift.scores.value,
    }
    return {
        "customers": len(months[0].scores),
        "reference": {
            "at": f"{cutoffs[lag]:%Y-%m-%d}",
            "months_before": lag,
            "says": season if lag == YEAR else learned,
        },
        "scores": scores,
        "features": [{"says": says(one.name), **vars(one)} for one in drift.features],
    }, _population_checks(drift, f"{cutoffs[lag]:%Y-%m-%d}")


def _population_checks(drift: PopulationDrift, since: str) -> list[Check]:
    most = ", ".join(one.name for one in drift.features[:3])
    weighed = f"The features have moved by {{value:.3f}} since {since} (PSI, weighed by importance; most: {most})"
    scores = f"The scores have moved by {{value:.3f}} since {since} (PSI)"
    found = [
        _check("features", "Have the features changed that the model heeds?", drift.weighted, weighed),
        _check("scores", "Have the scores changed?", drift.scores, scores),
    ]
    if drift.single is not None:
        name = max(drift.features, key=lambda one: one.times_record or 0.0).name
        single = f"{name} has moved since last month {{value:.1f}} times as far as in any month before"
        found.append(_check("single feature", "Has a feature changed as it never did?", drift.single, single))
    return found


def _data(found: Sequence[Track], chance: float) -> tuple[dict[str, object], list[Check]]:
    lag = next((lag for lag in (YEAR, 1) if found and len(found[0].hits) - lag > LEAST_PAST), None)
    if lag is None:
        return {"months_before": None, "tracks": [], "new": {}}, []
    largest, every = surprises(found, lag, chance)
    new = newcomers(found, chance)
    against = "a year before" if lag == YEAR else "the month before"
    moved = f"{_moved(every[0])} against {against}, {{value:.1f}} standard errors from its usual change"
    return {"months_before": lag, "tracks": every, "new": new}, [
        _check("data", "Do data come in as usual?", largest, moved),
        _newcomers(new, len(found[0].hits) - 1),
    ]


def _newcomers(new: Mapping[str, int], past: int) -> Check:
    names = " and ".join(f"{name} ({rows:,} rows)" for name, rows in sorted(new.items()))
    says = f"Never met before this month: {names}." if new else "No kind or channel is new."
    return Check(
        "new kinds", "Is there a kind or channel never met before?", len(new), None, None, past, bool(new), says
    )


def _moved(one: Surprise) -> str:
    share = max(one.present, one.reference) <= 1
    values = (f"{value:.1%}" if share else f"{value:,.0f} a week" for value in (one.reference, one.present))
    return f"Of the data, {one.name} went from {' to '.join(values)}"


def _check(name: str, asks: str, judged: Judged, what: str) -> Check:
    text = what.format(value=judged.value)
    if judged.limit is None:
        verdict = f"; {judged.past} earlier such changes are too few to tell whether that is usual."
    elif judged.alarm:
        verdict = f", beyond the limit of {judged.limit:.3g} that {judged.past} earlier such changes set."
    else:
        verdict = f", within the limit of {judged.limit:.3g} that {judged.past} earlier such changes set."
    return Check(name, asks, judged.value, judged.usual, judged.limit, judged.past, judged.alarm, text + verdict)
