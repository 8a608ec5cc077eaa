"""A bundle's lineage names the commit, the lock and the data, and says nothing it does not know."""

import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline.lineage import files_fingerprint, lineage, lock_fingerprint

LOCK = """\
schema: '2.0'
stages:
  ingest:
    cmd: fedelta stage ingest
    outs:
    - path: data/interactions
      md5: 0123.dir
  track:
    cmd: fedelta stage track
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    return tmp_path


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def test_a_folder_without_git_lock_or_data_has_no_lineage(project: Path):
    assert lineage(project) == {}


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_commit_is_named_and_a_changed_file_makes_it_dirty(project: Path):
    (project / "file").write_text("one")
    git(project, "init", "-q")
    assert lineage(project) == {}  # no commit yet
    git(project, "add", "file")
    git(project, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "first")
    assert lineage(project) == {"git_commit": git(project, "rev-parse", "HEAD"), "git_dirty": "false"}
    (project / "file").write_text("two")
    assert lineage(project)["git_dirty"] == "true"


def test_the_data_are_known_by_the_hash_that_dvc_holds(project: Path):
    (project / "dvc.lock").write_text(LOCK)
    assert lineage(project)["data"] == "0123.dir"


def test_without_a_lock_the_data_are_known_by_their_bytes(project: Path):
    folder = project / "data/interactions"
    folder.mkdir(parents=True)
    (folder / "part-0.parquet").write_bytes(b"rows")
    before = lineage(project)["data"]
    (folder / "part-0.parquet").write_bytes(b"other rows")
    assert lineage(project)["data"] != before


def test_that_track_ran_does_not_change_the_lock_it_records(project: Path):
    (project / "dvc.lock").write_text(LOCK)
    after = lineage(project)["dvc_lock"]
    (project / "dvc.lock").write_text(LOCK.split("  track:", maxsplit=1)[0])
    assert lineage(project)["dvc_lock"] == after
    (project / "dvc.lock").write_text(LOCK.replace("0123", "4567"))
    assert lineage(project)["dvc_lock"] != after
    assert lock_fingerprint({"stages": {"a": 1, "b": 2}}) == lock_fingerprint({"stages": {"b": 2, "a": 1}})


def test_a_renamed_file_is_another_folder(project: Path):
    (project / "a").write_bytes(b"x")
    before = files_fingerprint(project)
    (project / "a").rename(project / "b")
    assert files_fingerprint(project) != before
