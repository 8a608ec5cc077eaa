"""The page tells experience, loyalty and personas as their files do, and plainly where there is nothing to tell."""

import copy
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import report_examples
from report_page import DATA, Page, inputs_of
from tiny_project import inside, scored_project

from fedelta.features.contract import LEVELS, PILLARS
from fedelta.features.journeys import JOURNEYS, STAGES
from fedelta.features.ledger import LEDGER
from fedelta.models.policy.settings import EconomicsSettings, PolicySettings
from fedelta.pages import experience_section as report_experience
from fedelta.pipeline import paths, report
from fedelta.pipeline.report import Inputs, render

COSTS = EconomicsSettings(acquisition_cost=40, contact_cost=1, offer_cost=6, keep_success=0.15)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = scored_project(tmp_path_factory.mktemp("report_experience") / "project")
    (folder / paths.DATA_REPORT).write_text(json.dumps(DATA))
    return folder


@pytest.fixture(scope="module")
def inputs(project: Path) -> Inputs:
    return replace(
        inputs_of(project),
        experience=report_examples.EXPERIENCE,
        loyalty=report_examples.LOYALTY,
        policy=PolicySettings(economics=COSTS),
    )


def section(inputs: Inputs, name: str) -> str:
    """The words of a section of the page."""
    (found,) = re.findall(rf'<section id="{name}">.*?</section>', render(inputs), re.DOTALL)
    return Page(found).text


def bare(inputs: Inputs) -> Inputs:
    """A source of sales alone."""
    return replace(inputs, experience=report_examples.BARE, loyalty=report_examples.SILENT)


def test_every_rule_stands_there_with_its_counts(inputs: Inputs):
    text = section(inputs, "experience")
    assert "53 of 1,234 interactions were bad experiences (4.3%)" in text
    assert "They struck 37 of 88 customers. 25% were followed by a settled contact" in text
    assert "late delivery expectations needs 2 48 3.89% 24 25% 26 h" in text
    assert "cold soup expectations needs 2 0 0.00% 0 – –" in text


def test_pillars_and_levels_have_an_index_an_interval_and_a_trend_and_the_unknown_ones_a_reason(inputs: Inputs):
    text = section(inputs, "experience")
    assert "Experience all pillars together 90.1 88.1 to 91.1 +1.5 −0.5 to +3.5 no change 810 70" in text
    assert "Expectations promises are kept 83.2 81.2 to 84.2 +1.5 −0.5 to +3.5 better 810 70" in text
    assert "Needs the customer gets what they came for 77.4 75.4 to 78.4 +1.5 −0.5 to +3.5 worse" in text
    unknown = "integrity, empathy, personalisation, time and effort, ease and enjoyable"
    assert f"Nothing is known of {unknown}. {report_examples.NOT_RECORDED}" in text


def test_segments_are_reported_in_words_and_where_they_never_met_a_pillar_with_a_dash(inputs: Inputs):
    text = section(inputs, "experience")
    assert "All Resolution Expectations Needs Plan (4 more left out) basic" in text
    assert "basic 89.3 87.3–90.3 worse – 80.6 78.6–81.6 –" in text


def test_the_tolerance_curve_stands_beside_matched_controls_and_quoted_shares_are_called_quoted(inputs: Inputs):
    text = section(inputs, "tolerance")
    assert "22% of matched controls (−1.0 to +2.0 points)." in text
    assert "any 412 387 31.0 27.1 to 34.9 22.2 +8.8 +6.1 to +11.5" in text
    assert "first 412 387 31.0 27.1 to 34.9 22.2 +5.2 +1.3 to +9.1" in text
    assert "second or later 0 0 – – –" in text
    assert "Pillar expectations −2.1 −5.7 to +1.5 −1.1 −4.7 to +2.5 –" in text
    quoted = (
        "17% after one bad experience and 59% after several bad experiences (A survey, 2018). These are quoted figures"
    )
    assert quoted in text
    assert "17% quoted" in text
    assert "59% quoted" in text


def test_a_curve_of_which_no_step_could_be_estimated_is_not_drawn(inputs: Inputs):
    experience = copy.deepcopy(report_examples.EXPERIENCE)
    experience["tolerance"]["steps"] = [
        report_examples.step("all", "", None, None),
        report_examples.step("all", "", 1, None),
    ]
    text = section(replace(inputs, experience=experience), "tolerance")
    assert "any 0 0 – – –" in text
    assert "quoted" not in text


def test_moments_of_truth_tell_leaving_and_spending_and_what_making_good_goes_with(inputs: Inputs):
    text = section(inputs, "moments")
    leaving, spending = "+13.8 +13.0 to +14.6", "−39.59 −42.68 to −36.50"
    recovery = "44% −17.2 −19.0 to −15.5 +40.19 +33.57 to +46.81"
    assert f"delivery expectations 312 287 {leaving} {spending} {recovery}" in text
    assert "survey empathy 312 287 – – – – –" in text
    assert "costs 13.8 points" in text


def test_the_journey_map_names_touchpoints_drop_off_and_ways(inputs: Inputs):
    text = section(inputs, "journeys")
    assert "visit (digital) 700 64 0.0% 12.0%" in text
    assert "contact (physical) 133 64 41.0% –" in text
    assert "visit (digital) purchase (digital) 355 50.7% 18 min" in text
    assert "contact (physical) visit (digital) 51 38.3% 36 h" in text
    assert "2 rarer touchpoints are left out." in text
    assert text.index(" Use ") < text.index(" Renewal ")
    assert "1,234 interactions of 88 customers, 4.3% of them bad." in text


def test_every_channel_is_listed_used_or_not(inputs: Inputs):
    text = section(inputs, "journeys")
    assert "paid search digital 520 52 7.7% 31 29" in text
    assert "store physical not used 0 – 31 29" in text
    assert "unknown not in the source 91 9 7.7% 31 29" in text


def test_each_class_of_loyalty_is_shown_with_what_it_did_next(inputs: Inputs):
    text = section(inputs, "loyalty")
    assert "Attitude adds to behaviour: log loss −0.0010 [−0.0015, −0.0003]." in text
    assert "loyal 44 41 83.9 82.1 to 85.2 140.62 133.45 to 149.04 – 16.1 14.8 to 17.9" in text
    assert "silent" not in text.split("Left, %")[1]
    assert "referrals in it are not counted" in text


def test_spurious_loyals_of_value_are_named_most_valuable_first_up_to_a_page(inputs: Inputs):
    ids = [row["customer_id"] for row in report_examples.LOYALTY["spurious"]["customers"]]
    # What the model of value expects, not Pareto/NBD: the later, the more; and two of them must not be contacted.
    named = inputs.scores.head(len(ids)).with_columns(
        customer_id=pl.Series(ids),
        clv_expected=pl.Series([80.0 + number for number in range(len(ids))]),
        held_out=pl.Series([name == "c0024" for name in ids]),
        suppression_reason=pl.Series(["opted out" if name == "c0023" else None for name in ids], dtype=pl.String),
    )
    others = inputs.scores.filter(~pl.col("customer_id").is_in(ids))
    text = section(replace(inputs, scores=pl.concat([named, others])), "loyalty")
    assert "at least 87 EUR in the horizon, and free to be contacted: the 15 of most value." in text
    assert "c0022 102 3,022 57.7 0.75 settle contact number 22 c0021 101" in text
    assert [name for name in ids if f" {name} " in text] == ids[8:23]


def test_a_persona_is_a_card_of_what_it_does_praises_and_complains_about(inputs: Inputs):
    text = section(inputs, "personas")
    card = "Kept-waiting customers p7: 33 customers, 38%, 43% of the spend of a year Set apart by late deliveries 0.111"
    assert card in text
    assert "(−0.9 standard deviations) They in a year: 13 purchases Praise survey on delivery" in text
    assert (
        "Complain about late delivery: 74.0 per 100 customers Worth, each 393 EUR in the last year, 87 expected" in text
    )
    assert "2 personas 0.94 0.25 0.13" in text


def test_what_keeping_is_worth_comes_from_the_companys_own_costs(inputs: Inputs):
    rows = {
        "churn_probability": [0.5, 0.5], "p_here": [1.0, 1.0], "p_leaves": [0.5, 0.5], "value_at_risk": [50.0, 10.0],
        "win_back_value": [0.0, 0.0], "status": ["scored", "scored"],
    }  # fmt: skip
    found = report.economics_of(pl.DataFrame(rows), PolicySettings(economics=COSTS))
    # 60 at stake, a contact costs 7: 14 / 60 of success for both, 7 / 50 for the first, who alone is worth it at 15%
    assert (found.value_at_risk, found.worth_contacting) == (60, 1)
    assert found.break_even_everyone == pytest.approx(14 / 60)
    assert found.keeping_over_winning == pytest.approx(7 / (0.5 * 0.15) / 40)
    cheap = replace(inputs, policy=PolicySettings(economics=replace(COSTS, contact_cost=0.001, offer_cost=0.001)))
    text = section(cheap, "worth")
    own = report.economics_of(inputs.scores, cheap.policy)
    assert f"Success at which an offer to everybody pays for itself {own.break_even_everyone:.1%}" in text
    assert f"Keeping one of those worth an offer over winning one {own.keeping_over_winning:.2f}" in text


def test_costs_that_nobody_gave_are_asked_for_and_nothing_is_made_up(inputs: Inputs):
    text = section(replace(inputs, policy=PolicySettings()), "worth")
    assert "policy.economics.keep_success is not given in params.yaml" in text
    assert "Success at which" not in text
    assert "over winning" not in text


def test_a_source_of_bare_sales_says_plainly_what_is_not_known(inputs: Inputs):
    page = bare(inputs)
    for name in ("experience", "tolerance", "moments"):
        assert report_examples.NO_BAD in section(page, name)
    assert "Nothing is known of integrity, resolution" in section(page, "experience")
    assert "The source tells the channel of no interaction." in section(page, "journeys")
    assert "neither bought, enrolled nor renewed" in section(page, "journeys")
    assert report_examples.NO_ATTITUDE in section(page, "loyalty")
    assert "silent 108 100 83.9" in section(page, "loyalty")
    assert "No division of the customers is stable." in section(page, "personas")
    assert "<figure" not in "".join(
        re.findall(r'<section id="(?:tolerance|moments|journeys)">.*?</section>', render(page), re.DOTALL)
    )


def test_without_money_personas_have_no_worth(inputs: Inputs):
    nothing = {name: pl.lit(None, pl.Float64) for name in ("value_at_risk", "clv_expected", "historic_value")}
    text = section(replace(inputs, scores=inputs.scores.with_columns(**nothing)), "personas")
    assert "Worth" not in text
    assert "of the spend" not in text


def test_the_opening_tells_what_a_bad_experience_changes_and_what_loyalty_adds(inputs: Inputs):
    opening = Page(render(inputs).split("<main>")[0] + "</body></html>").text
    assert "What a bad experience changes. After a bad experience, 31% leave" in opening
    assert "What loyalty adds. Attitude adds to behaviour" in opening
    opening = Page(render(bare(inputs)).split("<main>")[0] + "</body></html>").text
    assert f"What a bad experience changes. {report_examples.NO_BAD}" in opening


def test_the_page_of_a_real_run_tells_its_bad_deliveries(project: Path):
    with inside(project):
        report.main()
        held = json.loads(paths.EXPERIENCE_REPORT.read_text())
        text = Page(paths.REPORT.read_text(encoding="utf-8")).text
    assert held["tolerance"]["says"].replace("-", "−") in text
    assert f"late delivery expectations needs 2 {held['rules']['by_rule']['late_delivery']['times']}" in text


def test_names_from_these_reports_cannot_become_markup(inputs: Inputs):
    bad = "<script>alert('x')</script>"
    text = json.dumps([report_examples.EXPERIENCE, report_examples.LOYALTY])
    for name in (
        "late_delivery",
        "visit (digital)",
        "paid_search",
        "basic",
        "kept-waiting customers",
        "c0000",
        "settle",
    ):
        text = text.replace(name, bad + name)
    experience, loyalty = json.loads(text)
    page = render(replace(inputs, experience=experience, loyalty=loyalty))
    assert "<script" not in page
    assert page.count("&lt;script&gt;") > 10


BROKEN: dict[str, Any] = {
    '{"rules": {}': r"missing or damaged",
    "\x00\xff": r"missing or damaged",
    "{}": r"lacks rules, tolerance, moments, journeys, channels\. Run `dvc repro experience`",
    "[]": r"lacks rules",
}


@pytest.mark.parametrize("content", BROKEN)
def test_a_cut_or_garbled_report_gives_one_clear_line(project: Path, content: str):
    with inside(project):
        whole = paths.EXPERIENCE_REPORT.read_bytes()
        try:
            paths.EXPERIENCE_REPORT.write_bytes(content.encode("latin-1"))
            with pytest.raises(report.NothingToReport, match=BROKEN[content]) as refused:
                report.main()
        finally:
            paths.EXPERIENCE_REPORT.write_bytes(whole)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("part", "name"), [("rules", "by_rule"), ("tolerance", "steps"), ("channels", "channels")])
def test_a_report_of_another_version_gives_one_clear_line(inputs: Inputs, part: str, name: str):
    cut = {key: held for key, held in report_examples.EXPERIENCE[part].items() if key != name}
    with pytest.raises(report.NothingToReport, match=f"lacks something .*{name}") as refused:
        render(replace(inputs, experience=report_examples.EXPERIENCE | {part: cut}))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("days", "words"),
    [(0.0, "at once"), (18 / 1440, "18 min"), (1 / 24, "60 min"), (1.5, "36 h"), (2.0, "2 days"), (31.4, "31 days")],
)
def test_a_time_is_written_as_people_say_it(days: float, words: str):
    assert report_experience.lasting(days) == words


def test_which_model_was_chosen_and_why_is_reported(inputs: Inputs):
    figure = report_examples.interval(0.4, 0.3, 0.5)
    row = {"candidate": "bg_nbd", "log_loss": figure, "log_loss_difference": figure, "auc_difference": figure}
    churn = {**inputs.churn, "candidate": "lightgbm", "note": "Tested on 9 rows.", "selection": [
        {**row, "verdict": "log loss significantly higher than that of lightgbm"},
        {**row, "candidate": "lightgbm", "verdict": "chosen: the best"},
    ]}  # fmt: skip
    text = section(replace(inputs, churn=churn), "churn")
    assert "Tested on 9 rows." in text
    figures = "0.4000 0.3000 to 0.5000 0.4000 0.3000 to 0.5000"
    assert f"BG/NBD {figures} log loss significantly higher than that of boosted trees" in text
    assert f"Boosted trees {figures} chosen: the best" in text


def test_the_guide_names_every_column_of_the_ledger_and_every_pillar_level_journey_and_stage():
    guide = (Path(__file__).parents[2] / "docs/experience.md").read_text("utf-8")
    ledger = guide.split("## The ledger")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", ledger, re.MULTILINE) == list(LEDGER)
    assert [
        name for name in (*PILLARS, *LEVELS) if not re.search(rf"\b{name}\b", guide.split("## The ledger")[0])
    ] == []
    told_of = guide.split("## Journeys")[1].split("\n## ")[0]
    assert [name for name in (*JOURNEYS, *STAGES) if not re.search(rf"\b{name}\b", told_of)] == []
