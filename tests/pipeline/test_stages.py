"""The stages of dvc.yaml without DVC: DVC's own order and commands, and a stop at the first that fails."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from table_project import Gym, members

from fedelta.command_line.ends import run_command
from fedelta.pipeline.stages import BadStages, StageFailed, read_stages, run_stages, stage_names

HERE = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
SMALL = """\
vars:
  - say: printf
stages:
  last:
    cmd: cat data/a data/parts/1 > data/b && ${say} ${words.b} >> data/b
    deps: [data/parts, data/a]
    outs: [data/b]
  middle:
    cmd: test ! -e data/parts && mkdir data/parts && cp data/a data/parts/1 && ${say} x >> data/log
    deps: [data/a]
    outs:
      - data/parts
      - data/log: { persist: true }
  first:
    cmd: ${say} ${words.a} > data/a
    outs: [data/a]
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Three stages that stand in the file in the order of last to first."""
    (tmp_path / "dvc.yaml").write_text(SMALL)
    (tmp_path / "params.yaml").write_text("words: {a: one, b: two}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_stage_comes_after_those_it_reads_from_wherever_it_stands(project):
    assert [stage.name for stage in read_stages()] == ["first", "middle", "last"]
    run_stages(read_stages())
    assert (project / "data/b").read_text() == "oneonetwo"


def test_outputs_of_before_are_removed_but_for_those_that_the_next_run_needs(project):
    for _ in range(2):
        run_stages(read_stages())
    assert (project / "data/log").read_text() == "xx"


def test_the_outputs_are_those_that_dvc_makes(project):
    run_stages(read_stages())
    ours = {file.name: file.read_bytes() for file in project.joinpath("data").rglob("*") if file.is_file()}
    shutil.rmtree(project / "data")
    (project / "data").mkdir()
    for words in (["init", "--no-scm", "-q"], ["repro", "-q"]):
        subprocess.run([BIN / "dvc", *words], check=True, env={**os.environ, "DVC_NO_ANALYTICS": "1"})
    assert {file.name: file.read_bytes() for file in project.joinpath("data").rglob("*") if file.is_file()} == ours


def test_the_first_stage_that_fails_ends_the_run_and_is_named(project):
    text = SMALL.replace("test ! -e data/parts", "false")
    (project / "dvc.yaml").write_text(text)
    with pytest.raises(StageFailed, match=r"stage 'middle' failed \(exit code 1\)"):
        run_stages(read_stages())
    assert (project / "data/a").exists()
    assert not (project / "data/b").exists()


def test_a_stage_that_leaves_an_output_unwritten_has_failed(project):
    (project / "dvc.yaml").write_text(SMALL.replace("> data/a", "> data/elsewhere"))
    with pytest.raises(StageFailed, match=r"'first' ended without writing data/a"):
        run_stages(read_stages())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("${words.b}", "${words.c}"), r"\$\{words\.c\} .* neither among its vars nor in params\.yaml"),
        (
            ("cmd: ${say} ${words.a} > data/a", "cmd: x\n    deps: [data/b]"),
            "wait for each other",
        ),
    ],
)
def test_what_cannot_be_run_is_refused_in_one_line(project, change, message):
    (project / "dvc.yaml").write_text(SMALL.replace(*change))
    with pytest.raises(BadStages, match=message):
        read_stages()


def test_outside_a_project_it_says_where_to_go(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadStages, match=r"dvc\.yaml is missing here"):
        read_stages()


def test_every_stage_of_ours_can_be_run_by_name_and_finds_its_inputs_made():
    stages = read_stages(HERE / "dvc.yaml", HERE / "params.yaml")
    assert {stage.name for stage in stages} - {"publish"} == set(stage_names(HERE / "dvc.yaml")) - {"publish"}
    made: set[str] = set()
    for stage in stages:
        read = {dep for dep in stage.deps if dep.startswith(("data/", "reports/")) and not dep.startswith("data/raw")}
        assert all(any(out.startswith(dep) or dep.startswith(out) for out in made) for dep in read), stage.name
        made |= set(stage.outs)


def environment_without(path: str) -> dict[str, str]:
    return {"PATH": path, "HOME": os.environ.get("HOME", "/")}


def python(folder: Path, path: str = "/usr/bin:/bin", **more: str) -> subprocess.CompletedProcess[str]:
    """What python.sh finds in a folder, with nothing of ours on the PATH; it compiles, or not."""
    says = "import sys; print(sys.executable, *['compiles nothing'] * sys.dont_write_bytecode)"
    command = ["sh", HERE / "pipeline/python.sh", "-c", says]
    return subprocess.run(
        command, cwd=folder, env=environment_without(path) | more, capture_output=True, text=True, check=False
    )


def test_a_copy_in_a_folder_below_finds_the_environment_of_the_project(tmp_path):
    (tmp_path / ".venv").symlink_to(BIN.parent)
    copy = tmp_path / ".dvc/tmp/exps/standalone/tmp1"
    copy.mkdir(parents=True)
    assert python(copy).stdout.strip() == f"{tmp_path}/.venv/bin/python"


def test_without_one_the_environment_on_the_path_serves(tmp_path):
    assert python(tmp_path, f"{BIN}:/usr/bin:/bin").stdout.strip() == f"{BIN}/python"


def test_a_stage_keeps_compiled_modules_whatever_the_shell_says(tmp_path):
    (tmp_path / ".venv").symlink_to(BIN.parent)
    assert python(tmp_path, PYTHONDONTWRITEBYTECODE="1").stdout.strip() == f"{tmp_path}/.venv/bin/python"


def test_without_any_it_says_what_to_do(tmp_path):
    done = python(tmp_path)
    assert done.returncode == 127
    assert done.stderr.count("\n") == 1
    assert "make setup" in done.stderr


def test_stages_of_this_package_begin_as_forks_and_write_and_fail_as_their_commands_do(tmp_path, monkeypatch, capfd):
    """One that only its command could run (for the shell, or another program) has its command run."""
    folder = Gym(tmp_path, members(60)).write()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PATH", f"{BIN}:/usr/bin:/bin")
    whole = (HERE / "dvc.yaml").read_text()
    ours = whole[whole.index("  ingest:") : whole.index("  experience:")]
    after = "  after:\n    cmd: cp reports/data.json data/copy.json && ls data\n    deps: [reports/data.json]\n"
    text = f"vars: [fedelta: fedelta]\nstages:\n{ours}{after}    outs: [data/copy.json]\n"
    (folder / "dvc.yaml").write_text(text)
    stages = read_stages()
    assert [stage.words for stage in stages] == [("stage", "ingest"), ("stage", "build_features"), None]
    made = []
    for command in (run_command, None):
        run_stages(stages, command)
        found = [file for out in ("data", "reports") for file in Path(out).rglob("*") if file.is_file()]
        made.append({str(file): file.read_bytes() for file in found if file.name != ".run.lock"})
    assert made[0] == made[1]
    assert Path("data/labels") in {Path(file).parent for file in made[0]}
    Path("data/raw/members.csv").write_text("id,joined\n1,2020-01-01\n")
    said = []
    for command in (run_command, None):
        capfd.readouterr()
        with pytest.raises(StageFailed, match=r"stage 'ingest' failed \(exit code 1\)"):
            run_stages(stages, command)
        said.append(capfd.readouterr().err.splitlines()[-1])
    assert said[0] == said[1]
    assert said[0].startswith("fedelta: ")
