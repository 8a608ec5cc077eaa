"""The command: what a user sees when something is wrong."""

import shutil
from pathlib import Path

import pytest

from fedelta.cli import main

HERE = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without data."""
    shutil.copy(HERE / "params.yaml", tmp_path)
    shutil.copytree(HERE / "sources", tmp_path / "sources")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["backtest", "--at", "yesterday"], "2026-01-31"),
        (["backtest", "--at", "2024-10-01"], "dvc repro ingest"),
        (["use", "nowhere"], "online_retail"),
        (["use", "online_retail"], "data/raw/online_retail"),
        (["source", "check", "demo"], "data/raw/demo"),
        (["stage", "ingest"], "data/raw/demo"),
        (["stage", "score"], "dvc repro"),
        (["simulate", "--customers", "0"], "at least 1 customer"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_do(words: list[str], said: str, capsys: pytest.CaptureFixture[str]):
    try:
        code = main(words)
    except SystemExit as stop:  # argparse and the simulator end the command themselves
        code = int(stop.code or 0) if not isinstance(stop.code, str) else 1
        if isinstance(stop.code, str):
            print(stop.code)
    output = capsys.readouterr()
    shown = output.err + output.out
    assert code != 0
    assert said in shown
    assert "Traceback" not in shown


def test_an_unknown_setting_is_named(project: Path, capsys: pytest.CaptureFixture[str]):
    params = (project / "params.yaml").read_text().replace("horizon_days: 90", "horizon_days: 90\nhorizont: 3")
    (project / "params.yaml").write_text(params)
    assert main(["stage", "build_features"]) == 1
    assert "horizont" in capsys.readouterr().err


def test_the_dictionary_is_printed(capsys: pytest.CaptureFixture[str]):
    assert main(["features"]) == 0
    assert "bad_experience_rate_365d" in capsys.readouterr().out
