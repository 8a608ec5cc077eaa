"""The feature stage against the same features from pandas, Polars and DuckDB: same file, machine, run and results."""

import argparse
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

# Before this folder, where this very file would stand for the package `features`.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.agreement import Disagreement, largest_difference
from benchmarks.compared import COMPARED, NOT_COMPARED
from benchmarks.events import BEGINS, EVENTS_PER_CUSTOMER, SPAN_DAYS, write_events
from benchmarks.task import SEVERITIES, Partial, Task, instant
from benchmarks.usage import Failed, Usage, measured

ROOT = Path(__file__).resolve().parents[1]
HORIZON_DAYS = 90
CUTOFFS_OVER_DAYS = 180
EVENTS_PER_BUCKET = 160_000
THREADS = 2
_LAST_CUTOFF = int(BEGINS.timestamp()) // 86_400 + SPAN_DAYS - HORIZON_DAYS


@dataclass(frozen=True)
class Contender:
    """Who computes the features, and over which partial sums a group-by does."""

    name: str
    module: str
    partial: Partial = "events"


OURS = Contender("ours", "benchmarks.ours")
RIVALS = (
    Contender("pandas-plain", "benchmarks.with_pandas", "plain"),
    Contender("pandas-plain-day", "benchmarks.with_pandas", "plain-day"),
    Contender("pandas-events", "benchmarks.with_pandas", "events"),
    Contender("polars-events", "benchmarks.with_polars", "events"),
    Contender("duckdb-day", "benchmarks.with_duckdb", "day"),
    Contender("polars-period", "benchmarks.with_polars", "period"),
    Contender("duckdb-period", "benchmarks.with_duckdb", "period"),
    Contender("pandas-period", "benchmarks.with_pandas", "period"),
    Contender("polars-day", "benchmarks.with_polars", "day"),
    Contender("pandas-day", "benchmarks.with_pandas", "day"),
)
USUAL = ("pandas-plain-day", "polars-day", "duckdb-day")  # each library as one would first write it
STRONGEST = "polars-period"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison the arguments ask for; return 1 if a contender failed or disagrees with ours."""
    options = _options(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    events = options.folder / f"events-{options.events}.parquet"
    if not events.exists():
        write_events(events, options.events)
    print(_header(options.events))
    rounds = [(options.cutoffs, options.only)]
    if options.scale_cutoffs:
        rounds.append((options.scale_cutoffs, options.scale_only))
    try:
        for cutoffs, rivals in rounds:
            named = [r for r in RIVALS if r.name in rivals]
            compare(events, options.events, cutoff_days(cutoffs), named, options.runs)
    except (Disagreement, Failed) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def cutoff_days(number: int) -> tuple[int, ...]:
    """Cutoffs (days since 1970) at equal steps over half a year, whose horizons end within the data."""
    step = max(CUTOFFS_OVER_DAYS // number, 1)
    return tuple(_LAST_CUTOFF - step * back for back in reversed(range(number)))


def compare(events: Path, number: int, cutoffs: tuple[int, ...], rivals: Iterable[Contender], runs: int) -> None:
    """Run ours and then each rival in processes of their own; print what the fastest of each cost, how far from ours.

    Raises
    ------
    Failed
        If a contender ends with an error.
    Disagreement
        If a rival computed something else.
    """
    print(f"\n{len(cutoffs)} cutoffs, {instant(cutoffs[0]):%Y-%m-%d} to {instant(cutoffs[-1]):%Y-%m-%d}")
    print(f"{'contender':<15}{'wall s':>8}{'events/s':>12}{'CPU s':>8}{'peak GB':>9}{'x ours':>8}   largest difference")
    with tempfile.TemporaryDirectory(dir=events.parent) as scratch:
        mine = Path(scratch, OURS.name)
        ours = _fastest(runs, OURS, events, number, cutoffs, mine)
        print(_line(OURS.name, ours, ours, number))
        for rival in rivals:
            theirs = Path(scratch, rival.name)
            usage = _fastest(runs, rival, events, number, cutoffs, theirs)
            rows, apart = largest_difference(mine, theirs, [instant(day) for day in cutoffs], COMPARED)
            print(f"{_line(rival.name, usage, ours, number)}   {apart:.1e} over {rows:,} rows", flush=True)
            shutil.rmtree(theirs)


def _fastest(runs: int, contender: Contender, events: Path, number: int, cutoffs: tuple[int, ...], out: Path) -> Usage:
    """What the fastest of several runs cost; the features of the last are left in `out`."""
    found = []
    for _ in range(runs):
        shutil.rmtree(out, ignore_errors=True)
        found.append(_run(contender, events, number, cutoffs, out))
    return min(found, key=lambda usage: usage.wall)


def _run(contender: Contender, events: Path, number: int, cutoffs: tuple[int, ...], out: Path) -> Usage:
    out.mkdir()
    task = Task(
        events=str(events),
        out=str(out),
        cutoffs=cutoffs,
        threads=THREADS,
        buckets=max(number // EVENTS_PER_BUCKET, THREADS),
        partial=contender.partial,
        severities=SEVERITIES,
    )
    asked = out.with_suffix(".json")
    task.save(asked)
    events.read_bytes()  # everyone finds the file in the page cache,
    os.sync()  # and nobody waits for what another wrote
    environment = {"PYTHONPATH": str(ROOT), "POLARS_MAX_THREADS": str(THREADS), "OMP_NUM_THREADS": str(THREADS)}
    return measured([sys.executable, "-m", contender.module, str(asked)], environment)


def _line(name: str, usage: Usage, ours: Usage, number: int) -> str:
    return (
        f"{name:<15}{usage.wall:>8.1f}{number / usage.wall:>12,.0f}{usage.cpu:>8.1f}{usage.peak / 1e9:>9.2f}"
        f"{usage.wall / ours.wall:>8.2f}"
    )


def _header(events: int) -> str:
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{events:,} interactions of some {events // EVENTS_PER_CUSTOMER:,} customers, from one unsorted Parquet "
        f"file to a feature table on disk.\n{len(COMPARED)} features; {len(NOT_COMPARED)} are left out, which no "
        "group-by can state: gaps, repeats, streaks, values at the last event.\n"
        f"{THREADS} threads or processes each, on {os.cpu_count()} cores ({platform.machine()}); load when started: "
        f"{load}. Wall time is of the whole process, imports included; the fastest run of each."
    )


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    names = [contender.name for contender in (OURS, *RIVALS)]
    none = "; ours, or no name: no rival; default: %(default)s"
    parser.add_argument("--events", type=lambda text: int(float(text)), default=10_000_000, help="default: 10 million")
    parser.add_argument("--cutoffs", type=int, default=6)
    parser.add_argument(
        "--only", nargs="*", choices=names, default=[*USUAL, STRONGEST], help=f"rivals to run beside ours{none}"
    )
    parser.add_argument(
        "--runs", type=int, choices=range(1, 11), default=2, help="of each contender; the fastest counts"
    )
    parser.add_argument("--scale-cutoffs", type=int, default=24, help="then again with so many cutoffs; 0: not")
    parser.add_argument("--scale-only", nargs="*", choices=names, default=[STRONGEST], help=f"rivals to run then{none}")
    parser.add_argument(
        "--folder", type=Path, default=Path(tempfile.gettempdir(), "fedelta-bench"), help="for the events and tables"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
