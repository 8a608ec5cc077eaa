"""Where a bundle comes from: the commit, the lock of its stages, the data and the source's files, as fingerprints."""

import hashlib
import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from fedelta.pipeline import paths

LOCK = Path("dvc.lock")


@dataclass(frozen=True)
class Data:
    """A file or folder that a model was made from or judged by, with the hash that DVC knows it by."""

    path: str
    digest: str
    context: str  # training or evaluation, as MLflow calls it


def lineage(project: Path = Path()) -> dict[str, str]:
    """What is known of ``git_commit``, ``git_dirty`` (true or false), ``dvc_lock``, ``data`` and ``source_files``."""
    lock = read_lock(project / LOCK)
    sources = {path.as_posix(): md5 for path in source_folders(lock) if (md5 := locked_digest(lock, path))}
    return {
        **_git(project),
        **({"dvc_lock": lock_fingerprint(lock)} if lock else {}),
        **_data(project, lock),
        **({"source_files": ", ".join(f"{path} {md5}" for path, md5 in sources.items())} if sources else {}),
    }


def datasets() -> list[Data]:
    """What the bundle was trained and evaluated on: by the lock, or where it says nothing, as it is on disk."""
    lock, read = read_lock(LOCK), ((paths.FEATURES, "training"), (paths.LABELS, "training"), (paths.PRIOR, "training"))
    return [
        Data(path.as_posix(), locked_digest(lock, path) or dvc_md5(path), context)
        for path, context in (*read, (paths.EVALUATION, "evaluation"))
        if path.exists()
    ]


def lock_fingerprint(lock: dict[str, Any]) -> str:
    """MD5 of the lock's stages but `track`, which DVC adds after it ran, so that the file's own would never match."""
    stages = {name: stage for name, stage in lock.get("stages", {}).items() if name != "track"}
    return hashlib.md5(json.dumps(stages, sort_keys=True).encode(), usedforsecurity=False).hexdigest()


def files_fingerprint(folder: Path) -> str:
    """SHA-256 of every file of a folder, names included."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def dvc_md5(path: Path) -> str:
    """A file's or folder's hash as DVC computes it: of a folder, MD5 of the JSON list of its files, and ``.dir``."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    listed = json.dumps([{"md5": md5, "relpath": name} for name, md5 in file_digests(path)], sort_keys=True)
    return hashlib.md5(listed.encode(), usedforsecurity=False).hexdigest() + ".dir"


def file_digests(folder: Path) -> list[tuple[str, str]]:
    """Name and MD5 of each file of a folder, sorted by name."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return [(name, dvc_md5(found[name])) for name in sorted(found)]


def source_folders(lock: dict[str, Any]) -> list[Path]:
    """Where the locked run had its raw files and its mapping from."""
    settings, source = _ingested(lock), locked_source(lock)
    return [Path(settings["data"]), paths.SOURCES / source] if source and "data" in settings else []


def locked_source(lock: dict[str, Any]) -> str | None:
    """The source of the locked run, which params.yaml may have left since."""
    source = _ingested(lock).get("source")
    return None if source is None else str(source)


def _ingested(lock: dict[str, Any]) -> dict[str, Any]:
    settings: dict[str, Any] = lock.get("stages", {}).get("ingest", {}).get("params", {}).get("params.yaml", {})
    return settings


def locked_digest(lock: dict[str, Any], path: Path) -> str | None:
    """The hash that dvc.lock gives a path, as what a stage made or read."""
    for stage in lock.get("stages", {}).values():
        for held in (*stage.get("outs", []), *stage.get("deps", [])):
            if held.get("path") == path.as_posix() and "md5" in held:
                return str(held["md5"])
    return None


def _data(project: Path, lock: dict[str, Any]) -> dict[str, str]:
    """Fingerprint of the interactions: DVC's where it holds one, else our own."""
    if locked := locked_digest(lock, paths.INTERACTIONS):
        return {"data": locked}
    folder = project / paths.INTERACTIONS
    return {"data": files_fingerprint(folder)} if folder.is_dir() else {}


def read_lock(path: Path) -> dict[str, Any]:
    try:
        lock = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, UnicodeDecodeError, YAMLError):
        return {}  # a run without DVC has none; DVC itself refuses a damaged one
    return lock if isinstance(lock, dict) else {}


def _git(project: Path) -> dict[str, str]:
    commit = _git_says(project, "rev-parse", "HEAD")
    if commit is None:
        return {}
    changed = _git_says(project, "status", "--porcelain", "--untracked-files=no")
    return {"git_commit": commit, "git_dirty": "false" if changed == "" else "true"}


def _git_says(project: Path, *words: str) -> str | None:
    """What git prints; None without git, a repository or a commit."""
    if (git := shutil.which("git")) is None:
        return None
    done = subprocess.run([git, *words], cwd=project, capture_output=True, text=True, check=False)  # noqa: S603 - fixed words
    return done.stdout.strip() if done.returncode == 0 else None
