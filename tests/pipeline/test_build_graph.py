"""Every stage of dvc.yaml depends on the code it runs, and on no other."""

from pathlib import Path

import pytest
from build_graph import END, HERE, MODULES, code_of, imports, is_code, modules_of
from ruamel.yaml import YAML

STAGES = YAML(typ="safe").load((HERE / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
TRAINING = (
    "fit_btyd",
    "leak_check",
    "train_churn",
    "train_clv",
    "train_leaving",
    "train_next",
    "train_loyalty",
    "evaluate",
)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_what_it_imports_and_on_nothing_else(stage: str):
    listed = {dep for dep in STAGES[stage]["deps"] if is_code(dep)}
    assert listed == set(code_of(stage)), "run: python tests/pipeline/build_graph.py"


@pytest.mark.parametrize("stage", STAGES)
def test_what_a_stage_depends_on_is_there(stage: str):
    assert [dep for dep in STAGES[stage]["deps"] if is_code(dep) and not (HERE / dep).exists()] == []


def test_every_module_that_is_a_stage_has_its_name():
    assert [name for name in STAGES if name not in MODULES and not (HERE / f"pipeline/{name}.py").exists()] == []


@pytest.mark.parametrize("stage", STAGES)
def test_editing_the_module_of_a_stage_reruns_no_other(stage: str):
    modules = {MODULES.get(name, f"fedelta.pipeline.{name}"): name for name in STAGES}
    others = {modules[module] for module in modules_of(stage) & set(modules)} - {stage}
    assert not others, f"{stage} imports {', '.join(others)}: move what they share into a module beside them"


def test_the_settings_import_no_stage():
    stages = {MODULES.get(name, f"fedelta.pipeline.{name}") for name in STAGES}
    circular = sorted(imports().find_modules_directly_imported_by(END) & stages)
    assert not circular, f"move the settings of {', '.join(circular)} into pipeline/params.py, which stages import"


@pytest.mark.parametrize("stage", TRAINING)
def test_editing_the_policy_retrains_nothing(stage: str):
    assert not any(module.startswith("fedelta.models.policy") for module in modules_of(stage))
    assert "models/policy" not in STAGES[stage]["deps"]


def test_editing_the_policy_scores_again():
    assert "models/policy" in STAGES["score"]["deps"]


def test_editing_the_evaluation_leaves_the_leak_check_as_it_is():
    assert not {"fedelta.pipeline.evaluate", "fedelta.models.evaluation"} & modules_of("leak_check")


def test_the_installed_packages_are_the_folders_with_code():
    tomllib = pytest.importorskip("tomllib")
    listed = set(tomllib.loads((HERE / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    folders = {
        path.parent.relative_to(HERE)
        for layer in ("command_line", "features", "models", "pages", "pipeline", "scoring", "serve")
        for path in (HERE / layer).rglob("__init__.py")
    }
    assert listed == {"fedelta", *(".".join(("fedelta", *folder.parts)) for folder in folders if folder != Path())}
