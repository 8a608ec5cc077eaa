"""Outcomes from a file: no date is guessed."""

from acting_people import connected, current, planned, vera
from scoring_runs import Publish

from fedelta.serve.acting.cases import today
from fedelta.serve.acting.outcome_files import DateOrder, Table, record_file
from fedelta.serve.operational.database import Database

TOLD: list[tuple[list[str], DateOrder | None, list[str | None]]] = [
    (["01/03/2024", "02/03/2024"], None, [None, None]),  # one day or another
    (["01/03/2024", "05/05/2024"], None, [None, "2024-05-05"]),
    (["01/03/2024", "13/03/2024"], None, ["2024-03-01", "2024-03-13"]),
    (["01/03/2024", "03/13/2024 9:30"], None, ["2024-01-03", "2024-03-13"]),
    (["01/03/2024", "13/03/2024", "03/13/2024"], None, [None, "2024-03-13", "2024-03-13"]),  # both: told by neither
    (["01/03/2024", "02/03/2024"], "day_first", ["2024-03-01", "2024-03-02"]),
    (["01/03/2024", "02/03/2024"], "month_first", ["2024-01-03", "2024-02-03"]),
    (["01/02/2024", "13/03/2024"], "month_first", ["2024-01-02", None]),  # no month 13
    (["2024/02/01", "2024-02-01", "01/02/2024"], None, [None, "2024-02-01", None]),
]


def test_a_date_that_could_be_two_days_is_refused_unless_the_file_or_somebody_tells_which(
    database: Database, publish_customers: Publish
) -> None:
    publish_customers(*(planned(f"c{number}") for number in range(3)))
    file = current(database)
    with connected(database) as connection:
        for dates, asked, expected in TOLD:
            rows = "".join(f"c{number},saved,{at}\n" for number, at in enumerate(dates))
            judged = record_file(
                connection, vera(database), Table.read(f"who,what,when\n{rows}".encode()),
                {"customer_id": 0, "outcome": 1, "occurred_at": 2}, file,
                words={"saved": "saved"}, day=today(), happened=False, dry_run=True, dates=asked,
            )  # fmt: skip
            found = [one.came and one.came.occurred_at and f"{one.came.occurred_at:%Y-%m-%d}" for one in judged]
            assert found == expected, (dates, asked)
