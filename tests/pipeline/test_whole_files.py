"""Files written whole or not at all, whatever happens to the writer."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fedelta.pipeline.atomic_write import whole, write_json


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def folder_of(target: Path, **files: str) -> Path:
    target.mkdir(parents=True)
    for name, text in files.items():
        (target / name).write_text(text)
    return target


def write_in_a_process_that_dies(target: Path, code: str) -> None:
    """Run `code` with `target`, `whole` and `die` (SIGKILL to itself) at hand."""
    opening = (
        "import os, shutil, signal\nfrom pathlib import Path\nfrom fedelta.pipeline.atomic_write import whole\n"
        f"target = Path({str(target)!r})\n"
        "die = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = Path(__file__).parents[2]
    ended = subprocess.run([sys.executable, "-c", opening + code], cwd=root, check=False)
    assert ended.returncode == -signal.SIGKILL


def test_a_file_takes_its_place_when_all_went_well(tmp_path: Path):
    target = tmp_path / "deep" / "scores.txt"
    for text in ("old", "new"):
        with whole(target) as staged:
            staged.write_text(text)
        assert target.read_text() == text
    assert contents(target.parent) == {"scores.txt": "new"}


def test_a_folder_takes_the_place_of_the_old_one_with_nothing_of_it_left(tmp_path: Path):
    target = folder_of(tmp_path / "features", a="old", b="old")
    with whole(target) as staged:
        folder_of(staged, b="new")
    assert contents(target) == {"b": "new"}
    assert [path.name for path in tmp_path.iterdir()] == ["features"]


def test_until_the_end_readers_see_the_old_one(tmp_path: Path):
    target = folder_of(tmp_path / "features", a="old")
    with whole(target) as staged:
        folder_of(staged, a="new")
        assert contents(target) == {"a": "old"}


@pytest.mark.parametrize("write", [lambda place: place.write_text("half"), lambda place: folder_of(place, a="half")])
def test_a_failure_leaves_the_old_one_untouched_and_nothing_beside_it(tmp_path: Path, write):
    target = folder_of(tmp_path / "features", a="old")

    def fail() -> None:
        with whole(target) as staged:
            write(staged)
            raise RuntimeError("out of disk")

    with pytest.raises(RuntimeError, match="out of disk"):
        fail()
    assert contents(target) == {"a": "old"}
    assert [path.name for path in tmp_path.iterdir()] == ["features"]


def test_a_writer_that_wrote_nothing_leaves_the_old_one_untouched(tmp_path: Path):
    target = folder_of(tmp_path / "features", a="old")
    with pytest.raises(FileNotFoundError), whole(target):
        pass
    assert contents(target) == {"a": "old"}


def test_a_writer_killed_while_writing_leaves_the_old_file_and_the_next_one_succeeds(tmp_path: Path):
    target = tmp_path / "scores.txt"
    target.write_text("old")
    write_in_a_process_that_dies(target, "with whole(target) as staged:\n    staged.write_text('half')\n    die()")
    assert target.read_text() == "old"
    with whole(target) as staged:
        assert not staged.exists()
        staged.write_text("new")
    assert contents(tmp_path) == {"scores.txt": "new"}


def test_a_writer_killed_while_the_old_folder_is_removed_leaves_no_half_of_it(tmp_path: Path):
    target = folder_of(tmp_path / "features", a="old", b="old")
    write_in_a_process_that_dies(
        target,
        "def half(path, *_, **__):\n    (path / 'a').unlink()\n    die()\n"
        "with whole(target) as staged:\n"
        "    staged.mkdir()\n    (staged / 'c').write_text('new')\n"
        "    shutil.rmtree = half",
    )
    assert contents(target) == {"c": "new"}
    with whole(target) as staged:
        folder_of(staged, d="newer")
    assert contents(target) == {"d": "newer"}
    assert [path.name for path in tmp_path.iterdir()] == ["features"]


def test_a_file_never_takes_the_place_of_a_folder(tmp_path: Path):
    target = folder_of(tmp_path / "raw", orders="all of them")
    with pytest.raises(IsADirectoryError, match="raw"), whole(target) as staged:
        staged.write_text("scores")
    assert contents(target) == {"orders": "all of them"}
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_a_document_is_rounded_throughout_and_keeps_its_counts_words_and_gaps(tmp_path: Path):
    document = {
        "rows": 123456789012,
        "figures": [0.1 + 0.2, {"p": 1.23456789e-30}],
        "says": "0.123456789123",
        "none": None,
    }
    write_json(tmp_path / "report.json", document)
    assert json.loads((tmp_path / "report.json").read_text()) == {
        "rows": 123456789012,
        "figures": [0.3, {"p": 1.2345679e-30}],
        "says": "0.123456789123",
        "none": None,
    }
