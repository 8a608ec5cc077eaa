"""Effects per customer: learners find what was planted, RATE and Qini are as published, the gate shuts and opens."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.uplift import Experiment, hillstrom, planted, propensity_to_act
from fedelta.models.encoding import Encoding
from fedelta.models.uplift.gate import LEAST_IN_ARM, RISK, missing, study
from fedelta.models.uplift.learners import aipw, dealt, learner, out_of_fold_effects, out_of_fold_means
from fedelta.models.uplift.storage import load_uplift, save_uplift
from fedelta.models.uplift.targeting import METRICS, curve, first_share, targeting

DATA = Path(__file__).parents[4] / "shared" / "data"


def experiment(n: int, seed: int, effect, *, share_held_out: float = 0.5):
    """Customers of two features with this effect on a noisy outcome."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    treated = rng.random(n) > share_held_out
    truth = effect(x)
    y = x[:, 1] + truth * treated + rng.normal(0, 0.5, n)
    return x, y, treated, np.full(n, 1 - share_held_out), truth


@pytest.mark.parametrize("name", ["dr", "x"])
@pytest.mark.parametrize("share_held_out", [0.5, 0.1])
def test_learners_find_a_known_effect_that_differs(name, share_held_out: float):
    x, y, treated, propensity, truth = experiment(
        4_000, 1, lambda x: 1.0 * (x[:, 0] > 0), share_held_out=share_held_out
    )
    found = out_of_fold_effects(name, x, y, treated, propensity, seed=1)
    assert np.corrcoef(found, truth)[0, 1] > 0.8
    assert found[truth == 1].mean() == pytest.approx(1, abs=0.15)
    assert found[truth == 0].mean() == pytest.approx(0, abs=0.15)


def test_a_fitted_learner_predicts_customers_it_never_saw():
    x, y, treated, propensity, _ = experiment(4_000, 2, lambda x: 0.8 * (x[:, 0] > 0))
    new = np.array([[1.0, 0.0], [-1.0, 0.0]])
    for name in ("dr", "x"):
        helped, unhelped = learner(name, (1, 2)).fit(x, y, treated, propensity).predict(new)
        assert helped == pytest.approx(0.8, abs=0.2)
        assert unhelped == pytest.approx(0, abs=0.2)


def test_doubly_robust_scores_have_the_effect_as_their_mean_even_with_useless_outcome_models():
    _, y, treated, propensity, truth = experiment(20_000, 3, lambda x: np.full(len(x), 0.7))
    useless = aipw(y, treated, propensity, np.zeros(len(y)), np.zeros(len(y)))
    assert useless.mean() == pytest.approx(truth.mean(), abs=0.06)


def test_doubly_robust_scores_of_good_models_vary_less():
    x, y, treated, propensity, _ = experiment(4_000, 3, lambda x: np.full(len(x), 0.7))
    means = out_of_fold_means(x, y, treated, dealt(len(y), 5, treated, 1))
    good, useless = aipw(y, treated, propensity, *means), aipw(y, treated, propensity, 0 * y, 0 * y)
    assert good.std() < 0.6 * useless.std()


def test_folds_hold_as_many_of_each_arm():
    treated = np.arange(100) < 90
    fold = dealt(100, 5, treated, 1)
    assert [int((~treated & (fold == k)).sum()) for k in range(5)] == [2] * 5


def test_rate_and_qini_of_four_customers_by_hand():
    scores = np.array([4.0, 2.0, 0.0, 2.0])  # mean 2
    found = targeting(scores, {"by number": np.array([4.0, 3.0, 2.0, 1.0])}, draws=20)
    # mean of the first k minus 2: 2, 1, 0, 0
    assert found.interval("by number", "autoc").value == pytest.approx((2 + 1 + 0 + 0) / 4)
    assert found.interval("by number", "qini").value == pytest.approx((2 * 1 / 4 + 1 * 2 / 4) / 4)


def test_an_order_that_knows_nothing_is_worth_nothing_and_the_opposite_order_harms():
    rng = np.random.default_rng(4)
    scores = rng.normal(1, 1, 5_000)
    found = targeting(scores, {"none": np.zeros(5_000), "best": scores, "worst": -scores}, draws=50)
    for metric in METRICS:
        assert found.interval("none", metric).low < 0 < found.interval("none", metric).high
        assert found.interval("best", metric).low > 0 > found.interval("worst", metric).high
        assert found.difference(metric, "best", "best").value == 0


def test_the_curve_runs_from_nothing_to_the_effect_of_contacting_all():
    scores = np.array([3.0, 1.0, -1.0, 1.0])
    points = curve(scores, scores)
    assert points[0] == (0, 0)
    assert points[-1] == (1, pytest.approx(scores.mean()))
    assert max(gain for _, gain in points) == pytest.approx(5 / 4), "the last customer takes something away"
    assert first_share(scores, 0.25).tolist() == [True, False, False, False]


def test_too_few_treatments_are_counted():
    treated = np.arange(700) < 600
    outcome = (np.arange(700) % 4 > 0).astype(float)
    lacking = missing(outcome, treated)
    assert (lacking.treated, lacking.held_out, lacking.outcomes) == (0, LEAST_IN_ARM - 100, 25)
    assert lacking.any
    assert "400 more held-out customers and 25 more outcomes" in lacking.says()
    assert not missing(np.tile(outcome, 10), np.tile(treated, 10)).any


def test_the_gate_opens_where_the_riskiest_are_not_the_best_targets_and_the_saved_model_predicts_the_same(
    tmp_path: Path,
):
    one = planted(6_000, 3, share_held_out=0.5, most=0.7)
    found = study(one.x, one.outcome, one.treated, one.propensity, risk=one.risk, value=one.value, draws=60)
    assert found.chosen
    assert found.above_risk[found.chosen].low > 0
    assert found.rates[found.chosen]["qini"].low > 0
    table = pd.DataFrame(one.x, columns=[f"x{k}" for k in range(one.x.shape[1])])
    save_uplift(found, Encoding.of(table), tmp_path, {})
    model = load_uplift(tmp_path)
    assert model
    assert found.model
    assert model.effect(table) == pytest.approx(found.model.predict(one.x), abs=1e-6)
    assert np.corrcoef(model.effect(table), one.effect)[0, 1] > 0.4


def test_the_gate_stays_shut_where_the_effect_follows_the_risk(tmp_path: Path):
    one = planted(4_000, 3, equal=True)
    found = study(one.x, one.outcome, one.treated, one.propensity, risk=one.risk, value=one.value, draws=40)
    assert found.chosen is None
    assert found.model is None
    assert found.says.startswith("Customers stay ranked by value at risk")
    save_uplift(found, None, tmp_path, {})
    assert load_uplift(tmp_path) is None
    assert load_uplift(tmp_path / "never") is None


@pytest.mark.skipif(not (DATA / "hillstrom_mens").is_dir(), reason="the public data are not here")
def test_some_of_hillstroms_mail_keeps_the_ranking_by_risk():
    whole = hillstrom(DATA)
    rows = np.random.default_rng(1).permutation(len(whole.outcome))[:8_000]
    one = Experiment(whole.x[rows], whole.outcome[rows], whole.treated[rows], whole.propensity[rows])
    found = study(one.x, one.outcome, one.treated, one.propensity, risk=propensity_to_act(one), draws=40)
    assert found.chosen is None
    assert found.rates[RISK]["qini"].value > 0
