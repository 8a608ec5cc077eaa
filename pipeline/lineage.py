"""Where a bundle comes from: the commit, the lock of its stages and the data behind it, as fingerprints."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline import paths

LOCK = Path("dvc.lock")


def lineage(project: Path = Path()) -> dict[str, str]:
    """What is known of ``git_commit``, ``git_dirty`` (true or false), ``dvc_lock`` and ``data``; no more."""
    lock = _read_lock(project / LOCK)
    return {
        **_git(project),
        **({"dvc_lock": lock_fingerprint(lock)} if lock else {}),
        **_data(project, lock),
    }


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


def _data(project: Path, lock: dict[str, Any]) -> dict[str, str]:
    """Fingerprint of the interactions: DVC's where it holds one, else our own."""
    for out in lock.get("stages", {}).get("ingest", {}).get("outs", []):
        if out.get("path") == paths.INTERACTIONS.as_posix() and "md5" in out:
            return {"data": str(out["md5"])}
    folder = project / paths.INTERACTIONS
    return {"data": files_fingerprint(folder)} if folder.is_dir() else {}


def _read_lock(path: Path) -> dict[str, Any]:
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
