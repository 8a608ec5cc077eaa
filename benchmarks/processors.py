"""Do other processors give the same bytes? Every stage under simulated ones: ``python -m benchmarks.processors DIR``.

NumPy, OpenBLAS and the C library choose their kernels by the processor they find, and sum in other orders or end in
other last digits on each. Here all three see lesser processors. Each stage reads what the stages before it
wrote on this processor, so that the table names the stages that differ, not those that follow them; ``--whole`` runs
the whole path under each processor instead. Ends with 1 if an output differs.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from fedelta.pipeline.stages import Stage, read_stages

HERE = Path(__file__).parents[1]

# NumPy 2.4 dispatches by the groups X86_V3 (AVX2, FMA) and X86_V4 (AVX-512); earlier ones by the single features.
_AVX512 = "X86_V4 AVX512_ICL AVX512_SPR AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL"
_GLIBC_AVX512 = "-AVX512F,-AVX512VL,-AVX512DQ,-AVX512BW,-AVX512CD"
PROCESSORS: Mapping[str, Mapping[str, str]] = {
    "this": {},
    "avx2": {
        "NPY_DISABLE_CPU_FEATURES": _AVX512,
        "OPENBLAS_CORETYPE": "Haswell",
        "GLIBC_TUNABLES": f"glibc.cpu.hwcaps={_GLIBC_AVX512}",
        "OPENBLAS_NUM_THREADS": "1",
    },
    "sse": {
        "NPY_DISABLE_CPU_FEATURES": f"X86_V3 {_AVX512} AVX2 FMA3",
        "OPENBLAS_CORETYPE": "Nehalem",
        "GLIBC_TUNABLES": f"glibc.cpu.hwcaps={_GLIBC_AVX512},-AVX2,-AVX2_Usable,-FMA,-FMA_Usable,-FMA4",
    },
}
TRIED = ("publish", "track")  # write databases, whose bytes tell the time: left out


def environment(processor: str) -> dict[str, str]:
    """Of a process that takes the machine for another; NumPy's word on features it has not is kept quiet."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("OPENBLAS_CORETYPE", "NPY_"))}
    return {**own, **PROCESSORS[processor], "PYTHONWARNINGS": "ignore:During parsing environment:ImportWarning"}


def run(stage: Stage, folder: Path, processor: str) -> None:
    """Run a stage as DVC does: without its outputs of before."""
    for out in stage.outs:
        if out not in stage.persistent:
            path = folder / out
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    done = subprocess.run(
        stage.command, shell=True, cwd=folder, env=environment(processor), capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{stage.name} on {processor}: {done.stderr[-2000:]}")


def digests(stage: Stage, folder: Path) -> dict[str, str]:
    """Hash of every file that a stage wrote."""
    files = [file for out in stage.outs for file in _files(folder / out)]
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def differing(folder: Path, processors: Sequence[str], stages: Sequence[Stage], keep: Path | None = None) -> list[str]:
    """Per stage, the files that another processor writes otherwise, as ``stage processor file``; prints as it goes."""
    found = []
    for stage in stages:
        run(stage, folder, "this")
        reference = digests(stage, folder)
        saved = {out: _copied(folder / out, folder / ".reference" / out) for out in stage.outs}
        for processor in processors:
            run(stage, folder, processor)
            other = digests(stage, folder)
            files = sorted(file for file in reference.keys() | other.keys() if reference.get(file) != other.get(file))
            found += [f"{stage.name} {processor} {file}" for file in files]
            print(f"{stage.name:<16} {processor:<6} {', '.join(files) or 'same'}", flush=True)
            if keep and files:
                for out in stage.outs:
                    _copied(folder / out, keep / processor / out)
        for out, copy in saved.items():
            _copied(copy, folder / out)
    return found


def whole(folder: Path, processors: Sequence[str], stages: Sequence[Stage]) -> list[str]:
    """The files that differ when every stage runs on the other processor."""
    found, reference = [], dict[str, str]()
    for processor in ("this", *processors):
        written: dict[str, str] = {}
        shutil.rmtree(folder / "data/bundle", ignore_errors=True)
        for stage in stages:
            run(stage, folder, processor)
            written |= digests(stage, folder)
        reference = reference or written
        files = sorted(file for file in written.keys() | reference.keys() if written.get(file) != reference.get(file))
        found += [f"{processor} {file}" for file in files]
        print(f"{processor:<6} {len(written)} files, {len(files)} differ {', '.join(files[:12])}", flush=True)
    return found


def project(folder: Path, customers: int) -> Path:
    """A project of its own with a small company's raw files and models of few trees."""
    for name in ("command_line", "features", "models", "pages", "pipeline", "serve", "sources", "treatments", "erased"):
        shutil.copytree(HERE / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("__init__.py", "cli.py", "dvc.yaml"):
        shutil.copy(HERE / name, folder)
    params = (HERE / "params.yaml").read_text()
    params = re.sub(r"num_iterations: \d+", "num_iterations: 40", re.sub(r"seeds: \d+", "seeds: 1", params))
    (folder / "params.yaml").write_text(re.sub(r"bootstrap: \d+", "bootstrap: 50", params))
    simulate = [sys.executable, "-m", "fedelta.cli", "simulate", "--customers", str(customers), "--seed", "3"]
    subprocess.run([*simulate, "--out", "data/raw/demo"], cwd=folder, check=True)
    return folder


def main() -> None:
    """Compare the stages and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the project is made, or one that lies there already")
    parser.add_argument("--customers", type=int, default=1_500)
    parser.add_argument("--stages", nargs="*", help="only these")
    parser.add_argument("--processors", nargs="*", default=[name for name in PROCESSORS if name != "this"])
    parser.add_argument("--whole", action="store_true", help="the whole path on each processor")
    parser.add_argument("--keep", type=Path, help="keep here what differs")
    arguments = parser.parse_args()
    folder: Path = arguments.folder.resolve()
    if not (folder / "dvc.yaml").exists():
        folder.mkdir(parents=True, exist_ok=True)
        project(folder, arguments.customers)
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    stages = [s for s in read_stages(folder / "dvc.yaml", folder / "params.yaml") if s.name not in TRIED]
    stages = [s for s in stages if not arguments.stages or s.name in arguments.stages]
    if arguments.whole:
        sys.exit(bool(whole(folder, arguments.processors, stages)))
    sys.exit(bool(differing(folder, arguments.processors, stages, arguments.keep)))


def _files(path: Path) -> list[Path]:
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def _copied(source: Path, target: Path) -> Path:
    if target.is_dir():
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy2(source, target)
    return target


if __name__ == "__main__":
    main()
