"""The folder of a simulated company on disk: its formats, and a mark that tells our files from anyone else's."""

import gzip
import hashlib
import io
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import polars.selectors as cs

from fedelta.features.errors import FedeltaError
from fedelta.pipeline.simulator.dirt import Soiled
from fedelta.pipeline.simulator.simulation import Simulation

MARK = Path("truth") / "written.json"  # path → sha256 of every other file of the folder

PATHS = {
    "orders": "orders.csv.gz",
    "web_events": "web_events.parquet",
    "support_tickets": "support_tickets.csv",
    "deliveries": "deliveries.csv",
    "returns": "returns.csv",
    "reviews": "reviews.jsonl",
    "surveys": "surveys.csv",
    "campaigns": "campaigns.csv",
    "programme": "programme.csv",
    "members": "members.csv",
    "treatments": "treatments.csv",
}


class ForeignFolder(FedeltaError, FileExistsError):
    """The folder holds something the simulator did not write."""


def write(simulation: Simulation, folder: Path) -> None:
    """Write a company's files into ``folder`` and the truth into ``folder/truth``, all or nothing.

    Equal simulations give equal bytes. A folder written before and unchanged since is replaced.

    Raises
    ------
    ForeignFolder
        If the folder holds a file that the simulator did not write or that was changed since.
    """
    refuse_foreign(folder)
    fresh = folder.with_name(f".{folder.name}.being-written")
    shutil.rmtree(fresh, ignore_errors=True)
    (fresh / "truth").mkdir(parents=True)
    try:
        for name, soiled in simulation.files.items():
            _write_file(soiled, fresh / PATHS[name])
        _write_truth(simulation, fresh / "truth")
        _write_json(_fingerprints(fresh), fresh / MARK)
        _swap(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def refuse_foreign(folder: Path) -> None:
    """Raise unless ``folder`` is absent, empty, or holds exactly what the simulator wrote there."""
    if folder.is_file():
        raise ForeignFolder(f"{folder} is a file; the simulator needs a folder. Choose another with --out.")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    mark = folder / MARK
    written = json.loads(mark.read_text()) if mark.is_file() else {}
    found = _fingerprints(folder)
    if foreign := sorted(path for path in found if written.get(path) != found[path]):
        raise ForeignFolder(
            f"{folder} holds {foreign[0]}{f' and {len(foreign) - 1} more files' if foreign[1:] else ''} that the "
            "simulator did not write, or that changed since. Move them away, or choose another folder with --out."
        )


def _write_file(soiled: Soiled, path: Path) -> None:
    writers: Mapping[str, Callable[[Soiled], bytes]] = {
        ".csv": _csv,
        ".gz": lambda soiled: gzip.compress(_csv(soiled), compresslevel=6, mtime=0),
        ".parquet": lambda soiled: _bytes(soiled.table.write_parquet),
        ".jsonl": lambda soiled: _bytes(soiled.table.write_ndjson),
    }
    path.write_bytes(writers[path.suffix](soiled))


def _csv(soiled: Soiled) -> bytes:
    """The table as CSV, its broken lines spread over the middle and the unclosed quote at the end."""
    if not soiled.broken_lines:
        return _bytes(soiled.table.write_csv)
    every = soiled.table.height // (len(soiled.broken_lines) + 1)
    text = io.BytesIO()
    for number, line in enumerate(soiled.broken_lines):
        soiled.table.slice(number * every, every).write_csv(text, include_header=number == 0)
        text.write(f"{line}\n".encode())
    soiled.table.slice(len(soiled.broken_lines) * every).write_csv(text, include_header=False)
    text.write((soiled.last_line or "").encode())
    return text.getvalue()


def _bytes(write_to: Callable[[io.BytesIO], object]) -> bytes:
    buffer = io.BytesIO()
    write_to(buffer)
    return buffer.getvalue()


def _write_truth(simulation: Simulation, folder: Path) -> None:
    tables = {
        "customers": simulation.customers,
        "churn": simulation.churn,
        "experiences": simulation.experiences,
        "tastes": simulation.tastes,
        "treatments": simulation.treatments,
    }
    for name, table in tables.items():
        # Seven digits: the last ones of sixteen differ between processors.
        table.with_columns(cs.float().round_sig_figs(7)).write_parquet(folder / f"{name}.parquet")
    _write_json(simulation.effects, folder / "effects.json")
    _write_json(simulation.dirt, folder / "dirt.json")


def _write_json(content: object, path: Path) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")


def _fingerprints(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MARK)
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _swap(fresh: Path, folder: Path) -> None:
    """Put ``fresh`` in the place of ``folder`` by renaming, so that no reader meets half a folder."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    old = folder.with_name(f".{folder.name}.replaced")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
