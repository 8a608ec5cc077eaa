"""Reports that go with a run: what the stages found of base, model and data. Small JSON documents, kept with it."""

from pathlib import Path

import orjson

from fedelta.serve.snapshots.scoring_run import RunRefused, read_document

# By name: the file in the folder of reports, and the command that makes it.
REPORTS = {
    "experience": ("experience.json", "dvc repro experience"),
    "loyalty": ("loyalty.json", "dvc repro train_loyalty"),
    "saves": ("saves.json", "dvc repro measure"),
    "fairness": ("fairness.json", "dvc repro fairness"),
    "drift": ("drift.json", "dvc repro monitor"),
    "data": ("data.json", "dvc repro ingest"),
    "backtest": ("backtest.json", "fedelta backtest --rolling 4"),
    "promotions": ("promotions.json", "fedelta promotions --json > reports/promotions.json"),
}
MOST_BYTES = 5_000_000


def read_reports(folder: Path) -> dict[str, bytes]:
    """The reports that there are, by name, as JSON objects.

    Raises
    ------
    RunRefused
        If one is no JSON object, or too large to be shown.
    """
    found = {}
    for name, (file, command) in REPORTS.items():
        if (document := read_document(folder / file)) is None:
            continue
        found[name] = orjson.dumps(document)
        if len(found[name]) > MOST_BYTES:
            raise RunRefused(
                f"{folder / file} has {len(found[name]):,} bytes, where {MOST_BYTES:,} are the most: make it anew with "
                f"`{command}`."
            )
    return found
