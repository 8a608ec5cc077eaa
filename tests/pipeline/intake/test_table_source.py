"""Intake of tables: what a label must be, what contradicts itself, what is missing, each with one clear message."""

import json
import re

import polars as pl
import pytest
from table_project import HEADER, SOURCE, SQL, Gym, members
from tiny_project import inside

from fedelta.pipeline import build_features, ingest, leak_check
from fedelta.pipeline.ingest import check
from fedelta.pipeline.intake.section import SourceError
from fedelta.pipeline.intake.sources import load_source
from fedelta.pipeline.intake.table_source import NoLabels
from fedelta.pipeline.leak_check import LeakFound

ANN = "ann,2020-05-01,,480,monthly,Rome,40.00,1,true"
BOB = "bob,2020-05-01,,480,yearly,Bari,35.00,0,false"


def ingested(gym: Gym) -> dict:
    """The account of an ingested gym."""
    with inside(gym.write()):
        ingest.main()
        return json.loads((gym.folder / "reports/data.json").read_text())


def customers_of(gym: Gym) -> pl.DataFrame:
    return pl.read_parquet(gym.folder / "data/customers.parquet")


def test_each_row_becomes_a_customer_with_label_value_and_attributes(tmp_path):
    gym = Gym(tmp_path, [ANN, BOB, "cat,,,,yearly,Rome, ,0,"])
    report = ingested(gym)
    assert report["labels"] == {"churned": 1, "stayed": 1, "unknown": 1}
    assert report["customers"]["equation"]["valid"] == 3
    ann, bob, cat = customers_of(gym).sort("customer_id").iter_rows(named=True)
    assert (ann["churned"], bob["churned"], cat["churned"]) == (True, False, None)
    assert (ann["value"], ann["fee"], ann["complaints"]) == (480.0, 40.0, 1.0)
    assert cat["fee"] is None  # a blank is no number and no broken row


@pytest.mark.parametrize("label", ["", "null"])
def test_without_any_label_the_run_stops_and_says_what_to_map(tmp_path, label):
    rows = [f"m{i},,,,yearly,Rome,1,0,{'' if label == 'null' else label}" for i in range(5)]
    with pytest.raises(NoLabels, match=r"`churned` is null or missing in all 5 rows.*fedelta score --data"):
        ingested(Gym(tmp_path, rows))


def test_a_select_without_the_label_column_is_reported_the_same(tmp_path):
    with pytest.raises(NoLabels, match="Map the column that says who left to `churned`"):
        ingested(Gym(tmp_path, [ANN, BOB], sql=SQL.replace("left_us AS churned, ", "")))


def test_a_file_may_lack_an_optional_column_and_no_other(tmp_path):
    short, header = [row.rsplit(",", 1)[0] for row in (ANN, BOB)], HEADER.removesuffix(",left_us")
    with pytest.raises(NoLabels, match="all 2 rows"):
        ingested(Gym(tmp_path / "a", short, header=header))
    with pytest.raises(SourceError, match="left_us"):
        ingested(Gym(tmp_path / "b", short, header=header, yaml=SOURCE.replace(", optional: [left_us]", "")))


@pytest.mark.parametrize(("label", "words"), [("true", "all 2 labelled customers left"), ("false", "stayed")])
def test_labels_of_one_kind_stop_the_run(tmp_path, label, words):
    rows = [row.rsplit(",", 1)[0] + f",{label}" for row in (ANN, BOB)]
    with pytest.raises(NoLabels, match=words):
        ingested(Gym(tmp_path, rows))


def test_a_label_that_cannot_be_read_is_quarantined_and_never_guessed(tmp_path):
    gym = Gym(tmp_path, [ANN, BOB, "cat,,,,yearly,Rome,1,0,perhaps"])
    assert ingested(gym)["customers"]["quarantined_for"] == {"unreadable": 1}
    assert "cat" not in customers_of(gym)["customer_id"]


def test_an_exact_copy_with_the_same_id_is_a_duplicate(tmp_path):
    report = ingested(Gym(tmp_path, [ANN, ANN, BOB]))
    assert report["customers"]["equation"]["duplicate"] == 1
    assert report["labels"]["churned"] == 1


def test_a_customer_with_two_labels_is_set_aside_with_both_rows(tmp_path):
    gym = Gym(tmp_path, [ANN, ANN.replace(",true", ",false"), BOB, "dan,,,,yearly,Rome,9,0,true"])
    report = ingested(gym)
    assert report["customers"]["quarantined_for"] == {"two_labels": 2}
    assert customers_of(gym)["customer_id"].sort().to_list() == ["bob", "dan"]
    aside = pl.read_parquet(gym.folder / "data/quarantine/customers.parquet")
    assert aside["source_text"].str.contains("ann").all()


def test_source_check_counts_the_labels_and_says_that_ingest_would_stop(tmp_path):
    gym = Gym(tmp_path, [ANN])
    words = check("gym", gym.write() / "data/raw", gym.folder / "sources")
    assert "labels: churned 1, stayed 0, unknown 0" in words
    assert "`ingest` would stop" in words


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("as_of: 2024-03-31\n", ""), "as_of is None; it must be a date"),
        (("fee: {", "spend: {"), "spend'; it must be another name"),
        (("bad_experience: resolution", "bad_experience: anger"), "one of integrity"),
        (("plan: { type: categorical,", "plan: { type: categorical, bad_experience: empathy,"), "numeric where"),
        (("kind: table", "kind: cube"), "one of interactions, table"),
    ],
)
def test_a_mistake_in_source_yaml_is_one_line(tmp_path, change, words):
    gym = Gym(tmp_path, [ANN], yaml=SOURCE.replace(*change))
    gym.write()
    with pytest.raises(SourceError, match=words):
        load_source("gym", tmp_path / "sources")


def test_a_table_has_no_interactions_sql(tmp_path):
    Gym(tmp_path, [ANN]).write()
    (tmp_path / "sources/gym/interactions.sql").write_text("SELECT 1")
    with pytest.raises(SourceError, match=r"kind: table.*Remove it"):
        load_source("gym", tmp_path / "sources")


def test_spend_must_be_known_of_all_labelled_customers_or_of_none(tmp_path):
    sql = SQL.replace("worth AS value", "nullif(worth, '0') AS spend")
    with pytest.raises(NoLabels, match="spend is null for 1 of 2 labelled customers"):
        ingested(Gym(tmp_path, [ANN, BOB.replace(",480,", ",0,")], sql=sql))


def test_a_column_that_is_the_outcome_in_disguise_stops_the_run_and_is_named(tmp_path):
    rows = [f"{row},{'2024-04-02' if row.endswith('true') else ''}" for row in members(400)]
    gym = Gym(
        tmp_path,
        rows,
        header=f"{HEADER},closed_on",
        yaml=SOURCE.replace("  fee:", "  closed: { type: numeric }\n  fee:"),
        sql=SQL.replace("plan,", "(closed_on <> '')::INT AS closed, plan,"),
    )
    with inside(gym.write()):
        ingest.main()
        build_features.main()
        _no_prior()
        with pytest.raises(LeakFound, match="attribute_closed"):
            leak_check.main()


def _no_prior() -> None:
    from fedelta.pipeline import fit_btyd

    fit_btyd.main()


def test_a_table_of_a_day_yet_to_come_is_refused(tmp_path):
    later = re.sub(r"as_of: [0-9-]+", "as_of: 2999-03-31", SOURCE)
    with pytest.raises(SourceError, match="as_of is 2999-03-31, which is yet to come"):
        ingested(Gym(tmp_path, [ANN, BOB], yaml=later))
    assert not (tmp_path / "data/customers.parquet").exists()


@pytest.mark.parametrize(("day", "says"), [("1900-01-01", "before 1970"), ("2099-01-01", "yet to come")])
def test_a_table_of_an_impossible_day_stops_the_check_too(tmp_path, day, says):
    gym = Gym(tmp_path, [ANN, BOB], yaml=SOURCE.replace("2024-03-31", day))
    with inside(gym.write()), pytest.raises(SourceError, match=f"as_of is {day}.*{says}"):
        check("gym", gym.folder / "data/raw")


def test_fees_in_cents_and_sign_ups_after_the_day_of_the_table_are_warned_of(tmp_path):
    rows = [row.split(",") for row in members(400)]
    for row in rows[:60]:
        row[1], row[6] = "2024-05-01", str(100 * float(row[6])) if row[6].strip() else ""
    warnings = ingested(Gym(tmp_path, [",".join(row) for row in rows]))["warnings"]
    assert sum("60 of 400 customers signed up after 2024-03-31" in words for words in warnings) == 1
    assert sum(" values of fee lie around " in words and "two units" in words for words in warnings) == 1
    assert not any("fee lie" in words for words in ingested(Gym(tmp_path / "right", members(400)))["warnings"])


@pytest.mark.parametrize(("written", "label"), [("1.0", True), ("0.0", False), ("1", True), ("0.00", False)])
def test_a_label_that_pandas_wrote_as_a_fraction_is_a_label(tmp_path, written, label):
    gym = Gym(tmp_path, [ANN, BOB, f"cat,,,,yearly,Rome,1,0,{written}"])
    ingested(gym)
    assert customers_of(gym).filter(customer_id="cat")["churned"].to_list() == [label]


@pytest.mark.parametrize("written", ["2.0", "0.1", "-1.0", "1.01", "10"])
def test_another_fraction_is_no_label(tmp_path, written):
    report = ingested(Gym(tmp_path, [ANN, BOB, f"cat,,,,yearly,Rome,1,0,{written}"]))
    assert report["customers"]["quarantined_for"] == {"unreadable": 1}


@pytest.mark.parametrize("unlabelled", [1, 3])
def test_where_no_label_could_be_read_the_message_counts_the_rows_set_aside(tmp_path, unlabelled):
    rows = [f"m{i},,,,yearly,Rome,1,0,gone" for i in range(5)]
    rows += [f"u{i},,,,yearly,Rome,1,0," for i in range(unlabelled)]
    with pytest.raises(NoLabels, match=rf"could be read: 5 rows are quarantined, .* null in the other {unlabelled}\."):
        ingested(Gym(tmp_path, rows))


@pytest.mark.parametrize(
    ("worth", "says"),
    [
        (lambda n: "" if n % 3 else "10", r"The value of 266 of 400 customers is null"),
        (lambda n: "0", "The value of all customers is 0"),
        (str, None),
        (lambda n: "", None),
    ],
)
def test_values_that_are_unknown_or_nothing_are_warned_of(tmp_path, worth, says):
    rows = [row.split(",") for row in members()]
    for n, cells in enumerate(rows):
        cells[3] = worth(n)
    warnings = [w for w in ingested(Gym(tmp_path, [",".join(cells) for cells in rows]))["warnings"] if "value" in w]
    assert len(warnings) == (says is not None)
    assert says is None or re.match(says, warnings[0])


@pytest.mark.parametrize("definition", ["inactivity", "event"])
def test_an_outcome_that_a_table_cannot_have_is_refused_before_anything_is_learned(tmp_path, definition):
    with inside(Gym(tmp_path, [ANN, BOB]).write()):
        ingest.main()
        params = tmp_path / "params.yaml"
        params.write_text(params.read_text().replace("definition: declared", f"definition: {definition}"))
        with pytest.raises(SourceError, match=rf"churn\.definition is {definition}, but source gym is a table"):
            build_features.main()
        assert not (tmp_path / "data/features").exists()


def test_customers_are_not_described_as_of_a_day_to_come(tmp_path):
    with inside(Gym(tmp_path, [ANN, BOB]).write()):
        ingest.main()
        params = tmp_path / "params.yaml"
        params.write_text(params.read_text().replace("cutoffs: {", "cutoffs: {score_at: '2999-01-01', "))
        with pytest.raises(SourceError, match=r"cutoffs\.score_at is 2999-01-01, which is yet to come"):
            build_features.main()
