"""Log-odds and probabilities."""

import numpy as np
import pandas as pd
import pytest

from fedelta.models.learning.log_odds import btyd_log_odds, sigmoid


def test_log_odds_of_zero_are_even_odds():
    assert sigmoid(np.array([0.0, np.log(3)])) == pytest.approx([0.5, 0.75])
    sure = pd.DataFrame({"pareto_p_any": [0.25, 0.0, 1.0]})
    assert btyd_log_odds(sure)[0] == pytest.approx(np.log(3))
    assert np.isfinite(btyd_log_odds(sure)).all()
