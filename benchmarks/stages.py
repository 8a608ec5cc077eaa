"""What each stage of a project costs: wall time, CPU time and peak memory, stage by stage.

    python -m benchmarks.stages [--customers 20000] [--folder /tmp/fedelta-stages] [--only experience score]
    python -m benchmarks.stages --folder /tmp/a --folder /tmp/b --at 1000000

Without a project in the folder, a company of so many customers is simulated into it first. The memory is that of the
stage's whole tree of processes at once, sampled every 50 ms (`benchmarks.usage`). Two folders: what was measured in
each before, and by it the memory at `--at` customers on the line through both.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from benchmarks.usage import Usage, measured
from fedelta.pipeline import paths
from fedelta.pipeline.commands.init import init
from fedelta.pipeline.commands.simulate import DEMO
from fedelta.pipeline.commands.simulate import main as simulate
from fedelta.pipeline.stages import Stage, read_stages

MEASURED = Path("stages.json")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the stages asked for, in their order, and print what each cost; or compare two folders."""
    options = _options(arguments)
    folder, *other = options.folder
    if other:
        print("\n".join(compared(folder, other[0], options.at)))
        return
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    if not Path("dvc.yaml").exists():
        init()
    if not DEMO.exists():
        simulate(options.customers)
    print(f"{folder}, on {os.cpu_count()} cores ({platform.machine()}); load: {os.getloadavg()[0]:.1f}")
    print(HEAD)
    found = json.loads(MEASURED.read_text()) if MEASURED.exists() else {"stages": {}}
    for stage in read_stages():
        if not options.only or stage.name in options.only:
            usage = run(stage)
            found["stages"][stage.name] = vars(usage)
            print(_line(stage.name, usage), flush=True)
        if paths.CUSTOMERS.exists():
            found["customers"] = pl.scan_parquet(paths.CUSTOMERS).select(pl.len()).collect().item()
        MEASURED.write_text(json.dumps(found, indent=1), encoding="utf-8")


HEAD = f"{'stage':<16}{'wall s':>8}{'CPU s':>9}{'peak GB':>9}"


def run(stage: Stage) -> Usage:
    """Run one stage by its command, with the interpreter and package of this process."""
    stage.clear()
    here = str(Path(sys.executable).parent)
    return measured(["sh", "-c", stage.command], {"PATH": f"{here}{os.pathsep}{os.environ['PATH']}"})


def compared(small: Path, large: Path, at: int) -> list[str]:
    """A table of the stages of two folders, and their memory at so many customers, each a line through both."""
    one, other = (json.loads((folder / MEASURED).read_text()) for folder in (small, large))
    few, many = one["customers"], other["customers"]
    lines = [
        f"| stage | {few:,}: wall s | CPU s | peak GB | {many:,}: wall s | CPU s | peak GB | {at:,}: GB |",
        "| --- | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for name in (name for name in one["stages"] if name in other["stages"]):
        a, b = Usage(**one["stages"][name]), Usage(**other["stages"][name])
        grown = b.peak + max(b.peak - a.peak, 0) * (at - many) / (many - few)
        figures = " | ".join(f"{u.wall:.1f} | {u.cpu:.1f} | {u.peak / 1e9:.2f}" for u in (a, b))
        lines.append(f"| `{name}` | {figures} | {grown / 1e9:.1f} |")
    return lines


def _line(name: str, usage: Usage) -> str:
    return f"{name:<16}{usage.wall:>8.1f}{usage.cpu:>9.1f}{usage.peak / 1e9:>9.2f}"


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, action="append", help="a project, or where to make one; twice: compare")
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--only", nargs="*", default=[], help="stages; default: all")
    parser.add_argument("--at", type=int, default=1_000_000, help="customers to extrapolate to")
    options = parser.parse_args(arguments)
    options.folder = options.folder or [Path("/tmp/fedelta-stages")]
    return options


if __name__ == "__main__":
    main()
