"""The team: load, lateness and saves by owner; clocks that run in business hours only."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from desk_client import Desk
from hypothesis import given
from hypothesis import strategies as st

from fedelta.serve.desk.business_hours import Hours, HoursRefused
from fedelta.serve.desk.team import Load

Visit = Callable[..., Desk]
ROME = Hours(first_contact=4, opens="09:00", closes="18:00", days="12345", zone="Europe/Rome")


def utc(text: str) -> datetime:
    """An instant."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("opened", "due"),
    [
        ("2024-02-26T09:00", "2024-02-26T13:00"),  # Monday, 10:00 in Rome
        ("2024-02-26T15:00", "2024-02-27T10:00"),  # two hours on Monday, two on Tuesday
        ("2024-03-01T16:00", "2024-03-04T11:00"),  # Friday: an hour, then Monday
        ("2024-03-02T12:00", "2024-03-04T12:00"),  # Saturday counts for nothing
        ("2024-03-29T20:00", "2024-04-01T11:00"),  # the clocks of summer began on 31 March
    ],
)
def test_a_clock_runs_in_business_hours_of_its_zone(opened: str, due: str) -> None:
    assert ROME.due(utc(opened)) == utc(due)


@given(st.datetimes(datetime(2024, 1, 1), datetime(2024, 12, 1)))  # noqa: DTZ001 (its zone follows)
def test_between_the_opening_of_a_case_and_its_due_time_are_the_hours_it_has(moment: datetime) -> None:
    opened = moment.replace(tzinfo=UTC)
    due = ROME.due(opened)
    assert due is not None
    assert ROME.between(opened, due) == timedelta(hours=4)
    assert ROME.between(due, opened) == -timedelta(hours=4)


def test_no_clock_and_hours_that_cannot_be() -> None:
    assert Hours(first_contact=0).due(utc("2024-02-26T09:00")) is None
    for wrong in ({"zone": "Mars/Base"}, {"days": ""}, {"days": "8"}, {"opens": "19:00"}, {"first_contact": -1.0}):
        with pytest.raises(HoursRefused):
            Hours(**wrong)


def test_the_save_rate_has_the_interval_of_wilson() -> None:
    rate = Load("ann", saved=7, lost=3).rate
    assert rate is not None
    assert [round(value, 3) for value in rate] == [0.7, 0.397, 0.892]
    assert Load("ann").rate is None


def test_load_and_clocks_are_shown_and_cases_given_to_others(visit: Visit) -> None:
    agent = visit("agent")
    for name in ("C0003", "C0004"):
        owner = "agent@example.com" if name == "C0003" else ""
        agent.send(
            "/desk/cases", f"/desk/customers/{name}", customer_id=name, reason="silence", owner=owner, back="/desk"
        )
    assert "first contact until" in agent.get("/desk/customers/C0003").text
    desk = visit("manager")
    page = desk.get("/desk/team").text
    assert re.findall(r'<th scope="row">(?:<span dir="auto">)?([^<]+)', page)[:1] == ["Agent Example"]
    assert "C0004" in page
    receipt = desk.send(
        "/desk/cases/bulk", "/desk/team", queue="tab=open&owner=agent@example.com", owner="manager@example.com"
    )
    assert receipt.status_code == 200


def test_hours_are_a_manager_s_to_set(visit: Visit) -> None:
    hours = {"first_contact": "2", "opens": "08:00", "closes": "12:00", "days": "1", "zone": "Europe/Rome"}
    assert visit("agent").get("/desk/team").status_code == 403
    assert visit("agent").send("/desk/team/hours", "/desk/settings", **hours).status_code == 403
    desk = visit("manager")
    assert desk.send("/desk/team/hours", "/desk/team", **hours).status_code == 303
    assert 'value="Europe/Rome"' in desk.get("/desk/team").text
    assert desk.send("/desk/team/hours", "/desk/team", **{**hours, "zone": "Mars"}).status_code == 422
