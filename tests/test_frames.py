"""From a data frame to scores in memory: what the stages deliver, bit for bit, and clear words for a wrong frame."""

import json
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tiny_project import CUTOFFS, interactions
from tiny_project import scored_project as make_project

import fedelta
from fedelta.features.cutoffs import BadCutoff
from fedelta.frames import BadInteractions, Model, NobodyToScore, example
from fedelta.models.metrics.bootstrap import Resampling
from fedelta.pipeline import paths
from fedelta.pipeline.atomic_write import write_json
from fedelta.pipeline.params import load_params

FIGURES = ["customer_id", "as_of", "status", "churn_probability", "clv_expected", "clv_low", "clv_high"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with its scores."""
    return make_project(tmp_path_factory.mktemp("frames") / "project")


@pytest.fixture(scope="module")
def model(project: Path) -> Model:
    """A model of the project's interactions and settings, from a frame."""
    params = load_params(project / paths.PARAMS)
    return fedelta.fit(
        interactions(300),
        horizon_days=params.horizon_days,
        cutoffs=params.cutoffs,
        churn=params.churn,
        clv=params.clv,
        experience=params.experience,
        resampling=Resampling(params.evaluate.bootstrap, seed=params.evaluate.seed),
    )


def delivered(project: Path) -> pl.DataFrame:
    return pl.read_parquet(project / paths.SCORES)


def test_scores_from_a_frame_are_those_that_the_stages_deliver_bit_for_bit(project: Path, model: Model):
    assert model.cutoffs == CUTOFFS
    scores, stages = model.score(interactions(300), explain=True), delivered(project)
    assert_frame_equal(scores.select(FIGURES), stages.select(FIGURES), check_exact=True)
    explained = stages["reasons"].is_not_null()
    assert explained.any()
    # Sentences may differ: a frame has no currency, and its days are those of UTC.
    both = [frame["reasons"].filter(explained).explode().struct.unnest() for frame in (scores, stages)]
    assert_frame_equal(*(frame.select("code", "theme", "contribution", "value") for frame in both), check_exact=True)


def test_the_evaluation_is_the_one_that_the_stages_report(project: Path, model: Model, tmp_path: Path):
    assert model.evaluation is not None
    write_json(tmp_path / "evaluation.json", dict(model.evaluation))
    found, reported = (
        json.loads(path.read_text()) for path in (tmp_path / "evaluation.json", project / paths.EVALUATION_REPORT)
    )
    of_stages = {"orders", "orders_against", "next", "next_against", "next_rows"}  # models that a frame has none of
    assert reported.keys() - found.keys() == of_stages
    assert found == {name: reported[name] for name in found}


def test_pandas_in_is_pandas_out_with_the_same_values(model: Model):
    events = interactions(300)
    plain = events.with_columns(pl.col("amount").cast(pl.Float64)).to_pandas()
    shuffled = plain.sample(frac=1, random_state=3)
    found = model.score(shuffled, explain=True)
    assert isinstance(found, pd.DataFrame)
    assert str(found["as_of"].dtype) == "datetime64[us, UTC]"
    values = [name for name in FIGURES if name != "as_of"]
    assert_frame_equal(pl.from_pandas(found[values]), model.score(events).select(values), check_exact=True)
    assert found["reasons"].map(len).gt(0).all()


def test_times_without_a_zone_are_utc_and_those_of_another_zone_are_brought_to_it(model: Model):
    events = interactions(300)
    naive = events.with_columns(pl.col("occurred_at").dt.replace_time_zone(None).cast(pl.Datetime("ns")))
    abroad = events.with_columns(pl.col("occurred_at").dt.convert_time_zone("Europe/Rome"))
    expected = model.score(events)
    assert_frame_equal(model.score(naive), expected, check_exact=True)
    assert_frame_equal(model.score(abroad), expected, check_exact=True)


def test_only_the_columns_that_one_has_are_needed_and_ids_may_be_numbers(model: Model):
    events = interactions(300).select(
        "occurred_at",
        "kind",
        "channel",
        "delay_hours",
        "amount",
        customer_id=pl.col("customer_id").str.slice(1).cast(int),
    )
    found = model.score(events)
    expected = model.score(interactions(300))
    by_number = expected.with_columns(pl.col("customer_id").str.slice(1).cast(int).cast(str)).sort("customer_id")
    assert_frame_equal(found, by_number, check_exact=True)


def test_the_future_changes_no_score_and_a_customer_alone_is_scored_as_among_others(model: Model):
    events, earlier = interactions(300), "2024-02-20"
    assert events["occurred_at"].max() > pl.Series([earlier]).str.to_datetime(time_zone="UTC")[0]
    before = events.filter(pl.col("occurred_at") < pl.lit(earlier).str.to_datetime(time_zone="UTC"))
    scores = model.score(events, as_of=earlier)
    assert_frame_equal(model.score(before, as_of=date(2024, 2, 20)), scores, check_exact=True)
    one = scores["customer_id"][7]
    assert_frame_equal(
        model.score(events.filter(pl.col("customer_id") == one), as_of=earlier), scores[7:8], check_exact=True
    )


@pytest.mark.parametrize("explain", [False, True])
def test_customers_of_whom_none_can_be_scored_are_listed_with_the_reason(model: Model, explain: bool):
    events = interactions(300)
    everybody = model.score(events, explain=explain)
    visits = events.filter(pl.col("kind") != "purchase")
    scores = model.score(visits, explain=explain)
    assert scores.columns == everybody.columns
    assert scores.height == visits["customer_id"].n_unique()
    assert set(scores["status"]) == {"no_history"}
    assert scores["churn_probability"].is_null().all()


def test_without_money_there_are_no_columns_of_value_and_a_short_history_has_no_evaluation():
    events = example(200).drop("amount")
    churn = fedelta.ChurnSettings(candidate="logistic")
    settings = fedelta.CutoffSettings(train=2)
    model = fedelta.fit(events, horizon_days=60, churn=churn, cutoffs=settings)
    assert model.score(events).columns == ["customer_id", "as_of", "status", "churn_probability"]
    late = events.filter(pl.col("occurred_at") > pl.col("occurred_at").max() - timedelta(days=190))
    assert fedelta.fit(late, horizon_days=90, churn=churn, cutoffs=settings).evaluation is None


def test_a_frame_is_not_changed():
    events = example(150).to_pandas()
    before = events.copy()
    model = fedelta.fit(
        events, horizon_days=60, churn=fedelta.ChurnSettings(candidate="logistic"), clv=None,
        cutoffs=fedelta.CutoffSettings(train=2),
    )  # fmt: skip
    model.score(events)
    pd.testing.assert_frame_equal(events, before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop("kind"), "lack kind; they must have the columns customer_id, occurred_at, kind"),
        (lambda t: t.rename({"amount": "ammount"}), r"unknown column ammount\. Did you mean amount\?"),
        (lambda t: t.head(0), "the frame has no rows"),
        (
            lambda t: t.with_columns(pl.col("occurred_at").cast(str)),
            "occurred_at .* of type String; it must hold ti",
        ),
        (
            lambda t: t.with_columns(amount=pl.lit("9.90")),
            "amount of the interactions is of type String; it",
        ),
        (
            lambda t: t.with_columns(amount=pl.lit(-1.0)),
            r"amount holds -1\.0; it must be finite, and at least 0\.",
        ),
        (lambda t: t.with_columns(amount=pl.lit(float("inf"))), "amount holds inf; it must be finite"),
        (
            lambda t: t.with_columns(amount=pl.lit(9e13), customer_id=pl.lit("ann")),
            "1 customers, such as 'ann', add up",
        ),
        (lambda t: t.with_columns(margin=pl.lit(-9e13)), "add up to 900,000,000,000,000 and more"),
        (lambda t: t.with_columns(rating=pl.lit(5)), "rating holds 5; it must be from 0 to 1"),
        (lambda t: t.with_columns(resolved=pl.lit(1)), "resolved .* of type Int32; it must hold true or false"),
        (lambda t: t.with_columns(reach=pl.lit(1.5)), "reach holds fractions"),
        (lambda t: t.with_columns(customer_id=pl.lit(None, pl.String)), "rows have no customer_id; drop them"),
        (lambda t: t.with_columns(kind=pl.lit("purchse")), r"kind 'purchse', which is unknown\. Did you mean purchase"),
        (
            lambda t: t.with_columns(channel=pl.lit("kiosk")),
            "channel 'kiosk', which is unknown.*name further ones in",
        ),
        (lambda t: t.with_columns(interaction_id=pl.lit("i1")), "rows repeat an interaction_id; it must be unique"),
        (
            lambda t: t.with_columns(known_at=pl.col("occurred_at") - pl.duration(days=1)),
            "known_at before their",
        ),
        (lambda t: t.to_dict(), r"are a dict; they must be a pandas or Polars DataFrame"),
        (lambda _: pd.DataFrame({"customer_id": ["a", 1, 2.5]}), "cannot be read: .*Each column must be of one type"),
    ],
)
def test_a_wrong_frame_is_refused_in_one_line_that_says_what_to_do(change, message: str):
    with pytest.raises(BadInteractions, match=message) as error:
        fedelta.fit(change(example(5)))
    assert isinstance(error.value, fedelta.FedeltaError)
    assert "\n" not in str(error.value)


def test_further_kinds_and_channels_are_named(model: Model):
    events = example(150).with_columns(
        kind=pl.when(pl.col("kind") == "visit").then(pl.lit("stream")).otherwise("kind"), channel=pl.lit("kiosk")
    )
    settings = fedelta.ChurnSettings(candidate="logistic", activity=("stream",))
    found = fedelta.fit(
        events, horizon_days=60, churn=settings, clv=None, kinds=["stream"], channels={"kiosk": "digital"},
        cutoffs=fedelta.CutoffSettings(train=2),
    )  # fmt: skip
    assert "kiosk" in found.settings.digital_channels
    assert found.score(events)["churn_probability"].is_not_null().any()
    with pytest.raises(fedelta.FedeltaError, match=r"churn\.activity names 'stream', which the source does not have"):
        fedelta.fit(example(5), churn=settings)


def test_what_a_frame_cannot_give_is_refused(model: Model):
    with pytest.raises(fedelta.FedeltaError, match="a frame brings no labels"):
        fedelta.fit(example(5), churn=fedelta.ChurnSettings(definition="declared"))
    for at, message in (("31.1.2026", "must be a date"), ("2026-01-31T12:00", "must be a midnight"),
                        ("2023-05-01", "before every cutoff that the model knows; the first is 2023-07")):  # fmt: skip
        with pytest.raises(BadCutoff, match=message):
            model.score(interactions(300), as_of=at)
    with pytest.raises(NobodyToScore, match="before 2020-01-01"):
        model.score(interactions(300), as_of="2020-01-01")


def test_importing_fedelta_loads_nothing_and_has_its_names_on_demand():
    code = (
        "import sys, fedelta; before = set(sys.modules); assert not {'polars', 'pandas', 'numpy', 'lightgbm'} & before;"
        "assert {'fit', 'Model', 'FedeltaError'} <= set(dir(fedelta)); fedelta.fit; fedelta.Model;"
        "missing = [m for m in ('duckdb', 'mlflow', 'dvc', 'pydantic', 'fastapi', 'ruamel') if m in sys.modules];"
        "assert not missing, missing"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd="/")
    with pytest.raises(AttributeError, match="has no attribute 'fti'"):
        _ = fedelta.fti
