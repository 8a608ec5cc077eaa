"""Where a bundle comes from: the commit, the lock of its stages, the data and the source's files, as fingerprints.

``fedelta lineage`` walks from one customer's score back to those files, and says where the way is broken.
"""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from features.errors import ExplainedError
from models.bundle import bundle_hash
from pipeline import paths
from pipeline.params import load_params
from pipeline.tracking import is_used, tracking

LOCK = Path("dvc.lock")
_FACTS = {"git_commit": "git commit", "dvc_lock": "dvc.lock", "data": "data", "source_files": "source files"}


class NoLineage(ExplainedError):
    """There is no such customer."""


@dataclass(frozen=True)
class Link:
    """A step of the way back from a score: what it was when the model was made, and whether it still is."""

    name: str
    held: str
    now: str
    broken: bool = False


@dataclass(frozen=True)
class Data:
    """A file or folder that a model was made from or judged by, with the hash that DVC knows it by."""

    path: str
    digest: str
    context: str  # training or evaluation, as MLflow calls it


@dataclass(frozen=True)
class _Recorded:
    """What MLflow knows of a bundle."""

    run: str
    version: str
    facts: Mapping[str, str] = field(default_factory=dict)  # as `lineage`


def main(customer_id: str) -> None:
    """Print the way from a customer's score back to the source's files."""
    row = _score_of(customer_id)
    links = list(trace(row["model_version"]))
    said = row["status"] if row["churn_probability"] is None else f"churn probability {row['churn_probability']:.4f}"
    print(f"{customer_id} as of {row['as_of']:%Y-%m-%d}: {said}")
    for link in links:
        print(f"  {link.name:<14}{link.held}: {link.now}")
    broken = [link.name.strip() for link in links if link.broken]
    print(f"No longer as it was: {', '.join(broken)}." if broken else "Everything is as it was.")


def trace(model_version: str) -> Iterator[Link]:
    """The links from the scores of a bundle back to the source's files, nearest first."""
    lock = _read_lock(LOCK)
    yield _on_disk("scores", paths.SCORES, lock)
    present = bundle_hash(paths.BUNDLE) if paths.BUNDLE.is_dir() else "missing"
    same = present == model_version
    yield Link("model", f"bundle {model_version}", _now(paths.BUNDLE, present, same=same), broken=not same)
    recorded = _recorded(model_version, _locked_source(lock))
    if recorded is None:
        yield Link("MLflow run", "none", "this bundle was never recorded; `fedelta track` does it", broken=True)
    else:
        yield Link("MLflow run", recorded.run, recorded.version)
    yield from _facts(recorded.facts if recorded else {}, lineage())
    yield _on_disk("interactions", paths.INTERACTIONS, lock)
    for folder in _source_folders(lock):
        yield _on_disk("source files", folder, lock)
        for file, md5 in _files(folder):
            yield Link("", f"  {md5}", file)


def lineage(project: Path = Path()) -> dict[str, str]:
    """What is known of ``git_commit``, ``git_dirty`` (true or false), ``dvc_lock``, ``data`` and ``source_files``."""
    lock = _read_lock(project / LOCK)
    sources = {path.as_posix(): md5 for path in _source_folders(lock) if (md5 := _locked(lock, path))}
    return {
        **_git(project),
        **({"dvc_lock": lock_fingerprint(lock)} if lock else {}),
        **_data(project, lock),
        **({"source_files": ", ".join(f"{path} {md5}" for path, md5 in sources.items())} if sources else {}),
    }


def datasets() -> list[Data]:
    """What the bundle was trained and evaluated on: by the lock, or where it says nothing, as it is on disk."""
    lock, read = _read_lock(LOCK), ((paths.FEATURES, "training"), (paths.LABELS, "training"), (paths.PRIOR, "training"))
    return [
        Data(path.as_posix(), _locked(lock, path) or dvc_md5(path), context)
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
    listed = json.dumps([{"md5": md5, "relpath": name} for name, md5 in _files(path)], sort_keys=True)
    return hashlib.md5(listed.encode(), usedforsecurity=False).hexdigest() + ".dir"


def _score_of(customer_id: str) -> dict[str, Any]:
    rows = pl.scan_parquet(paths.SCORES).filter(pl.col("customer_id") == customer_id)
    found = rows.select("as_of", "status", "churn_probability", "model_version").collect()
    if found.is_empty():
        raise NoLineage(f"There is no customer {customer_id!r} in {paths.SCORES}. Ids are written as in the source.")
    return found.row(0, named=True)


def _recorded(bundle: str, source: str | None) -> _Recorded | None:
    """What MLflow says of a bundle; None if it never saw it."""
    if not is_used():
        return None
    with tracking(source or load_params().source) as store:
        if (run := store.run_of(bundle)) is None:
            return None
        version = store.version_of(bundle)
        told = "not registered"
        if version:
            told = ", ".join([f"registered as version {version.number}", *store.aliases_of(version)])
        tags = {name.removeprefix("fedelta."): tag for name, tag in run.data.tags.items()}
        return _Recorded(f"{run.info.run_id} ({run.info.run_name})", told, tags)


def _facts(recorded: Mapping[str, str], present: Mapping[str, str]) -> Iterator[Link]:
    for name, words in _FACTS.items():
        held, now = recorded.get(name), present.get(name, "unknown")
        if held is None:
            yield Link(words, "not recorded", f"now {now}", broken=True)
            continue
        dirty = name == "git_commit" and recorded.get("git_dirty") == "true"
        told = "the same now" if held == now else f"now {now}"
        if dirty:
            told += "; files had been changed after the commit, so it alone does not bring the code back"
        yield Link(words, held, told, broken=held != now or dirty)


def _on_disk(name: str, path: Path, lock: dict[str, Any]) -> Link:
    """Whether a file or folder is the one that dvc.lock names."""
    locked, present = _locked(lock, path), dvc_md5(path) if path.exists() else "missing"
    if locked is None:
        return Link(name, f"{path} {present}", f"{LOCK} says nothing of it", broken=True)
    return Link(name, f"{path} {locked}", _now(path, present, same=present == locked), broken=present != locked)


def _now(path: Path, present: str, *, same: bool) -> str:
    return "the same on disk" if same else f"{path} is now {present}"


def _files(folder: Path) -> list[tuple[str, str]]:
    """Name and MD5 of each file of a folder, sorted by name."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return [(name, dvc_md5(found[name])) for name in sorted(found)]


def _source_folders(lock: dict[str, Any]) -> list[Path]:
    """Where the locked run had its raw files and its mapping from."""
    settings, source = _ingested(lock), _locked_source(lock)
    return [Path(settings["data"]), paths.SOURCES / source] if source and "data" in settings else []


def _locked_source(lock: dict[str, Any]) -> str | None:
    """The source of the locked run, which params.yaml may have left since."""
    source = _ingested(lock).get("source")
    return None if source is None else str(source)


def _ingested(lock: dict[str, Any]) -> dict[str, Any]:
    settings: dict[str, Any] = lock.get("stages", {}).get("ingest", {}).get("params", {}).get("params.yaml", {})
    return settings


def _locked(lock: dict[str, Any], path: Path) -> str | None:
    """The hash that dvc.lock gives a path, as what a stage made or read."""
    for stage in lock.get("stages", {}).values():
        for held in (*stage.get("outs", []), *stage.get("deps", [])):
            if held.get("path") == path.as_posix() and "md5" in held:
                return str(held["md5"])
    return None


def _data(project: Path, lock: dict[str, Any]) -> dict[str, str]:
    """Fingerprint of the interactions: DVC's where it holds one, else our own."""
    if locked := _locked(lock, paths.INTERACTIONS):
        return {"data": locked}
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
