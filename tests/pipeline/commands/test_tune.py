"""Tuning: seeded, resumable, out of time, and never believed because it was the best of many."""

import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import hashed_project
import numpy as np
import pytest
from tiny_project import HERE, inside

from fedelta import cli
from fedelta.features.registry import registry_hash
from fedelta.models.bundle import BadBundle
from fedelta.models.churn.candidate import Range
from fedelta.models.churn.candidate_models.lightgbm_trees import LARGE, SPACE, large
from fedelta.models.churn.candidates import candidates
from fedelta.models.churn.settings import ChurnSettings, LargeSettings, TuneSettings
from fedelta.models.learning.competition import out_of_time_folds
from fedelta.models.metrics.bootstrap import Interval
from fedelta.models.panel import Panel
from fedelta.pipeline import build_features, fit_btyd, paths
from fedelta.pipeline.commands import tune
from fedelta.pipeline.commands.tune import NothingToTune, Tuned, in_words, to_tune
from fedelta.pipeline.panel import read_panel
from fedelta.pipeline.params import Params, load_params

optuna = pytest.importorskip("optuna")

BIN = Path(sys.executable).parent
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
    quick = {
        name: replace(held, tuning=replace(held.tuning, space={**held.tuning.space, "num_iterations": Range(2, 10)}))
        for name, held in candidates().items()
        if held.tuning
    }
    monkeypatch.setattr(tune, "candidates", lambda: {**candidates(), **quick})


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
    assert "no better beyond chance" in in_words(found, params.churn)


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
    assert tune._fingerprint(panel, replace(params, churn=replace(params.churn, lambda_l2=3.0)), QUICK) != name


def test_without_a_cutoff_after_another_horizon_nothing_can_be_compared(panel: Panel, params: Params, tmp_path: Path):
    only = panel.where(panel.table["cutoff"] == panel.cutoffs[-1])
    with pytest.raises(NothingToTune, match=r"raise cutoffs\.train"):
        tune.tune(only, params, QUICK, f"sqlite:///{tmp_path}/tune.db")


@pytest.mark.usefixtures("quick")
def test_tuning_deep_trees_searches_the_settings_they_are_grown_by(panel: Panel, params: Params, tmp_path: Path):
    churn = replace(params.churn, candidate="lightgbm_large", lightgbm_large=LargeSettings(num_iterations=4))
    asked = replace(params, churn=churn)
    found = tune.tune(panel, asked, replace(QUICK, trials=1), f"sqlite:///{tmp_path}/tune.db")
    assert found.best == {name: getattr(large(churn), name) for name in LARGE}  # the present ones are within the ranges
    words = in_words(found, churn)
    assert "churn.lightgbm_large:" in words
    assert re.search(r"leaves +31 +31\n", words)
    values = {"num_leaves": 60, "num_iterations": 9}
    changed = tune._tuning(churn).change(churn, values)
    assert changed == replace(churn, lightgbm_large=replace(churn.lightgbm_large, num_leaves=60, num_iterations=9))
    fold = tune._folds(panel, np.ones(len(panel), bool), asked)[0]
    present, other, ignored = (
        tune._forecast(fold, settings, asked)
        for settings in (churn, changed, replace(churn, num_leaves=4, num_iterations=9))
    )
    assert not np.array_equal(present, other)
    assert np.array_equal(present, ignored)  # what is not theirs moves nothing


def test_the_candidate_in_use_is_tuned_or_the_one_that_was_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    auto, bundle = ChurnSettings(), tmp_path / "churn"
    monkeypatch.setattr(paths, "CHURN_BUNDLE", bundle)
    (bundle / "delivered").mkdir(parents=True)
    for name in ("lightgbm_large", "blend", "pareto_nbd"):
        (bundle / "delivered" / "model.json").write_text(json.dumps({"candidate": name, "registry": registry_hash()}))
        if name == "pareto_nbd":
            with pytest.raises(
                NothingToTune, match="model is pareto_nbd, which the bundle chose: it has no settings that could"
            ):
                to_tune(auto)
        else:
            assert to_tune(auto) == (replace(auto, candidate=name), "which the bundle chose")
    assert to_tune(auto, "lightgbm") == (replace(auto, candidate="lightgbm"), "as asked")
    fixed = replace(auto, candidate="blend")
    assert to_tune(fixed) == (fixed, "as churn.candidate says")
    weights = {"logistic": 0.6, "lightgbm": 0.1, "lightgbm_large": 0.3, "hiatus": 0.0}
    blend = {
        "candidate": "weighted_average",
        "selection": [{"candidate": name, "weight": w} for name, w in weights.items()],
    }
    (bundle / "delivered" / "model.json").write_text(json.dumps({**blend, "registry": registry_hash()}))
    assert to_tune(auto) == (replace(auto, candidate="lightgbm_large"), "which the bundle chose")
    (bundle / "delivered" / "model.json").unlink()
    with pytest.raises(BadBundle, match="dvc repro"):
        to_tune(auto)


def test_a_hopeless_trial_is_dropped_at_its_first_fold(
    panel: Panel, params: Params, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    fold = tune._folds(panel, np.ones(len(panel), bool), params)[0]
    monkeypatch.setattr(tune, "_folds", lambda *_: [fold, fold])
    asked: list[ChurnSettings] = []

    def forecast(fold: tune._Fold, churn: ChurnSettings, _: Params) -> np.ndarray:
        asked.append(churn)
        number = list(dict.fromkeys(asked)).index(churn)
        churned = fold.present.churned(params.churn.definition)
        return np.abs(churned - (0.999 if number in {6, 8} else 0.3 - number / 100))

    monkeypatch.setattr(tune, "_forecast", forecast)
    found = tune.tune(panel, params, replace(QUICK, trials=10), f"sqlite:///{tmp_path}/tune.db")
    assert (found.trials, found.pruned) == (10, 2)
    searched = asked[:18]  # eight trials of two folds, two of one; then the verdict
    trials = list(dict.fromkeys(searched))
    assert [searched.count(churn) for churn in trials] == [2, 2, 2, 2, 2, 2, 1, 2, 1, 2]
    assert found.best == {name: getattr(trials[9], name) for name in SPACE}


def test_a_budget_of_nothing_is_refused_in_one_line(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(tune, "main", lambda *_, **__: pytest.fail("it searched"))
    with inside(project):
        for words, said in (
            (["--budget", "0"], "fedelta: tune.trials (--budget) is 0; it must be at least 1.\n"),
            (["--seconds", "-5"], "fedelta: tune.seconds (--seconds) is -5; it must be at least 1.\n"),
        ):
            assert cli.main(["tune", *words]) == 1
            assert capsys.readouterr().err == said


@pytest.mark.usefixtures("quick")
def test_what_was_tuned_is_said_and_kept(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with inside(project):
        tune.main(replace(QUICK, trials=2), candidate="blend", storage=tmp_path / "tune.db")
        report = json.loads(tune.REPORT.read_text())
    assert capsys.readouterr().out.startswith("Tuned: blend, as asked.\n2 trials")
    assert (report["candidate"], report["section"], report["trials"]) == ("blend", "churn", 2)
    assert report["gain"].keys() == {"value", "low", "high"}
    assert set(report["best"]) == set(SPACE)


@pytest.mark.parametrize(
    ("gain", "write", "written"),
    [
        (Interval(-0.02, -0.03, -0.01), True, True),
        (Interval(-0.02, -0.03, -0.01), False, False),
        (Interval(-0.02, -0.05, 0.01), True, False),
    ],
)
def test_settings_are_written_only_if_asked_for_and_significantly_better(
    project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, gain: Interval, write: bool, written: bool
):
    best = {"num_iterations": 150, "learning_rate": 0.03}
    monkeypatch.setattr(tune, "tune", lambda *_: Tuned(best, 3, 1, gain))
    monkeypatch.setattr(paths, "PARAMS", tmp_path / "params.yaml")
    text = "churn: # the model\n  num_iterations: 250 # so many\n  learning_rate: 0.04\n"
    paths.PARAMS.write_text(text)
    with inside(project):
        tune.main(QUICK, write=write, storage=tmp_path / "tune.db")
    new = text.replace("250", "150").replace("0.04", "0.03")
    assert paths.PARAMS.read_text() == (new if written else text)


def test_settings_of_deep_trees_are_written_where_they_are_read(
    project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(
        tune, "tune", lambda *_: Tuned({"num_iterations": 150, "num_leaves": 40}, 3, 1, Interval(-0.02, -0.03, -0.01))
    )
    monkeypatch.setattr(paths, "PARAMS", tmp_path / "params.yaml")
    shutil.copy(HERE / "params.yaml", paths.PARAMS)
    before = load_params(paths.PARAMS).churn
    with inside(project):
        tune.main(QUICK, candidate="lightgbm_large", write=True, storage=tmp_path / "tune.db")
    assert load_params(paths.PARAMS).churn == replace(
        before, lightgbm_large=replace(before.lightgbm_large, num_iterations=150, num_leaves=40)
    )


def test_what_was_found_is_told_with_its_interval_in_words():
    tuned = Tuned({"num_leaves": 20}, 40, 12, Interval(-0.002, -0.003, -0.001))
    words = in_words(tuned, ChurnSettings(num_leaves=12, candidate="lightgbm"))
    assert "40 trials, 12 of them dropped early." in words
    assert "-0.00200 [-0.00300, -0.00100]: significantly better" in words
