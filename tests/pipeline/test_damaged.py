"""A file that was cut short is named in one line, whatever reads it and wherever the cut is."""

import json
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import lightgbm as lgb
import numpy as np
import polars as pl
import pytest
from tiny_project import HERE, inside

from fedelta.command_line.ends import run_command
from fedelta.features.contract import SCORES
from fedelta.models.bundle import BadBundle, bundle_hash, read_boosters
from fedelta.pipeline.damaged import damaged_files

FILES = (
    "data/scores.parquet",
    "data/quarantine/interactions.parquet",
    "reports/metrics.json",
    "data/bundle/churn/delivered/churn-0-0.txt",
    "data/bundle/churn/delivered/model.json",
    "data/serve/fedelta.db",
)


@pytest.fixture(scope="module")
def booster() -> str:
    settings = {"verbose": -1, "num_leaves": 4, "min_data_in_leaf": 5}
    columns = np.random.default_rng(1).normal(size=(100, 3))
    return lgb.train(settings, lgb.Dataset(columns, columns[:, 0]), num_boost_round=3).model_to_string()


@pytest.fixture
def whole(tmp_path: Path, booster: str) -> Path:
    """A folder with a file of each kind."""
    for name in FILES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".parquet":
            keys = {"customer_id": [f"c{n}" for n in range(200)], "status": "no_history", "horizon_days": 90}
            rows = pl.DataFrame({**keys, "as_of": datetime(2026, 1, 31, tzinfo=UTC)})
            pl.concat([SCORES.to_frame(), rows], how="diagonal_relaxed").cast(dict(SCORES)).write_parquet(path)
        elif path.suffix == ".json":
            path.write_text(json.dumps({"source": "demo", "figures": [*range(100)]}))
        elif path.suffix == ".txt":
            path.write_text(booster)
        else:
            with closing(sqlite3.connect(path)) as connection:
                connection.executescript("CREATE TABLE t (a); INSERT INTO t SELECT randomblob(9000); ")
    shutil.copy(HERE / "params.yaml", tmp_path)
    (tmp_path / "sources").symlink_to(HERE / "sources")
    return tmp_path


def cut(path: Path, share: float) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def test_whole_files_are_not_damaged(whole: Path) -> None:
    assert [*damaged_files(whole)] == []


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.9, 0.99])
def test_a_file_cut_anywhere_is_damaged_and_no_other(whole: Path, name: str, share: float) -> None:
    cut(whole / name, share)
    assert [str(path.relative_to(whole)) for path in damaged_files(whole)] == [name]


def test_raw_files_are_not_ours(whole: Path) -> None:
    (whole / "data/raw").mkdir()
    (whole / "data/raw/x.json").write_text("{")
    assert [*damaged_files(whole)] == []


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9, 0.99])
def test_a_booster_that_was_cut_short_is_refused_before_lightgbm_ends_the_process(whole: Path, share: float) -> None:
    folder = whole / "data/bundle/churn/delivered"
    assert len(read_boosters(folder, "churn-0")) == 1
    cut(folder / "churn-0-0.txt", share)
    with pytest.raises(BadBundle, match=r"churn-0-0\.txt is cut short\. Train again"):
        read_boosters(folder, "churn-0")
    with pytest.raises(BadBundle, match=r"churn-0-0\.txt is cut short\. Train again"):
        bundle_hash(folder)


def test_a_command_that_meets_one_names_it_in_one_line(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cut(whole / "data/scores.parquet", 0.5)
    with inside(whole):
        assert run_command(["at-risk"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(
        "fedelta: data/scores.parquet is cut short or damaged otherwise: remove it and run `dvc repro`"
    )
    assert said.count("\n") == 1


def test_an_error_of_ours_is_not_blamed_on_files(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("a mistake")

    monkeypatch.setattr(pl, "read_parquet", broken)
    monkeypatch.setattr(pl, "scan_parquet", broken)
    with inside(whole), pytest.raises(KeyError, match="a mistake"):
        run_command(["at-risk"])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            "parquet: File out of specification: Invalid thrift: transport error",
            "A table could not be written (parquet",
        ),
        ("IO Error: Could not write file: No space left on device", "A file could not be written: IO Error: Could not"),
    ],
)
def test_a_full_disk_is_called_one_whatever_the_library_says(
    whole: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str, says: str
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise pl.exceptions.ComputeError(words)

    monkeypatch.setattr(pl, "scan_parquet", broken)
    with inside(whole):
        assert run_command(["at-risk"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"fedelta: {says}")
    assert "Make room, then run again." in said
    assert said.count("\n") == 1


def test_a_database_is_looked_at_without_making_files(whole: Path) -> None:
    before = sorted(whole.rglob("*"))
    assert [*damaged_files(whole)] == []
    assert sorted(whole.rglob("*")) == before
