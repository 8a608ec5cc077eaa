"""The model card tells what a bundle is good for and what not, every figure from the files of its run."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tiny_project import inside, make

from models.bundle import bundle_hash, read_contract
from pipeline import model_card, monitor, paths
from pipeline.model_card import Inputs, NoCard, card
from pipeline.monitor import REPORT as DRIFT
from pipeline.params import load_params

DATA: dict[str, Any] = {
    "source": "demo",
    "currency": "EUR",
    "interactions": {
        "equation": {"rows_in": 12345, "valid": 12200, "duplicate": 40, "out_of_scope": 5, "quarantined": 100}
    },
    "customers": None,
    "customer_count": 300,
    "customers_without_a_row": 12,
    "first_at": "2023-01-01T00:00:00Z",
    "last_at": "2024-04-24T00:00:00Z",
    "span_days": 480,
    "warnings": ["Ratings are known of few."],
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make(tmp_path_factory.mktemp("card") / "project", trees=5)
    (folder / paths.DATA_REPORT).write_text(json.dumps(DATA))
    with inside(folder):
        monitor.main()
        model_card.main()
    return folder


@pytest.fixture(scope="module")
def inputs(project: Path) -> Inputs:
    with inside(project):
        return Inputs(
            bundle_hash(paths.BUNDLE),
            read_contract(paths.CHURN_BUNDLE),
            read_contract(paths.CLV_BUNDLE),
            DATA,
            json.loads(paths.METRICS.read_text()),
            load_params().policy,
            json.loads(paths.EXPERIENCE_REPORT.read_text()),
            json.loads(DRIFT.read_text()),
            pl.read_parquet(paths.SCORES),
        )


def told(interval: Mapping[str, float], digits: int = 3) -> str:
    value, low, high = (f"{interval[name]:,.{digits}f}".replace("-", "−") for name in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def test_the_stage_writes_the_card_of_the_bundle_and_the_same_bytes_again(project, capsys):
    with inside(project):
        before = paths.MODEL_CARD.read_bytes()
        model_card.main()
        assert paths.MODEL_CARD.read_bytes() == before
        version = bundle_hash(paths.BUNDLE)
    assert f"Model {version}" in before.decode()
    assert capsys.readouterr().out.startswith(f"model_card: reports/model_card.md: model {version}, surely better than")


def test_every_metric_stands_with_its_interval_overall_and_by_segment(inputs):
    text = card(inputs)
    for name in ("auc", "log_loss", "ece"):
        assert told(inputs.metrics["churn"]["chosen"][name]) in text
        for segment in inputs.metrics["segments"].values():
            assert told(segment["churn"]["chosen"][name]) in text
    assert told(inputs.metrics["clv"]["chosen"]["rmse"], 2) in text
    assert inputs.metrics["segments"]


def test_the_card_tells_data_cutoffs_label_calibration_drift_and_experience(inputs):
    text = card(inputs)
    for fact in inputs.churn["training"]:
        assert f"| {fact['cutoff']} | learn | 90 | {fact['rows']:,} | {fact['churn_rate']:.1%} |" in text
    assert f"| {inputs.metrics['cutoff']} | measure |" in text
    assert "| interactions | 12,345 | 12,200 | 40 | 5 | 100 |" in text
    assert "buys nothing in the horizon" in text
    assert inputs.churn["calibrator"]["note"] in text
    assert inputs.experience is not None
    assert inputs.experience["tolerance"]["says"] in text
    assert inputs.drift is not None
    assert inputs.drift["performance_says"] in text
    assert "Ratings are known of few." in text


def test_it_says_what_the_model_is_for_and_must_not_be_used_for(inputs):
    text = card(inputs)
    assert text.index("## What it is for") < text.index("It must not be used") < text.index("## Data")
    assert "## Limits" in text


def test_candidates_are_told_with_their_verdicts_and_their_absence_is_told_too(inputs):
    figures = {name: {"value": 0.3, "low": 0.2, "high": 0.4} for name in ("log_loss", "log_loss_difference")}
    row = {"candidate": "hiatus", **figures, "auc_difference": figures["log_loss"], "verdict": "a|b"}
    with_rows = card(replace(inputs, churn={**inputs.churn, "candidate": "hiatus", "selection": [row]}))
    assert "| days of silence | 0.3000 [0.2000, 0.4000] |" in with_rows
    assert "a\\|b" in with_rows
    without = {name: held for name, held in inputs.churn.items() if name != "selection"}
    assert "does not tell of candidates" in card(replace(inputs, churn=without))


def test_a_model_that_is_a_baseline_is_not_called_worse_than_itself(inputs):
    hair = {"log_loss": {"value": 3e-6, "low": 2e-6, "high": 4e-6}}
    metrics = {**inputs.metrics, "churn_against": {"pareto_nbd": hair, "hiatus": hair}}
    text = card(replace(inputs, metrics=metrics, churn={**inputs.churn, "candidate": "pareto_nbd"}))
    assert "The model is Pareto/NBD. On log loss the model beats no baseline. It is as good as days of silence" in text


def test_what_was_not_looked_at_is_said_to_be(inputs):
    text = card(replace(inputs, experience=None, drift=None, scores=None))
    assert "Not looked at" in text
    assert "Not monitored" in text
    assert "Nobody is scored yet" in text


def test_a_source_without_money_has_a_card_without_spend(inputs):
    no_money = {"model": "clv", "learned": False, "registry": inputs.clv["registry"]}
    text = card(replace(inputs, clv=no_money, metrics={**inputs.metrics, "clv": {}, "clv_against": {}}))
    assert "no purchase carries an amount" in text
    assert "What they spend" not in text


def test_every_row_of_a_table_has_the_cells_of_its_head(inputs):
    tables = [block.splitlines() for block in card(inputs).split("\n\n") if block.strip().startswith("|")]
    assert len(tables) >= 6
    for rows in tables:
        cells = [row.replace("\\|", "").count("|") for row in rows if row]
        assert len(cells) > 2
        assert len(set(cells)) == 1, rows


def test_a_missing_or_damaged_report_is_one_clear_line(project, inputs):
    with inside(project):
        whole = paths.METRICS.read_bytes()
        try:
            paths.METRICS.write_text('{"churn": ')
            with pytest.raises(NoCard, match=r"reports/metrics\.json is damaged\. Run `dvc repro --force evaluate`\."):
                model_card.main()
            paths.METRICS.unlink()
            with pytest.raises(NoCard, match=r"reports/metrics\.json is missing\. Run `dvc repro evaluate` first\."):
                model_card.main()
        finally:
            paths.METRICS.write_bytes(whole)
    with pytest.raises(NoCard, match="lacks what the card tells"):
        card(replace(inputs, data={**DATA, "interactions": {}}))


def test_where_nothing_was_bad_the_card_says_that_nothing_can_be_said(inputs):
    experience = {**inputs.experience, "tolerance": {"reason": "No rule was broken."}, "moments": {"reason": "None."}}
    text = card(replace(inputs, experience=experience))
    assert "- No rule was broken.\n- None.\n" in text
