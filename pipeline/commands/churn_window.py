"""``fedelta churn-window``: after how long a silence a customer has left, from the project's own interactions."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from fedelta.features.cutoffs import midnight_after
from fedelta.models.churn_window.advice import Advice, History, Horizon, WindowSettings, advise
from fedelta.models.churn_window.life_table import added
from fedelta.models.churn_window.predictability import Sample
from fedelta.models.churn_window.spells import activity_days, membership_spells, memberships, silences
from fedelta.models.metrics.bootstrap import Resampling
from fedelta.pages.churn_window import page
from fedelta.pipeline import paths
from fedelta.pipeline.atomic_write import whole, write_json
from fedelta.pipeline.buckets.shuffle import buckets
from fedelta.pipeline.params import Params, load_params
from fedelta.pipeline.span import span

REPORT = Path("reports/churn_window.json")
PAGE = Path("reports/churn_window.html")

PARTS = 20  # of the customers, left out one at a time to tell chance; each a bucket, or more where params say more
CUSTOMERS = 50_000  # looked at for how well leaving can be predicted
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def main(most_returning: float = WindowSettings.most_returning) -> None:
    """Advise a horizon for the project, print the table, write reports/churn_window.json and .html."""
    params = load_params()
    settings = WindowSettings(most_returning, params.churn.minimum)
    history = read_history(params)
    resampling = Resampling(params.evaluate.bootstrap, seed=params.evaluate.seed)
    advice = advise(history, settings, resampling, lead_days=params.lead_days)
    report = report_of(advice, history, params, settings)
    write_json(REPORT, report)
    with whole(PAGE) as staged:
        staged.write_text(page(report), encoding="utf-8")
    print(table_of(report))
    print(f"Written to {REPORT} and {PAGE}.")


def read_history(params: Params) -> History:
    """What the interactions tell, bucket by bucket. Memory: one bucket, the counts, and the customers of the sample."""
    first, last = span(paths.INTERACTIONS)
    end = _day(midnight_after(last))
    event = params.churn.definition == "event"
    number = PARTS * max(1, -(-params.engine.buckets // PARTS))
    spells: list[pl.DataFrame] = []
    purchases: list[pl.DataFrame] = []
    members: list[pl.DataFrame] = []
    customers = 0
    for bucket in buckets(paths.INTERACTIONS, number):
        events = bucket.read(("customer_id", "occurred_at", "kind", "amount"))
        active, joined = activity_days(events, params.churn.activity), memberships(events, params.churn.ended)
        spells.append(membership_spells(joined, end) if event else silences(active, end))
        who = (joined if event else active)["customer_id"].unique(maintain_order=True)
        customers += len(who)
        drawn = pl.col("customer_id").is_in(who.head(CUSTOMERS // number).implode())  # hashed: any are as good
        purchases.append(active.filter(drawn))
        members.append(joined.filter(drawn))
    earliest = _day(first) + params.cutoffs.min_history_days
    sample = Sample(pl.concat(purchases), pl.concat(members) if event else None, earliest, end)
    counts = added(spells).with_columns(pl.col("part") % PARTS)
    return History(params.churn.definition, customers, counts, PARTS, sample)


def report_of(advice: Advice, history: History, params: Params, settings: WindowSettings) -> dict[str, Any]:
    """The advice as JSON."""
    return {
        "definition": history.definition,
        "activity": list(params.churn.activity),
        "until": _date(history.sample.end),
        "customers": history.customers,
        "spells": int(history.spells["spells"].sum()),
        "reach_days": advice.reach_days,
        "most_returning": settings.most_returning,
        "horizon_days": params.horizon_days,
        "lead_days": params.lead_days,
        "advised_days": advice.days,
        "because": advice.because,
        "horizons": [_horizon(horizon, params) for horizon in advice.horizons],
        "tenures": [asdict(tenure) | {"hazard": tenure.hazard.as_dict()} for tenure in advice.tenures],
        "curves": {_worded(name, params): [list(point) for point in points] for name, points in advice.curves.items()},
    }


def table_of(report: dict[str, Any]) -> str:
    """The report as a table to read in a terminal."""
    event = report["definition"] == "event"
    what = "memberships" if event else f"silences after a {' or '.join(report['activity'])}"
    lines = [f"{report['customers']:,} customers, {report['spells']:,} {what}, until {report['until']}."]
    if report["tenures"]:
        lines += ["", f"{'tenure, days':>14}{'members':>10}{'cancel per 30 days':>26}"]
        lines += [
            f"{tenure['from_day']:>7} to {tenure['to_day']:>4}{tenure['members']:>9,}{_share(tenure['hazard']):>26}"
            for tenure in report["tenures"]
        ]
    if report["horizons"]:
        lines += ["", *_horizon_lines(report, event)]
    advised = report["advised_days"]
    advice = f"Advised: {advised} days. " if advised else ""
    lines += ["", advice + report["because"]]
    if advised and advised != report["horizon_days"]:
        lines.append(f"params.yaml has horizon_days: {report['horizon_days']}.")
    return "\n".join(lines)


def _horizon_lines(report: dict[str, Any], event: bool) -> Iterator[str]:
    silent = f"{'members':>10}" if event else f"{'silent':>10}{'of them return':>26}"
    yield f"{'horizon, days':>14}{silent}{'churn rate':>12}{'AUC':>26}{'before':>10}"
    for row in report["horizons"]:
        mark = "*" if row["days"] == report["advised_days"] else " "
        returning = "" if event else f"{_share(row['returning']):>26}"
        tests = row["tests"]
        rate = f"{tests[0]['churn_rate']:.1%}" if tests else "-"
        before = _number(tests[1]["auc"]["value"]) if len(tests) > 1 else "-"
        reached = _auc(tests[0]["auc"]) if tests else "too short a history"
        yield f"{mark:>3}{row['days']:>11}{row['silent']:>10,}{returning}{rate:>12}{reached:>26}{before:>10}"


def _worded(group: str, params: Params) -> str:
    """The name of a group, in terms of what is activity here."""
    return group.replace("purchase", " or ".join(params.churn.activity))


def _horizon(horizon: Horizon, params: Params) -> dict[str, Any]:
    return {
        "days": horizon.days,
        "silent": horizon.silent,
        "returning": None if horizon.returning is None else horizon.returning.as_dict(),
        "returning_by_group": {_worded(name, params): share for name, share in horizon.returning_by_group.items()},
        "churn_rate": horizon.churn_rate,
        "tests": [
            {
                "cutoff": _date(test.cutoff),
                "customers": test.customers,
                "churn_rate": test.churn_rate,
                "auc": test.auc.as_dict(),
            }
            for test in horizon.tests
        ],
    }


def _share(interval: dict[str, float | None] | None) -> str:
    if interval is None or interval["value"] is None:
        return "cannot be tested"
    value, low, high = interval["value"], interval["low"], interval["high"]
    return f"{value:.1%}" if low is None or high is None else f"{value:.1%} [{low:.1%}, {high:.1%}]"


def _auc(interval: dict[str, float | None]) -> str:
    if interval["value"] is None:
        return "all or nobody left"
    return f"{_number(interval['value'])} [{_number(interval['low'])}, {_number(interval['high'])}]"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _day(instant: datetime) -> int:
    return (instant - _EPOCH).days


def _date(day: int) -> str:
    return f"{_EPOCH + timedelta(days=day):%Y-%m-%d}"
