"""What stages cost: the memory of a larger base lies on the line through two that were measured."""

import json
import sys
from pathlib import Path

from benchmarks.stages import compared, run
from fedelta.pipeline.stages import Stage


def folder(at: Path, customers: int, **peaks: int) -> Path:
    at.mkdir()
    stages = {name: {"wall": 2.0, "cpu": 3.0, "peak": peak} for name, peak in peaks.items()}
    (at / "stages.json").write_text(json.dumps({"customers": customers, "stages": stages}))
    return at


def test_memory_is_extrapolated_stage_by_stage_and_never_shrinks(tmp_path: Path):
    small = folder(tmp_path / "small", 20_000, ingest=10**9, score=2 * 10**9, track=10**9)
    large = folder(tmp_path / "large", 200_000, ingest=19 * 10**8, score=10**9)
    _, _, ingest, score = compared(small, large, 1_000_000)
    assert ingest == "| `ingest` | 2.0 | 3.0 | 1.00 | 2.0 | 3.0 | 1.90 | 5.9 |"
    assert score.endswith("| 1.0 |")


def test_a_stage_runs_by_its_command_with_its_outputs_of_before_removed(tmp_path: Path):
    left = tmp_path / "out" / "left"
    left.parent.mkdir()
    left.write_text("of the run before")
    script = f"{sys.executable} -c 'import pathlib; assert not pathlib.Path(\"{left}\").exists()'"
    usage = run(Stage("made_up", script, (), (str(left),), ()))
    assert usage.cpu > 0
    assert usage.peak >= 0
