"""What a new month could save: the parts of `build_features` that keeping settled cutoffs would spare, and that not.

    python -m benchmarks.append [--folder .] [--buckets 4]

Reads some buckets of a project that was ingested, and prints the CPU time of each step: what is left where only the
newest cutoffs are computed is the least that a run costs after new interactions, whatever is kept of the one before.
"""

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from fedelta.features.kernel import columns_read, features_at
from fedelta.pipeline import paths
from fedelta.pipeline.buckets.shuffle import bounded_buckets
from fedelta.pipeline.build_features import cutoffs_now
from fedelta.pipeline.feature_job import job_for
from fedelta.pipeline.intake.sources import load_source
from fedelta.pipeline.params import load_params

NEWEST = 2  # cutoffs that a new month brings: one to score at, one to be evaluated at


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the CPU time of each step, and how much of all steps the newest cutoffs alone would take."""
    options = _options(arguments)
    os.chdir(options.folder)
    params = load_params()
    cutoffs = cutoffs_now(params, load_source(params.source))
    job = job_for(params, cutoffs, Path(), Path())
    columns = columns_read(job.settings)
    work = bounded_buckets(paths.INTERACTIONS, params.engine.buckets)[: options.buckets]
    features_at(work[0].read(columns), cutoffs, job.settings)  # what is done once in a process is not counted
    spent: dict[str, float] = {}
    with TemporaryDirectory() as scratch:
        for bucket in work:
            with _timed(spent, "read"):
                events = bucket.read(columns)
            with _timed(spent, "newest"):
                features_at(events, cutoffs[-NEWEST:], job.settings)
            with _timed(spent, "features"):
                tables = features_at(events, cutoffs, job.settings)
            with _timed(spent, "write"):
                for table in tables:
                    table.write_parquet(Path(scratch) / "part.parquet", compression="lz4", statistics=False)
    whole = spent["read"] + spent["features"] + spent["write"]
    for what, seconds in spent.items():
        print(f"{what:<10}{seconds:>8.2f} CPU s")
    kept = spent["read"] + spent["newest"] + spent["write"] * NEWEST / len(cutoffs)
    print(f"{NEWEST} of {len(cutoffs)} cutoffs, with nothing else read or written: {kept / whole:.0%} of all")


@contextmanager
def _timed(spent: dict[str, float], what: str) -> Iterator[None]:
    begin = time.process_time()
    yield
    spent[what] = spent.get(what, 0.0) + time.process_time() - begin


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(), help="a project")
    parser.add_argument("--buckets", type=int, default=4)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
