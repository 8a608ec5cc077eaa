"""DVC stage ``fairness``: out-of-time predictions and protected attributes in; how groups are treated, out.

The rows are those of the evaluation: each customer is predicted by models that did not learn from them. Who would be
contacted is decided as for the scores, by the present policy with its capacity, but without a control group and without
suppressions, which nobody knows for that day.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from fedelta.features.attributes import Attribute, attributes_at
from fedelta.features.contract import RISK_TIERS
from fedelta.models.bundle import bundle_hash
from fedelta.models.churn.storage import load_churn
from fedelta.models.fairness.groups import Groups, groups_of
from fedelta.models.fairness.measures import Decided, GroupFigures, judged, measured
from fedelta.models.loyalty.storage import load_loyalty, load_personas
from fedelta.models.metrics.bootstrap import Resampling
from fedelta.models.panel import to_pandas
from fedelta.models.policy.settings import HoldoutSettings
from fedelta.models.scoring import Models, score
from fedelta.models.value.storage import load_clv, load_orders
from fedelta.pipeline import paths
from fedelta.pipeline.atomic_write import write_json
from fedelta.pipeline.intake.sources import Source, load_source
from fedelta.pipeline.params import Params, load_params
from fedelta.pipeline.score_inputs import read_prior, with_known_value

NOTHING_PROTECTED = "No attribute of the source is declared as protected, so no groups are compared."
LEAST_ROWS = 200  # evaluated customers: fewer say nothing of groups


def main() -> None:
    """Write reports/fairness.json."""
    params = load_params()
    source = load_source(params.source)
    protected = [attribute for attribute in source.attributes if attribute.protected]
    source.for_models(params.fairness.allow)  # refuses what it cannot allow
    if not protected:
        document: dict[str, Any] = {"reason": NOTHING_PROTECTED, "attributes": {}, "warnings": []}
    else:
        document = report(source, protected, params)
    write_json(paths.FAIRNESS_REPORT, document)
    print(f"fairness: {in_words(document)}")


def report(source: Source, protected: Sequence[Attribute], params: Params) -> dict[str, Any]:
    """How the groups of each protected attribute are treated, for JSON."""
    # Rows at which value alone is evaluated have no prediction of churn.
    evaluation = pl.read_parquet(paths.EVALUATION).filter(pl.col("churn_chosen").is_not_null()).sort("customer_id")
    if len(evaluation) < LEAST_ROWS:
        why = f"{len(evaluation):,} customers were evaluated; at least {LEAST_ROWS} are needed to compare groups."
        return {"reason": why, "attributes": {}, "warnings": []}
    rows, decision = decided(evaluation, source, params)
    known = pl.read_parquet(paths.CUSTOMERS)
    values = attributes_at(evaluation.select("customer_id", "cutoff"), known, protected)
    resampling = Resampling(params.evaluate.bootstrap, seed=params.evaluate.seed)
    groups = {one.name: groups_of(values[one.column].to_list(), params.fairness.least_customers) for one in protected}
    figures = {name: measured(rows, held, resampling) for name, held in groups.items()}
    everybody = Groups(("everybody",), np.zeros(len(evaluation), np.intp), {}, {})
    warnings, tests = judged(figures, params.fairness)
    return {
        "reason": None,
        "cutoff": f"{evaluation['cutoff'][0]:%Y-%m-%d}",
        "customers": len(evaluation),
        "decision": decision,
        "tests": tests,
        "tolerance": params.fairness.tolerance,
        "least_ratio": params.fairness.least_ratio,
        "everybody": _group(measured(rows, everybody, resampling)[0], ()),
        "attributes": {
            one.name: {
                "says": one.says or one.name,
                "used": one.name in params.fairness.allow,
                "small": dict(groups[one.name].small),
                "groups": [
                    _group(group, [held["says"] for held in warnings if _is_of(held, one.name, group.label)])
                    for group in figures[one.name]
                ],
            }
            for one in protected
        },
        "warnings": warnings,
    }


def decided(evaluation: pl.DataFrame, source: Source, params: Params) -> tuple[Decided, str]:
    """The evaluated rows with the decision that the policy would have taken on them, and that decision in words."""
    keys = evaluation.select("customer_id", "cutoff")
    role = "evaluate" if paths.CHURN_EVALUATED.is_dir() else None
    features = pl.scan_parquet(paths.FEATURES / "*.parquet")
    features = features.filter(pl.col("role") == role if role else pl.col("refit"))
    prior = pl.scan_parquet(paths.PRIOR)
    joined = keys.lazy().join(features, on=["customer_id", "cutoff"], how="left")
    table = joined.join(prior, on=["cutoff", "customer_id"], how="left").collect().sort("customer_id")
    if source.kind == "table":
        table = with_known_value(table, pl.read_parquet(paths.CUSTOMERS))
    churn, clv = (paths.measured_fit(bundle) for bundle in (paths.CHURN_BUNDLE, paths.CLV_BUNDLE))
    found, _ = score(
        to_pandas(table),
        Models(
            load_churn(churn),
            load_clv(clv),
            load_orders(clv),
            read_prior(table["cutoff"][0]),
            load_loyalty(paths.LOYALTY_BUNDLE),
            load_personas(paths.PERSONAS_BUNDLE),
            params.churn.definition,  # and no model of leaving: it learned from what came after this cutoff
        ),
        replace(params.policy, holdout=HoldoutSettings(0.0, params.policy.holdout.salt)),
        currency=source.currency,
        model_version=bundle_hash(paths.BUNDLE),
        out_of_fold=dict(evaluation.select("customer_id", "churn_chosen").iter_rows()),
        explained="nobody",
    )
    scores = found.table()
    assert scores["customer_id"].to_list() == evaluation["customer_id"].to_list()
    contacted = scores["action"].is_not_null()
    decision, profit = "contacted by the plan (policy of params.yaml)", None
    if scores["expected_profit"].null_count() == len(scores):  # costs or money are unknown: no plan
        at_risk = RISK_TIERS[RISK_TIERS.index("high") :]
        contacted = scores["risk_tier"].is_in(at_risk)
        decision = "counted as at high or critical risk, as costs or money are unknown and there is no plan"
    else:
        expected = scores["expected_profit"].fill_null(0.0)
        profit = (expected * contacted.cast(pl.Float64)).to_numpy()
    return Decided(
        evaluation["churn_chosen"].to_numpy(), evaluation["churned"].to_numpy(), contacted.to_numpy(), profit
    ), decision


def in_words(document: Mapping[str, Any]) -> str:
    """The report in a line."""
    if document["reason"]:
        return str(document["reason"])
    names = ", ".join(name.replace("_", " ") for name in document["attributes"])
    found = " ".join(held["says"] for held in document["warnings"]) or "no group is significantly worse off."
    return f"{document['customers']:,} customers at {document['cutoff']} by {names}: {found}"


def _is_of(warning: Mapping[str, Any], attribute: str, label: str) -> bool:
    return (warning["attribute"], warning["group"]) == (attribute, label)


def _group(group: GroupFigures, warnings: Sequence[str]) -> dict[str, Any]:
    figures = {name: figure.interval.as_dict() for name, figure in group.figures.items()}
    return {"group": group.label, "customers": group.customers, **figures, "warnings": [*warnings]}
