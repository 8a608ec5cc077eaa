"""Ours: the pipeline's shuffle, then its kernel over the buckets in a pool of processes."""

import tempfile
from pathlib import Path

import duckdb

from benchmarks.compared import COMPARED
from benchmarks.task import Task, asked, instant
from fedelta.features.cutoffs import Cutoff
from fedelta.features.experience_rules import ExperienceSettings, Rule
from fedelta.features.kernel import KernelSettings
from fedelta.pipeline.buckets.shuffle import buckets, shuffle
from fedelta.pipeline.feature_job import Job, build


def main(task: Task) -> None:
    """Write the features to the task's folder, one file per bucket; the labels, which come with them, are dropped."""
    with tempfile.TemporaryDirectory(dir=Path(task.out).parent) as scratch:
        shuffled, labels = Path(scratch, "shuffled"), Path(scratch, "labels")
        shuffled.mkdir()
        labels.mkdir()
        with duckdb.connect() as connection:
            connection.execute("SET memory_limit = '2GB'")
            connection.execute(f"SET temp_directory = '{scratch}/spill'")
            connection.execute(f"SET threads = {task.threads}")
            connection.execute("SET preserve_insertion_order = false")
            shuffle(connection, f"SELECT * FROM read_parquet('{task.events}')", shuffled)
        cutoffs = tuple(Cutoff(instant(day), horizon_days=90, lead_days=0, role="train") for day in task.cutoffs)
        job = Job(cutoffs, _settings(task), None, (), Path(task.out), labels)
        build(job, buckets(shuffled, task.buckets), task.threads)


def _settings(task: Task) -> KernelSettings:
    rules = {
        f"rule_{number}": Rule(when, "integrity", "needs", severity)
        for number, (when, severity) in enumerate(task.severities.items())
    }
    return KernelSettings(ExperienceSettings(rules), features=tuple(feature.name for feature in COMPARED))


if __name__ == "__main__":
    main(asked())
