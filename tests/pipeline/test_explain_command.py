"""`fedelta explain`: the score as it is, and as it would be, always called an association."""

import json
import math
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from tiny_project import PARAMS, inside, scored_project

from fedelta.features.errors import FedeltaError
from fedelta.models.what_if import CAUTION, NothingToChange
from fedelta.pipeline import paths, score
from fedelta.pipeline.commands.explain import NoScore, OutOfDate, explain, main, text_of


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scored project of 300 customers, of whom the source's attributes are unknown."""
    folder = scored_project(tmp_path_factory.mktemp("explain") / "project")
    with inside(folder):
        attributes = [pl.lit(None, pl.String).alias(name) for name in ("country", "age_group", "plan")]
        since = pl.lit(None, pl.Datetime("us", "UTC")).alias("plan_since")
        pl.read_parquet(paths.CUSTOMERS).with_columns(*attributes, since).write_parquet(paths.CUSTOMERS)
    return folder


@pytest.fixture
def scores(project: Path) -> pl.DataFrame:
    return pl.read_parquet(project / paths.SCORES)


@pytest.fixture(scope="module")
def let_down(project: Path) -> str:
    """A customer whose last late delivery the model holds to matter."""
    bad = pl.col("last_bad_experience").is_not_null()
    with inside(project):
        for customer in pl.read_parquet(paths.SCORES).filter(bad)["customer_id"]:
            found = explain(str(customer), "without")
            assert found.then is not None
            if abs(found.then.churn_probability - found.now.churn_probability) > 1e-3:
                return str(customer)
    pytest.fail("No score of the tiny project depends on its customer's last bad experience: give it more trees.")


def test_the_explained_score_is_the_published_one_to_the_last_bit(project, scores):
    scored = scores.filter(pl.col("status") == "scored").gather_every(20)
    with inside(project):
        for row in scored.iter_rows(named=True):
            now = explain(row["customer_id"]).now
            assert now.churn_probability == row["churn_probability"]
            assert now.clv_expected == row["clv_expected"]


def test_reasons_are_those_of_the_published_score_in_both_languages(project, scores):
    explained = scores.filter(pl.col("reasons").is_not_null())
    with inside(project):
        for row in explained.gather_every(20).iter_rows(named=True):
            found = explain(row["customer_id"])
            assert list(found.now.reasons) == row["reasons"]
            for reason in row["reasons"]:
                assert reason["text"] in text_of(found)
                assert reason["text_it"] in text_of(found, "it")


def test_a_late_delivery_since_the_last_order_is_dated(project, scores):
    texts = scores["reasons"].drop_nulls().explode().struct.field("text").to_list()
    assert any(re.match(r"1 bad experience since the last order: late delivery on \d+ [A-Z][a-z]{2}", t) for t in texts)


def test_what_the_themes_add_sums_to_the_log_odds_in_both_histories(project, let_down):
    with inside(project):
        found = explain(let_down, "without")
    assert found.then is not None
    for prediction in (found.now, found.then):
        assert sum(prediction.themes.values()) == pytest.approx(prediction.log_odds, abs=1e-9)


def test_a_reader_adds_up_from_the_themes_to_the_printed_probability(project, let_down):
    path = paths.CHURN_DELIVERED / "model.json"
    with inside(project):
        before = path.read_text()
        contract, as_of = json.loads(before), explain(let_down).as_of
        day = (as_of - datetime(1970, 1, 1, tzinfo=UTC)).days - 365.25
        wave = {"first": day, "last": day, "cosine": 0.4, "sine": 0.3, "note": "More is bought in spring."}
        contract["season"] |= wave
        contract["calibrator"] |= {"kind": "platt", "intercept": 0.5, "slope": 1.1}
        try:
            path.write_text(json.dumps(contract))
            scored = pl.read_parquet(paths.SCORES)
            score.main()
            found = explain(let_down, "without")
            text = text_of(found)
            alone = text_of(explain(let_down))
        finally:
            path.write_text(before)
            scored.write_parquet(paths.SCORES)
    assert found.then is not None
    for prediction in (found.now, found.then):
        assert abs(prediction.calibration) > 0.01
        assert abs(prediction.season) > 0.01
        total = sum(prediction.themes.values()) + prediction.calibration + prediction.season
        assert 1 / (1 + math.exp(-total)) == pytest.approx(prediction.churn_probability, abs=1e-9)
    assert "More is bought in spring." in text
    rows = [
        line.strip().split("  ")
        for line in alone.split("Log-odds of churn by theme\n")[1].split("\n\n")[0].splitlines()
    ]
    printed = {row[0]: float(next(cell for cell in row[1:] if cell).split()[0]) for row in rows}
    added = [printed.pop(name) for name in ("themes together", "calibration", "season", "of the probability")]
    assert sum(printed.values()) == pytest.approx(added[0], abs=0.01)  # rounded to thousandths
    assert sum(added[:3]) == pytest.approx(added[3], abs=0.002)
    assert f"{1 / (1 + math.exp(-added[3])):.2f}" == f"{found.now.churn_probability:.2f}"


def test_next_to_nothing_has_no_sign_of_less(project, let_down):
    with inside(project):
        found = explain(let_down)
    text = text_of(replace(found, now=replace(found.now, calibration=-1e-12)))
    assert re.search(r"calibration +\+0\.000\n", text)


def test_without_the_late_delivery_the_model_is_asked_about_a_parcel_on_time(project, let_down):
    with inside(project):
        found = explain(let_down, "without")
        assert found.change is not None
        assert found.then is not None
        now = explain(let_down).now
        late = pl.col("interaction_id") == found.change.interaction_id
        events = pl.read_parquet(paths.INTERACTIONS / "*.parquet")
        kept = (paths.INTERACTIONS / "part-00000.parquet").read_bytes()
        events.with_columns(delay_hours=pl.when(late).then(0.0).otherwise("delay_hours")).write_parquet(
            paths.INTERACTIONS / "part-00000.parquet"
        )
        try:
            with pytest.raises(OutOfDate, match=f"now yields {found.then.churn_probability:.6f}") as caught:
                explain(let_down)
        finally:
            (paths.INTERACTIONS / "part-00000.parquet").write_bytes(kept)
    assert f"{now.churn_probability:.6f}" in str(caught.value)
    assert found.change.rule == "late_delivery"


def test_every_output_says_that_it_is_no_cause(project, let_down, capsys):
    with inside(project):
        main(let_down)
        main(let_down, without="last_bad")
        main(let_down, resolved="last_bad")
        texts = capsys.readouterr().out.split(CAUTION)
        assert len(texts) == 4
        main(let_down, without="last_bad", as_json=True)
    assert json.loads(capsys.readouterr().out)["caution"] == CAUTION


def test_json_holds_what_the_text_shows(project, let_down):
    with inside(project):
        found = explain(let_down, "without")
    document = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert document["now"]["churn_probability"] == found.now.churn_probability
    assert document["then"]["themes"].keys() == document["now"]["themes"].keys()
    assert document["change"]["rule"] == "late_delivery"
    text = text_of(found)
    for prediction in (found.now, found.then):
        assert prediction is not None
        assert f"{prediction.churn_probability:.2%}" in text
        assert f"{prediction.clv_expected:,.2f}" in text


def test_a_customer_who_must_not_be_contacted_is_shown_as_such(project, let_down, scores):
    with inside(project):
        assert "Must not be contacted" not in text_of(explain(let_down))
        try:
            scores.with_columns(suppression_reason=pl.lit("opted out")).write_parquet(paths.SCORES)
            assert "\nMust not be contacted: opted out.\n" in text_of(explain(let_down))
            scores.drop("suppression_reason").write_parquet(paths.SCORES)
            with pytest.raises(OutOfDate, match=r"lacks suppression_reason\. Run `dvc repro score`"):
                explain(let_down)
        finally:
            scores.write_parquet(paths.SCORES)


def test_nobody_nothing_and_no_score_are_reported_in_one_line(project, scores):
    unscored = scores.filter(pl.col("status") != "scored")["customer_id"].to_list()
    content = scores.filter((pl.col("status") == "scored") & pl.col("last_bad_experience").is_null())["customer_id"][0]
    cases: list[tuple[str, type[FedeltaError]]] = [("nobody", NoScore), *((c, NoScore) for c in unscored[:1])]
    with inside(project):
        for customer, error in [*cases, (content, NothingToChange)]:
            with pytest.raises(error) as caught:
                explain(customer, "without")
            assert "\n" not in str(caught.value)


def test_the_experiences_of_a_score_follow_its_own_rules(project, let_down):
    strict = PARAMS.replace("TREES", "20").replace("late_delivery:", "tardy_delivery:")
    with inside(project):
        before = paths.PARAMS.read_text()
        paths.PARAMS.write_text(strict)
        try:
            with pytest.raises(OutOfDate, match=r"late_delivery.*tardy_delivery.*Run `dvc repro`"):
                explain(let_down)
        finally:
            paths.PARAMS.write_text(before)


def test_a_scored_row_without_a_probability_is_out_of_date(project: Path, scores: pl.DataFrame) -> None:
    customer = scores.filter(pl.col("status") == "scored")["customer_id"][0]
    with inside(project):
        try:
            scores.with_columns(churn_probability=pl.lit(None, pl.Float64)).write_parquet(paths.SCORES)
            with pytest.raises(OutOfDate, match="gives no churn probability"):
                explain(customer)
        finally:
            scores.write_parquet(paths.SCORES)
