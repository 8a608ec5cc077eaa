"""`fedelta score --data`: other customers of an event log, scored by the bundle of the last run."""

from datetime import timedelta

import polars as pl
import pytest
from shop_project import make, write
from tiny_project import DAYS, START, inside, interactions

from fedelta.features.contract import SCORES
from fedelta.pipeline import paths
from fedelta.pipeline.commands.score_population import CannotScore
from fedelta.pipeline.commands.score_population import main as score_population


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make(tmp_path_factory.mktemp("shop"))


def scored(project, name, at=None):
    with inside(project):
        score_population(project / name, None, at)
    return pl.read_parquet(project / f"data/scored/{name}.parquet")


def test_the_customers_of_the_last_run_get_the_scores_of_the_last_run(project):
    write(project / "same", interactions(300))
    found, own = scored(project, "same"), pl.read_parquet(project / paths.SCORES)
    assert found.schema == SCORES
    assert found.drop("previous_probability").equals(own.drop("previous_probability"))


def test_a_score_does_not_depend_on_who_else_is_in_the_files(project):
    events = interactions(300)
    few = events["customer_id"].unique().sort()[5:9].implode()
    write(project / "few", events.filter(pl.col("customer_id").is_in(few)))
    at = f"{START + timedelta(days=DAYS):%Y-%m-%d}"
    found, own = scored(project, "few", at), pl.read_parquet(project / paths.SCORES)
    assert len(found) == 4
    assert found.equals(own.filter(pl.col("customer_id").is_in(few)))


def test_customers_can_be_scored_as_of_an_earlier_day(project):
    write(project / "early", interactions(300))
    at = START + timedelta(days=400)
    found = scored(project, "early", f"{at:%Y-%m-%d}")
    assert (found["as_of"] == at).all()
    assert (found["last_bad_experience_at"].drop_nulls() < at).all()


@pytest.mark.parametrize(
    ("at", "words"),
    [
        ("yesterday", "it must be a date"),
        ("2020-01-01", "begin only on 2023"),
        ("2031-01-01", "more than a horizon after the last interaction"),
    ],
)
def test_a_day_that_cannot_be_asked_is_refused(project, at, words):
    with inside(project), pytest.raises(CannotScore, match=words):
        score_population(project / "data/raw", None, at)


def test_nothing_is_written_where_the_bundle_does_not_fit(project):
    source = project / "sources/shop"
    (source / "customers.sql").write_text("SELECT DISTINCT customer_id, 'x' AS city FROM events")
    try:
        with inside(project), pytest.raises(Exception, match="city"):
            score_population(project / "data/raw", project / "x.parquet", None)
    finally:
        (source / "customers.sql").unlink()
    assert not (project / "x.parquet").exists()


@pytest.mark.parametrize("out", ["data/raw", "params.yaml", "data/customers.parquet", "data/features/x.parquet"])
def test_scores_take_the_place_of_nothing_else(project, out):
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    with inside(project), pytest.raises(CannotScore, match=r"must be a file whose name ends in \.parquet|own run"):
        score_population(project / "data/raw", project / out, None)
    assert {path: path.read_bytes() for path in project.rglob("*") if path.is_file()} == before


def test_files_in_which_nobody_is_a_customer_are_refused(project):
    write(project / "parcels", interactions(40).filter(pl.col("kind") == "delivery"))
    with inside(project), pytest.raises(CannotScore, match=r"Nobody in .*parcels can be scored \(.*churn\.activity"):
        score_population(project / "parcels", None, None)
    assert not (project / "data/scored/parcels.parquet").exists()


def test_what_ingest_would_warn_of_is_reported_before_scoring_too(project, capsys):
    stray = interactions(40).with_columns(pl.col("occurred_at").dt.offset_by("-20y"))
    write(project / "stray", pl.concat([interactions(40), stray.head(1).with_columns(interaction_id=pl.lit("old"))]))
    scored(project, "stray")
    assert "score: warning: 1 interaction is dated earlier than 2023-01-" in capsys.readouterr().err
