"""Categories that differ only in how they are written are warned of, and the SQL of the warning makes them one."""

import re
from pathlib import Path

import pytest
from tiny_source import SQL, YAML, Tiny, csv

PEOPLE = YAML + '  people: {path: "people.csv"}\nattributes:\n  plan: {type: categorical, static: true}\n'
WAYS = [
    ("gold", "Gold"), ("gold", " gold  "), ("gold", "go\u00adld"), ("gold", "\u200bgold"), ("café", "cafe\u0301"),
    ("café", "cafe"), ("CAFÉ", "café"), ("on-line", "on–line"), ("on-line", "on line"), ("on_line", "on  line"),
    ("gold plan", "gold\u00a0plan"), ("ÉTÉ", "été "),
]  # fmt: skip


def with_plans(folder: Path, *plans: str) -> Tiny:
    rows = [f"{n},c{n},2024-01-05,visit,web,," for n in range(len(plans) * 2)]
    people = csv(*(f'c{n},"{plans[n % len(plans)]}"' for n in range(len(plans) * 2)), header="who,plan")
    sql = "SELECT who AS customer_id, plan FROM people"
    return Tiny(folder, csv(*rows), PEOPLE, customers_sql=sql, others={"people.csv": people})


def written_twice(tiny: Tiny) -> list[str]:
    return [words for words in tiny.ingest().warnings if "written in more than one way, each of" in words]


@pytest.mark.parametrize(("one", "other"), WAYS)
def test_an_attribute_written_in_two_ways_is_warned_of_and_mended(tmp_path: Path, one: str, other: str) -> None:
    tiny = with_plans(tmp_path, one, other, "unlike")
    (warning,) = written_twice(tiny)
    assert "attribute plan has a category" in warning
    mended = re.search(r"in the SQL: (.*) AS plan\.$", warning)
    assert mended
    tiny.customers_sql = f"SELECT who AS customer_id, {mended[1]} AS plan FROM people"
    assert written_twice(tiny) == []
    assert tiny.customers()["plan"].n_unique() == 2


def test_categories_that_are_different_are_not_warned_of(tmp_path: Path) -> None:
    assert (
        written_twice(with_plans(tmp_path, "gold", "gold+", "old", "golds", "g.old", "1", "01", "1.0", "金", "銀"))
        == []
    )


def test_topics_are_looked_at_each_by_itself(tmp_path: Path) -> None:
    topics = ["Shirts|coats", "shirts | coats", "coats", "socks"]
    tiny = Tiny(
        tmp_path,
        csv(
            *(f"{n},c{n},2024-01-05,visit,web,,,{topic}" for n, topic in enumerate(topics)),
            header="id,who,at,what,how,money,stars,of",
        ),
        sql=SQL.replace("FROM events", ', "of" AS topic FROM events'),
    )
    (warning,) = written_twice(tiny)
    assert "column topic has 2 categories" in warning
    assert "'Shirts' (1), 'shirts ' (1)" in warning
    mended = re.search(r"in the SQL: (.*) AS topic\.$", warning)
    assert mended
    tiny.sql = SQL.replace("FROM events", f", {mended[1].replace('topic', 'of')} AS topic FROM events")
    tiny.sql = tiny.sql.replace("(of)", '("of")')
    assert written_twice(tiny) == []
