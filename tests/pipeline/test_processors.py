"""Another processor gives the same bytes: a small company's stages under simulated ones, file by file."""

import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from tiny_project import scored_project

from benchmarks.processors import PROCESSORS, environment

HERE = Path(__file__).parents[2]
MAKE = """\
import sys
from pathlib import Path
import tiny_project
tiny_project.make(Path(sys.argv[1]), tiny_project.interactions(300))
"""


@pytest.mark.long
def test_every_stage_writes_the_same_files_on_every_processor(tmp_path):
    paths = [str(HERE), str(HERE / "tests"), str(HERE / "tests/pipeline")]
    runs = {
        name: subprocess.Popen(
            [sys.executable, "-c", f"import sys; sys.path[:0] = {paths!r}\n{MAKE}", tmp_path / name],
            env=environment(name),
            stdout=subprocess.DEVNULL,
        )
        for name in PROCESSORS
        if name != "this"
    }
    scored_project(tmp_path / "this")
    assert {run.wait() for run in runs.values()} == {0}
    written = {name: hashes(tmp_path / name) for name in PROCESSORS}
    for name, files in written.items():
        assert [file for file in files if files[file] != written["this"].get(file)] == [], name
        assert files.keys() == written["this"].keys() > {"data/prior.parquet", "data/scores.parquet"}


def hashes(folder: Path) -> dict[str, str]:
    files = [file for part in ("data", "reports") for file in sorted((folder / part).rglob("*")) if file.is_file()]
    return {str(file.relative_to(folder)): sha256(file.read_bytes()).hexdigest() for file in files}
