"""Monitoring of a table of customers, which has no months: who is to be scored, and how well the model does."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import polars as pl

from fedelta.models.churn.model import ChurnModel
from fedelta.models.explain import says
from fedelta.models.metrics.bootstrap import Resampling
from fedelta.models.monitoring.cbpe import estimate_performance, judge_performance, realised_performance
from fedelta.models.monitoring.input_drift import WILD, difference
from fedelta.pipeline import paths
from fedelta.pipeline.experience_report import Json, tidy
from fedelta.pipeline.monitoring.drift_report import Check
from fedelta.pipeline.panel import read_panel
from fedelta.pipeline.params import Params


def table_checks(contract: Mapping[str, Any], model: ChurnModel, params: Params) -> tuple[list[Check], dict[str, Any]]:
    """Whether customers without a label are like those learned from; and what came of out-of-fold probabilities.

    The second is a row of `performance` in reports/drift.json, of customers that the models asked had not learned from.
    """
    panel = read_panel(["refit", "score"])
    learned = set(panel.training("delivered").table["customer_id"])
    scored = panel.of_role("score").table
    unlabelled = scored[~scored["customer_id"].isin(learned)]
    checks = [] if unlabelled.empty else [inputs_check(contract, model, unlabelled)]
    return checks, _performance(f"{panel.cutoffs[0]:%Y-%m-%d}", params)


def inputs_check(contract: Mapping[str, Any], model: ChurnModel, table: pd.DataFrame) -> Check:
    """Whether rows to be scored are like those the model learned from; categories it never met are named."""
    found = difference(contract["inputs"], table, model.encoding, contract["importance"])
    names = ", ".join(f"{says(one.name)} ({one.psi:.2f})" for one in found.moved[:3])
    moved = f"; most: {names}" if names else ""
    new = "; ".join(
        f"{says(name)} {', '.join(f'{value!r} ({n:,} rows)' for value, n in list(values.items())[:3])}"
        for name, values in found.unseen.items()
    )
    unseen = f" Categories never met in training, which count as unknown: {new}." if new else ""
    alarm = found.weighted > WILD or bool(found.moved)
    return Check(
        "inputs",
        "Are the customers to be scored like those learned from?",
        found.weighted,
        None,
        WILD,
        0,
        alarm,
        f"The inputs differ by {found.weighted:.3f} from those learned from (PSI, weighted by importance{moved}), "
        f"{'beyond' if alarm else 'within'} the usual limit of {WILD:g}.{unseen}",
    )


def _performance(at: str, params: Params) -> dict[str, Any]:
    evaluation = pl.read_parquet(paths.EVALUATION)
    churned, probability = evaluation["churned"].to_numpy(), evaluation["churn_chosen"].to_numpy()
    expected = estimate_performance(probability, Resampling(params.evaluate.bootstrap, seed=params.evaluate.seed))
    realised = realised_performance(churned, probability)
    judged = judge_performance(expected, realised, params.monitor.tolerance)
    known: Json = tidy(realised)
    return {
        "cutoff": at,
        "role": "cross-fitted",
        "rows": len(evaluation),
        "evidence": True,
        "expected": {name: interval.as_dict() for name, interval in expected.items()},
        "realised": known,
        "alarm": judged.alarm,
        "says": judged.says,
    }
