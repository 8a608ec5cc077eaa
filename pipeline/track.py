"""DVC stage ``track``: the present bundle in MLflow: one run, one registered version, and the gate to champion."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pandas as pd
import polars as pl
import polars.selectors as cs

from fedelta.features.cutoffs import Fit
from fedelta.features.errors import FedeltaError
from fedelta.models.bundle import BadBundle, bundle_hash, read_contract
from fedelta.models.encoding import MissingFeatures
from fedelta.models.metrics.bootstrap import Resampling
from fedelta.models.panel import ORDER
from fedelta.models.pyfunc import load_bundle
from fedelta.pipeline import paths
from fedelta.pipeline.atomic_write import whole
from fedelta.pipeline.panel import CHURN, files_of_value, from_pandas, read_panel
from fedelta.pipeline.params import Params, load_params
from fedelta.pipeline.registry.gate import (
    BY_HAND,
    Candidate,
    Predictions,
    Verdict,
    common,
    happened,
    incomparable,
    judge,
    learned_until,
    predictions,
    without_champion,
)
from fedelta.pipeline.registry.lineage import datasets, lineage
from fedelta.pipeline.registry.promotion_log import Decision, champions, rolled_back
from fedelta.pipeline.registry.tracking import tracking

if TYPE_CHECKING:
    from fedelta.pipeline.registry.mlflow_store import Registered, Store


KEPT_EVALUATION = "evaluation"  # where a run keeps cross-fitted predictions
Contracts = Mapping[Fit, Mapping[str, Any]]


class NotEvaluated(FedeltaError):
    """The bundle has no measurements to record, or measurements of other rows."""


def main() -> None:
    """Record the project's bundle, register it, let the gate decide; say in one line what changed."""
    params = load_params()
    fits = _contracts(paths.BUNDLE)
    report = _read_report(paths.EVALUATION_REPORT)
    bundle = bundle_hash(paths.BUNDLE)
    files = {"reports": [paths.EVALUATION_REPORT, *sorted(paths.PLOTS.glob("*.json")), _card()]}
    if "evaluated" not in fits:  # cross-fitted predictions: what a later challenger is compared with
        files[KEPT_EVALUATION] = [paths.EVALUATION]
    example, facts = _example(), _facts(fits)
    with tracking(params.source) as store:
        from fedelta.pipeline.registry.mlflow_store import Record  # noqa: PLC0415 - six CPU-seconds

        version, made = store.keep(
            Record(
                bundle=bundle,
                name=f"{params.source} {report['cutoff']} {bundle}",
                description=_description(bundle, facts, report),
                params=dict(flattened(dataclasses.asdict(params))),
                metrics=dict(measured(report)),
                lineage=_lineage_tags(fits),
                facts=facts,
                files=files,
                files_hash=_hash_of(path.read_bytes() for held in files.values() for path in held),
                folder=paths.BUNDLE,
                example=example,
                data=datasets(),
            )
        )
        verdict = _decide(store, version, fits, params)
    with whole(paths.TRACKED) as receipt:
        receipt.write_text(f"{json.dumps({'bundle': bundle})}\n", encoding="utf-8")
    text = "; ".join([*made, *([verdict] if verdict else [])]) or "recorded before, nothing changed"
    print(f"track: bundle {bundle} is {store.model} version {version.number}: {text}")


def flattened(settings: Mapping[str, Any], at: str = "") -> Iterator[tuple[str, str]]:
    """Settings by dotted name, as text; an empty section is left out."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{at}{name}.")
        else:
            yield f"{at}{name}", str(value)


def measured(report: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The report's figures by name: ``churn/auc`` with ``_low`` and ``_high``; ``churn/hiatus/auc``."""
    yield from ((name, float(report[name])) for name in ("rows", "churn_rate", "spend_total"))
    for what in ("churn", "clv", "next"):
        for model, metrics in report.get(what, {}).items():
            place = what if model == "chosen" else f"{what}/{model}"
            for metric, interval in metrics.items():
                bounds = ("value", "low", "high") if model == "chosen" else ("value",)
                for bound in bounds:
                    if interval[bound] is not None:
                        yield f"{place}/{metric}{'' if bound == 'value' else f'_{bound}'}", float(interval[bound])


def _decide(store: "Store", challenger: "Registered", fits: Contracts, params: Params) -> str | None:
    """Let the gate decide and act on it; its verdict, or None where the present champion or decision stands."""
    champion, decided = store.holder("champion"), store.decisions.read()
    if champion and champion.number == challenger.number:
        return None
    if champion is None and (row := champions(decided)):
        return (
            "the gate does not decide, as the alias champion was taken away in MLflow (by the log version "
            f"{row[-1]} had it). Give it to a version with `fedelta promote VERSION --because REASON`"
        )
    key = _hash_of(
        json.dumps(held).encode()
        for held in (
            challenger.bundle,
            champion.bundle if champion else None,
            _hash_of([paths.EVALUATION.read_bytes()]),
            dataclasses.asdict(params.gate),
            dataclasses.asdict(params.evaluate),
        )
    )
    if key in {decision.key for decision in decided}:
        return None
    if undone := rolled_back(decided, challenger.number):
        verdict = Verdict(False, f"it was rolled back by {undone.by}: {undone.because}")
    else:
        verdict = _judge(store, champion, fits, params)
    holder = challenger if verdict.promote else champion
    before = champion if verdict.promote else store.holder("previous")
    decision = Decision(
        outcome="promoted" if verdict.promote else "not promoted",
        version=challenger.number,
        bundle=challenger.bundle,
        champion=holder.number if holder else None,
        champion_bundle=holder.bundle if holder else None,
        previous=before.number if before else None,
        because=verdict.reason,
        by="the gate",
        figures=_figures(verdict),
        key=key,
    )
    store.decisions.decide(decision)
    return f"{decision.outcome}: {decision.because}"


def _judge(store: "Store", champion: "Registered | None", fits: Contracts, params: Params) -> Verdict:
    evaluation = pl.read_parquet(paths.EVALUATION)
    if champion is None:
        return without_champion(happened(evaluation).churn, predictions(evaluation).churn, params.gate)
    resampling = Resampling(params.evaluate.bootstrap, seed=params.evaluate.seed)
    try:
        with store.bundle_of(champion) as folder:
            its = _contracts(folder)
            model = load_bundle(folder, "evaluated") if "evaluated" in its else None
        if ("evaluated" in fits) != ("evaluated" in its):
            words = "one was evaluated on later outcomes, the other cross-fitted across customers"
            return Verdict(False, f"champion and challenger cannot be compared: {words}. {BY_HAND}")
        if model is None:
            return _judge_stored(store, champion, (fits, its), params, resampling)
        mine, theirs = Candidate.of(fits["evaluated"]), Candidate.of(its["evaluated"])
        if why := incomparable(mine, theirs, evaluation["cutoff"][0].replace(tzinfo=None)):
            return Verdict(False, why)
        table, of_value = _evaluated_rows(evaluation)
        spend = model.clv.expected_spend(of_value) if model.clv else None
        predicted = Predictions(model.churn.churn_probability(table), spend)
    except (BadBundle, MissingFeatures) as error:
        return Verdict(False, f"the champion (version {champion.number}) cannot be asked: {error} {BY_HAND}")
    return judge(happened(evaluation), predictions(evaluation), predicted, params.gate, resampling)


def _judge_stored(
    store: "Store", champion: "Registered", fits: tuple[Contracts, Contracts], params: Params, resampling: Resampling
) -> Verdict:
    """Compare cross-fitted predictions: those of data/evaluation.parquet, and those kept in the champion's run."""
    mine, theirs = (Candidate.of(held["delivered"]) for held in fits)
    if why := incomparable(mine, theirs, None):
        return Verdict(False, why)
    with store.file_of(champion, f"{KEPT_EVALUATION}/{paths.EVALUATION.name}") as path:
        if path is None:
            return Verdict(False, f"the champion's cross-fitted predictions are gone from its run. {BY_HAND}")
        both = common(pl.read_parquet(paths.EVALUATION), pl.read_parquet(path))
    if isinstance(both, str):
        return Verdict(False, both)
    challenger, its = both
    return judge(happened(challenger), predictions(challenger), predictions(its), params.gate, resampling)


def _evaluated_rows(evaluation: pl.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Features of the rows of data/evaluation.parquet, in its order: those of churn, and those of value."""
    tables = []
    money = "clv_chosen" in evaluation.columns
    for files, column in (
        (CHURN, "churned"),
        (files_of_value() if money else CHURN, "clv_chosen" if money else "churned"),
    ):
        table = read_panel(["evaluate"], files).of_role("evaluate").table
        if not from_pandas(table[list(ORDER)]).equals(evaluation.drop_nulls(column).select(ORDER)):
            raise NotEvaluated(
                f"{paths.EVALUATION} is of other customers than {files.features}. Run `dvc repro evaluate`, then track."
            )
        tables.append(table)
    return tables[0], tables[1]


def _figures(verdict: Verdict) -> dict[str, float]:
    figures = {
        f"{metric}_difference{suffix}": value
        for metric, difference in verdict.differences.items()
        for suffix, value in (("", difference.value), ("_low", difference.low), ("_high", difference.high))
    }
    if verdict.ece is not None:
        figures["ece"] = verdict.ece
    return {name: float(value) for name, value in figures.items() if np.isfinite(value)}


def _contracts(bundle: Path) -> Contracts:
    """What each fit of a bundle was trained on; none evaluated where there was no later outcome to evaluate it on."""
    evaluated = bundle / "churn" / "evaluated"
    fits: tuple[Fit, ...] = ("evaluated", "delivered") if evaluated.is_dir() else ("delivered",)
    return {fit: read_contract(bundle / "churn" / fit) for fit in fits}


def _lineage_tags(fits: Contracts) -> dict[str, str]:
    known = lineage()
    tags = {f"fedelta.{name}": value for name, value in known.items()}
    tags["fedelta.registry"] = fits["delivered"]["registry"]
    return tags | ({"mlflow.source.git.commit": known["git_commit"]} if "git_commit" in known else {})


def _facts(fits: Contracts) -> dict[str, str]:
    """What each fit learned from: its cutoffs, and when the last outcome was known."""
    facts = {}
    for fit, contract in fits.items():
        facts[f"fedelta.{fit}.cutoffs"] = ", ".join(fact["cutoff"] for fact in contract["training"])
        facts[f"fedelta.{fit}.learned_until"] = f"{learned_until(contract):%Y-%m-%d}"
    return facts


def _description(bundle: str, facts: Mapping[str, str], report: Mapping[str, Any]) -> str:
    """What the registry says of a version."""
    saw = [
        f"The {fit} model was trained at the cutoffs {facts[f'fedelta.{fit}.cutoffs']}, on outcomes known until "
        f"{facts[f'fedelta.{fit}.learned_until']}."
        for fit in get_args(Fit)
        if f"fedelta.{fit}.cutoffs" in facts
    ]
    figures = ", ".join(f"{name} {held['value']:.4f}" for name, held in _headline(report))
    judged = f"Evaluated at {report['cutoff']} on {report['rows']:,} customers: {figures}."
    return " ".join([f"Bundle {bundle}.", *saw, judged])


def _headline(report: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, float]]]:
    for name, words in (("auc", "AUC"), ("log_loss", "log loss"), ("ece", "ECE")):
        if (held := report["churn"]["chosen"].get(name)) and held["value"] is not None:
            yield words, held


def _example() -> pl.DataFrame:
    """A row of data/features of nobody: the middle of every number, the commonest of every text, at the last cutoff."""
    rows = pl.scan_parquet(paths.FEATURES / "*.parquet").filter(status="scored")
    rows = rows.filter(pl.col("cutoff") == pl.col("cutoff").max()).with_columns(customer_id=pl.lit("example"))
    middle = rows.select(
        cs.numeric().quantile(0.5, "lower").name.keep(), (~cs.numeric()).drop_nulls().mode().sort().first()
    )
    schema = rows.collect_schema()
    return middle.select(schema.names()).cast(schema).collect()


def _read_report(path: Path) -> dict[str, Any]:
    try:
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        raise NotEvaluated(f"{path} is missing or damaged. Run `dvc repro evaluate` first.") from None
    if not paths.EVALUATION.is_file():
        raise NotEvaluated(f"{paths.EVALUATION} is missing. Run `dvc repro evaluate` first.")
    return report


def _card() -> Path:
    if not paths.MODEL_CARD.is_file():
        raise NotEvaluated(f"{paths.MODEL_CARD} is missing. Run `dvc repro model_card` first.")
    return paths.MODEL_CARD


def _hash_of(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:16]
