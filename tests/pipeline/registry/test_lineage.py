"""A score's lineage leads back to the source's files by what is known, and says where the way is broken."""

import hashlib
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from ruamel.yaml import YAML

from fedelta.models.bundle import bundle_hash
from fedelta.pipeline import paths
from fedelta.pipeline.commands.lineage import NoLineage, main
from fedelta.pipeline.registry.lineage import dvc_md5, files_fingerprint, lineage, lock_fingerprint
from fedelta.pipeline.registry.tracking import tracking

pytestmark = [
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),  # of MLflow's own queries
    pytest.mark.filterwarnings("ignore::FutureWarning"),  # of its own type hints, when it is imported
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

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


def test_a_folders_hash_is_that_of_dvc(project: Path):
    (project / "raw/sub").mkdir(parents=True)
    (project / "raw/b.csv").write_text("1\n")
    (project / "raw/sub/a.csv").write_text("2\n")
    listed = (
        '[{"md5": "b026324c6904b2a9cb4b88d6d61c81d1", "relpath": "b.csv"}, '
        '{"md5": "26ab0db90d72e28ad0ba1e22ee510510", "relpath": "sub/a.csv"}]'
    )
    assert dvc_md5(project / "raw/b.csv") == "b026324c6904b2a9cb4b88d6d61c81d1"
    assert dvc_md5(project / "raw") == hashlib.md5(listed.encode()).hexdigest() + ".dir"


# From a score back to the source

Tell = Callable[[str], str]


@pytest.fixture
def tell(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Tell:
    """Ask for the lineage of a customer of a small project that was scored, locked and tracked."""
    monkeypatch.chdir(project)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for path in ("data/raw/demo/orders.csv", "sources/demo/interactions.sql", "data/interactions/part.parquet",
                 "data/bundle/churn/model.json"):  # fmt: skip
        (project / path).parent.mkdir(parents=True)
        (project / path).write_text(path)
    pl.DataFrame(
        {
            "customer_id": ["ann", "bob"],
            "as_of": [datetime(2026, 1, 31, tzinfo=UTC)] * 2,
            "status": ["scored", "no_history"],
            "churn_probability": [0.25, None],
            "model_version": [bundle_hash(paths.BUNDLE)] * 2,
        }
    ).write_parquet(paths.SCORES)
    lock()

    def text(customer_id: str) -> str:
        capsys.readouterr()
        main(customer_id)
        return capsys.readouterr().out

    return text


def lock() -> None:
    """What `dvc repro` would write of the project as it is."""

    def held(*found: str) -> list[dict[str, str]]:
        return [{"path": path, "md5": dvc_md5(Path(path))} for path in found]

    ingest = {
        "deps": held("data/raw/demo", "sources/demo"),
        "params": {"params.yaml": {"data": "data/raw/demo", "source": "demo"}},
        "outs": held("data/interactions"),
    }
    YAML().dump({"stages": {"ingest": ingest, "score": {"outs": held("data/scores.parquet")}}}, Path("dvc.lock"))


@pytest.fixture
def record(project: Path, mlflow_database: Path) -> Callable[[], None]:
    """Keep of the bundle what `fedelta track` would, but its files."""
    shutil.copy(mlflow_database, project / "mlflow.db")

    def recorded() -> None:
        with tracking("demo") as store:
            tags = {"fedelta.bundle": bundle_hash(paths.BUNDLE)} | {f"fedelta.{k}": v for k, v in lineage().items()}
            run = store.client.create_run(store.runs, tags={**tags, "fedelta.git_commit": "0a1b"}, run_name="demo")
            source = f"runs:/{run.info.run_id}/model"
            held = {"fedelta.bundle": tags["fedelta.bundle"]}
            store.client.create_model_version(store.model, source, run.info.run_id, held)
            store.client.set_registered_model_alias(store.model, "champion", "1")

    return recorded


def test_a_score_leads_back_to_model_run_commit_lock_data_and_files(
    tell: Tell, record: Callable[[], None], monkeypatch: pytest.MonkeyPatch
):
    record()
    monkeypatch.setattr(
        "fedelta.pipeline.registry.lineage._git", lambda _: {"git_commit": "0a1b", "git_dirty": "false"}
    )
    text = tell("ann")
    first, *links, last = text.splitlines()
    assert first == "ann as of 2026-01-31: churn probability 0.2500"
    assert [link.split("  ")[1].strip() for link in links if not link.startswith("      ")] == [
        "scores", "model", "MLflow run", "git commit", "dvc.lock", "data", "source files", "interactions",
        "source files", "source files",
    ]  # fmt: skip
    assert f"bundle {bundle_hash(paths.BUNDLE)}: the same on disk" in text
    assert "(demo): registered as version 1, champion" in text
    assert "git commit    0a1b: the same now" in text
    assert f"{dvc_md5(Path('data/raw/demo/orders.csv'))}: orders.csv" in text
    assert f"data/raw/demo {dvc_md5(Path('data/raw/demo'))}: the same on disk" in text
    assert last == "Everything is as it was."


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        (lambda: Path("data/raw/demo/orders.csv").write_text("new orders"), "source files"),
        (lambda: Path("data/interactions/part.parquet").write_text("new rows"), "interactions"),
        (lambda: Path("data/bundle/churn/model.json").write_text("retrained"), "model"),
        (lambda: (Path("data/interactions/part.parquet").write_text("new rows"), lock()), "dvc.lock, data"),
        (lambda: shutil.rmtree("data/bundle"), "model"),
    ],
)
def test_what_changed_since_is_named(
    tell: Tell, record: Callable[[], None], monkeypatch: pytest.MonkeyPatch, change, broken
):
    record()
    monkeypatch.setattr(
        "fedelta.pipeline.registry.lineage._git", lambda _: {"git_commit": "0a1b", "git_dirty": "false"}
    )
    change()
    assert tell("ann").endswith(f"\nNo longer as it was: {broken}.\n")


def test_another_commit_is_named_and_so_are_changes_that_no_commit_holds(
    tell: Tell, record: Callable[[], None], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("fedelta.pipeline.registry.lineage._git", lambda _: {"git_commit": "0a1b", "git_dirty": "true"})
    record()
    assert "0a1b: the same now; files had been changed after the commit" in tell("ann")
    monkeypatch.setattr(
        "fedelta.pipeline.registry.lineage._git", lambda _: {"git_commit": "2c3d", "git_dirty": "false"}
    )
    assert "0a1b: now 2c3d" in tell("ann")


def test_a_bundle_that_was_never_tracked_has_no_run_and_says_so(tell: Tell):
    text = tell("bob")
    assert text.startswith("bob as of 2026-01-31: no_history\n")
    assert "MLflow run    none: this bundle was never recorded; `fedelta track` does it" in text
    assert not Path("mlflow.db").exists()


def test_an_unknown_customer_is_one_clear_line(tell: Tell):
    with pytest.raises(NoLineage, match=r"There is no customer 'zoe' in data/scores\.parquet") as refused:
        tell("zoe")
    assert "\n" not in str(refused.value)
