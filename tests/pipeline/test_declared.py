"""The company's own labels: read strictly, learned from where they stand, and only once they were known."""

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import hashed_project
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tiny_project import PARAMS, inside
from tiny_source import SQL, YAML, Tiny, csv

from fedelta.features.contract import LABELS
from fedelta.features.cutoffs import BadCutoff, CutoffSettings, LabelledCutoffs, TooLittleHistory, calendar
from fedelta.features.kernel import features_at
from fedelta.pipeline import build_features, fit_btyd, paths, train_churn
from fedelta.pipeline.commands import backtest
from fedelta.pipeline.commands.rolling import rolling_calendars
from fedelta.pipeline.declared import NoLabels, cutoff_settings
from fedelta.pipeline.intake.section import SourceError
from fedelta.pipeline.panel import read_panel
from fedelta.pipeline.params import load_params

NOTES = "who,day,gone,money,known\n"
LABELS_SQL = "SELECT who AS customer_id, day AS as_of, gone AS churned, money AS spend, known AS known_at FROM notes"
LABELLED = YAML + '  notes: {path: "notes.csv", format: csv}\n'
ROWS = ("1,ann,2024-01-05,purchase,web,12.5,", "2,bob,2024-01-06,purchase,web,3,")


def noted(folder: Path, *lines: str, sql: str = LABELS_SQL, yaml: str = LABELLED) -> Tiny:
    """A source with a table of labels."""
    tiny = Tiny(
        folder, csv(*ROWS), yaml, SQL, others={"notes.csv": (NOTES + "".join(f"{n}\n" for n in lines)).encode()}
    )
    (folder / "sources" / "tiny").mkdir(parents=True, exist_ok=True)
    (folder / "sources" / "tiny" / "labels.sql").write_text(sql)
    return tiny


def test_labels_are_judged_reconciled_and_kept_apart_like_any_table(tmp_path: Path):
    tiny = noted(
        tmp_path,
        "ann,2024-02-01,yes,10.5,2024-05-01 12:00:00",
        "bob,2024-02-01,no,,",
        "bob,2024-02-01,no,,",
        "bob,2024-02-01,yes,,",
        "cid,2024-02-01,no,,",
        "ann,2024-03-01,perhaps,,",
        "ann,not a day,no,,",
        "ann,2024-03-01,,,",
        "ann,2024-03-01,no,-1,",
        "ann,2024-03-01,no,,2024-02-28",
        "ann,2031-03-01,no,,",
    )
    report = tiny.ingest()
    assert report.declared_labels
    assert str(report.declared_labels.equation) == "11 rows in = 3 valid + 2 duplicate + 0 out of scope + 6 quarantined"
    assert report.declared_labels.quarantined_for == {
        "unreadable": 2, "in_the_future": 1, "known_too_early": 1, "missing_churned": 1, "spend_negative": 1,
    }  # fmt: skip
    kept = pl.read_parquet(tiny.outputs.labels)
    assert kept.schema == LABELS
    assert kept.select("customer_id", "as_of", "churned").rows() == [
        ("ann", date(2024, 2, 1), True),
        ("bob", date(2024, 2, 1), False),
        ("cid", date(2024, 2, 1), False),
    ]
    assert kept["known_at"][0] == datetime(2024, 5, 1, 10, tzinfo=UTC), "read in the source's zone"
    assert tiny.quarantine("labels").height == 6
    assert report.declared[0].unknown == 1
    text = " ".join(report.warnings)
    assert "1 labels contradict the one kept" in text
    assert "1 of 3 labels are of customers without an interaction before as_of" in text


@pytest.mark.parametrize(
    ("written", "stands"),
    [
        ("2024-02-01", date(2024, 2, 1)),
        ("2024-02-01 15:30:00", date(2024, 2, 1)),
        ("2024-02-01 00:30:00", date(2024, 1, 31)),  # in Rome, before midnight UTC: nothing later may be seen
        ("2024-02-01T00:30:00Z", date(2024, 2, 1)),
    ],
)
def test_a_date_is_itself_and_an_instant_the_midnight_before_it(tmp_path: Path, written: str, stands: date):
    tiny = noted(tmp_path, f"ann,{written},no,,")
    tiny.ingest()
    assert pl.read_parquet(tiny.outputs.labels)["as_of"].to_list() == [stands]


def test_a_source_without_labels_has_an_empty_table_and_cannot_recommend_to_learn_from_them(tmp_path: Path):
    tiny = Tiny(tmp_path / "none", csv(*ROWS))
    assert tiny.ingest().declared_labels is None
    assert pl.read_parquet(tiny.outputs.labels).schema == LABELS
    with pytest.raises(SourceError, match=r"definition is 'declared'; it must be another, or a labels\.sql"):
        Tiny(tmp_path, csv(*ROWS), YAML + "recommends: {churn: {definition: declared}}\n").source()


def test_labels_without_an_outcome_are_refused_in_one_line(tmp_path: Path):
    with pytest.raises(SourceError, match=r"labels\.sql yields no churned"):
        noted(tmp_path, sql="SELECT who AS customer_id, day AS as_of FROM notes").ingest()


DATES = [date(2023, 7, 1), date(2023, 9, 29), date(2023, 12, 28), date(2024, 1, 25)]
HORIZON = timedelta(days=90)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 customers over 480 days; at four dates the company says of two in three whether they left: bought no more."""
    folder = hashed_project.make(tmp_path_factory.mktemp("declared") / "project")
    text = (folder / "params.yaml").read_text()
    assert "churn: {" in text
    (folder / "params.yaml").write_text(text.replace("churn: {", "churn: {definition: declared, ", 1))
    with inside(folder):
        events = pl.read_parquet(paths.INTERACTIONS / "*.parquet").filter(pl.col("kind") == "purchase")
        tables = []
        for at in DATES:
            begin = datetime(at.year, at.month, at.day, tzinfo=UTC)
            later = events.filter(pl.col("occurred_at").is_between(begin, begin + HORIZON, closed="left"))
            known = events.filter(pl.col("occurred_at") < begin).select("customer_id").unique().sort("customer_id")
            tables.append(
                known.gather_every(3)
                .vstack(known.gather_every(3, 1))
                .select(
                    "customer_id",
                    as_of=pl.lit(at),
                    churned=~pl.col("customer_id").is_in(later["customer_id"].unique().implode()),
                    spend=pl.lit(None, pl.Decimal(18, 4)),
                    known_at=pl.lit(None, pl.Datetime("us", "UTC")),
                )
            )
        pl.concat(tables).write_parquet(paths.DECLARED_LABELS)
    return folder


def test_cutoffs_stand_where_labels_do_and_the_newest_known_outcome_is_evaluated(project: Path):
    with inside(project):
        settings = cutoff_settings(load_params())
    first, last = datetime(2023, 1, 1, tzinfo=UTC), datetime(2024, 4, 24, tzinfo=UTC)
    found = calendar(first, last, settings, horizon_days=90, lead_days=0)
    evaluated = [(c.at.date(), c.role) for c in found if c.role != "refit"]
    assert evaluated == [
        (DATES[0], "train"), (DATES[1], "train"), (DATES[3], "evaluate"), (date(2024, 4, 25), "score"),
    ]  # fmt: skip


def test_what_the_company_says_is_learned_from_and_of_whom_it_says_nothing_is_not(project: Path):
    with inside(project):
        for stage in (build_features, fit_btyd, train_churn):
            stage.main()
        declared = pl.read_parquet(paths.DECLARED_LABELS)
        panel = read_panel(["train", "evaluate", "score"])
        learned = panel.of_role("train")
        labelled = declared.filter(pl.col("as_of").is_in([c.date() for c in learned.cutoffs]))
        assert len(learned) == len(labelled) > 100
        # Here the company says what inactivity would: so what is learned from is the same, of those it speaks of.
        assert learned.churned("declared").tolist() == learned.churned("inactivity").tolist()
        assert len(panel.of_role("score")) == len(set(panel.table.loc[panel.table.role == "score", "customer_id"]))
        assert panel.of_role("score").table["days_since_last_purchase"].notna().any()


def test_a_label_known_late_teaches_nothing_before_it_was_known(project: Path):
    with inside(project):
        build_features.main()
        fit_btyd.main()
        whole = read_panel(["train", "evaluate"])
        who = whole.of_role("train").table["customer_id"].iloc[0]
        evaluate_at = whole.of_role("evaluate").cutoffs[0].to_pydatetime().replace(tzinfo=UTC)
        declared = pl.read_parquet(paths.DECLARED_LABELS)
        for known_at, lost in ((evaluate_at, 0), (evaluate_at + timedelta(microseconds=1), 1)):
            mine = (pl.col("customer_id") == who) & (pl.col("as_of") == DATES[0])
            declared.with_columns(known_at=pl.when(mine).then(pl.lit(known_at))).write_parquet(paths.DECLARED_LABELS)
            build_features.main()
            assert len(read_panel(["train"]).of_role("train")) == len(whole.of_role("train")) - lost
        declared.write_parquet(paths.DECLARED_LABELS)


def test_the_backtest_measures_at_a_date_with_labels_and_refuses_others(project: Path):
    with inside(project):
        backtest.main("2024-01-25")
        assert paths.BACKTEST.exists()
        with pytest.raises(BadCutoff, match=r"No label stands at 2024-01-20\. Labels stand at 2023-07-01, "):
            backtest.main("2024-01-20")
        first, last = build_features.span(paths.INTERACTIONS)
        calendars = rolling_calendars(first, last, load_params(), 5, 20)
        assert [c[-1].at.date() for c in calendars] == [DATES[3], DATES[2], DATES[1]]


def test_features_at_labels_know_nothing_of_what_came_after(project: Path):
    """The rows of a date are the same when everything from it on is deleted."""
    with inside(project):
        params = load_params()
        first, last = build_features.span(paths.INTERACTIONS)
        cutoffs = calendar(first, last, cutoff_settings(params), horizon_days=90, lead_days=0)
        at = next(c for c in cutoffs if c.role == "evaluate")
        job = build_features.job_for(params, cutoffs, paths.FEATURES, paths.LABELS)
        events = pl.read_parquet(paths.INTERACTIONS / "*.parquet").sort("customer_id", "occurred_at", "interaction_id")
        whole, _ = features_at(events, cutoffs, job.settings)
        past, _ = features_at(events.filter(pl.col("occurred_at") < at.at), (at,), job.settings)
    assert_frame_equal(whole.filter(pl.col("cutoff") == at.at), past)


def test_learning_from_labels_of_which_none_was_kept_says_where_they_lie(tmp_path: Path):
    tiny = noted(tmp_path, "ann,2024-02-01,gone,,")
    tiny.ingest()
    text = PARAMS.replace("TREES", "10").replace("source: demo", "source: tiny")
    (tmp_path / "params.yaml").write_text(text.replace("candidate: lightgbm", "definition: declared"))
    with inside(tmp_path), pytest.raises(NoLabels, match=r"no valid label\. Correct .*data/quarantine/labels\.parquet"):
        cutoff_settings(load_params())


def test_learning_from_labels_that_are_none_says_where_to_write_them(tmp_path: Path):
    folder = hashed_project.make(tmp_path / "project", customers=20)
    (folder / "params.yaml").write_text(
        PARAMS.replace("TREES", "2")
        .replace("source: demo", "source: cdnow")
        .replace("churn: {", "churn: {definition: declared, ")
    )
    with inside(folder):
        pl.DataFrame(schema=LABELS).write_parquet(paths.DECLARED_LABELS)
        with pytest.raises(NoLabels, match=r"Write sources/cdnow/labels\.sql"):
            build_features.main()


def test_listed_dates_are_learned_from_by_whoever_knew_their_outcomes():
    first, last = datetime(2023, 1, 1, tzinfo=UTC), datetime(2024, 12, 31, tzinfo=UTC)
    listed = CutoffSettings(train=("2024-06-01", "2023-03-01", "2023-10-01"))
    found = calendar(first, last, listed, horizon_days=90, lead_days=10)
    train = [c.at.date() for c in found if c.role in ("train", "refit")]
    assert train == [date(2023, 3, 1), date(2023, 10, 1), date(2024, 6, 1)]
    assert all(c.horizon_days == 90 for c in found)
    early = replace(listed, score_at="2024-03-01")
    assert [c.at.date() for c in calendar(first, last, early, horizon_days=90, lead_days=10) if c.role == "train"] == [
        date(2023, 3, 1)
    ]
    with pytest.raises(TooLittleHistory, match=r"the dates are 2024-12-01.*Give earlier dates"):
        calendar(first, last, CutoffSettings(train=("2024-12-01",)), horizon_days=90, lead_days=0)


@pytest.mark.parametrize("dates", [("soon",), (), ("2024-02-30",)])
def test_training_dates_that_are_none_are_refused(dates: tuple[str, ...]):
    with pytest.raises(BadCutoff, match=r"cutoffs\.train is"):
        CutoffSettings(train=dates)


def test_dates_without_labels_cannot_be_trained_on():
    settings = LabelledCutoffs(train=("2023-07-01", "2023-07-02"), labelled=tuple(DATES))
    with pytest.raises(BadCutoff, match=r"names 2023-07-02, where no label stands"):
        _ = settings.dates


@pytest.mark.parametrize("gone", ["gone", "maybe", "2", "0.5", ""])
def test_labels_of_other_classes_are_set_aside_with_a_warning_that_names_their_rule(tmp_path: Path, gone: str):
    tiny = noted(tmp_path, "ann,2024-02-01,yes,,", *(f"bob,2024-0{month}-01,{gone},," for month in (2, 3, 4)))
    rule = "unreadable" if gone else "missing_churned"
    text = f"75.0% of the rows of labels.sql are quarantined ({rule} 3): see data/quarantine."
    assert text in tiny.ingest().warnings


@pytest.mark.parametrize(
    ("label", "says"),
    [
        (lambda n: "yes", r"On 1 of 1 dates all labels are the same \(2024-02-01: all left\).*list of leavers"),
        (lambda n: "no", r"On 1 of 1 dates all labels are the same \(2024-02-01: all stayed\)"),
        (lambda n: "yes" if n else "no", None),
    ],
)
def test_labels_of_leavers_only_are_warned_of(tmp_path: Path, label, says: str | None):
    warnings = noted(tmp_path, *(f"c{n},2024-02-01,{label(n)},," for n in range(40))).ingest().warnings
    found = [words for words in warnings if "all labels are the same" in words]
    assert len(found) == (says is not None)
    assert says is None or re.match(says, found[0])
