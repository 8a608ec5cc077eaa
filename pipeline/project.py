"""Whether there is a project here, and whether what lies in it is of the source that params.yaml names."""

import json
from pathlib import Path

from features.errors import ExplainedError
from pipeline.params import load_params
from pipeline.paths import DATA_REPORT, PARAMS, project_folder


class NotAProject(ExplainedError):
    """There is no project here."""


class OtherSource(ExplainedError):
    """What lies in the project was made of another source than params.yaml names."""


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
