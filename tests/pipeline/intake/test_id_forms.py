"""Customers that are one and are written in two ways are found, counted and shown how to mend."""

from pathlib import Path

import duckdb
import pytest
from tiny_source import NOW, SQL, YAML, Tiny, csv

from fedelta.pipeline.intake.id_forms import LookAlikes, define, look_alikes
from fedelta.pipeline.intake.source_check import check


def found(*rows: tuple[str, str]) -> LookAlikes | None:
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA fedelta; CREATE TABLE places (customer_id VARCHAR, place VARCHAR)")
        define(connection)
        connection.executemany("INSERT INTO places VALUES (?, ?)", list(rows))
        return look_alikes(connection, "places")


def mended(look_alikes: LookAlikes, name: str) -> str:
    with duckdb.connect() as connection:
        row = connection.execute(f"SELECT {look_alikes.mending} FROM (SELECT ? AS customer_id)", [name]).fetchone()
        assert row is not None
        return str(row[0])


@pytest.mark.parametrize(
    ("one", "other", "difference"),
    [
        ("412", "412.0", "'.0' at the end"),
        ("412", "412.00", "'.0' at the end"),
        ("7", "007", "leading zeros"),
        ("C12", "C0012", "leading zeros"),
        ("ann@x.it", "Ann@X.it", "letter case"),
        ("éva", "ÉVA", "letter case"),
        ("ann", " ann", "blanks"),
        ("A 12", "A12", "blanks"),
        ("ann", "ann\u00a0", "blanks"),
        ("ann", "an\u200bn", "blanks"),
        ("ann", "ann\u3000", "blanks"),
        ("412", "４１２", "characters of double width"),
        ("ann", "ａｎｎ", "characters of double width"),
        ("412", "412,0", "'.0' at the end"),
        ("00412", "'00412", "quotes around them"),
        ("ann", '"ann"', "quotes around them"),
        ("andr\u00e9", "andre\u0301", "accents apart from their letters"),
        ("K-12", "K\u201312", "kinds of dashes"),
        ("K-12", "K\u221212", "kinds of dashes"),
    ],
)
def test_two_ways_to_write_one_customer_are_found_and_the_sql_makes_them_one(
    one: str, other: str, difference: str
) -> None:
    look_alikes = found((one, "purchase"), (other, "complaint"), ("zoe", "purchase"), ("41", "purchase"))
    assert look_alikes is not None
    assert (look_alikes.customers, look_alikes.ids, look_alikes.apart) == (1, 2, 1)
    assert look_alikes.differences == {difference: 1}
    assert mended(look_alikes, one) == mended(look_alikes, other)


def test_different_customers_are_not_merged() -> None:
    assert (
        found(
            *(
                (name, "purchase")
                for name in (
                    "1",
                    "10",
                    "100",
                    "1.5",
                    "01a",
                    "a-1",
                    "a1",
                    "412,000",
                    "412",
                    "d'ann",
                    "dann",
                    "o'",
                    "q",
                    "0",
                    "-1",
                    "é",
                    "e",
                )
            )
        )
        is None
    )


def test_several_differences_are_counted_each_and_mended_together() -> None:
    look_alikes = found(("A7", "x"), ("a07", "x"), (" a7 ", "y"), ("5", "x"), ("5.0", "x"))
    assert look_alikes is not None
    assert (look_alikes.customers, look_alikes.ids, look_alikes.apart) == (2, 5, 1)
    assert look_alikes.differences == {"blanks": 1, "letter case": 1, "'.0' at the end": 1, "leading zeros": 1}
    assert len({mended(look_alikes, name) for name in ("A7", "a07", " a7 ")}) == 1


def test_a_number_of_one_table_and_a_text_of_another_are_warned_of_wherever_they_meet(tmp_path: Path) -> None:
    orders = [f"{n},{400 + n % 50},2024-01-{1 + n % 28:02},purchase,web,5," for n in range(100)]
    tickets = [f"t{n},{400 + n}.0,2024-02-01,complaint,,," for n in range(50)]
    people = csv(*(f"{400 + n}" for n in range(50)), header="who")
    tiny = Tiny(
        tmp_path,
        csv(*orders, *tickets),
        YAML + '  people: {path: "people.csv", format: csv}\n',
        customers_sql="SELECT who AS customer_id FROM people",
        others={"people.csv": people},
    )
    report = tiny.ingest()
    assert report.customer_count == 100
    text = next(warning for warning in report.warnings if "more than one way" in warning)
    assert text.startswith(
        "50 customers are written in more than one way, and so count as 100; 50 of them in one way here"
    )
    assert "400 (customers.sql, purchase) and 400.0 (complaint)" in text
    assert text in check("tiny", tiny.raw, tmp_path / "sources", NOW)
    mending = tiny.report()["look_alikes"]
    assert isinstance(mending, dict)
    assert mending["differences"] == {"'.0' at the end": 50}
    assert report.look_alikes is not None
    better = SQL.replace(
        "who AS customer_id", report.look_alikes.mending.replace("customer_id", "who") + " AS customer_id"
    )
    again = Tiny(tmp_path / "again", csv(*orders, *tickets), sql=better)
    again.folder.mkdir()
    assert again.ingest().customer_count == 50
