"""A stage that reads a setting names it in dvc.yaml: a change of it runs the stage again."""

import importlib
from collections.abc import Iterable
from pathlib import Path

import pytest
import shop_project
import test_measure
from settings_read import noted
from table_project import Gym, members
from test_build_graph import STAGES
from tiny_project import inside, scored_project

# On them no result depends: how a stage is run, not what it computes.
_FREE = frozenset(
    {"engine.backend", "engine.workers", "engine.memory_limit", "engine.spark.master", "engine.spark.conf"}
)
_WARNED_OF = {"ingest": {"churn", "horizon_days", "lead_days"}}  # in what it prints; its files do not depend on them
_RUN = tuple(name for name in STAGES if name not in ("publish", "track"))  # they read the settings of no model


def undeclared(stages: Iterable[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which stage reads what it does not name, where these are run in the present folder."""
    modules = {name: importlib.import_module(f"fedelta.pipeline.{name}") for name in stages}
    found = []
    with noted(monkeypatch) as notes:
        for name, module in modules.items():
            notes.read.clear()
            module.main()
            found += [f"{name}: {one}" for one in sorted(notes.read - _FREE) if not _named(one, name)]
    return found


def _named(setting: str, stage: str) -> bool:
    """Whether a stage names a setting or its section, or its value is in the path of a folder that it depends on."""
    in_paths = {name for name in ("source", "data") if any(f"${{{name}}}" in dep for dep in STAGES[stage]["deps"])}
    named = {*STAGES[stage].get("params", ()), *in_paths, *_WARNED_OF.get(stage, ())}
    return any(f"{setting}.".startswith(f"{one}.") for one in named)


def test_stages_of_a_history_name_the_settings_that_they_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with inside(shop_project.begun(tmp_path / "shop")):
        assert undeclared(_RUN, monkeypatch) == []


def test_stages_of_a_table_name_the_settings_that_they_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with inside(Gym(tmp_path / "gym", members()).write()):
        assert undeclared(_RUN, monkeypatch) == []


def test_what_compares_groups_names_the_settings_that_it_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with inside(scored_project(tmp_path / "ages")):
        assert undeclared(["fairness"], monkeypatch) == []


def test_what_measures_treatments_names_the_settings_that_it_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with inside(test_measure.project(tmp_path / "treated")):
        assert undeclared(["measure"], monkeypatch) == []


def test_what_is_read_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with inside(scored_project(tmp_path / "project")):
        monkeypatch.setitem(STAGES["train_next"], "params", ["horizon_days"])
        assert "train_next: next.rows" in undeclared(["train_next"], monkeypatch)
