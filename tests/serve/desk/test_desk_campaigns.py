"""Campaigns: the plan's own numbers, a list that nobody is in who must not be contacted, outcomes from a file once."""

import csv
import io
import re
from collections.abc import Callable

import polars as pl
import pytest
import sqlalchemy as sa
from desk_client import Desk
from desk_company import NOW

from fedelta.models.policy.plan import contact_curve
from fedelta.serve.desk.words import words
from fedelta.serve.operational.database import Database
from fedelta.serve.operational.tables import outcomes

Visit = Callable[..., Desk]
FILE = (
    b"Cliente;Esito;Data;Nota\r\n"
    b"C0003;salvato;2024-02-20;ha rinnovato\r\n"
    b"C0004;no_answer;2024-02-21;\r\n"
    b"C0003;salvato;2024-02-20;ha rinnovato\r\n"
    b"C0001;reached;2024-02-20;\r\n"
    b"C0002;reached;2024-02-20;\r\n"
    b"nobody;saved;2024-02-20;\r\n"
    b"C0005;perhaps;2024-02-20;\r\n"
    b"C0005;saved;some day;\r\n"
    b";saved;2024-02-20;\r\n"
)


@pytest.fixture
def scored(company_folder: object) -> pl.DataFrame:
    """The scores of the company's last run."""
    frame = pl.read_parquet(f"{company_folder}/scores.parquet")
    return frame.filter(pl.col("as_of") == NOW)


def facts(page: str) -> list[str]:
    """The figures of the plan."""
    found = re.search(r'<dl class="facts three">(.*?)</dl>', page, re.DOTALL)
    assert found is not None
    return [re.sub("<[^>]*>", "", each) for each in re.findall(r"<b>(.*?)</b>", found[1])]


@pytest.mark.parametrize("capacity", [1, 20, 10**6])
def test_the_plan_has_the_numbers_of_the_curve(visit: Visit, scored: pl.DataFrame, capacity: int) -> None:
    curve = contact_curve(scored, capacity)
    row = curve.row(by_predicate=pl.col("contacts") == min(capacity, curve["contacts"].max()), named=True)
    best = curve.filter(mark="optimum").row(0, named=True)
    page = visit("manager").get(f"/desk/campaigns?capacity={capacity}").text
    assert facts(page) == [
        f"{row['contacts']:,}",
        f"{row['saves']:.1f}",
        f"€{row['cost']:,.0f}",
        f"€{row['profit']:,.0f}",
        words("en").money(row["last_profit"], "EUR"),
        f"{best['contacts']:,}",
    ]


def test_a_budget_pays_for_so_many_contacts(visit: Visit) -> None:
    assert facts(visit("admin").get("/desk/campaigns?budget=31").text)[0] == "10"  # of 3 euros each
    assert visit("admin").get("/desk/campaigns?budget=-1").status_code == 422


def test_the_exported_list_is_the_most_profitable_who_may_be_contacted(visit: Visit, scored: pl.DataFrame) -> None:
    answer = visit("manager").get("/desk/campaigns.csv?capacity=15&campaign=spring")
    assert answer.headers["content-disposition"].startswith('attachment; filename="spring-')
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    free = scored.filter(pl.col("suppression_reason").is_null(), ~pl.col("held_out"))
    wanted = free.sort(-pl.col("expected_profit"), "customer_id")["customer_id"].head(15).to_list()
    assert [row["customer_id"] for row in rows] == wanted


@pytest.mark.parametrize("role", ["viewer", "agent"])
def test_campaigns_are_for_managers(visit: Visit, role: str) -> None:
    desk = visit(role)
    assert "/desk/campaigns" not in desk.get("/desk").text
    for path in ("/desk/campaigns", "/desk/campaigns.csv?capacity=5", "/desk/campaigns/outcomes/x"):
        assert desk.get(path).status_code == 403
    sent = desk.send_file("/desk/campaigns/outcomes", "/desk/settings", "outcomes.csv", FILE)
    assert sent.status_code == 403


def test_the_saves_report_says_when_there_is_not_enough(visit: Visit) -> None:
    page = visit("manager").get("/desk/campaigns").text
    assert "No effect can be claimed yet." in page
    assert "stay with us 1" in page


def recorded(database: Database) -> list[tuple[str, str, str, str | None]]:
    """All outcomes."""
    columns = (outcomes.c.customer_id, outcomes.c.outcome, outcomes.c.occurred_at, outcomes.c.reason)
    with database.engine() as engine, engine.begin() as connection:
        return [tuple(row) for row in connection.execute(sa.select(*columns).order_by(outcomes.c.id))]


def test_a_file_is_tried_first_then_recorded_once(visit: Visit, desk_database: Database) -> None:
    desk = visit("manager", "it")
    sent = desk.send_file("/desk/campaigns/outcomes", "/desk/campaigns", "esiti.csv", FILE)
    assert sent.status_code == 303
    place = sent.headers["location"]
    page = desk.get(place).text  # columns are found by their names
    assert facts(page) == ["2", "1", "6"]
    assert recorded(desk_database) == []
    mapping = {"customer_id": "0", "outcome": "1", "occurred_at": "2", "reason": "3", "day": "2024-03-01"}
    done = desk.send(place, place, **mapping)
    assert done.status_code == 303
    assert recorded(desk_database) == [
        ("C0003", "saved", "2024-02-20T00:00:00Z", "ha rinnovato"),
        ("C0004", "no_answer", "2024-02-21T00:00:00Z", None),
    ]
    desk.send(place, place, **mapping)
    again = desk.send_file("/desk/campaigns/outcomes", "/desk/campaigns", "esiti.csv", FILE).headers["location"]
    desk.send(again, again, **mapping)
    assert len(recorded(desk_database)) == 2
    assert facts(desk.get(done.headers["location"]).text) == ["0", "3", "6"]


def test_a_date_of_two_readings_is_recorded_only_when_somebody_says_which(
    visit: Visit, desk_database: Database
) -> None:
    desk = visit("manager")
    file = b"customer,outcome,date\nC0003,saved,01/03/2024\n"
    place = desk.send_file("/desk/campaigns/outcomes", "/desk/campaigns", "x.csv", file).headers["location"]
    page = desk.get(place).text
    assert "this could be one day or another: say how dates are written: 01/03/2024" in page
    assert facts(page) == ["0", "0", "1"]
    given = {"customer_id": "0", "outcome": "1", "occurred_at": "2", "day": "2024-03-20", "dates": "month_first"}
    done = desk.send(place, place, **given).headers["location"]
    assert recorded(desk_database) == [("C0003", "saved", "2024-01-03T00:00:00Z", None)]
    assert '<option value="month_first" selected>' in desk.get(done).text


def test_refused_rows_come_back_with_the_reason(visit: Visit) -> None:
    desk = visit("manager")
    place = desk.send_file("/desk/campaigns/outcomes", "/desk/campaigns", "x.csv", FILE).headers["location"]
    errors = desk.get(f"{place}/errors.csv?customer_id=0&outcome=1&occurred_at=2&reason=3").content.decode("utf-8-sig")
    rows = {(row["Cliente"], row["error"]) for row in csv.DictReader(io.StringIO(errors))}
    assert ("C0001", "the customer is in the control group, which is never contacted") in rows
    assert ("C0002", "the customer has opted out") in rows
    assert ("nobody", "the current run does not know the customer") in rows
    assert ("C0005", "this is no outcome: perhaps") in rows
    assert ("C0005", "this is no day or time: some day") in rows
    assert ("", "the row names no customer") in rows


@pytest.mark.parametrize("content", [b"", b"customer,outcome\n", b"\xff\xfe\x00a", b'a,"b\nc', b"a,b\n\0,x"])
def test_what_is_no_csv_is_refused(visit: Visit, content: bytes) -> None:
    desk = visit("manager")
    assert desk.send_file("/desk/campaigns/outcomes", "/desk/campaigns", "x.csv", content).status_code == 422


def test_a_file_is_its_sender_s_own(visit: Visit) -> None:
    place = visit("manager").send_file("/desk/campaigns/outcomes", "/desk/campaigns", "x.csv", FILE).headers["location"]
    assert visit("admin").get(place).status_code == 404
