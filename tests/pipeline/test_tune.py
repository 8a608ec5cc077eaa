"""Tuning: seeded, resumable, out of time, and never believed because it was the best of many."""

from dataclasses import replace
from pathlib import Path

import hashed_project
import numpy as np
import pytest
from tiny_project import inside

from models.bootstrap import Interval
from models.churn import out_of_time_folds
from models.panel import Panel
from models.settings import ChurnSettings, TuneSettings
from pipeline import build_features, fit_btyd, paths, tune
from pipeline.panel import read_panel
from pipeline.params import Params, load_params
from pipeline.tune import SPACE, NothingToTune, Tuned, told

optuna = pytest.importorskip("optuna")

QUICK = TuneSettings(trials=3, seconds=60, customers=600, seed=7)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with features and purchase models at training cutoffs 90 days apart: the second knows the first."""
    folder = hashed_project.make(tmp_path_factory.mktemp("tune") / "project", customers=800)
    with inside(folder):
        build_features.main()
        fit_btyd.main()
    return folder


@pytest.fixture(scope="module")
def params(project: Path) -> Params:
    """The project's settings."""
    with inside(project):
        return load_params()


@pytest.fixture(scope="module")
def panel(project: Path) -> Panel:
    """Its training rows."""
    with inside(project):
        return read_panel(["train"]).of_role("train")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trees few enough for a test."""
    monkeypatch.setattr(tune, "SPACE", {**SPACE, "trees": tune.Range(2, 10)})


@pytest.mark.usefixtures("quick")
def test_the_same_search_finds_the_same_and_goes_on_where_it_stopped(panel: Panel, params: Params, tmp_path: Path):
    once = tune.tune(panel, params, QUICK, f"sqlite:///{tmp_path}/once.db")
    again = tune.tune(panel, params, QUICK, f"sqlite:///{tmp_path}/again.db")
    assert once == again
    assert once.trials == 3
    assert set(once.best) == set(SPACE)
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{tmp_path}/once.db")
    assert len({trial.value for trial in study.trials}) == 3  # what is tried matters

    more = tune.tune(panel, params, replace(QUICK, trials=5), f"sqlite:///{tmp_path}/once.db")
    assert more.trials == 5  # two more, not five
    assert tune.tune(panel, params, QUICK, f"sqlite:///{tmp_path}/once.db").trials == 5  # nothing left to do


@pytest.mark.usefixtures("quick")
def test_the_present_settings_are_the_first_to_be_tried(panel: Panel, params: Params, tmp_path: Path):
    found = tune.tune(panel, params, replace(QUICK, trials=1), f"sqlite:///{tmp_path}/tune.db")
    assert found.best == {name: getattr(params.churn, name) for name in SPACE}
    assert (found.gain.value, found.gain.low, found.gain.high) == (0, 0, 0)
    assert "no better beyond chance" in told(found, params.churn)


def test_the_search_and_the_verdict_ask_different_customers_about_cutoffs_after_all_that_was_learned(
    panel: Panel, params: Params
):
    order = tune._order(panel, seed=7)
    asked = [tune._folds(panel, order % 2 == half, params) for half in (0, 1)]
    names = [{name for fold in folds for name in fold.present.table["customer_id"]} for folds in asked]
    assert names[0]
    assert names[1]
    assert not names[0] & names[1]
    for fold in asked[0] + asked[1]:
        known = fold.past.table["cutoff"] + np.timedelta64(params.horizon_days, "D")
        assert (known <= fold.present.table["cutoff"].min()).all()


def test_the_evaluation_cutoff_is_never_looked_at(project: Path, panel: Panel):
    with inside(project):
        evaluated = read_panel(["evaluate"]).of_role("evaluate").table["cutoff"].min()
    for past, present in out_of_time_folds(panel):
        assert max(past.table["cutoff"].max(), present.table["cutoff"].max()) < evaluated


def test_other_rows_or_another_recipe_are_another_study(panel: Panel, params: Params):
    name = tune._fingerprint(panel, params, QUICK)
    fewer = panel.where(np.arange(len(panel)) > 0)
    assert tune._fingerprint(panel, params, replace(QUICK, trials=9, seconds=1)) == name
    assert tune._fingerprint(fewer, params, QUICK) != name
    assert tune._fingerprint(panel, replace(params, churn=replace(params.churn, l2=3.0)), QUICK) != name


def test_without_a_cutoff_after_another_horizon_nothing_can_be_compared(panel: Panel, params: Params, tmp_path: Path):
    only = panel.where(panel.table["cutoff"] == panel.cutoffs[-1])
    with pytest.raises(NothingToTune, match=r"raise cutoffs\.train"):
        tune.tune(only, params, QUICK, f"sqlite:///{tmp_path}/tune.db")


@pytest.mark.parametrize(
    ("gain", "write", "written"),
    [
        (Interval(-0.02, -0.03, -0.01), True, True),
        (Interval(-0.02, -0.03, -0.01), False, False),
        (Interval(-0.02, -0.05, 0.01), True, False),
    ],
)
def test_settings_are_written_only_if_asked_for_and_surely_better(
    project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, gain: Interval, write: bool, written: bool
):
    best = {"trees": 150, "learning_rate": 0.03}
    monkeypatch.setattr(tune, "tune", lambda *_: Tuned(best, 3, 1, gain))
    monkeypatch.setattr(paths, "PARAMS", tmp_path / "params.yaml")
    text = "churn: # the model\n  trees: 250 # so many\n  learning_rate: 0.04\n"
    paths.PARAMS.write_text(text)
    with inside(project):
        tune.main(QUICK, write=write, storage=tmp_path / "tune.db")
    new = text.replace("250", "150").replace("0.04", "0.03")
    assert paths.PARAMS.read_text() == (new if written else text)


def test_what_was_found_is_told_with_its_interval_in_words():
    tuned = Tuned({"leaves": 20}, 40, 12, Interval(-0.002, -0.003, -0.001))
    words = told(tuned, ChurnSettings(leaves=12))
    assert "40 trials, 12 of them dropped early." in words
    assert "-0.00200 [-0.00300, -0.00100]: surely better" in words
