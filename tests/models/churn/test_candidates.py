"""The registry of candidates: one file more in its folder is one candidate more, everywhere."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from tiny_project import PARAMS

from fedelta.models.bundle import BadBundle, read_contract
from fedelta.models.churn import candidate_models
from fedelta.models.churn.candidates import candidates, contributions
from fedelta.models.churn.model import fit_churn
from fedelta.models.churn.settings import BadCandidate, ChurnSettings
from fedelta.models.churn.storage import load_churn, save_churn
from fedelta.models.metrics.metrics import auc
from fedelta.models.panel import Panel
from fedelta.models.table import Table
from fedelta.pages.findings import candidate, why
from fedelta.pipeline.commands.tune import to_tune
from fedelta.pipeline.params import load_params

NAME = "hist_gradient_boosting"
SMALL = ChurnSettings(num_iterations=6, seeds=1)


def drop_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the modules of a folder stand in that of the candidates."""
    monkeypatch.setattr(candidate_models, "__path__", [*candidate_models.__path__, str(folder)])
    candidates.cache_clear()


@pytest.fixture
def _hist(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The candidate of one file more."""
    drop_in(Path(__file__).parent / "dropped_in", monkeypatch)
    yield
    monkeypatch.undo()
    candidates.cache_clear()


@pytest.fixture
def _forgotten() -> Iterator[None]:
    """What a test drops in is gone after it."""
    yield
    candidates.cache_clear()


def test_the_order_of_candidates_is_the_one_that_ties_are_decided_by():
    simplest_first = [
        "constant", "tenure", "days_since_last_activity", "past_outcome_rate", "hiatus", "pareto_nbd", "bg_nbd",
        "logistic", "lightgbm", "blend", "lightgbm_large", "lightgbm_defaults",
    ]  # fmt: skip
    assert [name for name in candidates() if name in simplest_first] == simplest_first
    places = [held.place for held in candidates().values()]
    assert places == sorted(set(places))


@pytest.mark.parametrize("name", candidates())
def test_any_candidate_is_fitted_the_same_again_explained_saved_and_loaded(
    name: str, train: Panel, evaluated: Panel, to_score: pd.DataFrame, tmp_path: Path
):
    settings = replace(SMALL, candidate=name)
    model, again = (fit_churn(train, settings, horizon_days=60, lead_days=0, threads=threads) for threads in (1, 2))
    probability = model.churn_probability(to_score)
    assert again.churn_probability(to_score).tolist() == probability.tolist()
    assert ((probability > 0) & (probability < 1)).all()
    assert name == "constant" or auc(evaluated.churned("inactivity"), model.churn_probability(evaluated.table)) > 0.5

    parts = contributions(model.components, to_score)
    assert sum(parts.values()) == pytest.approx(model.log_odds(to_score))
    assert parts.keys() - {"base"} <= {column for _, part in model.components for column in part.reads.names}

    save_churn(model, tmp_path, {})
    loaded = load_churn(tmp_path)
    assert loaded.churn_probability(to_score).tolist() == probability.tolist()
    assert loaded.churn_probability(Table.of(to_score)).tolist() == probability.tolist()
    for row in (0, 7):
        assert loaded.churn_probability(to_score.iloc[[row]]).tolist() == [probability[row]]
    assert loaded.churn_probability(to_score[to_score.columns[::-1]]).tolist() == probability.tolist()
    assert loaded.churn_probability(to_score.head(0)).shape == (0,)


@pytest.mark.usefixtures("_hist")
def test_one_file_adds_a_candidate_that_is_fitted_weighed_explained_saved_and_loaded(
    train: Panel, evaluated: Panel, to_score: pd.DataFrame, tmp_path: Path
):
    settings = replace(SMALL, candidate=NAME, candidate_settings={NAME: {"max_iter": 30}})
    model = fit_churn(train, settings, horizon_days=60, lead_days=0, threads=1)
    assert model.name == NAME
    probability = model.churn_probability(to_score)
    assert auc(evaluated.churned("inactivity"), model.churn_probability(evaluated.table)) > 0.65
    assert sum(contributions(model.components, to_score).values()) == pytest.approx(model.log_odds(to_score))

    save_churn(model, tmp_path, {})
    loaded = load_churn(tmp_path)
    assert loaded.churn_probability(to_score).tolist() == probability.tolist()
    assert read_contract(tmp_path)["components"][0]["kind"] == NAME

    ((_, part),) = model.components
    matrix = np.asarray(part.reads.matrix(train.table), np.float64)
    theirs = HistGradientBoostingClassifier(
        max_iter=30, learning_rate=0.05, max_leaf_nodes=8, early_stopping=False, random_state=1
    ).fit(matrix, train.churned("inactivity"))
    expected = theirs.decision_function(np.asarray(part.reads.matrix(to_score), np.float64))
    assert part.log_odds(to_score) == pytest.approx(expected, abs=1e-9)


@pytest.mark.usefixtures("_hist")
def test_it_competes_with_the_others_in_its_place(train: Panel):
    model = fit_churn(train, SMALL, horizon_days=60, lead_days=0, threads=1)
    names = [result.candidate for result in model.selection]
    assert names.index("lightgbm") < names.index(NAME) < names.index("blend")
    assert names.index(NAME) == [name for name in candidates() if name in names].index(NAME)


@pytest.mark.usefixtures("_hist")
def test_its_words_its_settings_and_its_tuning_are_its_own(tmp_path: Path):
    assert candidate(NAME) == "scikit-learn's boosted trees"
    assert why(f"weight 3%, less than {NAME}") == "weight 3%, less than scikit-learn's boosted trees"
    asked, _ = to_tune(SMALL, NAME)
    tuning = candidates()[NAME].tuning
    assert tuning is not None
    assert tuning.read(asked).max_iter == 60
    assert tuning.read(tuning.change(asked, {"max_iter": 99})).max_iter == 99
    assert tuning.section == f"churn.candidate_settings.{NAME}"

    def read(text: str) -> ChurnSettings:
        params = tmp_path / "params.yaml"
        written = PARAMS.replace("TREES", "9").replace("candidate: lightgbm", f"candidate: {NAME}")
        params.write_text(written.replace("seeds: 1, cand", f"candidate_settings: {text}, seeds: 1, cand"))
        return load_params(params).churn

    assert tuning.read(read(f"{{{NAME}: {{max_iter: 33}}}}")).max_iter == 33
    for text, message in (
        (f"{{{NAME}: {{max_iter: 0}}}}", rf"churn\.candidate_settings\.{NAME}\.max_iter is 0; it must be at least 1"),
        (
            f"{{{NAME}: {{max_iters: 5}}}}",
            r"unknown max_iters\. Did you mean max_iter\? Known: max_iter, learning_rate",
        ),
        ("{lightgbm: {num_leaves: 5}}", rf"unknown lightgbm\. Candidates with settings there: .*{NAME}"),
    ):
        with pytest.raises(Exception, match=message):
            read(text)


def test_a_candidate_that_there_is_none_of_is_refused_with_those_there_are(tmp_path: Path, train: Panel):
    (tmp_path / "params.yaml").write_text(
        PARAMS.replace("TREES", "9").replace("candidate: lightgbm", "candidate: lightgmb")
    )
    allowed = r"churn\.candidate is 'lightgmb'; it must be one of auto, constant, .*, lightgbm_defaults\. Did you mean"
    with pytest.raises(BadCandidate, match=allowed):
        load_params(tmp_path / "params.yaml")
    with pytest.raises(BadCandidate, match=allowed):
        fit_churn(train, replace(SMALL, candidate="lightgmb"), horizon_days=60, lead_days=0)


@pytest.mark.usefixtures("_forgotten")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("X = 1", "declares_nothing must declare CANDIDATES"),
        ("from fedelta.models.churn.candidate_models.logistic import CANDIDATES", "Two candidates are named logistic"),
    ],
)
def test_a_module_without_a_candidate_or_with_one_that_there_is_already_is_refused(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    name = "declares_nothing" if "X" in text else "declares_it_twice"
    (tmp_path / f"{name}.py").write_text(text)
    drop_in(tmp_path, monkeypatch)
    with pytest.raises(BadCandidate, match=message):
        candidates()


def test_a_saved_component_of_no_candidate_here_is_refused(train: Panel, tmp_path: Path):
    model = fit_churn(train, replace(SMALL, candidate="constant"), horizon_days=60, lead_days=0)
    save_churn(model, tmp_path, {})
    path = tmp_path / "model.json"
    path.write_text(path.read_text().replace('"kind": "logistic"', '"kind": "perceptron"'))
    with pytest.raises(
        BadBundle, match=r"BadCandidate: .* of kind perceptron, which no candidate has; known: btyd, .*logistic"
    ):
        load_churn(tmp_path)
