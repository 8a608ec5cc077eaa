import ast
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

import fedelta.models
from fedelta.models.learning.calibration import (
    BadCalibratorError,
    CalibrationSettings,
    Calibrator,
    _isotonic_knots,
    fit_calibrator,
)
from fedelta.models.metrics.bootstrap import Resampling
from fedelta.models.metrics.metrics import calibration_line, log_loss
from fedelta.models.metrics.ranking import LengthMismatchError, NotBinaryError, NotFiniteError, NotProbabilityError

law = settings(max_examples=60, derandomize=True)
QUICK = CalibrationSettings(resampling=Resampling(n=50))


def history(n, reported=lambda p: p, seed=1, drift=(0.0, 0.0, 0.0)):
    """Rows at several cutoffs: what the model reported of the true probability, the label, the cutoff.

    ``drift`` moves the true logit of each cutoff.
    """
    rng = np.random.default_rng(seed)
    probability, fold = rng.beta(2, 3, size=n), np.arange(n) % len(drift)
    truth = expit(logit(probability) + np.asarray(drift)[fold])
    return reported(probability), (rng.random(n) < truth).astype(float), fold


def overconfident(p):
    return expit(2 * logit(p) + 0.5)


def staircase(p):
    """A distortion no line between logits undoes."""
    return np.where(p < 0.4, p / 4, 0.1 + (p - 0.4) * 1.5)


calibrators = st.one_of(
    st.just(Calibrator()),
    st.builds(Calibrator, st.just("platt"), st.floats(-5, 5), st.floats(0.01, 20)),
    st.lists(st.tuples(st.integers(0, 1_000), st.integers(0, 1_000)), min_size=1, max_size=12).map(
        lambda knots: Calibrator(
            "isotonic",
            knots=tuple(
                zip(
                    sorted({given / 1_000 for given, _ in knots}),
                    sorted(returned / 1_000 for _, returned in knots),
                    strict=False,
                )
            ),
        )
    ),
)


# Choosing


def test_a_model_that_is_right_is_left_alone():
    calibrator = fit_calibrator(*history(6_000), QUICK)
    assert calibrator.kind == "none"
    assert calibrator.note.startswith(
        "Not calibrated; each of 3 cutoffs by those before it: platt against none: log loss"
    )
    assert "isotonic against none" in calibrator.note


def test_an_overconfident_model_is_straightened():
    reported, churned, fold = history(4_000, overconfident)
    calibrator = fit_calibrator(reported, churned, fold, QUICK)
    assert calibrator.kind == "platt"
    assert calibrator.note.startswith(
        "Calibrated (platt); each of 3 cutoffs by those before it: platt against none: log loss -0."
    )
    assert calibration_line(churned, calibrator.apply(reported)) == pytest.approx((0, 1), abs=1e-6)
    fresh, outcome, _ = history(4_000, overconfident, seed=2)
    assert log_loss(outcome, calibrator.apply(fresh)) < log_loss(outcome, fresh) - 0.02


def test_a_crooked_model_with_many_rows_is_bent_back():
    reported, churned, fold = history(60_000, staircase)
    calibrator = fit_calibrator(reported, churned, fold, QUICK)
    assert calibrator.kind == "isotonic"
    assert "isotonic against platt" in calibrator.note


def test_a_crooked_model_with_few_rows_is_not():
    calibrator = fit_calibrator(*history(4_999, staircase), QUICK)
    assert calibrator.kind != "isotonic"
    assert "isotonic needs 5,000 rows, has 4,999" in calibrator.note


def test_last_seasons_base_rate_is_not_learned():
    reported, churned, fold = history(9_000, drift=(-0.4, 0.0, 0.4))
    assert fit_calibrator(reported, churned, fold, QUICK).kind == "none"


def test_one_cutoff_proves_nothing():
    reported, churned, _ = history(9_000, overconfident)
    calibrator = fit_calibrator(reported, churned, np.zeros(9_000), QUICK)
    assert calibrator.kind == "none"
    assert calibrator.note == "Not calibrated: one cutoff cannot be tested out of time. Train on two cutoffs or more."
    assert calibrator.apply(reported).tolist() == reported.tolist()


def test_a_model_that_ranks_backwards_is_not_turned_round():
    reported, churned, fold = history(3_000, lambda p: 1 - p)
    calibrator = fit_calibrator(reported, churned, fold, QUICK)
    assert calibrator.kind == "none"
    assert "platt has no rising line" in calibrator.note


def test_the_same_customers_seen_again_are_no_new_evidence():
    reported, churned, fold = history(300, lambda p: expit(1.7 * logit(p)))
    again = [np.tile(column, 9) for column in (reported, churned, fold)]
    assert fit_calibrator(*again, QUICK).kind == "platt"
    assert fit_calibrator(*again, QUICK, customer=np.tile(np.arange(300), 9)).kind == "none"


def test_cutoffs_may_be_dates():
    reported, churned, fold = history(3_000, overconfident)
    dates = np.array(["2024-01-01", "2024-02-01", "2024-03-01"], dtype="datetime64[us]")[fold]
    assert fit_calibrator(reported, churned, dates, QUICK) == fit_calibrator(reported, churned, fold, QUICK)


@pytest.mark.parametrize(
    ("reported", "churned", "fold", "error"),
    [
        ([0.5, 1.5], [0, 1], [1, 2], NotProbabilityError),
        ([0.5, 0.5], [0, 3], [1, 2], NotBinaryError),
        ([0.5, 0.5], [0, 1], [1], LengthMismatchError),
        ([0.5], [0, 1], [1, 2], LengthMismatchError),
        ([0.5, float("nan")], [0, 1], [1, 2], NotFiniteError),
    ],
)
def test_rows_that_do_not_fit_are_refused(reported, churned, fold, error):
    with pytest.raises(error, match="Expected"):
        fit_calibrator(reported, churned, fold)


# Fitting and applying


def test_the_line_is_sklearns():
    reported, churned, fold = history(4_000, overconfident)
    reference = LogisticRegression(C=np.inf, tol=1e-10).fit(logit(reported)[:, None], churned)
    expected = reference.predict_proba(logit([0.1, 0.5, 0.9])[:, None])[:, 1]
    assert fit_calibrator(reported, churned, fold, QUICK).apply([0.1, 0.5, 0.9]) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("digits", [2, 16])  # with and without ties
def test_the_rising_fit_is_sklearns(digits):
    reported, churned, fold = history(60_000, lambda p: np.round(staircase(p), digits))
    calibrator = fit_calibrator(reported, churned, fold, QUICK)
    assert calibrator.kind == "isotonic"
    reference = IsotonicRegression(out_of_bounds="clip").fit(reported, churned)
    rates = reference.y_thresholds_
    inner = (rates > rates.min()) & (rates < rates.max())  # the ends are softened
    asked = np.linspace(*reference.X_thresholds_[inner][[0, -1]], 501)
    assert calibrator.apply(asked) == pytest.approx(reference.predict(asked), abs=1e-12)


def test_the_few_at_either_end_count_one_more_of_average_risk():
    # The lowest four all stay, the highest two all leave, half of those between leave.
    reported = np.concatenate([np.full(4, 0.1), np.tile([0.4, 0.6], 249), np.full(2, 0.9)])
    churned = np.concatenate([np.zeros(4), np.arange(498) // 2 % 2 == 0, np.ones(2)])
    average = churned.mean()
    knots = _isotonic_knots(reported, churned)
    assert knots[0] == pytest.approx((0.1, average / 5))
    assert knots[-1] == pytest.approx((0.9, (2 + average) / 3))


def test_the_extra_customer_never_lifts_the_end_above_its_neighbour():
    # One stayer alone, then 1 churner in 1,000: with the average of 0.5 counted in, the first would have the more risk.
    reported = np.concatenate([[0.1], np.full(1_000, 0.2), np.full(1_000, 0.9)])
    churned = np.concatenate([[0], np.arange(1_000) < 1, np.arange(1_000) < 999])
    knots = _isotonic_knots(reported, churned)
    assert knots[0] == (0.1, 0.001)
    assert knots[1] == (0.2, 0.001)


def test_a_line_by_hand():
    assert Calibrator("platt", intercept=np.log(3), slope=2.0).apply([0.5, 0.75]) == pytest.approx([0.75, 27 / 28])


def test_knots_by_hand():
    calibrator = Calibrator("isotonic", knots=((0.2, 0.1), (0.6, 0.5)))
    assert calibrator.apply([0.0, 0.2, 0.4, 0.6, 1.0]) == pytest.approx([0.1, 0.1, 0.3, 0.5, 0.5])


@law
@given(calibrators, st.lists(st.floats(0, 1), max_size=50))
def test_calibration_keeps_rank_and_is_never_certain(calibrator, probabilities):
    calibrated = calibrator.apply(sorted(probabilities))
    assert (np.diff(calibrated) >= -1e-15).all()
    assert ((calibrated >= 1e-6) & (calibrated <= 1 - 1e-6)).all()


@law
@given(calibrators, st.lists(st.floats(0, 1), max_size=50))
def test_one_customer_is_calibrated_like_a_million(calibrator, probabilities):
    one_by_one = [calibrator.apply([probability])[0] for probability in probabilities]
    assert calibrator.apply(probabilities).tolist() == pytest.approx(one_by_one, rel=1e-14)


@law
@given(calibrators, st.text(max_size=20))
def test_a_saved_calibrator_comes_back_the_same(calibrator, note):
    noted = Calibrator(calibrator.kind, calibrator.intercept, calibrator.slope, calibrator.knots, note)
    assert Calibrator.from_dict(json.loads(json.dumps(noted.to_dict(), allow_nan=False))) == noted


def test_a_fitted_calibrator_comes_back_the_same():
    calibrator = fit_calibrator(*history(60_000, staircase), QUICK)
    assert Calibrator.from_dict(json.loads(json.dumps(calibrator.to_dict(), allow_nan=False))) == calibrator


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "beta"},
        {"kind": ["platt"]},
        {"slope": 0.0},
        {"slope": -1.0},
        {"slope": float("nan")},
        {"intercept": float("inf")},
        {"slope": "steep"},
        {"knots": [[0.1, 0.2]]},  # of a line
        {"kind": "isotonic"},  # without knots
        {"kind": "isotonic", "knots": [[0.1, 0.2], [0.2, 0.1]]},
        {"kind": "isotonic", "knots": [[0.1, 0.2], [0.1, 0.3]]},
        {"kind": "isotonic", "knots": [[0.1, 0.2], [0.2, 1.3]]},
        {"kind": "isotonic", "knots": [[float("nan"), 0.2]]},
        {"kind": "isotonic", "knots": [0.1, 0.2]},
    ],
)
def test_a_damaged_calibrator_is_refused(change):
    with pytest.raises(BadCalibratorError, match="retrain the model"):
        Calibrator.from_dict({**Calibrator("platt").to_dict(), **change})


def test_a_calibrator_without_its_parts_is_refused():
    with pytest.raises(BadCalibratorError, match=r"Expected a saved calibrator, got \{\}"):
        Calibrator.from_dict({})


@pytest.mark.parametrize(("asked", "error"), [([1.2], NotProbabilityError), ([float("nan")], NotFiniteError)])
def test_only_probabilities_are_calibrated(asked, error):
    with pytest.raises(error, match="Expected"):
        Calibrator().apply(asked)


def test_the_service_needs_no_sklearn_to_calibrate():
    folder = Path(fedelta.models.__file__).parent
    for path in (folder / "learning/calibration.py", *(folder / "metrics").glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not any(module.startswith("sklearn") for module in imported)
