"""What a snapshot needs to score by: folders beside its file, named by their content, so that runs share what is equal.

``scoring/bundle-HASH`` is a copy of the models, ``scoring/context-HASH`` of what the run froze for its scores, and
``scoring/histories-HASH`` holds the interactions by customer (`serve.snapshots.histories`). Each is written under
another name and moved in place, never changed, and removed with the last snapshot that needs it.
"""

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from fedelta.serve.snapshots.histories import write_histories
from fedelta.serve.snapshots.write import UNFINISHED

FOLDER = "scoring"
SETTINGS = "settings.json"  # of a context: see scoring.context
_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Inputs:
    """Where a run left what it scored by; what is not there is not published."""

    context: Path
    bundle: Path
    interactions: Path
    customers: Path


@dataclass(frozen=True, slots=True)
class Parts:
    """The folders of a snapshot's scoring; they are immutable, so they name what was loaded from them."""

    context: str
    bundle: str
    histories: str | None  # None: published without interactions

    def names(self) -> str:
        """The folders' names as JSON, for `of`."""
        return json.dumps({name: path and Path(path).name for name, path in asdict(self).items()})

    @classmethod
    def of(cls, folder: Path, names: str) -> "Parts":
        """Those of a tenant's folder that `names` wrote down."""
        found: dict[str, str | None] = json.loads(names)
        return cls(**{part: name and str(folder / FOLDER / name) for part, name in found.items()})  # type: ignore[arg-type]


def store_parts(
    folder: Path, inputs: Inputs, model_version: str | None, as_of: str | None, erased: Collection[str] = frozenset()
) -> tuple[Parts | None, str]:
    """Copy what a run scored by into a tenant's folder; None and why where that is not there or of another run.

    Parameters
    ----------
    model_version, as_of : those of the scores
    erased : whose histories are left out
    """
    try:
        settings = json.loads((inputs.context / SETTINGS).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None, f"{inputs.context} is not there"
    except ValueError:
        return None, f"{inputs.context / SETTINGS} is damaged"
    if not isinstance(settings, dict) or (version := settings.get("model_version")) != model_version:
        return None, f"{inputs.context} is of another model than the scores"
    if as_of is None or str(settings.get("as_of"))[:19] != as_of[:19]:
        return None, f"{inputs.context} is of another cutoff than the scores"
    if not inputs.bundle.is_dir() or not (models := content_hash(inputs.bundle)).startswith(str(version)):
        return None, f"{inputs.bundle} is another bundle than that of the scores"
    into = folder / FOLDER
    into.mkdir(parents=True, exist_ok=True, mode=0o700)
    histories = None
    if settings.get("source") != "table" and any(inputs.interactions.glob("*.parquet")):
        found = _hash_of(_files(inputs.interactions), inputs.customers, erased=erased)
        name = into / f"histories-{found}"
        histories = _placed(name, lambda new: write_histories(new, inputs.interactions, inputs.customers, erased))
    context = _placed(into / f"context-{content_hash(inputs.context)}", lambda new: _copied(inputs.context, new))
    bundle = _placed(into / f"bundle-{models}", lambda new: _copied(inputs.bundle, new))
    return Parts(context, bundle, histories), ""


def content_hash(folder: Path) -> str:
    """Fingerprint of every file of a folder; of a bundle, it begins with the version of the model."""
    digest = hashlib.sha256()
    for path in _files(folder):
        digest.update(path.relative_to(folder).as_posix().encode())
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
    return digest.hexdigest()[:_DIGITS]


def remove_unused(folder: Path, kept: Iterable[str | None]) -> None:
    """Remove the parts that none of the kept snapshots (their `Parts.names`) needs, and what died half-written."""
    needed = {name for names in kept if names for name in json.loads(names).values()}
    for path in (folder / FOLDER).glob("*"):
        if path.name not in needed:
            shutil.rmtree(path, ignore_errors=True)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _hash_of(files: Iterable[Path], *more: Path, erased: Collection[str]) -> str:
    digest = hashlib.sha256(b"1")  # raise it when the same interactions would give other histories
    for customer_id in sorted(erased):
        digest.update(b"\0" + customer_id.encode("utf-8", "surrogatepass"))
    for path in (*files, *(one for one in more if one.is_file())):
        digest.update(path.name.encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:_DIGITS]


def _placed(path: Path, write: Callable[[Path], None]) -> str:
    """The folder, written and put on disk where it is not there yet."""
    if not path.exists():
        new = path.with_name(f"{path.name}.{secrets.token_hex(4)}{UNFINISHED}")
        new.mkdir(mode=0o700)
        try:
            write(new)
            for each in (*_files(new), new):
                _flush(each)
            new.rename(path)
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise
        _flush(path.parent)
    return str(path)


def _copied(source: Path, into: Path) -> None:
    for path in _files(source):
        copy = into / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.copyfile(path, copy)
        copy.chmod(0o600)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
