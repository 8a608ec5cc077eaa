"""Boosters grow and predict side by side in one process."""

import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fedelta.models.encoding import Encoding
from fedelta.models.learning.boosting import Ensemble, Objective, TrainingRows, by_rows, fit_ensemble
from fedelta.models.learning.settings import BoostingSettings

SETTINGS = BoostingSettings(num_iterations=20, seeds=2, min_data_in_leaf=20, min_data_in_leaf_share=0.0)
ENCODING = Encoding(tuple(f"c{i}" for i in range(30)), {})

# Grows on sparse columns while others predict. LightGBM sizes a buffer by the process's number of threads as a data set
# begins and asks for that number again as it fills: were it raised in between, the process would end by a signal.
SIDE_BY_SIDE = """
import threading, time
import numpy as np
from fedelta.models.learning.boosting import TrainingRows, fit_ensemble
from fedelta.models.encoding import Encoding
from fedelta.models.learning.settings import BoostingSettings

random = np.random.default_rng(1)
matrix = np.where(random.random((3000, 60)) < 0.05, random.random((3000, 60)), 0.0)
target = (matrix[:, 0] > 0).astype(np.float64)
encoding = Encoding(tuple(f"c{i}" for i in range(60)), {})
settings = BoostingSettings(num_iterations=1, seeds=1)
ensemble = fit_ensemble(TrainingRows(matrix, encoding), target, settings, "binary", threads=1)
end = time.monotonic() + 8

def grow():
    while time.monotonic() < end:
        fit_ensemble(TrainingRows(matrix, encoding), target, settings, "binary", threads=1)

def predict(method):
    while time.monotonic() < end:
        method(matrix[:50])

threads = [threading.Thread(target=grow)]
threads += [threading.Thread(target=predict, args=(m,)) for m in (ensemble.raw, ensemble.contributions)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print("still here")
"""


@pytest.mark.long
def test_predicting_while_another_booster_grows_does_not_end_the_process() -> None:
    command = [sys.executable, "-c", SIDE_BY_SIDE]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert (ran.returncode, ran.stdout.strip()) == (0, "still here"), ran.stderr


def test_a_row_alone_gets_what_it_gets_among_others_also_from_a_copy_and_by_several_threads() -> None:
    random = np.random.default_rng(4)
    matrix = np.where(random.random((2_000, 30)) < 0.2, np.nan, random.normal(size=(2_000, 30)))
    target = (np.nan_to_num(matrix[:, 0]) + random.normal(size=2_000) > 0).astype(np.float64)
    ensemble = fit_ensemble(TrainingRows(matrix, ENCODING), target, SETTINGS, "binary", threads=1)
    asked = matrix[:100]
    for method in ("raw", "contributions"):
        expected = getattr(ensemble, method)(asked)
        assert len({*expected.ravel()}) > 10
        loaded = Ensemble.from_text(ensemble.to_text())
        for one in (ensemble, loaded, pickle.loads(pickle.dumps(ensemble))):
            with ThreadPoolExecutor(2) as threads:
                alone = [*threads.map(getattr(one, method), np.split(asked, len(asked)))]
            np.testing.assert_array_equal(np.concatenate(alone), expected)


@pytest.mark.parametrize("objective", ["binary", "tweedie"])
def test_rows_given_by_column_grow_the_trees_of_their_matrix(objective: Objective) -> None:
    random, n = np.random.default_rng(3), 3_000
    plan = random.choice(["gold", "tin", "lead", None], n)
    table = pd.DataFrame({"count": random.integers(0, 9, n, np.int32), "share": random.random(n, np.float32)})
    table = table.assign(
        spend=np.where(random.random(n) < 0.3, np.nan, random.random(n)), plan=plan, flag=table["share"] > 0.5
    )
    target = (table["count"].to_numpy() + 3 * (plan == "tin") + random.normal(size=n) > 4).astype(np.float64)
    encoding = Encoding.of(table)
    assert encoding.categorical
    by_matrix, by_column = (
        fit_ensemble(TrainingRows(held, encoding), target, SETTINGS, objective).to_text()
        for held in (encoding.matrix(table), encoding.columns(table))
    )
    assert by_column == by_matrix


def test_predictions_do_not_depend_on_how_many_rows_are_asked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    table = pd.DataFrame({"a": np.arange(10.0)})
    asked: list[int] = []

    def predict(rows: pd.DataFrame) -> np.ndarray:
        asked.append(len(rows))
        return rows["a"].to_numpy() ** 2

    monkeypatch.setattr("fedelta.models.learning.boosting._ROWS_AT_ONCE", 4)
    np.testing.assert_array_equal(by_rows(predict, table), np.arange(10.0) ** 2)
    assert asked == [4, 4, 2]


def sparse_rows() -> TrainingRows:
    random = np.random.default_rng(2)
    return TrainingRows(np.where(random.random((2_000, 30)) < 0.2, random.random((2_000, 30)), 0.0), ENCODING)


def test_an_ensemble_is_the_same_on_rows_that_others_were_grown_on() -> None:
    random = np.random.default_rng(3)
    left, bought = (random.random(2_000) < 0.3).astype(np.float64), random.poisson(2.0, 2_000).astype(np.float64)
    tasks = [
        (left, SETTINGS, "binary", {"init_score": random.normal(size=2_000)}),
        (bought, SETTINGS, "poisson", {"init_score": random.normal(size=2_000)}),
        (left, replace(SETTINGS, num_leaves=31, feature_fraction=0.9), "binary", {}),
        (left, replace(SETTINGS, min_data_in_leaf=200), "cross_entropy", {"weight": random.random(2_000)}),
        (bought, replace(SETTINGS, num_leaves=4), "poisson", {}),
    ]
    shared = sparse_rows()
    for target, settings, objective, more in tasks:
        together = fit_ensemble(shared, target, settings, objective, **more)  # type: ignore[arg-type]
        alone = fit_ensemble(sparse_rows(), target, settings, objective, **more)  # type: ignore[arg-type]
        assert together.to_text() == alone.to_text()


@pytest.mark.parametrize("feature_fraction", [0.5, 0.7, 1.0])
def test_the_way_histograms_are_summed_changes_no_booster(
    feature_fraction: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = (np.random.default_rng(4).random(2_000) < 0.3).astype(np.float64)
    settings = replace(SETTINGS, feature_fraction=feature_fraction)
    grown = []
    for few in (0.0, 1.1):
        monkeypatch.setattr("fedelta.models.learning.boosting._FEW_COLUMNS", few)
        grown.append(fit_ensemble(sparse_rows(), target, settings, "binary").to_text())
    assert grown[0] == grown[1]
