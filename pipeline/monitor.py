"""DVC stage ``monitor``: the newest month judged by those before; how well the model does, expected and realised."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import polars as pl

from fedelta.features.errors import FedeltaError
from fedelta.models.btyd.purchase_prior import PurchasePrior
from fedelta.models.bundle import read_contract
from fedelta.models.churn.model import ChurnModel
from fedelta.models.churn.storage import load_churn
from fedelta.models.metrics.bootstrap import Resampling
from fedelta.models.monitoring.cbpe import estimate_performance, judge_performance, realised_performance
from fedelta.models.monitoring.settings import MonitorSettings
from fedelta.models.panel import Panel
from fedelta.pipeline import paths
from fedelta.pipeline.atomic_write import write_json
from fedelta.pipeline.data_alarms import Alarm, data_alarms
from fedelta.pipeline.experience_report import tidy
from fedelta.pipeline.intake.sources import load_source
from fedelta.pipeline.monitoring.drift_report import Check, checked, document, headline
from fedelta.pipeline.monitoring.months import calendar, data_tracks, months_of, sampled_features, watched
from fedelta.pipeline.monitoring.table_monitor import table_checks
from fedelta.pipeline.panel import read_panel, sampled_customers
from fedelta.pipeline.params import load_params

LEARNED = "The model learned from these outcomes: what it gets right here is no evidence."
AHEAD = "Not known yet. The figures hold if the probabilities are as right as they were where outcomes are known."


class DriftAlarm(FedeltaError):
    """Something is out of the ordinary."""


class NoPrior(FedeltaError):
    """The purchase models of the scoring cutoff are not in the bundle."""


def main(*, fail_on_alarm: bool = False) -> None:
    """Monitor the project: write reports/drift.json, end with one line.

    Raises
    ------
    DriftAlarm
        If something is out of the ordinary and `fail_on_alarm`; the report is written all the same.
    """
    report = monitor(load_params().monitor)
    write_json(paths.DRIFT_REPORT, report)
    if report["alarms"] and fail_on_alarm:
        raise DriftAlarm(f"{headline(report)} See {paths.DRIFT_REPORT}.")
    print(f"monitor: {headline(report)}")


def monitor(settings: MonitorSettings) -> dict[str, Any]:
    """The report of the project's newest month."""
    params = load_params()
    contract, model = read_contract(paths.CHURN_DELIVERED), load_churn(paths.CHURN_DELIVERED)
    if load_source(params.source).kind == "table":
        checks, row = table_checks(contract, model, params)
        performed = {"performance_says": row["says"], "performance": [row]}
        return {"as_of": row["cutoff"], **document([*checks, performance_check(row)], {}), **performed}
    sample = sampled_customers(params.engine.sample_customers)
    panel = read_panel(["train", "refit", "evaluate", "score"], among=sample)
    learned = panel.training("delivered")
    predicted = pd.Series(model.churn_probability(learned.table), index=learned.table.index)
    watch = watched(learned.table, predicted, contract["importance"])
    when = calendar(params)
    table = sampled_features(params, when, settings.customers)
    months = months_of(table, _prior(panel.of_role("score")), model, watch, when.cutoffs)
    found = data_tracks(pl.scan_parquet(paths.INTERACTIONS / "*.parquet"), pl.scan_parquet(paths.EXPERIENCES), when)
    age = (pd.Timestamp(when.score_at).tz_convert(None) - learned.cutoffs[-1]).days
    draws = Resampling(params.evaluate.bootstrap, seed=params.evaluate.seed)
    evaluated = load_churn(paths.CHURN_EVALUATED) if paths.CHURN_EVALUATED.is_dir() else None
    known = performance(panel, model, params.churn.definition, draws, settings.tolerance, evaluated, predicted)
    checks, effects = checked(watch, months, when.cutoffs, found, age, settings)
    evidence = [row for row in known if row["evidence"]]
    feeds = feeds_check(data_alarms(params))
    return {
        "as_of": f"{when.score_at:%Y-%m-%d}",
        **document([*checks, feeds, *map(performance_check, evidence)], effects),
        "performance_says": next((row["says"] for row in evidence), AHEAD),
        "performance_customers": None if sample is None else len(sample),  # a sample; None: everybody
        "performance": known,
    }


def feeds_check(alarms: Sequence[Alarm]) -> Check:
    """The question whether every kind still comes in and customers are written in one way, answered by the intake."""
    says = " ".join(alarm.says for alarm in alarms)
    return Check(
        "feeds",
        "Does every kind still come in, and is each customer written in one way?",
        len(alarms),
        None,
        None,
        0,
        bool(alarms),
        says or "No kind or channel stopped coming in, and each customer is written in one way.",
    )


def performance_check(row: Mapping[str, Any]) -> Check:
    """The question whether the model does as well as its probabilities imply, answered at the evaluation cutoff."""
    off = abs(row["realised"]["churn_rate"] - row["expected"]["churn_rate"]["value"])
    return Check("performance", "Does the model do as well as expected?", off, None, None, 0, row["alarm"], row["says"])


def performance(
    panel: Panel,
    model: ChurnModel,
    definition: str,
    draws: Resampling,
    tolerance: float,
    evaluated: ChurnModel | None = None,
    predicted: pd.Series | None = None,
) -> list[dict[str, Any]]:
    """At each cutoff, oldest first: churn rate, AUC and log loss that the probabilities imply, and what came of it.

    `evidence` is true where outcomes are known that the model did not learn from: at the evaluation cutoff, where the
    probabilities are those of the `evaluated` fit. `predicted` are those that `model` is known to give some rows of the
    panel, by its index.
    """
    found = []
    for cutoff in panel.cutoffs:
        rows = panel.where((panel.table["cutoff"] == cutoff) & (panel.table["status"] == "scored"))
        role = rows.table["role"].iloc[0]
        judge = evaluated if role == "evaluate" else None
        evidence = judge is not None
        if judge is None and predicted is not None and rows.table.index.isin(predicted.index).all():
            probability = predicted[rows.table.index].to_numpy()
        else:
            probability = (judge or model).churn_probability(rows.table)
        expected = estimate_performance(probability, draws)
        realised = None if role == "score" else realised_performance(rows.churned(definition), probability)
        judged = judge_performance(expected, realised, tolerance) if realised and evidence else None
        found.append(
            {
                "cutoff": f"{cutoff:%Y-%m-%d}",
                "role": role,
                "rows": len(rows),
                "evidence": evidence,
                "expected": {name: interval.as_dict() for name, interval in expected.items()},
                "realised": tidy(realised),
                "alarm": judged and judged.alarm,
                "says": judged.says if judged else AHEAD if realised is None else LEARNED,
            }
        )
    return found


def _prior(scored: Panel) -> PurchasePrior | None:
    """The purchase models fitted at the scoring cutoff; None where nobody was active at any."""
    at = f"{scored.cutoffs[0]:%Y-%m-%d}"
    path = paths.BTYD_BUNDLE / "model.json"
    held = json.loads(path.read_text(encoding="utf-8"))
    if not held:
        return None
    if at not in held:
        raise NoPrior(f"{path} holds purchase models of {', '.join(held)}, not of {at}. Run `dvc repro fit_btyd`.")
    return PurchasePrior.from_dict(held[at])
