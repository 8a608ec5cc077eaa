"""Stages on Spark write what they write on one machine, byte for byte; what is missing is said in a line."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import installed
import numpy as np
import pytest
from made_once import made_once
from spark_cluster import Cluster, cluster, free_port
from tiny_project import HERE, PARAMS, inside, scored_project
from tiny_source import HEADER, SQL, YAML

from fedelta.pipeline import build_features, experience, ingest, paths, score
from fedelta.pipeline.buckets.engine import workers
from fedelta.pipeline.buckets.spark import NoSpark, SparkFailed
from fedelta.pipeline.fan_out import BadShare, Share
from fedelta.pipeline.params import EngineSettings, SparkSettings

SHARED = Path("/work/shared/data")
STAGES = (build_features, experience, score)
OUTPUTS = (
    paths.FEATURES, paths.LABELS, paths.VALUE, paths.EXPERIENCES, paths.PILLARS, paths.EXPERIENCE_BUNDLE,
    paths.EXPERIENCE_REPORT, paths.SCORES, paths.SCORING,
)  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def _spark(needs_system: Callable[[str], Path]) -> None:
    needs_system("openjdk-17-jre-headless")
    if os.environ.get("FEDELTA_REQUIRE_SYSTEM") != "1":
        pytest.importorskip("pyspark", reason="pyspark is not installed: requirements/spark.txt")


@pytest.fixture(scope="module")
def standalone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("spark")) as running:
        yield running


def with_buckets(folder: Path, number: int) -> None:
    """A project of so many buckets, whose value is learned at cutoffs of its own, with all stages run on DuckDB."""
    scored_project(folder)
    with inside(folder):
        settings = paths.PARAMS.read_text()
        for old, new in (
            ("buckets: 1}", f"buckets: {number}}}"),
            ("seeds: 1, horizon_days: 90}", "seeds: 1, horizon_days: 150}"),
        ):
            assert old in settings
            settings = settings.replace(old, new)
        paths.PARAMS.write_text(settings)
        for stage in STAGES:
            stage.main()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    usual = made_once("project-for-spark", lambda folder: with_buckets(folder, 5))
    with inside(Path(shutil.copytree(usual, tmp_path / "project", symlinks=True))) as folder:
        yield folder


def on_spark(master: str) -> None:
    """Let the project's stages run on a Spark."""
    conf = "{spark.executor.memory: 512m}"
    settings = paths.PARAMS.read_text()
    assert "engine: {" in settings
    engine = f"engine: {{backend: spark, spark: {{master: '{master}', conf: {conf}}}, "
    paths.PARAMS.write_text(settings.replace("engine: {", engine))


def contents() -> dict[str, bytes]:
    """Every file of the stages that run on Spark."""
    files = [file for out in OUTPUTS for file in (out, *out.rglob("*")) if file.is_file()]
    return {str(file): file.read_bytes() for file in files}


def forget() -> None:
    for out in filter(Path.exists, OUTPUTS):
        out.unlink() if out.is_file() else shutil.rmtree(out)


def test_two_threads_write_the_same_bytes(project: Path):
    alone = contents()
    assert sum("value/features/part" in name for name in alone) == 5
    forget()
    on_spark("local[2]")
    for stage in STAGES:
        stage.main()
    assert contents() == alone
    assert not paths.UNFINISHED.exists()


def test_a_cluster_that_loses_an_executor_writes_the_same_bytes(project: Path, standalone: Cluster):
    """The executor is killed once it has written: its tasks, and what it was about to write, are another's."""
    paths.PARAMS.write_text(paths.PARAMS.read_text().replace("buckets: 5}", "buckets: 24}"))
    build_features.main()
    alone = contents()
    for folder in (paths.FEATURES, paths.LABELS, paths.VALUE, paths.SCORING):
        shutil.rmtree(folder)
    on_spark(standalone.master)
    command = [sys.executable, "-m", "fedelta.cli", "stage", "build_features"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        staged = paths.FEATURES.with_name(f".{paths.FEATURES.name}.staged")
        while not any(staged.glob("part-*")) and running.poll() is None:
            time.sleep(0.02)
        standalone.executors()[0].send_signal(signal.SIGKILL)
        assert running.stderr is not None
        told = running.stderr.read()
    assert running.returncode == 0, told
    assert "Lost executor" in told
    score.main()
    assert contents() == alone


def fuzzed(folder: Path) -> None:
    """A source of Italian shop times around the changes of clocks, ids of many scripts, ties, gaps and copies."""
    rng = np.random.default_rng(11)
    names = ["ann", "Änne", "A\u0308nne", "顧客", "покупатель", "İstanbul", "🛒", "o'hara", 'q"uote', "x" * 40]
    changes = np.array(["2022-10-30T01:00", "2023-03-26T01:00", "2023-10-29T01:00"], np.datetime64)
    rows = []
    for number in range(3_000):
        at = changes[number % 3] + np.timedelta64(15 * int(rng.integers(-8, 16)), "m")
        if number % 4:
            at = changes[0] + np.timedelta64(int(rng.integers(24 * 365)), "h")
        kind = rng.choice(["purchase", "visit", "return", "complaint"], p=[0.5, 0.3, 0.1, 0.1])
        channel = rng.choice(["web", ""])
        who = f"{names[number % len(names)]} {rng.integers(20)}"
        amount = "" if rng.random() < 0.2 else f"{rng.gamma(2, 20):.2f}"
        rows.append([number % 2_900, who, at, kind, channel, amount, rng.choice(["", "0.1", "0.9"])])
    raw = folder / "raw"
    raw.mkdir()
    with (raw / "events.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([HEADER.split(","), *rows])
    source = folder / "sources/fuzzed"
    source.mkdir(parents=True)
    (source / "source.yaml").write_text(YAML)
    (source / "interactions.sql").write_text(SQL)


def published(folder: Path) -> None:
    """Invoices of a real shop."""
    if not SHARED.exists():
        pytest.skip("the public data sets are not here")
    (folder / "raw").symlink_to(SHARED / "online_retail")
    (folder / "sources").symlink_to(HERE / "sources")


@pytest.mark.parametrize(("name", "make"), [("fuzzed", fuzzed), ("online_retail", published)])
def test_one_machine_its_shares_and_spark_agree_on_any_source(tmp_path: Path, name: str, make: Callable[[Path], None]):
    make(tmp_path)
    settings = PARAMS.replace("TREES", "1").replace("data/raw/demo", "raw").replace("buckets: 1}", "buckets: 4}")
    with inside(tmp_path):
        paths.PARAMS.write_text(settings.replace("source: demo", f"source: {name}"))
        for folder in ("data", "reports", "erased"):
            Path(folder).mkdir()
        ingest.main()
        build_features.main()
        alone = contents()
        assert len(alone) == 8  # features and labels of four buckets
        for number in range(3):
            build_features.build_share(Share(number, 3))
        build_features.merge()
        assert contents() == alone
        forget()
        on_spark("local[2]")
        build_features.main()
        assert contents() == alone


def test_an_executors_error_is_told_in_its_words_or_as_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with inside(tmp_path), workers(EngineSettings("spark"), 4) as pool:
        assert list(pool.map(str, [3, 1, 2])) == ["3", "1", "2"]
        assert list(pool.map(str, [])) == []
        with pytest.raises(BadShare, match=r"^'3/3' is no share\. Shares are counted from 0"):
            list(pool.map(Share.parse, ["1/3", "3/3"]))
        with pytest.raises(SparkFailed, match=r"^Spark: ValueError: invalid literal for int.*'two'$"):
            list(pool.map(int, ["1", "two", "3"]))
        monkeypatch.setattr(Path, "cwd", lambda: tmp_path / "not on this machine")
        with pytest.raises(SparkFailed, match=r"does not see the project's folder .*not on this machine"):
            list(pool.map(str, [1]))


@pytest.mark.parametrize(
    ("master", "expected"),
    [
        ("spark://127.0.0.1:{port}", "does not answer .*refused.* correct engine.spark.master"),
        ("k8s://https://127.0.0.1:{port}", "does not answer"),
        ("spark://127.0.0.1:x", "does not answer"),
        ("lokal[2]", r"engine.spark.master is 'lokal\[2\]'; it must be local\[2\], spark://HOST:7077"),
        ("yarn", "engine.spark.master is 'yarn'; it must be"),
    ],
)
def test_a_master_that_is_none_or_does_not_answer_is_refused_at_once(master: str, expected: str):
    settings = EngineSettings("spark", SparkSettings(master.format(port=free_port())))
    with pytest.raises(NoSpark, match=expected), workers(settings, 1):
        pass


@pytest.mark.parametrize(("version", "expected"), [(None, "there is none in JAVA_HOME"), ("11.0.2", "is 11")])
def test_without_java_17_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str | None, expected: str
):
    if version:
        java = tmp_path / "bin/java"
        java.parent.mkdir()
        java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
        java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with (
        pytest.raises(NoSpark, match=f"Java 17 or newer; .*{expected}.* Install openjdk-17"),
        workers(EngineSettings("spark"), 1),
    ):
        pass


def test_without_pyspark_a_stage_says_what_to_install(project: Path):
    on_spark("local[2]")
    hide = "import sys; sys.modules['pyspark'] = None; from fedelta.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", hide, "stage", "build_features"]
    done = subprocess.run(command, env=installed.environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert (
        done.stderr.strip().splitlines()[-1].endswith("Install requirements/spark.txt, or set engine.backend: duckdb.")
    )
    assert "Traceback" not in done.stderr
