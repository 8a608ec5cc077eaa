"""Fixtures of the models' tests: a small company's panel, and models small enough to grow in a blink."""

import pandas as pd
import pytest
from company import cutoffs, interactions, panel_of

from fedelta.models.churn.model import ChurnModel, fit_churn
from fedelta.models.churn.settings import ChurnSettings
from fedelta.models.panel import Panel
from fedelta.models.value.model import ClvModel, fit_clv
from fedelta.models.value.settings import ClvSettings

SMALL = ChurnSettings(num_iterations=12, seeds=2, candidate="lightgbm")
SMALL_CLV = ClvSettings(num_iterations=12, seeds=1)


@pytest.fixture(scope="session")
def panel() -> Panel:
    """All rows of a company of 300 customers."""
    return panel_of(interactions(300), cutoffs())


@pytest.fixture(scope="session")
def short_panel() -> Panel:
    """The same company, learned from over horizons of 30 days instead of 60."""
    return panel_of(interactions(300), cutoffs(train_days=30))


@pytest.fixture(scope="session")
def train(panel: Panel) -> Panel:
    """The rows to learn from."""
    return panel.of_role("train")


@pytest.fixture(scope="session")
def evaluated(panel: Panel) -> Panel:
    """The rows to be measured on."""
    return panel.of_role("evaluate")


@pytest.fixture(scope="session")
def to_score(panel: Panel) -> pd.DataFrame:
    """The table to score."""
    return panel.table[panel.table["role"] == "score"]


@pytest.fixture(scope="session")
def churn(train: Panel) -> ChurnModel:
    """A churn model that has BTYD's answers among its features."""
    return fit_churn(train, SMALL, horizon_days=60, lead_days=0, threads=1)


@pytest.fixture(scope="session")
def building_churn(short_panel: Panel) -> ChurnModel:
    """A churn model that builds on BTYD's answer for the row's own horizon."""
    return fit_churn(short_panel.of_role("train"), SMALL, horizon_days=60, lead_days=0, threads=1)


@pytest.fixture(scope="session")
def clv(train: Panel) -> ClvModel:
    """A lifetime-value model."""
    model = fit_clv(train, SMALL_CLV, horizon_days=60, lead_days=0, threads=1)
    assert model is not None
    return model
