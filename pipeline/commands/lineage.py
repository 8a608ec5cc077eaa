"""``fedelta lineage``: from one customer's score back to the source's files, and where the way is broken."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from fedelta.features.errors import FedeltaError
from fedelta.models.bundle import bundle_hash
from fedelta.pipeline import paths
from fedelta.pipeline.params import load_params
from fedelta.pipeline.registry.address import is_used
from fedelta.pipeline.registry.lineage import (
    LOCK,
    dvc_md5,
    file_digests,
    lineage,
    locked_digest,
    locked_source,
    read_lock,
    source_folders,
)
from fedelta.pipeline.registry.tracking import tracking

_FACTS = {"git_commit": "git commit", "dvc_lock": "dvc.lock", "data": "data", "source_files": "source files"}


class NoLineage(FedeltaError):
    """There is no such customer."""


@dataclass(frozen=True)
class Link:
    """A step of the way back from a score: what it was when the model was made, and whether it still is."""

    name: str
    held: str
    now: str
    broken: bool = False


@dataclass(frozen=True)
class _Recorded:
    """What MLflow knows of a bundle."""

    run: str
    version: str
    facts: Mapping[str, str] = field(default_factory=dict)  # as `lineage`


def main(customer_id: str, *, as_json: bool = False) -> None:
    """Print the way from a customer's score back to the source's files."""
    row = _score_of(customer_id)
    links = list(trace(row["model_version"]))
    if as_json:
        score = {**row, "as_of": f"{row['as_of']:%Y-%m-%d}", "customer_id": customer_id}
        print(json.dumps({"score": score, "links": [vars(link) for link in links]}, indent=1, ensure_ascii=False))
        return
    text = row["status"] if row["churn_probability"] is None else f"churn probability {row['churn_probability']:.4f}"
    print(f"{customer_id} as of {row['as_of']:%Y-%m-%d}: {text}")
    for link in links:
        print(f"  {link.name:<14}{link.held}: {link.now}")
    broken = [link.name.strip() for link in links if link.broken]
    print(f"No longer as it was: {', '.join(broken)}." if broken else "Everything is as it was.")


def trace(model_version: str) -> Iterator[Link]:
    """The links from the scores of a bundle back to the source's files, nearest first."""
    lock = read_lock(LOCK)
    yield _on_disk("scores", paths.SCORES, lock)
    present = bundle_hash(paths.BUNDLE) if paths.BUNDLE.is_dir() else "missing"
    same = present == model_version
    yield Link("model", f"bundle {model_version}", _now(paths.BUNDLE, present, same=same), broken=not same)
    recorded = _recorded(model_version, locked_source(lock))
    if recorded is None:
        yield Link("MLflow run", "none", "this bundle was never recorded; `fedelta track` does it", broken=True)
    else:
        yield Link("MLflow run", recorded.run, recorded.version)
    yield from _facts(recorded.facts if recorded else {}, lineage())
    yield _on_disk("interactions", paths.INTERACTIONS, lock)
    for folder in source_folders(lock):
        yield _on_disk("source files", folder, lock)
        for file, md5 in file_digests(folder):
            yield Link("", f"  {md5}", file)


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
        text = "not registered"
        if version:
            text = ", ".join([f"registered as version {version.number}", *store.aliases_of(version)])
        tags = {name.removeprefix("fedelta."): tag for name, tag in run.data.tags.items()}
        return _Recorded(f"{run.info.run_id} ({run.info.run_name})", text, tags)


def _facts(recorded: Mapping[str, str], present: Mapping[str, str]) -> Iterator[Link]:
    for name, words in _FACTS.items():
        held, now = recorded.get(name), present.get(name, "unknown")
        if held is None:
            yield Link(words, "not recorded", f"now {now}", broken=True)
            continue
        dirty = name == "git_commit" and recorded.get("git_dirty") == "true"
        text = "the same now" if held == now else f"now {now}"
        if dirty:
            text += "; files had been changed after the commit, so it alone does not bring the code back"
        yield Link(words, held, text, broken=held != now or dirty)


def _on_disk(name: str, path: Path, lock: dict[str, Any]) -> Link:
    """Whether a file or folder is the one that dvc.lock names."""
    locked, present = locked_digest(lock, path), dvc_md5(path) if path.exists() else "missing"
    if locked is None:
        return Link(name, f"{path} {present}", f"{LOCK} says nothing of it", broken=True)
    return Link(name, f"{path} {locked}", _now(path, present, same=present == locked), broken=present != locked)


def _now(path: Path, present: str, *, same: bool) -> str:
    return "the same on disk" if same else f"{path} is now {present}"
