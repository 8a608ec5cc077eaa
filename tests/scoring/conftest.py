"""A scored project with odd customers, made once, and its scorer."""

from pathlib import Path

import polars as pl
import pytest
from live_project import make
from made_once import made_once

from fedelta.features.contract import INTERACTIONS
from fedelta.pipeline import paths
from fedelta.scoring.scorer import Scorer


@pytest.fixture(scope="session")
def project() -> Path:
    """300 customers and some odd ones, scored with costs, teams, treatments and categories."""
    return made_once("live-project", make)


@pytest.fixture(scope="session")
def scorer(project: Path) -> Scorer:
    return Scorer.load(project / paths.SCORING)


@pytest.fixture(scope="session")
def events(project: Path) -> pl.DataFrame:
    return pl.read_parquet(project / paths.INTERACTIONS / "*.parquet").select(INTERACTIONS.names())


@pytest.fixture(scope="session")
def customers(project: Path) -> pl.DataFrame:
    return pl.read_parquet(project / paths.CUSTOMERS)
