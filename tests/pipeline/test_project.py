"""Commands work in their project wherever in it they are given, make nothing elsewhere, and never mix two sources."""

import json
import sys
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
from tiny_source import GOOD, Tiny, csv

from fedelta.cli import main
from fedelta.pipeline.paths import RUN_LOCK, WHOLE_RUN_LOCK, project_folder
from fedelta.pipeline.run_lock import sole_run

HERE = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of the tiny source that has its files, in which nothing has run."""
    folder = tmp_path / "shop"
    tiny = Tiny(folder, csv(GOOD))
    folder.mkdir()
    tiny.source()
    (folder / "data/raw/tiny").mkdir(parents=True)
    (folder / "data/raw/tiny/events.csv").write_bytes(csv(GOOD))
    text = (HERE / "params.yaml").read_text()
    (folder / "params.yaml").write_text(text.replace("source: demo", "source: tiny").replace("raw/demo", "raw/tiny"))
    (folder / "notebooks/may").mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("FEDELTA_DATABASE_URL", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return folder


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_the_nearest_folder_with_params_is_the_project(project: Path) -> None:
    assert project_folder(project / "notebooks/may") == project
    assert project_folder(project) == project
    assert project_folder(project.parent) is None


@pytest.mark.parametrize(
    "words", [["stage", "ingest"], ["keys", "create", "crm", "--scope", "read:list"], ["source", "check", "tiny"]]
)
def test_a_command_in_a_folder_below_works_as_in_the_project(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    monkeypatch.chdir(project / "notebooks/may")
    assert main(words) == 0, capsys.readouterr().err
    assert not everything(project / "notebooks/may")
    if words[0] != "source":
        assert (project / ("data/interactions" if words[0] == "stage" else "data/serve/fedelta.db")).exists()


def test_a_path_given_below_means_the_folder_it_is_given_in(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "notebooks/exports").mkdir()
    (project / "notebooks/exports/events.csv").write_bytes(csv(GOOD))
    monkeypatch.chdir(project / "notebooks/may")
    assert main(["use", "tiny", "--data", "../exports"]) == 0
    assert "data: notebooks/exports\n" in (project / "params.yaml").read_text().replace(" #", "\n#")
    assert f"in the project {project}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["simulate"],
        ["stage", "ingest"],
        ["use", "tiny"],
        ["fetch"],
        ["source", "check", "tiny"],
        ["promotions"],
        ["track"],
        ["explain", "ann"],
        ["score", "--data", "exports", "--out", "scores.parquet"],
        ["keys", "create", "crm", "--scope", "read:list"],
        ["keys", "list"],
        ["serve", "--port", "0"],
    ],
    ids=" ".join,
)
def test_outside_a_project_a_command_says_so_and_makes_nothing(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    monkeypatch.chdir(project.parent)
    before = everything(project.parent)
    assert main(words) == 1
    shown = capsys.readouterr().err.strip()
    assert "no params.yaml in" in shown
    assert "\n" not in shown
    assert everything(project.parent) == before


def test_what_needs_no_project_runs_anywhere(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project.parent)
    assert main(["features"]) == 0
    assert main(["keys", "create", "crm", "--scope", "read:list", "--database", "sqlite:///mine.db"]) == 0
    assert (project.parent / "mine.db").is_file(), "where it was asked for"
    monkeypatch.setenv("FEDELTA_DATABASE_URL", f"sqlite:///{project.parent}/other.db")
    assert main(["keys", "create", "crm", "--scope", "read:list"]) == 0
    assert (project.parent / "other.db").is_file()
    assert not (project / "data/serve").exists()


def test_promotions_are_those_of_the_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where: list[Path] = []
    stand_in = SimpleNamespace(promotions=lambda _, **__: where.append(Path.cwd()))  # for a module that imports MLflow
    monkeypatch.setitem(sys.modules, "fedelta.pipeline.registry.promotion", stand_in)
    monkeypatch.chdir(project / "notebooks")
    assert main(["promotions"]) == 0
    assert where == [project], "MLflow's database is made in the present folder"


@pytest.mark.parametrize(
    "words",
    [
        ["stage", "build_features"],
        ["stage", "score"],
        ["explain", "ann"],
        ["churn-window"],
        ["lineage", "ann"],
        ["tune"],
    ],
    ids=" ".join,
)
def test_what_was_made_of_another_source_is_not_taken_for_this_one(
    project: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert main(["stage", "ingest"]) == 0
    report = json.loads((project / "reports/data.json").read_text())
    (project / "reports/data.json").write_text(json.dumps(report | {"source": "demo"}))
    capsys.readouterr()
    assert main(words) == 1
    shown = capsys.readouterr().err.strip()
    assert "were made of source demo, but params.yaml names tiny. Run `dvc repro`" in shown
    assert "\n" not in shown


def test_features_of_other_settings_are_not_learned_from_in_silence(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    days = pl.date_range(date(2023, 1, 1), date(2023, 12, 31), eager=True)
    rows = (f"{n},c{n % 7},{day} 12:00,visit,web,," for n, day in enumerate(days))
    (project / "data/raw/tiny/events.csv").write_bytes(csv(*rows))
    for name in ("ingest", "build_features"):
        assert main(["stage", name]) == 0
    params = project / "params.yaml"
    as_built = params.read_text()
    for setting, other in (("horizon_days: 90", "horizon_days: 30"), ("score_at: latest", "score_at: '2023-12-01'")):
        params.write_text(as_built.replace(setting, other, 1))
        capsys.readouterr()
        assert main(["stage", "fit_btyd"]) == 1
        shown = capsys.readouterr().err.strip()
        assert "data/features were made as of 2024-01-01 for 90 days, but the data and params.yaml ask for" in shown
        assert "Run `dvc repro`" in shown
    params.write_text(as_built)
    main(["stage", "fit_btyd"])
    assert "data/features were made" not in capsys.readouterr().err


@pytest.mark.parametrize("name", ["ingest", "score"])
def test_a_stage_waits_for_nobody_and_touches_nothing_while_another_run_writes(
    project: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    with sole_run("stage ingest", project / RUN_LOCK):
        before = everything(project)
        assert main(["stage", name]) == 1
        assert everything(project) == before
    shown = capsys.readouterr().err.strip()
    assert "Another run is writing in" in shown
    assert "\n" not in shown
    assert main(["stage", "ingest"]) == 0, "once it has ended"


def test_a_second_whole_run_is_refused_before_it_does_anything(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with sole_run("run", project / WHOLE_RUN_LOCK):
        assert main(["run"]) == 1
    assert "Another run is writing in" in capsys.readouterr().err


def test_a_source_is_checked_where_the_project_has_its_files(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "data/raw/tiny").rename(project / "exports")
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("data/raw/tiny", "exports"))
    assert main(["source", "check", "tiny"]) == 0
    assert "events < events.csv: 1 rows" in capsys.readouterr().out
    assert main(["source", "check", "tiny", "--data", "exports/events.csv"]) == 1
    assert (
        "exports/events.csv is a file. Give the folder that holds it, with --data exports." in capsys.readouterr().err
    )


def test_settings_given_twice_are_not_written_to(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    params = project / "params.yaml"
    params.write_text(params.read_text() + "horizon_days: 30\n")
    before = params.read_bytes()
    assert main(["use", "tiny"]) == 1
    assert "found duplicate key" in capsys.readouterr().err
    assert params.read_bytes() == before
