"""The command: what a user sees when something is wrong."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from fedelta.cli import main
from fedelta.command_line import SECTIONS, fedelta
from fedelta.pipeline.stages import stage_names

HERE = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without data."""
    shutil.copy(HERE / "params.yaml", tmp_path)
    shutil.copytree(HERE / "sources", tmp_path / "sources")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["backtest", "--at", "yesterday"], "2026-01-31"),
        (["backtest", "--at", "2024-10-01"], "dvc repro ingest"),
        (["use", "nowhere"], "online_retail"),
        (["use", "online_retail"], "data/raw/online_retail"),
        (["source", "check", "demo"], "data/raw/demo"),
        (["stage", "ingest"], "data/raw/demo"),
        (["stage", "score"], "dvc repro"),
        (["explain", "ann"], "fedelta: data/scores.parquet is missing. `dvc repro`"),
        (["lineage", "ann"], "fedelta: data/scores.parquet is missing. `dvc repro`"),
        (["simulate", "--customers", "0"], "at least 1 customer"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_do(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
):
    assert main(words) == 1
    shown = capsys.readouterr()
    assert expected in shown.err
    assert shown.err.count("\n") == 1
    assert shown.out == ""


@pytest.mark.parametrize("stage", sorted(set(stage_names()) - {"ingest", "measure", "publish"}))
def test_a_stage_before_those_it_reads_from_says_which(stage: str, capsys: pytest.CaptureFixture[str]):
    assert main(["stage", stage]) == 1
    shown = capsys.readouterr()
    assert re.search(r"(is missing|holds no (interactions|model)).*`dvc repro", shown.err)
    assert shown.err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["bactest"], "No such command 'bactest'"),
        (["stage", "nonsense"], "'nonsense' is no stage. Stages: ingest, build_features"),
        (["backtest"], "Give either --at DATE or --rolling N."),
        (["backtest", "--at", "2024-01-01", "--rolling", "3"], "Give either --at DATE or --rolling N."),
        (["explain", "ann", "--without", "last_bad", "--resolved", "last_bad"], "Give either --without or --resolved."),
        (["explain"], "Missing argument 'ID'"),
        (["promote"], "Missing option '--because'"),
        (["simulate", "--customers", "many"], "'many' is not a valid integer"),
    ],
)
def test_wrong_words_are_one_line_and_exit_code_2(words: list[str], expected: str, capsys: pytest.CaptureFixture[str]):
    assert main(words) == 2
    shown = capsys.readouterr().err
    assert expected in shown
    assert shown.count("\n") == 1


def test_every_command_stands_under_a_heading_of_the_help():
    assert {command.section for command in fedelta.commands.values()} == set(SECTIONS)


def test_the_help_imports_nothing_of_ours_but_errors_and_the_settings_that_are_options():
    program = "import sys; from fedelta.cli import main; main(['--help']); print(*sorted(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    ours = [name for name in done.stderr.split() if name.startswith("fedelta.")]
    options = ["fedelta.serve", "fedelta.serve.caller", "fedelta.serve.caller.settings"]
    assert [name for name in ours if not name.startswith("fedelta.command_line")] == [
        "fedelta.cli", "fedelta.features", "fedelta.features.errors", *options,
    ]  # fmt: skip
    assert not {"numpy", "polars", "yaml", "pydantic"} & set(done.stderr.split())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completes_commands_stages_and_sources(shell: str, capsys: pytest.CaptureFixture[str]):
    assert main(["completion", shell]) == 0
    assert "_FEDELTA_COMPLETE" in capsys.readouterr().out
    complete = ShellComplete(fedelta, {}, "fedelta", "_FEDELTA_COMPLETE")
    cases = ((["use"], "onl", "online_retail"), (["stage"], "train_c", "train_churn"), ([], "pub", "publish"))
    for words, begun, wanted in cases:
        assert wanted in [item.value for item in complete.get_completions(words, begun)]


def test_answers_that_programs_read_are_json_on_request(capsys: pytest.CaptureFixture[str]):
    assert main(["features", "--format", "json"]) == 0
    assert "bad_experience_rate_365d" in {feature["name"] for feature in json.loads(capsys.readouterr().out)}
    assert main(["keys", "create", "crm", "--scope", "read:list"]) == 0
    capsys.readouterr()
    assert main(["keys", "list", "--json"]) == 0
    assert [key["name"] for key in json.loads(capsys.readouterr().out)] == ["crm"]


def test_an_unknown_setting_is_named(project: Path, capsys: pytest.CaptureFixture[str]):
    params = (project / "params.yaml").read_text().replace("horizon_days: 90", "horizon_days: 90\nhorizont: 3")
    (project / "params.yaml").write_text(params)
    assert main(["stage", "build_features"]) == 1
    assert "horizont" in capsys.readouterr().err


def test_the_dictionary_is_printed(capsys: pytest.CaptureFixture[str]):
    assert main(["features"]) == 0
    assert "bad_experience_rate_365d" in capsys.readouterr().out
