"""Whether there is a project here, and whether what lies in it is of the source that params.yaml names."""

import json
from datetime import datetime
from pathlib import Path

import polars as pl

from fedelta.features.errors import FedeltaError
from fedelta.pipeline.intake.sources import load_source
from fedelta.pipeline.params import load_params
from fedelta.pipeline.paths import DATA_REPORT, FEATURES, INTERACTIONS, PARAMS, project_folder
from fedelta.pipeline.stages import FILE, PACKAGE, read_stages


class NotAProject(FedeltaError):
    """There is no project here."""


class OtherSource(FedeltaError):
    """What lies in the project was made of another source than params.yaml names."""


class OutOfDate(FedeltaError):
    """The features are not those of the interactions and settings that lie here now."""


class NotMadeYet(FedeltaError):
    """What a stage reads was not made yet."""


def must_be_project(start: Path) -> Path:
    """The project's folder, at or above `start`.

    Raises
    ------
    NotAProject
        If no folder up to the root of the file system has a params.yaml.
    """
    if (folder := project_folder(start)) is None:
        raise NotAProject(
            f"There is no {PARAMS} in {start} or in a folder above it. "
            "Run fedelta in a project's folder or in one below it."
        )
    return folder


def must_be_of_source() -> None:
    """Refuse to mix two sources: what `ingest` made must be of the one that params.yaml names.

    Raises
    ------
    OtherSource
        If ``reports/data.json`` is of another source.
    """
    if not DATA_REPORT.is_file():
        return
    made_of, wanted = json.loads(DATA_REPORT.read_text(encoding="utf-8")).get("source"), load_params().source
    if made_of != wanted:
        raise OtherSource(
            f"data/ and reports/ were made of source {made_of}, but params.yaml names {wanted}. "
            f"Run `dvc repro`, which makes them anew, or `fedelta use {made_of}` to go back."
        )


def inputs_must_be_there(stage: str) -> None:
    """Refuse a stage before those that it reads from.

    Raises
    ------
    NotMadeYet
        If something is missing that another stage writes and this one reads.
    """
    stages = {one.name: one for one in read_stages(FILE if FILE.is_file() else PACKAGE / FILE)}
    made_by = {out: name for name, one in stages.items() for out in one.outs}
    for path in stages[stage].deps:
        if path in made_by and not Path(path).exists():
            raise NotMadeYet(f"{path} is missing. Run `dvc repro {made_by[path]}` first.")


def features_must_be_current() -> None:
    """Refuse features of other data or settings than lie here now: their cutoffs tell.

    Raises
    ------
    OutOfDate
        If they have a cutoff, horizon or lead time that the present interactions and params.yaml do not ask for.
    """
    from fedelta.pipeline.build_features import cutoffs_now  # noqa: PLC0415 - slow to import

    if not any(FEATURES.glob("*.parquet")) or not any(INTERACTIONS.glob("*.parquet")):
        return
    params = load_params()
    wanted = {(c.at, c.horizon_days, c.lead_days) for c in cutoffs_now(params, load_source(params.source))}
    found = pl.scan_parquet(FEATURES / "*.parquet").select("cutoff", "horizon_days", "lead_days").unique().collect()
    made = set(found.iter_rows())
    if made - wanted or max(wanted) not in made:
        raise OutOfDate(
            f"data/features were made {_words(made)}, but the data and params.yaml ask for {_words(wanted)}. "
            "Run `dvc repro`, which makes them anew, or the stage build_features."
        )


def _words(cutoffs: set[tuple[datetime, int, int]]) -> str:
    at, horizon, lead = max(cutoffs)
    return f"as of {at:%Y-%m-%d} for {horizon} days" + (f" after {lead}" if lead else "")
