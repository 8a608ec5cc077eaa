"""Campaigns: what was collected, and the report of the stage ``measure`` as it was published."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from acting_people import connected, current, held_out, planned, vera
from scoring_runs import Client, Publish, full_url, json_file

from fedelta.cli import main
from fedelta.models.incrementality.comparison import nothing_measured
from fedelta.serve.acting.outcomes import Came, record_outcomes
from fedelta.serve.acting.run_cases import update_cases
from fedelta.serve.acting.treatments import Contact, record_treatment
from fedelta.serve.app import create_app
from fedelta.serve.caller.keys import create_key
from fedelta.serve.operational.database import Database

SPRING = {"by": "campaign", "group": "spring", "entered": {"treated": 2, "held_out": 1}, "says": "Too early."}
SAVES = {
    "as_of": "2024-05-31", "horizon_days": 90, "currency": "EUR", "treatments": 3, "epochs": [],
    "comparisons": [{"by": "all", "group": None, "says": "In all."}, SPRING], "says": "In all.",
}  # fmt: skip


@pytest.fixture
def analyst(database: Database) -> Iterator[Client]:
    app = create_app(full_url(database), look_again=0)
    client = Client(app, create_key(database, "analyst", ["read:list"])[0])
    yield client
    client.close()
    app.state.store.close()


def test_a_campaign_has_what_was_collected_of_it(
    analyst: Client, database: Database, publish_customers: Publish
) -> None:
    publish_customers(planned("ann"), planned("bob"), held_out("hal"))
    assert analyst.get("/v1/campaigns").json() == {"campaigns": []}
    file = current(database)
    with database.engine() as engine:
        update_cases(engine, vera(database), file, campaign="spring")
    with connected(database) as connection:
        for cost in (4.0, 1.5, None):
            record_treatment(connection, vera(database), Contact("ann", campaign="spring", cost=cost), file)
        record_treatment(connection, vera(database), Contact("bob"), file)
        record_outcomes(
            connection, vera(database), [Came("ann", "reached"), Came("ann", "saved"), Came("bob", "lost")], file
        )
    (spring,) = analyst.get("/v1/campaigns").json()["campaigns"]
    assert spring["entered"] == {"treated": 2, "held_out": 1}
    assert (spring["contacts"], spring["cost"], spring["outcomes"]) == (3, 5.5, {"reached": 1, "saved": 1})
    assert spring["measured"] is False
    report = analyst.get("/v1/campaigns/spring/report").json()
    assert (report["campaign"], report["comparison"], report["published_at"]) == (spring, None, None)
    assert "fedelta export-treatments" in report["says"]
    assert analyst.get("/v1/campaigns/autumn/report").json()["type"] == "urn:fedelta:problem:unknown-campaign"


def test_the_report_of_the_stage_comes_with_a_publish_and_stays_until_the_next(
    analyst: Client, database: Database, publish_customers: Publish, tmp_path: Path
) -> None:
    publish_customers(planned("ann"))
    publish = ["publish", "--scores", str(tmp_path / "scores.parquet"), "--database", full_url(database)]
    reports = json_file(tmp_path / "reports" / "saves.json", SAVES)
    assert main([*publish, "--reports", str(reports.parent)]) == 0
    report = analyst.get("/v1/campaigns/spring/report").json()
    assert (report["comparison"], report["says"], report["as_of"]) == (SPRING, "Too early.", "2024-05-31")
    assert report["overall"]["says"] == "In all."
    assert report["campaign"]["measured"] is True
    assert report["campaign"]["entered"] == SPRING["entered"]  # nothing was collected here
    reports.unlink()
    publish_customers(planned("ann", churn_probability=0.1))
    assert analyst.get("/v1/campaigns/spring/report").json() == report
    json_file(reports, nothing_measured("Nothing yet."))
    assert main([*publish, "--reports", str(reports.parent)]) == 0
    assert analyst.get("/v1/campaigns/spring/report").status_code == 404
    reports.write_text("[]")
    assert main([*publish, "--reports", str(reports.parent)]) == 1


def test_a_name_that_no_campaign_can_have_is_not_found(analyst: Client, publish_customers: Publish) -> None:
    publish_customers(planned("ann"))
    for name in ("a%00b", "%F0%9F%A6%8A", json.dumps("x")):
        assert analyst.get(f"/v1/campaigns/{name}/report").status_code == 404
