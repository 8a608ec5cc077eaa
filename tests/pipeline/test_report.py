"""The report is one self-contained page that tells every figure, escapes every name and flatters nobody."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from experiments import DESIGN, drawn
from report_examples import NEXT_PURCHASE
from report_page import DATA, Page, inputs_of
from tiny_project import inside, scored_project

from fedelta.models.bundle import bundle_hash
from fedelta.models.incrementality.comparison import measured
from fedelta.models.policy.plan import HELD_OUT, plan_of
from fedelta.pages import findings
from fedelta.pages.sentences import capital
from fedelta.pipeline import paths, report
from fedelta.pipeline.report import Inputs, render, risk_of


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = scored_project(tmp_path_factory.mktemp("report") / "project")
    (folder / paths.DATA_REPORT).write_text(json.dumps(DATA))
    return folder


@pytest.fixture(scope="module")
def inputs(project: Path) -> Inputs:
    return inputs_of(project)


def with_metrics(inputs: Inputs, **changes: Any) -> Inputs:
    return replace(inputs, metrics={**inputs.metrics, **changes})


def against(inputs: Inputs, low: float, high: float) -> dict[str, Any]:
    """Every rival's difference in log loss replaced."""
    interval = {"value": (low + high) / 2, "low": low, "high": high}
    return {name: {**held, "log_loss": interval} for name, held in inputs.metrics["churn_against"].items()}


def test_the_stage_writes_one_page_and_says_where(project: Path, capsys: pytest.CaptureFixture[str]):
    with inside(project):
        report.main()
        out = capsys.readouterr().out
        assert re.fullmatch(r"report: reports/report\.html: \d+ of 285 customers at high or critical risk, .*\n", out)
        page = Page(paths.REPORT.read_text(encoding="utf-8"))
        assert bundle_hash(paths.BUNDLE) in page.text
    headings = [tag for tag, _ in page.elements if tag == "h1"]
    assert headings == ["h1"]
    links = [str(attributes["href"]) for tag, attributes in page.elements if tag == "a"]
    shown = (
        "risk worth saves experience tolerance moments journeys loyalty personas churn value learned fairness data "
        "limits"
    )
    assert links == [f"#{name}" for name in shown.split()]
    assert {link[1:] for link in links} <= {attributes.get("id") for _, attributes in page.elements}


def test_the_same_inputs_give_the_same_bytes(project: Path):
    with inside(project):
        report.main()
        first = paths.REPORT.read_bytes()
        report.main()
        assert paths.REPORT.read_bytes() == first
    assert b"\r" not in first


def test_the_page_needs_nothing_from_anywhere(inputs: Inputs):
    text = render(inputs)
    page = Page(text)
    assert "://" not in text
    assert "url(" not in text
    assert "@import" not in text
    assert not {tag for tag, _ in page.elements} & {
        "script",
        "link",
        "img",
        "iframe",
        "object",
        "embed",
        "base",
        "form",
    }
    assert not [
        name for _, attributes in page.elements for name in attributes if name == "src" or name.startswith("on")
    ]


def test_names_from_the_data_cannot_become_markup(inputs: Inputs):
    bad = "<script>alert('x')</script>"
    reason = dict.fromkeys(("code", "theme", "text", "text_it"), bad) | {"direction": "raises", "contribution": 1.0}
    scores = inputs.scores.with_columns(
        customer_id=pl.lit(bad) + pl.col("customer_id"),
        last_bad_experience=pl.lit(bad),
        reasons=pl.lit(pl.Series([[reason]], dtype=inputs.scores["reasons"].dtype)).first(),
    )
    data = {
        **DATA,
        "source": bad,
        "currency": bad,
        "warnings": [bad],
        "kinds": {bad: 1},
        "channels": {bad: 1},
        "files": [{"table": bad, "file": bad, "rows": 1, "malformed": 0}],
        "interactions": {**DATA["interactions"], "quarantined_for": {bad: 1}, "out_of_scope_for": {bad: 1}},
    }
    named = ("segments", "churn", "churn_against")
    rename = {what: {f"{bad}{name}": held for name, held in inputs.metrics[what].items()} for what in named}
    contract = {**inputs.delivered, "importance": {bad: 0.5}}
    text = render(replace(with_metrics(inputs, **rename), scores=scores, data=data, delivered=contract))
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert not [tag for tag, _ in Page(text).elements if tag == "script"]


def test_every_metric_of_every_model_stands_there_with_its_interval(inputs: Inputs):
    text = Page(render(inputs)).text
    for what, metrics in (("churn", findings.CHURN), ("clv", findings.VALUE)):
        for model, held in inputs.metrics[what].items():
            assert capital(findings.name_of(model)) in text
            for metric in metrics:
                interval: Mapping[str, float | None] | None = held.get(metric.name)
                if interval is None or None in interval.values():
                    continue
                value, low, high = (
                    f"{interval[bound]:,.{metric.digits}f}".replace("-", "−") for bound in ("value", "low", "high")
                )
                assert f"{value} {low} to {high}" in text


def test_paired_differences_stand_beside_each_baseline(inputs: Inputs):
    text = Page(render(with_metrics(inputs, churn_against=against(inputs, -0.0312, -0.0112)))).text
    assert "Pareto/NBD −0.0212 −0.0312 to −0.0112 better" in text


@pytest.mark.parametrize(
    ("low", "high", "words", "won"),
    [
        (-0.02, -0.01, "the model beats all", True),
        (-0.02, 0.01, "the model beats no baseline. It is not shown to beat", False),
        (0.01, 0.02, "the model beats no baseline. It is worse than", False),
    ],
)
def test_the_page_opens_with_whether_the_model_beats_the_baselines(inputs: Inputs, low, high, words, won):
    rivals = len(inputs.metrics["churn_against"]) - 1  # one of them is the model before calibration
    page = render(with_metrics(inputs, churn_against=against(inputs, low, high)))
    opening = Page(page.split("<main>")[0] + "</body></html>").text
    assert f"On log loss {words}" in opening
    assert f"{rivals if won else 0} of {rivals} baselines significantly beaten" in opening


def test_a_model_that_is_a_baseline_is_not_called_worse_than_itself(inputs: Inputs):
    """Below the minimum the model is Pareto/NBD, and differs from the baseline in the seventh digit."""
    same = with_metrics(inputs, churn_against=against(inputs, 2e-6, 4e-6))
    page = Page(render(replace(same, churn={**inputs.churn, "candidate": "pareto_nbd"}))).text
    assert "The model is Pareto/NBD. On log loss the model beats no baseline. It is as good as" in page
    assert f"0 of {len(same.metrics['churn_against']) - 2}" in page  # itself, and before calibration
    assert "worse than Pareto/NBD" not in page


def test_the_risk_section_counts_who_is_at_risk_and_what_is_at_stake():
    rows = [
        # customer, tier, probability, value at risk, to win back, still here
        ("ann", "critical", 0.9, 90.0, 1.0, 0.9),
        ("bob", "high", 0.7, 10.0, 30.0, 0.1),
        ("cyd", "low", 0.1, 5.0, 2.0, None),
        ("dan", None, None, None, None, None),
    ]
    names = ("customer_id", "risk_tier", "churn_probability", "value_at_risk", "win_back_value", "p_here")
    table = pl.DataFrame(rows, schema=names, orient="row").with_columns(
        status=pl.when(pl.col("risk_tier").is_null()).then(pl.lit("too_new")).otherwise(pl.lit("scored")),
        clv_expected=pl.lit(20.0),
        p_alive=pl.lit(0.9),
        persona=pl.lit(None, pl.String),
        held_out=pl.lit(value=False),
        suppression_reason=pl.lit(None, pl.String),
    )
    risk = risk_of(table)
    assert (risk.scored, risk.at_risk, risk.not_scored) == (3, 2, [("too_new", 1)])
    assert (risk.value, risk.win_back, risk.expected) == (105, 33, 60)
    assert [row["customer_id"] for row in risk.to_keep] == ["ann", "cyd"]  # silence on activity is not absence
    assert [row["customer_id"] for row in risk.to_win_back] == ["bob"]
    assert [(tier.name, tier.customers) for tier in risk.tiers] == [("critical", 1), ("high", 1), ("low", 1)]
    assert sum(risk.spread) == 3
    assert risk.unfilled == ["persona"]


def test_customers_of_equal_risk_are_listed_by_name():
    equal = {"status": "scored", "risk_tier": "high", "churn_probability": 0.7, "p_here": 0.9, "p_alive": 0.9}
    table = pl.DataFrame(
        {"customer_id": ["b", "a"], **equal, "value_at_risk": 1.0, "win_back_value": 1.0, "clv_expected": 1.0}
    )
    risk = risk_of(table.with_columns(held_out=pl.lit(value=False), suppression_reason=pl.lit(None, pl.String)))
    assert [row["customer_id"] for row in risk.to_keep] == ["a", "b"]


def test_who_must_not_be_contacted_is_on_no_list_and_is_counted_where_they_would_have_stood():
    names = [f"c{number:02}" for number in range(40)]  # most at risk first
    same = {"status": "scored", "risk_tier": "high", "churn_probability": 0.7, "clv_expected": 1.0, "p_alive": 0.9}
    falling = [float(-n) for n in range(40)]
    table = pl.DataFrame({"customer_id": names, **same, "value_at_risk": falling, "win_back_value": falling})
    table = table.with_columns(
        held_out=pl.col("customer_id").is_in(["c00", "c21", "c30"]),
        p_here=pl.when(pl.col("customer_id") < "c30").then(0.9).otherwise(0.1),
    )
    suppressed = {"c05": "contacted lately", "c21": "opted out", "c23": "opted out", "c39": "opted out"}
    why = pl.col("customer_id").replace_strict(suppressed, default=None)
    risk = risk_of(table.with_columns(suppression_reason=why))
    kept = [name for name in names[:23] if name not in ("c00", "c05", "c21")]
    assert [row["customer_id"] for row in risk.to_keep] == kept
    assert [row["customer_id"] for row in risk.to_win_back] == names[31:39]
    assert risk.passed_over == {HELD_OUT: 2, "opted out": 2, "contacted lately": 1}  # c23 stands below the last listed


def test_the_page_says_who_was_left_out_and_the_plan_that_stands_in_the_scores(inputs: Inputs):
    by_risk = inputs.scores.filter(pl.col("status") == "scored", pl.col("p_here") >= 0.5)
    first = by_risk.sort("value_at_risk", descending=True)["customer_id"][:3].to_list()
    planned = inputs.scores.with_columns(
        action=pl.when(pl.col("customer_id") == first[2]).then(pl.lit("keep")),
        contact_cost=pl.lit(7.0),
        p_saved=pl.lit(0.1),
        expected_profit=pl.when(pl.col("customer_id").is_in(first)).then(12.0).otherwise(-1.0),
        held_out=pl.col("customer_id") == first[0],
        suppression_reason=pl.when(pl.col("customer_id") == first[1]).then(pl.lit("opted out")),
    )
    page = replace(inputs, scores=planned)
    text = Page(render(page)).text
    assert "left out of these lists, where they would stand: " in text
    assert f"1 {HELD_OUT}" in text
    assert not [name for name in first[:2] if f" {name} " in text.split("To keep")[1].split("To win back")[0]]
    plan = plan_of(planned, page.policy)
    assert plan is not None
    assert plan.says("EUR") in text
    assert (plan.worth, plan.actions, plan.profit) == (3, {"keep": 1}, 12)


def test_without_money_the_page_ranks_by_risk_and_claims_no_value(inputs: Inputs):
    nothing = {name: pl.lit(None, pl.Float64) for name in ("value_at_risk", "clv_expected", "historic_value")}
    poor = replace(
        with_metrics(inputs, clv={}, clv_against={}, deciles={**inputs.metrics["deciles"], "clv": []}),
        scores=inputs.scores.with_columns(**nothing),
        clv={"learned": False, "spend": None, "orders": inputs.clv["orders"]},
    )
    text = Page(render(poor)).text
    assert "Which model of orders was chosen, and why" in text
    assert "No purchase carries an amount" in text
    assert "ranked by the probability that they leave" in text
    assert "Value at risk" not in text


def test_the_owner_of_the_data_finds_where_every_row_went(inputs: Inputs):
    text = Page(render(inputs)).text
    assert "1,000 rows in = 900 valid + 40 duplicate + 25 out of scope + 35 quarantined" in text
    assert "missing customer id 32" in text
    assert "test account 25" in text
    assert "7 duplicates differ" in text
    assert "300 customers are too few to learn from." in text
    assert "amount 55.6%" in text
    assert "orders.csv.gz orders 1,000 3" in text


def test_cutoffs_base_rates_and_unfilled_columns_are_stated(inputs: Inputs):
    text = Page(render(inputs)).text
    for fact in inputs.churn["training"]:
        assert f"{fact['cutoff']} learned from 90 {fact['rows']} {fact['churn_rate']:.1%} –" in text
    assert f"2024-01-26 measured on 90 285 {inputs.metrics['churn_rate']:.1%} –" in text
    assert findings.drift(inputs.churn["training"], inputs.metrics["churn_rate"], 90) in text
    assert "left null in the scores: previous_probability" in text
    assert f"{inputs.churn['calibrator']['note']} {inputs.churn['season']['note']}" in text


def test_the_rate_of_a_year_before_stands_beside_the_cutoffs_measured_and_scored(inputs: Inputs):
    first, *rest = inputs.churn["training"]
    early = [{**first, "cutoff": day, "churn_rate": rate} for day, rate in (("2023-02-01", 0.123), ("2023-04-20", 0.2))]
    text = Page(render(replace(inputs, churn={**inputs.churn, "training": [*early, first, *rest]}))).text
    assert f"2024-01-26 measured on 90 285 {inputs.metrics['churn_rate']:.1%} 12.3% 2023-02-01" in text
    assert re.search(r"2024-04-25 scored 90 \d+ – 20\.0% 2023-04-20", text)


def test_a_model_that_was_not_chosen_is_reported_at_the_top_and_under_limits(inputs: Inputs):
    note = "Too little to learn from: 60 customers (at least 200). So the baseline is used."
    page = render(replace(inputs, churn={**inputs.churn, "selection": [], "note": note}))
    for part in (page.split("<main>")[0], page.split('<section id="limits">')[1]):
        assert f"Who leaves: {note}" in part
    assert "Not chosen from candidates" not in render(inputs)


def test_spend_and_orders_are_reported_with_season_and_candidates(inputs: Inputs):
    clv = {**inputs.clv}
    for what in ("spend", "orders"):
        clv[what] = {**clv[what], "season": {"note": f"The season of {what}."}}
    text = Page(render(replace(inputs, clv=clv))).text
    assert "The season of spend." in text
    assert "The season of orders." in text
    assert "Which model of orders was chosen, and why" in text
    assert clv["orders"]["note"] in text
    for row in clv["orders"]["selection"]:
        assert f"{capital(findings.candidate(row['candidate']))} {row['deviance']['value']:,.4f}" in text


def test_how_often_intervals_held_is_reported_by_tenth_and_where_they_reach_above_0(inputs: Inputs):
    held, text = inputs.metrics["clv_interval"], Page(render(inputs)).text
    for number, row in enumerate(reversed(held["deciles"]), 1):
        assert f"{number} {row['rows']:,} {row['expected']:,.2f} {row['covered']:.1%}" in text
    assert f"held {held['covered']:.1%} of 285 spends" in text
    assert f"{held['covered_above_0']:.1%} of those whose interval reaches above 0" in text
    assert "How often the intervals hold" not in render(with_metrics(inputs, clv_interval=None))


def test_what_moves_the_scores_is_not_called_a_gain_of_trees(inputs: Inputs):
    text = Page(render(inputs)).text
    assert "Share of what moves the scores" in text
    assert "gain in the trees" not in text
    assert "which counts as the chance of a purchase" not in text
    assert "which counts as the chance of a purchase" in render(
        replace(inputs, delivered={**inputs.delivered, "prior": "init_score"})
    )


def test_what_was_expected_stands_beside_what_came(inputs: Inputs):
    deciles = pl.DataFrame(inputs.metrics["deciles"]["churn"])
    expected = (deciles["rows"] * deciles["mean_predicted"]).sum() / deciles["rows"].sum()
    assert f"the model had expected {expected:.1%}" in Page(render(inputs)).text


def test_a_cancellation_is_called_so_and_a_lead_time_shown(inputs: Inputs):
    text = Page(render(replace(with_metrics(inputs, lead_days=14), churn={**inputs.churn, "definition": "event"}))).text
    assert "A customer leaves who cancels in the 90 days that begin 14 days after the cutoff." in text


def test_a_metric_without_meaning_is_a_dash(inputs: Inputs):
    nothing = {"value": None, "low": None, "high": None}
    churn = {name: dict.fromkeys(held, nothing) for name, held in inputs.metrics["churn"].items()}
    compared = {name: dict.fromkeys(held, nothing) for name, held in inputs.metrics["churn_against"].items()}
    text = Page(render(with_metrics(inputs, churn=churn, churn_against=compared, segments={}))).text
    assert "The model – – – – – – – –" in text
    assert "No baseline could be compared on log loss." in text


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (paths.EVALUATION_REPORT, r"evaluation\.json is missing or damaged\. Run `dvc repro evaluate`"),
        (paths.DATA_REPORT, r"data\.json is missing or damaged\. Run `dvc repro ingest`"),
        (paths.SCORES, r"scores\.parquet is missing\. Run `dvc repro score`"),
    ],
)
def test_a_missing_input_is_one_clear_line(project: Path, path: Path, words: str):
    with inside(project):
        aside = path.rename(path.with_suffix(".aside"))
        try:
            with pytest.raises(report.NothingToReport, match=words):
                report.main()
        finally:
            aside.rename(path)


def test_scores_of_nobody_are_refused(project: Path):
    with inside(project):
        scores = pl.read_parquet(paths.SCORES)
        try:
            scores.with_columns(status=pl.lit("too_new")).write_parquet(paths.SCORES)
            with pytest.raises(report.NothingToReport, match="no scored customer"):
                report.main()
        finally:
            scores.write_parquet(paths.SCORES)


def test_a_model_that_is_too_good_is_questioned_where_the_page_says_how_good_it_is(inputs: Inputs):
    assert "Too good?" not in Page(render(inputs)).text
    chosen = inputs.metrics["churn"]["chosen"] | {"auc": {"value": 0.987, "low": 0.98, "high": 0.99}}
    text = Page(render(with_metrics(inputs, churn=inputs.metrics["churn"] | {"chosen": chosen}))).text
    assert "Too good? An AUC of 0.987 is higher than a history of customers usually allows" in " ".join(text.split())


def saves_of(*, opened: bool) -> dict[str, Any]:
    """A report of treatments with an effect, made up."""
    rows = drawn(4_000, 1, effect=0.15, action=["<b>keep</b>"] * 4_000, cost=2.0)
    found = measured(rows, DESIGN)
    rates = {"qini": {"value": 0.01, "low": 0.004, "high": 0.02}, "autoc": {"value": 0.02, "low": 0.01, "high": 0.03}}
    curves = {"risk": [[0, 0], [0.5, 0.02], [1, 0.01]], "dr": [[0, 0], [0.5, 0.03], [1, 0.01]]}
    study = {"open": True, "says": "Ranked by effect.", "rates": {"risk": rates, "dr": rates}, "curves": curves}
    return {**found, "uplift": study if opened else {"open": False, "says": "400 more held-out customers are missing."}}


def test_the_page_reports_what_contacting_achieved_with_both_curves(inputs: Inputs):
    text = render(replace(inputs, saves=saves_of(opened=True), policy_words=["success: 20% <measured>"]))
    page = Page(text)
    assert "customers were saved by contacting" in page.text
    assert "success: 20% <measured>" in page.text
    assert "action <b>keep</b>" in page.text
    assert "Targeting curves" in text
    assert "DR-learner: Qini 0.0100 (0.0040 to 0.0200)" in page.text
    shut = render(replace(inputs, saves=saves_of(opened=False)))
    assert "400 more held-out customers are missing." in Page(shut).text
    assert "Targeting curves" not in shut


def test_the_page_says_that_nothing_was_measured(inputs: Inputs):
    assert "Nothing was measured yet" in Page(render(inputs)).text


def test_the_next_purchase_is_reported_beside_each_rule_where_there_are_categories(inputs):
    text = Page(render(with_metrics(inputs, **NEXT_PURCHASE))).text
    assert "940 of 1,621 customers bought of 50 categories within 100 days" in text
    assert "Own frequency 0.793 0.783 to 0.803" in text
    assert "Popularity 0.271 0.261 to 0.281" in text
    assert "Tested on some." in text
    assert "next purchase is predicted" not in Page(render(with_metrics(inputs, next={}))).text
