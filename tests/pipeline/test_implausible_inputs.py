"""Inputs whose rows are all well formed and whose meaning is broken: each gets one warning with counts, or right "
"values."""

import math
import random
import re
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from tiny_source import NOW, SQL, YAML, Tiny, csv

from fedelta.pipeline.intake.source_check import check

HEADER = "id,who,at,what,how,money,stars,late,known"
FULL = SQL.replace("FROM events", ", late AS delay_hours, known AS known_at FROM events")
FIRST = datetime(2023, 1, 1, 8, tzinfo=UTC)
PEOPLE = "SELECT who AS customer_id, since AS signed_up_at, plan FROM people"
DECLARED = '  people: {path: "people.csv", format: csv}\nattributes:\n  plan: {type: categorical, static: true}\n'


@dataclass
class Row:
    """One row of events.csv."""

    id: str
    who: str
    at: datetime
    what: str = "purchase"
    how: str = "web"
    money: float | str = ""
    stars: float | str = ""
    late: float | str = ""
    known: str = ""

    def line(self) -> str:
        cells = (
            self.id,
            self.who,
            f"{self.at:%Y-%m-%d %H:%M:%S}",
            self.what,
            self.how,
            self.money,
            self.stars,
            self.late,
        )
        return ",".join(map(str, (*cells, self.known)))


@dataclass
class Company:
    """A company of 120 customers over 300 days, and the customers' register."""

    rows: list[Row] = field(default_factory=list)
    people: list[tuple[str, str, str]] | None = None  # customer, signed up, plan

    def tiny(self, folder: Path) -> Tiny:
        tiny = Tiny(folder, csv(*(row.line() for row in self.rows), header=HEADER), YAML, FULL)
        if self.people is not None:
            tiny.yaml, tiny.customers_sql = YAML + DECLARED, PEOPLE
            tiny.others["people.csv"] = csv(*map(",".join, self.people), header="who,since,plan")
        return tiny


def company() -> Company:
    chance = random.Random(1)
    rows = [
        Row(
            f"i{n}",
            f"c{chance.randrange(120)}",
            FIRST + timedelta(seconds=chance.randrange(300 * 86_400)),
            chance.choice(["purchase", "purchase", "visit", "delivery", "survey", "return"]),
            chance.choice(["web", "store", "app"]),
        )
        for n in range(3_000)
    ]
    for row in rows:
        if row.what in ("purchase", "return"):
            row.money = round(chance.lognormvariate(3 if row.what == "purchase" else 2, 0.6), 2)
        if row.what == "survey":
            row.stars = chance.randrange(5) / 4
        if row.what == "delivery":
            row.late = round(chance.gauss(0, 20), 2)
    people = [(f"c{n}", "2022-12-01", chance.choice(["basic", "gold"])) for n in range(120)]
    return Company(rows, people)


def test_an_ordinary_company_is_warned_of_nothing(tmp_path: Path) -> None:
    assert company().tiny(tmp_path).ingest().warnings == ()


Change = Callable[[Company], None]


def each(of: Callable[[Row], bool], **values: object) -> Change:
    """Put values, or what a function makes of a row, into the rows that are meant."""

    def change(made: Company) -> None:
        for row in filter(of, made.rows):
            for name, value in values.items():
                setattr(row, name, value(row) if callable(value) else value)

    return change


def added(*rows: Row) -> Change:
    return lambda made: made.rows.extend(rows)


def bought(row: Row) -> bool:
    return row.what == "purchase"


def people(change: Callable[[int, tuple[str, str, str]], tuple[str, str, str]]) -> Change:
    """Change the register, row by row."""

    def changed(made: Company) -> None:
        made.people = [change(n, person) for n, person in enumerate(made.people or [])]

    return changed


def third(row: Row) -> bool:
    return int(row.id[1:]) % 3 == 0


def from_july(row: Row) -> bool:
    return row.at >= datetime(2023, 7, 1, tzinfo=UTC)


def early_in_july(row: Row) -> bool:
    return bought(row) and row.at.month == 7 and row.at.day < 16


def cents(row: Row) -> float:
    return round(float(row.money) * 100)


def late(row: Row) -> datetime:
    return datetime(2023, 10, 2, tzinfo=UTC) + timedelta(hours=int(row.id[1:]) % 600)


def broad(row: Row) -> float:
    """An amount from below one to tens of thousands, each third in cents."""
    share = (int(row.id[1:]) // 3 * 0.618034) % 0.98 + 0.01
    amount = math.floor(math.exp(statistics.NormalDist(4, 2).inv_cdf(share))) + 0.99
    return round(amount * 100) if third(row) else amount


def twice(made: Company) -> None:
    made.rows += [replace(row, id=f"again-{row.id}") for row in made.rows]


def ghosts(made: Company) -> None:
    made.people = [*(made.people or []), *((f"x{n}", "2022-12-01", "gold") for n in range(200))]


LAST = FIRST + timedelta(days=299)
# What is wrong, how it is brought about, what the warning must say.
WARNED = [
    ("one stray date", added(Row("s", "c1", LAST + timedelta(days=76), money=9)),
     r"1 interaction is dated later than 2023-10-\d\d \(from 2024-01-11 .*7\d days.*`score_at: latest` is 2023-10-"),
    ("dates long before", added(*(Row(f"s{n}", "c1", datetime(1999, 12, 31, tzinfo=UTC), money=9) for n in range(3))),
     r"3 interactions are dated earlier than 2023-01-01 \(from 1999-12-30"),
    ("a feed that stopped", each(lambda row: bought(row) and row.at > LAST - timedelta(days=60), what="wish"),
     r"kind purchase stopped on 2023-08-\d+, 6\d days before the data end on 2023-10-\d+: about 2\d\d would"),
    ("a channel that stopped", each(lambda row: row.how == "store" and row.at > LAST - timedelta(days=60), how=""),
     r"channel store stopped on 2023-08-\d+"),
    ("cents from July on", each(lambda row: bought(row) and from_july(row), money=lambda row: round(row.money * 100)),
     r"usual purchase was 18\.7 in 2023-06 and 1,910 in 2023-07: has the unit changed"),
    ("one channel in yen", each(lambda row: bought(row) and row.how == "app", money=lambda row: round(row.money * 160)),
     r"usual purchase is 19 through web and 3,180 through app: are both of the same unit"),
    ("cents in half a month", each(early_in_july, money=cents),
     r"^\d\d purchases have amounts around 2,\d+, others around 1\d\.\d of .*\(in 2023-07\): are two units mixed"),
    ("cents in the app from July on",
     each(lambda row: bought(row) and row.how == "app" and from_july(row), money=cents),
     r"^1\d\d purchases have amounts around .*\(from 2023-07 to 2023-10, through app\): are two units mixed"),
    ("one purchase in twenty in cents", each(lambda row: bought(row) and int(row.id[1:]) % 20 == 0, money=cents),
     r"^\d\d purchases have amounts around .*\(from 2023-01 to 2023-10\): are two units mixed"),
    ("cents among amounts from one to thousands", each(bought, money=broad, how="web", at=late),
     r"^\d\d\d purchases have whole amounts around [\d,]+, others decimals and amounts around [\d.]+ of"),
    ("returns in cents", each(lambda row: row.what == "return" and row.at.day < 3, money=1e4),
     r"More was given back|usual return \d+"),
    ("refunds as negative purchases", each(lambda row: bought(row) and third(row), money=lambda row: -row.money),
     r"\d+ amounts are negative and were quarantined \(purchase \d+\).*kind return with abs"),
    ("one purchase of a billion", added(Row("x", "c1", LAST, money=1e9)),
     r"One purchase of 1,000,000,000 by the customer 'c1' is 100\.0% of what 1,\d+|9\d\d purchases brought in"),
    ("a third without amounts", each(lambda row: bought(row) and third(row), money=""),
     r"\d+ of 9\d\d|\d+ of 1,0\d\d purchases have no amount"),
    ("no amounts at all", each(lambda _: True, money=""), "No amounts: orders can be predicted, money cannot"),
    ("returns without amounts", each(lambda row: row.what == "return", money=""),
     r"\d+ of \d+ returns have no amount: historic_value takes nothing off"),
    ("more given back than bought", each(lambda row: row.what == "return", money=900),
     r"More was given back \([\d,.]+\) than bought"),
    ("a till of nine in ten rows", each(lambda row: int(row.id[1:]) % 10 > 0, who="till"),
     r"90% of the interactions \(2,700\) are of one customer, 'till'; others have \d+ on average.*out_of_scope"),
    ("missing customers as nan", each(third, who="nan"),
     r"1,000 interactions are of the customer 'nan'.*nullif\(customer_id, 'nan'\)"),
    ("missing customers as None", each(lambda row: row.id in {"i3", "i4"}, who="None"),
     r"2 interactions are of the customer 'None'"),
    ("ids from a spreadsheet", each(third, who=lambda row: f"{int(row.who[1:]) % 9 + 1}.23457E+11"),
     r"\d customer ids are written like 1.23E\+11: a spreadsheet has cut their digits"),
    ("dates for ids", each(lambda _: True, who=lambda row: f"2023-01-{int(row.who[1:]) % 28 + 1:02}"),
     r"28 of 28 customer ids look like dates"),
    ("ids in small letters and capitals", each(third, who=lambda row: row.who.upper()),
     r"\d+ customers are written in more than one way.*letter case"),
    ("other ids in the register", people(lambda n, person: (f"member-{n}", *person[1:])),
     r"None of the 120 customers of customers\.sql has an interaction, and none of the 120 customers with"),
    ("a register full of people who did nothing", ghosts,
     r"200 of 320 customers of customers\.sql have no interaction"),
    ("stars from 1 to 5", each(lambda row: row.what == "survey", stars=lambda row: int(row.stars * 4) + 1),
     r"\d+ of \d+ ratings lie outside 0 to 1 \(2 to 5\).*\(rating - 1\) / 4"),
    ("delays in seconds", each(lambda row: row.what == "delivery", late=lambda row: row.late * 3600),
     r"delay_hours is [\d,]+ hours as a rule, which is [\d,]+ days: is it in minutes or seconds"),
    ("an attribute all null", people(lambda _, person: (*person[:2], "")), "attribute plan is empty in all rows"),
    ("an attribute always the same", people(lambda _, person: (*person[:2], "gold")),
     "attribute plan is the same for all"),
    ("an id as an attribute", people(lambda n, person: (*person[:2], f"contract {n}")),
     "plan has 120 values in 120 rows"),
    ("signed up when last written", people(lambda _, person: (person[0], "2024-05-01", person[2])),
     r"1\d\d of 1\d\d customers have interactions before they signed up"),
    ("one in twenty signed up in 1970", people(lambda n, p: (p[0], "1970-01-01" if n % 20 == 0 else p[1], p[2])),
     r"6 customers signed up on a day that cannot be right or stands for none \(such as 1970-01-01\)"),
    ("signed up under another king", people(lambda n, p: (p[0], "1931-05-05" if n == 3 else p[1], p[2])),
     r"1 customers? signed up on a day that cannot be right .*such as 1931-05-05"),
    ("known a year before it happened", each(third, known="1900-01-01"),
     r"1,000 interactions have a known_at more than a year before they happened"),
    ("an attribute in capitals and without", people(lambda n, p: (*p[:2], p[2].upper() if n % 3 else p[2])),
     r"attribute plan has 2 categories written in more than one way.*'GOLD' \(\d+\), 'gold' \(\d+\)"),
    ("an attribute that is nan", people(lambda n, p: (*p[:2], "nan" if n % 9 == 0 else p[2])),
     r"attribute plan has 'nan' \(14\) as a category"),
    ("a file loaded twice under new ids", twice, r"\d+ of [\d,]+ purchases equal another in customer, time, amount"),
    ("all loaded in one night", each(lambda _: True, known="2024-05-31 04:00"),
     r"3,000 of 3,000 interactions became known later.*3,000 only after the data end.*3,000 became known on one day"),
    ("surveys under the ids of another system", each(lambda row: row.what == "survey", who=lambda row: f"s-{row.who}"),
     r"customers with interactions of kind survey \(\d+ customers\), hardly any has one of another kind"),
    ("purchases worth nothing", each(lambda row: bought(row) and third(row), money=0),
     r"\d+ of [\d,]+ amounts of purchases and renewals are 0, and count as orders worth nothing"),
    ("a month of nothing", lambda made: made.rows.__setitem__(slice(None), [r for r in made.rows if r.at.month != 5]),
     r"No interaction is dated from 2023-05-01 to 2023-05-31 \(31 days\)"),
    ("ids used twice for different things", each(third, id=lambda row: f"i{int(row.id[1:]) + 1}"),
     r"1,000 duplicates differ from the row kept with their id"),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "breaks", "says"), WARNED, ids=[case[0] for case in WARNED])
def test_what_cannot_be_meant_is_warned_of_once_with_counts(
    tmp_path: Path, wrong: str, breaks: Change, says: str
) -> None:
    made = company()
    breaks(made)
    tiny = made.tiny(tmp_path)
    report = tiny.ingest()
    warnings = [warning for warning in report.warnings if re.search(says, warning)]
    assert len(warnings) == 1, f"{wrong}: {report.warnings}"
    assert warnings[0] in check("tiny", tiny.raw, tmp_path / "sources", NOW), "the check says so before any run"
    for account in (report.interactions, report.customers):
        assert account is not None
        e = account.equation
        assert e.rows_in == e.valid + e.duplicate + e.out_of_scope + e.quarantined


def test_there_are_at_least_twenty_five_implausible_inputs() -> None:
    assert len(WARNED) >= 25


# Odd and right: no warning, and these values.
def test_purchases_all_at_midnight_are_no_sign_of_anything(tmp_path: Path) -> None:
    made = company()
    each(bought, at=lambda row: datetime.combine(row.at.date(), datetime.min.time(), UTC))(made)
    assert made.tiny(tmp_path).ingest().warnings == ()


@pytest.mark.parametrize(
    ("local", "utc"),
    [
        ("2023-03-26 01:59:59", datetime(2023, 3, 26, 0, 59, 59, tzinfo=UTC)),
        (
            "2023-03-26 02:30:00",
            datetime(2023, 3, 26, 1, 30, tzinfo=UTC),
        ),  # skipped: read as if the clock had not changed
        ("2023-10-29 01:30:00", datetime(2023, 10, 28, 23, 30, tzinfo=UTC)),
        ("2023-10-29 02:30:00", datetime(2023, 10, 29, 1, 30, tzinfo=UTC)),  # comes twice: the second one is taken
        ("2023-10-29 02:30:00+02", datetime(2023, 10, 29, 0, 30, tzinfo=UTC)),  # unless the zone is given
    ],
)
def test_hours_that_come_twice_or_never_are_read_one_way(tmp_path: Path, local: str, utc: datetime) -> None:
    tiny = Tiny(tmp_path, csv(f"1,ann,{local},visit,,,"))
    tiny.ingest()
    assert tiny.interactions()["occurred_at"].to_list() == [utc]


@pytest.mark.parametrize(
    "name", ["x" * 10_000, "🙂🙃", "2024-01-05", "NaN-7", "1e5x", "a\tb", "' OR 1=1 --", "C:\\x", "${HOME}"]
)
def test_any_id_is_kept_to_the_letter(tmp_path: Path, name: str) -> None:
    tiny = Tiny(tmp_path, csv(f'1,"{name}",2024-01-05,purchase,web,9,1', f'2,"{name}",2024-01-06,visit,web,,'))
    tiny.ingest()
    assert tiny.interactions()["customer_id"].unique().to_list() == [name]
    assert tiny.customers()["customer_id"].to_list() == [name]


PLACEHOLDERS = [
    ("1970-01-01", "placeholder_date"), ("1970-01-01 00:00:00+00", "placeholder_date"), ("1900-01-01", "before_1970"),
    ("0001-01-01", "before_1970"), ("24-01-05", "before_1970"), ("9999-12-31", "in_the_future"),
    ("2099-01-01", "in_the_future"), ("0000-00-00", "unreadable"), ("45321", "unreadable"),
    ("1704447600", "unreadable"), ("05.01.2024", "unreadable"), ("01/05/2024", "unreadable"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "rule"), PLACEHOLDERS)
def test_a_date_that_stands_for_none_or_is_not_iso_costs_its_row(tmp_path: Path, given: str, rule: str) -> None:
    yaml = YAML.replace("Europe/Rome", "America/New_York" if given == "1970-01-01" else "UTC")
    tiny = Tiny(tmp_path, csv("1,ann,2024-01-05,visit,,,", f"2,ann,{given},visit,,,"), yaml)
    assert tiny.ingest().interactions.quarantined_for == {rule: 1}


@pytest.mark.parametrize("amount", ["€12.50", "12.50 USD", "12,50", "1.234,50", "12.5.0", "½", "0x10"])
def test_an_amount_with_a_currency_or_separators_is_not_guessed(tmp_path: Path, amount: str) -> None:
    tiny = Tiny(tmp_path, csv("1,ann,2024-01-05,purchase,,1,", f'2,ann,2024-01-05,purchase,,"{amount}",'))
    report = tiny.ingest()
    found = tiny.interactions().filter(interaction_id="2")["amount"].to_list()
    assert report.interactions.quarantined_for == {"unreadable": 1}, f"{amount} became {found}"


def test_a_row_known_late_keeps_when_and_one_known_at_once_says_nothing(tmp_path: Path) -> None:
    rows = [
        Row(str(n), "ann", FIRST, known=known) for n, known in enumerate(("2023-01-03", "2023-01-01", "", "1999-01-01"))
    ]
    tiny = Company(rows).tiny(tmp_path)
    report = tiny.ingest()
    assert tiny.interactions()["known_at"].to_list() == [datetime(2023, 1, 2, 23, tzinfo=UTC), None, None, None]
    assert report.nulls["known_at"] == 3


def test_a_row_not_known_yet_cannot_be_there(tmp_path: Path) -> None:
    rows = [Row("1", "ann", FIRST), Row("2", "ann", FIRST, known="2999-01-01"), Row("3", "ann", FIRST, known="soon")]
    assert Company(rows).tiny(tmp_path).ingest().interactions.quarantined_for == {"in_the_future": 1, "unreadable": 1}


@pytest.mark.parametrize("number", [999, 1_000, 1_001, 5_000])
def test_there_may_be_any_number_of_topics(tmp_path: Path, number: int) -> None:
    lines = (f"{n},c{n % 80},2024-01-05,purchase,,9,{n}" for n in range(number))
    tiny = Tiny(
        tmp_path, csv(*lines, header="id,who,at,what,how,money,topic"), sql=SQL.replace("stars AS rating", "topic")
    )
    tiny.ingest()
    assert tiny.interactions()["topic"].n_unique() == number


def test_there_may_be_any_number_of_kinds_channels_attributes_and_their_levels(tmp_path: Path) -> None:
    names = [f"k{n}" for n in range(1_500)]
    yaml = YAML + '  people: {path: "people.csv", format: csv}\n'
    yaml += (
        f"kinds: [{', '.join(names)}]\nchannels: {{{', '.join(f'{name}: physical' for name in names)}}}\nattributes:\n"
    )
    attributes = [f"a{n}" for n in range(150)]
    yaml += "".join(f"  {name}: {{type: categorical, static: true}}\n" for name in attributes)
    people = csv(
        *(",".join([f"c{n}", *[f"level {n}"] * 150]) for n in range(1_200)), header=",".join(["who", *attributes])
    )
    tiny = Tiny(
        tmp_path,
        csv(*(f"{n},c{n % 1200},2024-01-05,{name},{name},,1" for n, name in enumerate(names))),
        yaml,
        customers_sql="SELECT who AS customer_id, * EXCLUDE who FROM people",
        others={"people.csv": people},
    )
    report = tiny.ingest()
    assert (len(report.kinds), len(report.channels)) == (1_500, 1_500)
    assert tiny.customers()["a149"].n_unique() == 1_200


def test_the_report_says_per_week_and_day_what_came_in_of_each_kind(tmp_path: Path) -> None:
    report = company().tiny(tmp_path).ingest()
    assert date.fromisoformat(report.weeks[0]).weekday() == 0
    for name, number in report.kinds.items():
        feed = report.feeds[f"kind {name}"]
        assert sum(feed.weekly) == number
        assert len(feed.weekly) == len(report.weeks)
        assert report.believed_first <= feed.first <= feed.last <= report.believed_last
    assert sum(sum(f.weekly) for name, f in report.feeds.items() if name.startswith("channel ")) == sum(
        report.channels.values()
    )


@pytest.mark.parametrize(
    "number", ["2", "-1", "0.3", "1.0000001", "'nan'::DOUBLE", "2::UTINYINT", "0.5::DECIMAL(9, 2)"]
)
def test_a_number_other_than_0_and_1_is_neither_true_nor_false(tmp_path: Path, number: str) -> None:
    sql = SQL.replace("stars AS rating", f"CASE id WHEN '1' THEN 1 WHEN '2' THEN 0 ELSE {number} END AS resolved")
    tiny = Tiny(tmp_path, csv(*(f"{n},ann,2024-01-05,contact,,," for n in (1, 2, 3))), sql=sql)
    assert tiny.ingest().interactions.quarantined_for == {"unreadable": 1}
    assert tiny.interactions().sort("interaction_id")["resolved"].to_list() == [True, False]


@pytest.mark.parametrize(
    ("currency", "decimals", "warned"), [("EUR", 3, 1), ("KWD", 3, 0), ("EUR", 2, 0), ("EUR", 4, 0)]
)
def test_a_point_that_separates_thousands_is_warned_of(
    tmp_path: Path, currency: str, decimals: int, warned: int
) -> None:
    lines = (
        f"{n},c{n % 80},2024-01-{1 + n % 28:02},purchase,,{1 + n % 7 + n / 10**decimals:.{decimals}f},"
        for n in range(900)
    )
    tiny = Tiny(tmp_path, csv(*lines), YAML.replace("currency: EUR", f"currency: {currency}"))
    assert sum("three digits after the point" in warning for warning in tiny.ingest().warnings) == warned


@pytest.mark.parametrize(("form", "warned"), [("%Y-%d-%m", 1), ("%Y-%m-%d", 0), ("%Y-%d-%m %H:%M", 1)])
def test_days_in_the_place_of_months_are_warned_of_where_others_were_read(
    tmp_path: Path, form: str, warned: int
) -> None:
    lines = (f"{n},c{n % 80},{FIRST + timedelta(days=n % 300):{form}},purchase,,9," for n in range(900))
    tiny = Tiny(tmp_path, csv(*lines))
    assert sum("day and month exchanged" in warning for warning in tiny.ingest().warnings) == warned
