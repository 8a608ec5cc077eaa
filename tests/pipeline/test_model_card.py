"""The model card tells what a bundle is good for and what not, every figure from the files of its run."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from report_examples import NEXT_PURCHASE
from tiny_project import inside, scored_project

from fedelta.models.bundle import bundle_hash, read_contract
from fedelta.models.policy.plan import HELD_OUT, plan_of
from fedelta.pages.findings import CHURN, VALUE, candidate
from fedelta.pipeline import model_card, monitor, paths
from fedelta.pipeline.model_card import Inputs, NoCard, card
from fedelta.pipeline.params import load_params
from fedelta.pipeline.scores import NothingToReport

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
    folder = scored_project(tmp_path_factory.mktemp("card") / "project")
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
            read_contract(paths.CHURN_EVALUATED),
            read_contract(paths.CLV_EVALUATED),
            read_contract(paths.CHURN_DELIVERED),
            DATA,
            json.loads(paths.EVALUATION_REPORT.read_text()),
            load_params().policy,
            json.loads(paths.EXPERIENCE_REPORT.read_text()),
            json.loads(paths.DRIFT_REPORT.read_text()),
            json.loads(paths.FAIRNESS_REPORT.read_text()),
            pl.read_parquet(paths.SCORES),
        )


def shown(interval: Mapping[str, float], digits: int = 3) -> str:
    value, low, high = (f"{interval[name]:,.{digits}f}".replace("-", "−") for name in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def test_the_stage_writes_the_card_of_the_bundle_and_the_same_bytes_again(project, capsys):
    with inside(project):
        before = paths.MODEL_CARD.read_bytes()
        model_card.main()
        assert paths.MODEL_CARD.read_bytes() == before
        version = bundle_hash(paths.BUNDLE)
    assert f"Model {version}" in before.decode()
    assert capsys.readouterr().out.startswith(
        f"model_card: reports/model_card.md: model {version}, significantly better than"
    )


def test_every_metric_stands_with_its_interval_overall_and_by_segment(inputs):
    text = card(inputs)
    for name in ("auc", "log_loss", "ece"):
        assert shown(inputs.metrics["churn"]["chosen"][name]) in text
        for segment in inputs.metrics["segments"].values():
            assert shown(segment["churn"]["chosen"][name]) in text
    assert shown(inputs.metrics["clv"]["chosen"]["rmse"], 2) in text
    assert inputs.metrics["segments"]


def test_the_card_tells_data_cutoffs_label_calibration_drift_and_experience(inputs):
    text = card(inputs)
    for fact in inputs.churn["training"]:
        assert f"| {fact['cutoff']} | learn | 90 | {fact['rows']:,} | {fact['churn_rate']:.1%} | – |" in text
    assert f"| {inputs.metrics['cutoff']} | measure |" in text
    assert "| interactions | 12,345 | 12,200 | 40 | 5 | 100 |" in text
    assert "buys nothing in the horizon" in text
    assert f"Calibration: {inputs.churn['calibrator']['note']}\n\nSeason: {inputs.churn['season']['note']}" in text
    assert inputs.experience is not None
    assert inputs.experience["tolerance"]["says"] in text
    assert inputs.drift is not None
    assert inputs.drift["performance_says"] in text
    assert "Ratings are known of few." in text


def test_it_says_what_the_model_is_for_and_must_not_be_used_for(inputs):
    text = card(inputs)
    assert text.index("## What it is for") < text.index("It must not be used") < text.index("## Data")
    assert "## Limits" in text


def test_candidates_are_reported_with_their_verdicts_and_their_absence_is_reported_too(inputs):
    figures = {name: {"value": 0.3, "low": 0.2, "high": 0.4} for name in ("log_loss", "log_loss_difference")}
    row = {"candidate": "hiatus", **figures, "auc_difference": figures["log_loss"], "verdict": "a|b"}
    with_rows = card(replace(inputs, churn={**inputs.churn, "candidate": "hiatus", "selection": [row]}))
    assert "| days since the last purchase | 0.3000 [0.2000, 0.4000] |" in with_rows
    assert "a\\|b" in with_rows


def test_what_was_too_little_to_choose_from_is_reported_where_it_was_chosen_and_under_limits(inputs):
    note = "Too little to learn from: 60 customers (at least 200). So the baseline is used."
    text = card(replace(inputs, churn={**inputs.churn, "candidate": "pareto_nbd", "selection": [], "note": note}))
    assert f"Churn: Pareto/NBD. {note}\n" in text
    assert f"- Who leaves: {note}\n" in text.split("## Limits")[1]
    assert "Too little" not in card(inputs)


def test_a_candidate_set_in_params_is_not_called_the_best(inputs):  # as the project's is
    rows = [line for line in card(inputs).splitlines() if line.startswith("| boosted trees |")]
    assert len(rows) == 1
    assert rows[0].endswith("| set in params.yaml (churn.candidate), compared with none |")


def test_spend_and_orders_are_reported_with_candidates_level_and_season(inputs):
    text = card(inputs)
    for what in ("spend", "orders"):
        held = inputs.clv[what]
        assert f"{what.capitalize()}: {candidate(held['candidate'])}. {held['note']}" in text
        for row in held["selection"]:
            assert f"| {candidate(row['candidate'])} | {shown(row['deviance'], 4)} |" in text
    seasons = {what: {**inputs.clv[what], "season": {"note": f"of {what}"}} for what in ("spend", "orders")}
    text = card(replace(inputs, clv={**inputs.clv, **seasons}))
    assert "Season: of spend\n" in text
    assert "Season of orders: of orders\n" in text


def test_how_often_intervals_held_is_reported_by_tenth_and_where_they_reach_above_0(inputs):
    held = inputs.metrics["clv_interval"]
    text = card(inputs)
    for number, row in enumerate(reversed(held["deciles"]), 1):
        assert f"| {number} | {row['rows']:,} | {row['expected']:,.2f} | {row['covered']:.1%} |" in text
    assert f"they held {held['covered']:.1%} of {held['rows']:,} spends" in text
    assert f"{held['covered_above_0']:.1%} of those whose interval reaches above 0" in text
    never = {**inputs.metrics, "clv_interval": {**held, "covered_above_0": None}}
    assert "reaches above 0" not in card(replace(inputs, metrics=never))


def test_base_rates_of_the_same_weeks_a_year_before_stand_beside_those_of_every_cutoff(inputs):
    early = {**inputs.churn["training"][0], "cutoff": "2023-02-01", "churn_rate": 0.123}
    text = card(replace(inputs, churn={**inputs.churn, "training": [early, *inputs.churn["training"]]}))
    rate = f"{inputs.metrics['churn_rate']:.1%}"
    assert f"| 2024-01-26 | measure | 90 | 285 | {rate} | 12.3% (2023-02-01) |" in text
    assert re.search(r"^\| 2024-04-25 \| score \| 90 \| \d+ \| – \| – \|$", text, re.MULTILINE)
    assert "| score |" not in card(replace(inputs, scores=None))


def test_every_metric_of_the_card_is_explained(inputs):
    glossary = card(inputs).split("## What the figures mean")[1]
    for metric in (*CHURN, *VALUE):
        assert f"- {metric.label}: {metric.says} ({metric.best} is better).\n" in glossary


def test_a_model_that_is_a_baseline_is_not_called_worse_than_itself(inputs):
    hair = {"log_loss": {"value": 3e-6, "low": 2e-6, "high": 4e-6}}
    metrics = {**inputs.metrics, "churn_against": {"pareto_nbd": hair, "hiatus": hair}}
    text = card(replace(inputs, metrics=metrics, churn={**inputs.churn, "candidate": "pareto_nbd"}))
    words = "The model is Pareto/NBD. On log loss the model beats no baseline. It is as good as"
    assert f"{words} days since the last purchase" in text


def test_what_was_not_looked_at_is_reported_to_be(inputs):
    text = card(replace(inputs, experience=None, drift=None, scores=None))
    assert "Not looked at" in text
    assert "Not monitored" in text
    assert "Nobody is scored yet" in text


def test_the_card_tells_the_plan_of_the_scores_as_the_report_does(inputs):
    scores = inputs.scores.with_columns(
        action=pl.when(pl.col("held_out")).then(None).otherwise(pl.lit("keep")),
        expected_profit=pl.lit(2.0),
        contact_cost=pl.lit(1.0),
        p_saved=pl.lit(0.5),
    ).filter(pl.col("status") == "scored")
    text = card(replace(inputs, scores=scores))
    plan = plan_of(scores, inputs.policy)
    assert plan is not None
    held_out = int(scores["held_out"].sum())
    assert 0 < held_out < len(scores)
    planned = len(scores) - held_out
    assert f"{planned} keep), expected to save {planned / 2:,.1f} customers at a cost of {planned} EUR" in text
    assert f"to bring {2 * planned} EUR after it" in text
    assert f"pay for {len(scores)} customers; left out are {held_out} {HELD_OUT}." in text
    assert plan.says("EUR") in text


def test_a_source_without_money_has_a_card_without_spend(inputs):
    no_money = {**inputs.clv, "learned": False, "spend": None, "intervals": None}
    text = card(replace(inputs, clv=no_money, metrics={**inputs.metrics, "clv": {}, "clv_against": {}}))
    assert "no purchase carries an amount" in text
    assert f"Orders: {candidate(inputs.clv['orders']['candidate'])}." in text
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
        whole = paths.EVALUATION_REPORT.read_bytes()
        try:
            paths.EVALUATION_REPORT.write_text('{"churn": ')
            with pytest.raises(
                NoCard, match=r"reports/evaluation\.json is damaged\. Run `dvc repro --force evaluate`\."
            ):
                model_card.main()
            paths.EVALUATION_REPORT.unlink()
            with pytest.raises(NoCard, match=r"reports/evaluation\.json is missing\. Run `dvc repro evaluate` first\."):
                model_card.main()
        finally:
            paths.EVALUATION_REPORT.write_bytes(whole)
    with pytest.raises(NoCard, match="lacks what the card tells"):
        card(replace(inputs, data={**DATA, "interactions": {}}))


def test_where_nothing_was_bad_the_card_says_that_nothing_is_known(inputs):
    experience = {**inputs.experience, "tolerance": {"reason": "No rule was broken."}, "moments": {"reason": "None."}}
    text = card(replace(inputs, experience=experience))
    assert "- No rule was broken.\n- None.\n" in text


def test_scores_of_an_older_version_are_refused(project: Path):
    with inside(project):
        scores = pl.read_parquet(paths.SCORES)
        before = paths.MODEL_CARD.read_bytes()
        try:
            scores.drop("suppression_reason").write_parquet(paths.SCORES)
            with pytest.raises(NothingToReport, match=r"lacks suppression_reason\. Run `dvc repro score`"):
                model_card.main()
        finally:
            scores.write_parquet(paths.SCORES)
        assert paths.MODEL_CARD.read_bytes() == before


def test_a_model_that_is_too_good_is_questioned_beside_its_figures(inputs):
    """A stop would be wrong: contracts and usage reach .987 honestly."""
    assert "**Question:**" not in card(inputs)
    chosen = inputs.metrics["churn"]["chosen"] | {"auc": {"value": 0.987, "low": 0.98, "high": 0.99}}
    churn = inputs.metrics["churn"] | {"chosen": chosen}
    text = card(replace(inputs, metrics={**inputs.metrics, "churn": churn}))
    most = max(inputs.churn["importance"].items(), key=lambda item: item[1])[0]
    assert "**Question:** An AUC of 0.987" in text
    assert most in text.split("**Question:**")[1].split("\n")[0]


def test_the_card_tells_how_well_the_next_purchase_is_predicted(inputs):
    text = card(replace(inputs, metrics={**inputs.metrics, **NEXT_PURCHASE}))
    assert "### What they buy next" in text
    assert "| Hit rate@3 | 0.812 [0.802, 0.822] | 0.541 [0.531, 0.551] |" in text
    assert "### What they buy next" not in card(inputs)
