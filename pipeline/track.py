"""DVC stage ``track``: the present bundle in MLflow: one run, one registered version, and the gate to champion."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl

from features.errors import ExplainedError
from models.bootstrap import Resampling
from models.bundle import BadBundle, bundle_hash, read_contract
from models.encoding import MissingFeatures
from models.pyfunc import load_bundle
from pipeline import paths
from pipeline.gate import Candidate, Predictions, Verdict, incomparable, judge, without_champion
from pipeline.lineage import lineage
from pipeline.panel import ORDER, from_pandas, read_panel
from pipeline.params import Params, load_params
from pipeline.promotion_log import Decision, rolled_back
from pipeline.tracking import MODEL, tracking
from pipeline.whole_files import whole

if TYPE_CHECKING:
    from pipeline.mlflow_store import Registered, Store


class NotEvaluated(ExplainedError):
    """The bundle has no measurements to record, or measurements of other rows."""


def main() -> None:
    """Record the project's bundle, register it, let the gate decide; say in one line what changed."""
    params = load_params()
    contract = read_contract(paths.measured_fit(paths.CHURN_BUNDLE))
    report = _read_report(paths.EVALUATION_REPORT)
    bundle = bundle_hash(paths.BUNDLE)
    files = [paths.EVALUATION_REPORT, *sorted(paths.PLOTS.glob("*.json")), _card()]
    with tracking() as store:
        from pipeline.mlflow_store import Record  # noqa: PLC0415 - six CPU-seconds

        run_id, recorded = store.record(
            Record(
                bundle=bundle,
                name=f"{params.source} {report['cutoff']} {bundle}",
                params=dict(flattened(dataclasses.asdict(params))),
                metrics=dict(measured(report)),
                lineage=_lineage_tags(contract),
                files=files,
                files_hash=_hash_of(path.read_bytes() for path in files),
            )
        )
        version, registered = store.register(bundle, run_id, paths.BUNDLE)
        verdict = _decide(store, version, contract, params)
    with whole(paths.TRACKED) as receipt:
        receipt.write_text(f"{json.dumps({'bundle': bundle})}\n", encoding="utf-8")
    made = [words for words, happened in (("run recorded", recorded), ("registered", registered)) if happened]
    print(f"track: bundle {bundle} is {MODEL} version {version.number}: {_told(made, verdict)}")


def flattened(settings: Mapping[str, Any], at: str = "") -> Iterator[tuple[str, str]]:
    """Settings by dotted name, as text; an empty section is left out."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{at}{name}.")
        else:
            yield f"{at}{name}", str(value)


def measured(report: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The figures of the report by name: ``churn/auc`` with ``_low`` and ``_high``; ``churn/hiatus/auc``."""
    yield from ((name, float(report[name])) for name in ("rows", "churn_rate", "spend_total"))
    for what in ("churn", "clv"):
        for model, metrics in report[what].items():
            place = what if model == "chosen" else f"{what}/{model}"
            for metric, interval in metrics.items():
                bounds = ("value", "low", "high") if model == "chosen" else ("value",)
                for bound in bounds:
                    if interval[bound] is not None:
                        yield f"{place}/{metric}{'' if bound == 'value' else f'_{bound}'}", float(interval[bound])


def _decide(store: "Store", challenger: "Registered", contract: Mapping[str, Any], params: Params) -> str | None:
    """Let the gate decide and act on it; what it said, or None where the present champion or decision stands."""
    champion = store.holder("champion")
    if champion and champion.number == challenger.number:
        return None
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
    decided = store.decisions.read()
    if key in {decision.key for decision in decided}:
        return None
    if undone := rolled_back(decided, challenger.number):
        verdict = Verdict(False, f"it was rolled back by {undone.by}: {undone.because}")
    else:
        verdict = _judge(store, champion, contract, params)
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


def _judge(store: "Store", champion: "Registered | None", contract: Mapping[str, Any], params: Params) -> Verdict:
    evaluation = pl.read_parquet(paths.EVALUATION)
    happened = _predictions(evaluation, "churned", "spend_in_horizon")
    mine = _predictions(evaluation, "churn_chosen", "clv_chosen")
    if champion is None:
        return without_champion(happened.churn, mine.churn, params.gate)
    if not paths.CHURN_EVALUATED.is_dir():
        return Verdict(
            False,
            "the figures are cross-fitted, as there is no evaluation cutoff, and the champion (version "
            f"{champion.number}) has learned from the rows that would compare them: compare the figures of both runs, "
            "then `fedelta promote`",
        )
    with store.bundle_of(champion) as folder:
        try:
            its_contract = read_contract(folder / "churn" / "evaluated")
            model = load_bundle(folder, "evaluated")
        except BadBundle as error:
            return Verdict(False, f"the champion (version {champion.number}) cannot be asked: {error}")
    its = Candidate.of(its_contract, str(store.param(champion, "source")))
    cutoff = evaluation["cutoff"][0].replace(tzinfo=None)
    if why := incomparable(Candidate.of(contract, params.source), its, cutoff):
        return Verdict(False, why)
    table = _evaluated_rows(evaluation)
    try:
        spend = model.clv.expected_spend(table) if model.clv else None
        theirs = Predictions(model.churn.churn_probability(table), spend)
    except MissingFeatures as error:
        return Verdict(False, f"the champion (version {champion.number}) cannot be asked: {error}")
    resampling = Resampling(params.evaluate.bootstrap, seed=params.evaluate.seed)
    return judge(happened, mine, theirs, params.gate, resampling)


def _predictions(evaluation: pl.DataFrame, churn: str, spend: str) -> Predictions:
    """Two columns of data/evaluation.parquet; no spend where the bundle predicts none."""
    money = evaluation[spend].to_numpy() if "clv_chosen" in evaluation.columns else None
    return Predictions(evaluation[churn].to_numpy(), money)


def _evaluated_rows(evaluation: pl.DataFrame) -> pd.DataFrame:
    """Features of the rows of data/evaluation.parquet, in its order."""
    table = read_panel(["evaluate"]).of_role("evaluate").table
    if not from_pandas(table[list(ORDER)]).equals(evaluation.select(ORDER)):
        raise NotEvaluated(
            f"{paths.EVALUATION} is of other customers than {paths.FEATURES}. Run `dvc repro evaluate`, then track."
        )
    return table


def _figures(verdict: Verdict) -> dict[str, float]:
    figures = {
        f"{metric}_difference{suffix}": value
        for metric, difference in verdict.differences.items()
        for suffix, value in (("", difference.value), ("_low", difference.low), ("_high", difference.high))
    }
    if verdict.ece is not None:
        figures["ece"] = verdict.ece
    return {name: float(value) for name, value in figures.items() if np.isfinite(value)}


def _lineage_tags(contract: Mapping[str, Any]) -> dict[str, str]:
    known = lineage()
    tags = {f"fedelta.{name}": value for name, value in known.items()} | {"fedelta.registry": contract["registry"]}
    return tags | ({"mlflow.source.git.commit": known["git_commit"]} if "git_commit" in known else {})


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


def _told(made: list[str], verdict: str | None) -> str:
    return "; ".join([*made, *([verdict] if verdict else [])]) or "recorded before, nothing changed"
