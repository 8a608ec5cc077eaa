"""DVC stage ``model_card``: what a bundle is, learned from, is and is not good for; from the files of its run."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
from jinja2 import UndefinedError

from fedelta.features.errors import FedeltaError
from fedelta.models.bundle import bundle_hash, read_contract
from fedelta.models.policy.plan import plan_of
from fedelta.models.policy.settings import PolicySettings
from fedelta.models.too_good import questioned
from fedelta.pages import findings
from fedelta.pages.page import environment
from fedelta.pipeline import paths
from fedelta.pipeline.atomic_write import whole
from fedelta.pipeline.params import load_params
from fedelta.pipeline.saves import policy_in_use
from fedelta.pipeline.scores import OF_PLAN, economics_of, scan_scores

Json = Mapping[str, Any]

_MOST_FEATURES = 10
_TEMPLATE = "model_card.md.jinja"


class NoCard(FedeltaError):
    """A file that the card is made of is missing or damaged."""


@dataclass(frozen=True)
class Inputs:
    """Everything the card tells of; None where a stage has not run."""

    version: str
    churn: Json  # the contracts of the models that were evaluated
    clv: Json
    delivered: Json  # the contract of the churn model that gives the scores
    data: Json
    metrics: Json
    policy: PolicySettings
    experience: Json | None
    drift: Json | None
    fairness: Json | None
    scores: pl.DataFrame | None


def main() -> None:
    """Write the card of the project's bundle.

    Raises
    ------
    NoCard
        If the account of the data or the metrics are missing, or a report is damaged.
    NothingToReport
        If there are scores, but of another version or of nobody.
    """
    inputs = Inputs(
        bundle_hash(paths.BUNDLE),
        read_contract(paths.measured_fit(paths.CHURN_BUNDLE)),
        read_contract(paths.measured_fit(paths.CLV_BUNDLE)),
        read_contract(paths.CHURN_DELIVERED),
        _needed(paths.DATA_REPORT, "ingest"),
        _needed(paths.EVALUATION_REPORT, "evaluate"),
        policy_in_use(load_params().policy),
        _json(paths.EXPERIENCE_REPORT, "experience"),
        _json(paths.DRIFT_REPORT, "monitor"),
        _json(paths.FAIRNESS_REPORT, "fairness"),
        scan_scores(paths.SCORES).select(OF_PLAN).collect() if paths.SCORES.is_file() else None,
    )
    with whole(paths.MODEL_CARD) as staged:
        staged.write_text(card(inputs), encoding="utf-8", newline="\n")
    won, rivals = findings.beaten(_compared(inputs.metrics, "churn", inputs.churn["candidate"]))
    print(
        f"model_card: {paths.MODEL_CARD}: model {inputs.version}, significantly better than {won} of {rivals} baselines"
    )


def card(inputs: Inputs) -> str:
    """The card in Markdown: the same bytes for the same inputs.

    Raises
    ------
    NoCard
        If a report lacks something that the card tells.
    """
    metrics, churn = inputs.metrics, inputs.churn
    importances = findings.importances(inputs.delivered["importance"])
    scored = _scored(inputs.scores)
    held = environment().overlay(autoescape=False)
    held.filters["cell"] = lambda words: words.replace("|", "\\|")
    try:
        text = held.get_template(_TEMPLATE).render(
            **vars(inputs),
            label=f"a customer has left who {findings.leaves(churn)} in the horizon.",
            churn_metrics=findings.CHURN,
            value_metrics=findings.VALUE,
            orders_metrics=findings.ORDERS,
            next_metrics=findings.NEXT,
            churn_verdict=_verdict(metrics, "churn", churn["candidate"]),
            value_verdict=_verdict(metrics, "clv") if metrics["clv"] else "",
            question=questioned(metrics["churn"], churn["importance"]),
            rates=findings.rates(churn["training"], metrics),
            short_horizons=findings.short_horizons(inputs.delivered["training"], metrics["horizon_days"]),
            untested=findings.untested(churn, inputs.clv),
            base_rates=findings.base_rates(findings.learned_from(churn, inputs.delivered), metrics, scored),
            fits=findings.fits(churn, inputs.delivered, metrics, scored[0] if scored else None),
            deviance=findings.DEVIANCE,
            folds=metrics.get("cross_fitted_folds"),
            gain=findings.gain(metrics.get("bad_experience_gain")),
            a_year_before=findings.A_YEAR_BEFORE,
            importances=importances[:_MOST_FEATURES],
            themes=findings.by_theme(importances),
            economics=None if inputs.scores is None else economics_of(inputs.scores, inputs.policy),
            plan=None if inputs.scores is None else plan_of(inputs.scores, inputs.policy),
            name_of=findings.name_of,
            candidate=findings.candidate,
            why=findings.why,
            in_order=findings.in_order,
        )
    except (UndefinedError, KeyError) as error:
        raise NoCard(f"A report of this run lacks what the card tells: {error}. Run `dvc repro` again.") from None
    return f"{text.rstrip()}\n"


def _scored(scores: pl.DataFrame | None) -> tuple[date, int] | None:
    return None if scores is None else (scores["as_of"][0], int((scores["status"] == "scored").sum()))


def _compared(metrics: Json, what: str, chosen: str = "") -> list[findings.Comparison]:
    return findings.comparisons(metrics[f"{what}_against"], findings.DECIDES[what], chosen)


def _verdict(metrics: Json, what: str, chosen: str = "") -> str:
    return findings.verdict(_compared(metrics, what, chosen), findings.DECIDES[what])


def _needed(path: Path, stage: str) -> Json:
    found = _json(path, stage)
    if found is None:
        raise NoCard(f"{path} is missing. Run `dvc repro {stage}` first.")
    return found


def _json(path: Path, stage: str) -> Json | None:
    if not path.is_file():
        return None
    try:
        held: Json = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise NoCard(f"{path} is damaged. Run `dvc repro --force {stage}`.") from None
    return held
