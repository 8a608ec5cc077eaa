"""What if the last bad experience had been otherwise: the scores of a real run, by the code that scores it."""

import re
from collections.abc import Iterator
from pathlib import Path

import desk_company as company
import polars as pl
import pytest
from desk_client import Desk
from fastapi import FastAPI
from scoring_runs import full_url

from fedelta.features.contract import INTERACTIONS
from fedelta.models.what_if import changed
from fedelta.pipeline import paths
from fedelta.scoring.scorer import Scorer
from fedelta.serve.app import create_app
from fedelta.serve.caller.settings import Settings
from fedelta.serve.desk.words import words
from fedelta.serve.operational.database import Database
from fedelta.serve.snapshots.publish import publish


@pytest.fixture(scope="module")
def app(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    """A desk over the project, with a process that scores."""
    database = Database.at(f"sqlite:///{tmp_path_factory.mktemp('what-if')}/fedelta.db")
    database.migrate()
    company.people(database)
    where = {"bundle": paths.BUNDLE, "scoring": paths.SCORING, "interactions": paths.INTERACTIONS}
    publish(
        project / paths.SCORES, database, customers=project / paths.CUSTOMERS,
        **{name: project / path for name, path in where.items()},
    )  # fmt: skip
    made = create_app(full_url(database), Settings(access_log="off", scoring_processes=1, scoring_seconds=60))
    yield made
    made.state.pool.close()
    made.state.store.close()


@pytest.fixture
def desk(app: FastAPI) -> Iterator[Desk]:
    made = Desk(app)
    made.sign_in("agent")
    yield made
    made.close()


def test_it_is_the_score_of_the_changed_history(desk: Desk, project: Path) -> None:
    scores = pl.read_parquet(project / paths.SCORES).filter(
        pl.col("last_bad_experience").is_not_null(), status="scored"
    )
    one = scores.sort("customer_id").row(0, named=True)
    assert 'hx-target="#what-if"' in desk.get(f"/desk/customers/{one['customer_id']}").text
    page = desk.get(f"/desk/what-if/{one['customer_id']}").text
    shares = re.findall(r'class="tier tier-\w+"><b>([\d%]+)</b>', page)
    scorer = Scorer.load(project / paths.SCORING, project / paths.BUNDLE)
    events = pl.read_parquet(project / paths.INTERACTIONS / "*.parquet").select(INTERACTIONS.names())
    events = events.filter(customer_id=one["customer_id"]).sort("occurred_at", "interaction_id")
    settings = scorer.context.settings
    history, _ = changed(events, settings.as_of, settings.experience, "without")
    known = pl.read_parquet(project / paths.CUSTOMERS).filter(customer_id=one["customer_id"])
    expected = scorer.score(history, known, explain=False).scores.table()["churn_probability"][0]
    assert shares[:2] == [words("en").share(one["churn_probability"]), words("en").share(expected)]
    assert "not an effect" in page


def test_without_a_bad_experience_there_is_nothing_to_ask(desk: Desk, project: Path) -> None:
    calm = pl.read_parquet(project / paths.SCORES).filter(pl.col("last_bad_experience").is_null(), status="scored")
    name = calm["customer_id"][0]
    assert "what-if" not in desk.get(f"/desk/customers/{name}").text
    assert desk.get(f"/desk/what-if/{name}").text.count("there is nothing to change that way") == 2
    assert desk.get("/desk/what-if/nobody").status_code == 404


def test_a_service_that_cannot_score_does_not_offer_it(project: Path, desk: Desk, app: FastAPI) -> None:
    scores = pl.read_parquet(project / paths.SCORES).filter(
        pl.col("last_bad_experience").is_not_null(), status="scored"
    )
    pool = app.state.pool
    app.state.pool = type(pool)(0, most_waiting=1, seconds=1)
    try:
        assert "what-if" not in desk.get(f"/desk/customers/{scores['customer_id'][0]}").text
        assert desk.get(f"/desk/what-if/{scores['customer_id'][0]}").status_code == 404
    finally:
        app.state.pool = pool
