"""What a run does to cases, and what is exported of them for measuring."""

import json
from datetime import date
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa
from acting_people import connected, current, held_out, opted_out, planned, vera, within
from scoring_runs import Publish, customer, full_url, reason

from fedelta.cli import main
from fedelta.features.contract import TREATMENTS
from fedelta.pipeline.treatments import read_treatments
from fedelta.serve.acting.actor import Actor
from fedelta.serve.acting.cases import Case, Filters, change_case, count_cases, list_cases, open_case
from fedelta.serve.acting.customers import documents
from fedelta.serve.acting.notes import add_note
from fedelta.serve.acting.outcomes import Came, record_outcomes
from fedelta.serve.acting.run_cases import ACTOR, Updated, update_cases, wake_cases
from fedelta.serve.acting.treatments import Contact, record_treatment
from fedelta.serve.operational.database import Database
from fedelta.serve.operational.tables import cases, entries, outcomes, treatments


def update(database: Database, **settings: object) -> Updated:
    with database.engine() as engine:
        actor = Actor("default", ACTOR, database)
        return update_cases(engine, actor, current(database), **settings)  # type: ignore[arg-type]


def every_case(database: Database) -> dict[str, Case]:
    found, _ = within(database, lambda connection: list_cases(connection, "default", Filters(), limit=1_000))
    return {case.customer_id: case for case in found}


def change(database: Database, case: Case, **fields: object) -> None:
    file = current(database)
    within(database, lambda connection: change_case(connection, vera(database), case.id, fields, file))  # type: ignore[arg-type]


def move(database: Database, table: sa.Table, **values: object) -> None:
    """As if something had been done at another time."""
    within(database, lambda connection: connection.execute(sa.update(table).values(values)))


def test_a_run_opens_a_case_for_each_planned_action_and_for_nobody_else(
    database: Database, publish_customers: Publish
) -> None:
    publish_customers(
        planned("ann", value_at_risk=300.0, contact_on=date(2024, 1, 4)), planned("bob", reasons=None), held_out("hal"),
        opted_out("olga"), customer("zoe"),
    )  # fmt: skip
    done = update(database)
    assert (done.opened, done.treated, done.held_out) == (2, 2, 1)
    found = every_case(database)
    assert set(found) == {"ann", "bob"}
    ann = found["ann"]
    assert (ann.reason, ann.priority, str(ann.due_on), ann.opened_by) == (
        "silence", 300.0, "2024-01-04", "fedelta cases update",
    )  # fmt: skip
    assert ann.opened_in == ann.updated_in == current(database).snapshot_id
    assert found["bob"].reason == "keep"


def test_ten_runs_open_no_second_case_for_one_matter(database: Database, publish_customers: Publish) -> None:
    for number in range(10):
        why = [reason(code="silence" if number % 2 else "bad_experiences", direction="raises")]
        publish_customers(planned("ann", value_at_risk=100.0 + number) | {"reasons": why}, held_out("hal"))
        done = update(database)
        assert (done.opened, done.treated, done.held_out) == ((1, 1, 1) if number == 0 else (0, 0, 0))
        assert update(database).opened == 0
    (ann,) = every_case(database).values()
    assert (ann.priority, ann.revision, ann.reason) == (109.0, 1, "bad_experiences")


def test_a_case_of_ones_own_for_the_same_reason_is_the_matter(database: Database, publish_customers: Publish) -> None:
    publish_customers(planned("ann"))
    file = current(database)
    within(database, lambda connection: open_case(connection, vera(database), "ann", "silence", {}, file))
    assert update(database).opened == 0
    assert within(database, lambda connection: count_cases(connection, "default", Filters())) == 1


def test_what_somebody_closed_is_not_opened_again_for_a_while(database: Database, publish_customers: Publish) -> None:
    publish_customers(planned("ann"))
    update(database)
    change(database, every_case(database)["ann"], status="done", outcome="lost")
    assert update(database).opened == 0
    move(database, cases, closed_at="2024-01-01T00:00:00Z")
    assert update(database).opened == 1


def test_a_case_that_nobody_touched_lapses_when_the_customer_leaves_the_list(
    database: Database, publish_customers: Publish
) -> None:
    names = ("ann", "bob", "cid", "dan")
    publish_customers(*(planned(name) for name in names))
    update(database)
    found, file = every_case(database), current(database)
    change(database, found["bob"], owner="vera")
    within(database, lambda connection: add_note(connection, vera(database), found["cid"].id, "Call in May"))
    with connected(database) as connection:
        record_treatment(connection, vera(database), Contact("dan", case_id=found["dan"].id), file)
    publish_customers(*(customer(name, held_out=False) for name in names))
    assert update(database).lapsed == 1
    after = every_case(database)
    assert (after["ann"].status, after["ann"].outcome) == ("done", "lapsed")
    assert [after[name].status for name in names[1:]] == ["open"] * 3
    publish_customers(*(planned(name) for name in names))
    assert update(database).opened == 1


def test_a_case_is_withdrawn_from_who_must_not_be_contacted_any_more(
    database: Database, publish_customers: Publish
) -> None:
    publish_customers(planned("ann"), planned("bob"))
    update(database)
    change(database, every_case(database)["bob"], owner="vera")
    publish_customers(opted_out("ann"), held_out("bob"))
    assert update(database).withdrawn == 2
    assert {case.outcome for case in every_case(database).values()} == {"withdrawn"}


@pytest.mark.parametrize(
    ("event", "before", "after"),
    [
        ("bad_experience", {"last_bad_experience_at": None}, {"last_bad_experience_at": "2024-01-03T00:00:00"}),
        ("tier_up", {"risk_tier": "medium"}, {"risk_tier": "high"}),
        ("purchase", {"historic_value_gross": 10.0}, {"historic_value_gross": 30.0}),
    ],
)
def test_a_snoozed_case_is_open_when_what_it_waits_for_happens(
    database: Database, publish_customers: Publish, event: str, before: dict[str, object], after: dict[str, object]
) -> None:
    def run(columns: dict[str, object], version: str) -> None:
        row = pl.DataFrame([columns]).with_columns(
            pl.col(pl.String).exclude("risk_tier").str.to_datetime(time_zone="UTC")
        )
        publish_customers(planned("ann", model_version=version, **row.row(0, named=True)))

    run(before, "m1")
    update(database)
    change(database, every_case(database)["ann"], snoozed_until_event=event)
    run(before, "m2")
    assert update(database).woken == 0
    run(after, "m3")
    assert update(database).woken == 1
    ann = every_case(database)["ann"]
    assert (ann.status, ann.snoozed_until_event) == ("open", None)


def test_a_score_made_anew_opens_what_waits_for_it(database: Database, publish_customers: Publish) -> None:
    publish_customers(planned("ann", historic_value_gross=10.0), planned("bob"))
    update(database)
    for case in every_case(database).values():
        change(database, case, snoozed_until_event="purchase")
    before = json.loads(dict(documents(current(database), ["ann"]))["ann"].tobytes())
    for bought, woken in ((10.0, 0), (30.0, 1)):
        made = json.dumps(before | {"historic_value_gross": bought, "value_at_risk": 77.0}).encode()
        assert within(database, lambda c, made=made: wake_cases(c, vera(database), {"ann": made})) == woken  # type: ignore[misc]
    found = every_case(database)
    assert (found["ann"].status, found["ann"].priority, found["bob"].status) == ("open", 77.0, "snoozed")


def test_both_arms_enter_by_one_rule_and_again_only_when_the_horizon_is_over(
    database: Database, publish_customers: Publish
) -> None:
    publish_customers(
        planned("ann") | {"expected_profit": 30.0}, planned("bob"), held_out("hal"),
        held_out("hob") | {"expected_profit": 19.0}, held_out("olga") | {"suppression_reason": "opted out"},
    )  # fmt: skip
    update(database, campaign="spring")
    with connected(database) as connection:
        rows = connection.execute(sa.select(entries).order_by(entries.c.customer_id)).all()
    assert {(row.action, row.campaign) for row in rows} == {("keep", "spring")}
    assert [(row.customer_id, row.arm) for row in rows] == [("ann", "treated"), ("bob", "treated"), ("hal", "held_out")]
    assert update(database).treated == 0
    move(database, entries, entered_at="2024-01-01T00:00:00Z")
    done = update(database)
    assert (done.treated, done.held_out) == (2, 1)


def test_what_was_collected_is_what_the_stage_reads(
    database: Database, publish_customers: Publish, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish_customers(planned("ann"), planned("bob"), planned("cid"), held_out("hal"), customer("zoe", held_out=False))
    update(database)
    move(database, entries, entered_at="2024-01-02T00:00:00Z")
    file = current(database)
    with connected(database) as connection:
        for made in (
            Contact("ann", "keep", "phone", cost=4.0), Contact("ann", "keep", "post", cost=1.5),
            Contact("zoe", "thanks", cost=2.0, campaign="spring"), Contact("hal", "keep", happened=True),
        ):  # fmt: skip
            record_treatment(connection, vera(database), made, file)
        several = [Came("ann", "no_answer"), Came("ann", "saved"), Came("bob", "no_answer"), Came("zoe", "lost")]
        record_outcomes(connection, vera(database), several, file)
    move(database, treatments, treated_at="2024-01-03T00:00:00Z")
    move(database, outcomes, occurred_at="2024-01-04T00:00:00Z")
    folder = tmp_path / "treatments"
    assert main(["export-treatments", str(folder), "--database", full_url(database)]) == 0
    assert "5 treated, 1 held out" in capsys.readouterr().out
    found = read_treatments(folder, tmp_path / "none.parquet")
    assert found.schema == TREATMENTS
    seen = found.select("customer_id", "arm", "action", "reached", "cost", "outcome", "campaign").rows()
    assert sorted(seen) == [
        ("ann", "treated", "keep", True, 5.5, "saved", None),
        ("bob", "treated", "keep", False, None, "no_answer", None),
        ("cid", "treated", "keep", None, None, None, None),
        ("hal", "held_out", "keep", None, None, None, None),
        ("hal", "treated", "keep", None, None, None, None),
        ("zoe", "treated", "thanks", None, 2.0, "lost", "spring"),
    ]
    assert found.filter(customer_id="ann")["churn_probability"].to_list() == [0.5]
    assert main(["export-treatments", str(folder), "--database", full_url(database)]) == 0
    assert [path.name for path in folder.iterdir()] == ["service-default.parquet"]


def test_an_outcome_of_a_contact_that_nobody_recorded_is_a_row(database: Database, publish_customers: Publish) -> None:
    publish_customers(held_out("hal"), customer("zoe", held_out=False))
    file = current(database)
    several = [Came("hal", "reached", happened=True), Came("zoe", "lost")]
    within(database, lambda connection: record_outcomes(connection, vera(database), several, file))
    assert main(["export-treatments", "treatments", "--database", full_url(database)]) == 0
    found = read_treatments(Path("treatments"), Path("none.parquet"))
    assert found.select("customer_id", "arm", "reached").rows() == [("hal", "treated", True)]


def test_the_commands(database: Database, publish_customers: Publish, capsys: pytest.CaptureFixture[str]) -> None:
    url = ["--database", full_url(database)]
    assert main(["cases", "update", *url]) == 1
    assert "fedelta publish" in capsys.readouterr().err
    Path("playbooks.json").write_text(json.dumps({"save": [{"name": "Call", "after_days": 0}]}))
    assert main(["cases", "playbooks", "playbooks.json", *url]) == 0
    assert json.loads(capsys.readouterr().out) == {"save": [{"name": "Call", "after_days": 0}]}
    Path("wrong.json").write_text('{"save": [{"name": "Call"}]}')
    assert main(["cases", "playbooks", "wrong.json", *url]) == 1
    assert "after_days" in capsys.readouterr().err
    publish_customers(planned("ann"))
    assert main(["cases", "update", "--playbook", "none", *url]) == 1
    assert main(["cases", "update", "--playbook", "save", *url]) == 0
    assert "1 opened" in capsys.readouterr().out
    assert every_case(database)["ann"].next_action == "Call"


def test_a_publish_updates_cases_where_it_is_asked_to(
    database: Database, publish_customers: Publish, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish_customers(planned("ann"))
    command = ["publish", "--scores", str(tmp_path / "scores.parquet"), "--database", full_url(database)]
    assert main(command) == 0
    assert every_case(database) == {}
    assert main([*command, "--cases"]) == 0
    assert "1 opened" in capsys.readouterr().out
