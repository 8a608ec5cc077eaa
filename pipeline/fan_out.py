"""A stage's buckets shared out among machines: each writes its share and a manifest, and one joins them.

The shares of a run see one folder (a shared volume). What they write, joined, is what one machine writes, byte for
byte.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedelta.features.errors import FedeltaError
from fedelta.pipeline.buckets.shuffle import Bucket

MANIFEST = "manifest.json"


class BadShare(FedeltaError):
    """A share is no share, is missing, or was made of something else."""


@dataclass(frozen=True)
class Share:
    """One of so many shares of the buckets, counted from 0."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> "Share":
        """The share that a text such as 3/8 names.

        Raises
        ------
        BadShare
            If it names none.
        """
        number, _, of = text.partition("/")
        if not (number.isdecimal() and of.isdecimal() and int(number) < int(of)):
            raise BadShare(f"{text!r} is no share. Shares are counted from 0: those of four are 0/4, 1/4, 2/4 and 3/4.")
        return cls(int(number), int(of))

    def buckets(self, work: Sequence[Bucket]) -> Sequence[Bucket]:
        """Its buckets, which lie beside each other; none where there are more shares than buckets."""
        return work[len(work) * self.number // self.of : len(work) * (self.number + 1) // self.of]

    def folder(self, shares: Path) -> Path:
        """Where it is written."""
        return shares / f"{self.number}-of-{self.of}"


def write_manifest(folder: Path, share: Share, made_of: str, facts: Mapping[str, int]) -> None:
    """Say in the folder of a share what is in it, and what it was `made_of`; `facts` are figures that add up."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    manifest = {
        "share": share.number,
        "of": share.of,
        "made_of": made_of,
        "facts": dict(facts),
        "files": {path.relative_to(folder).as_posix(): digest(path) for path in files},
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def joined(shares: Path, made_of: str, into: Mapping[str, Path]) -> dict[str, int]:
    """Join the shares in a folder; return the sums of their facts.

    Parameters
    ----------
    made_of : str
        What every share must be made of.
    into : mapping of str to Path
        The folders of a share, and the folder that their files become part of (which exists).

    Raises
    ------
    BadShare
        If a share is missing, was made of something else, or a file is not what its manifest says.
    """
    found = _manifests(shares, made_of)
    facts: dict[str, int] = {}
    for folder, manifest in found:
        for name, known in manifest["files"].items():
            if not (folder / name).is_file() or digest(folder / name) != known:
                raise BadShare(f"{folder / name} is not what {folder / MANIFEST} says. Run the share again.")
        for name, figure in manifest["facts"].items():
            facts[name] = facts.get(name, 0) + figure
    for folder, manifest in found:
        for name in manifest["files"]:
            within, _, file = name.rpartition("/")
            _linked(folder / name, into[within] / file)
    return facts


def fingerprint(folder: Path, *others: object) -> str:
    """What a job is made of: the footers of a folder's Parquet files, which tell their rows, and other things.

    `others` tell all of themselves by `repr`.
    """
    found = hashlib.sha256()
    for path in sorted(folder.glob("*.parquet")):
        found.update(path.name.encode() + _footer(path))
    found.update("\n".join(map(repr, others)).encode())
    return found.hexdigest()


def _manifests(shares: Path, made_of: str) -> list[tuple[Path, dict[str, Any]]]:
    """Folder and manifest of every share of the one number that there are, in order."""
    written = [(path.parent, json.loads(path.read_text(encoding="utf-8"))) for path in shares.glob(f"[!.]*/{MANIFEST}")]
    numbers = sorted({manifest["of"] for _, manifest in written})
    if len(numbers) != 1:
        of = " and ".join(map(str, numbers)) or "none"
        raise BadShare(f"{shares} must hold all shares of one number; it holds shares of {of}. Remove it and run anew.")
    (of,) = numbers
    by_number = {manifest["share"]: (folder, manifest) for folder, manifest in written}
    if missing := [f"{number}/{of}" for number in range(of) if number not in by_number]:
        raise BadShare(f"{shares} lacks {', '.join(missing)}. Run {'it' if len(missing) == 1 else 'them'} first.")
    for folder, manifest in written:
        if manifest["made_of"] != made_of:
            raise BadShare(
                f"{folder} was made of other data, settings or features than there are now. Run the share again."
            )
    return [by_number[number] for number in range(of)]


def _linked(source: Path, target: Path) -> None:
    """The file in a second place, by a link where the file system has them."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _footer(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(-8, os.SEEK_END)
        length = int.from_bytes(file.read(4), "little")
        file.seek(-8 - length, os.SEEK_END)
        return file.read(length)
