"""The command `plan` goes by the policy of the scores, and says where params.yaml has another by now."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hashed_project import make
from tiny_project import inside

from fedelta.cli import main
from fedelta.features.contract import SCORES
from fedelta.features.experience_rules import ExperienceSettings
from fedelta.models.base import Base
from fedelta.models.policy.actions import policy_table
from fedelta.models.policy.settings import EconomicsSettings, HoldoutSettings, PolicySettings
from fedelta.models.policy.stakes import Stakes
from fedelta.pipeline import paths
from fedelta.pipeline.params import load_params
from fedelta.scoring.context import ScoringContext, Settings

AS_OF = datetime(2026, 1, 31, tzinfo=UTC)
COSTS = EconomicsSettings(contact_cost=1, offer_cost=6, keep_success=0.15)
NOBODY = HoldoutSettings(share=0.0)
ANOTHER = "another policy than the scores"


def scored(policy: PolicySettings) -> None:
    """Scores of ten customers by a policy, and what the stage `score` freezes of it."""
    names, one, nothing = [f"c{k}" for k in range(10)], np.ones(10), np.zeros(10)
    table = policy_table(names, Stakes(one, one / 2, 100 * one, nothing, nothing, nothing), policy)
    whole = table.with_columns(
        customer_id=pl.Series(names), currency=pl.lit("EUR"), as_of=AS_OF, horizon_days=90, status=pl.lit("scored")
    )
    lacking = [pl.lit(None).alias(name) for name in SCORES if name not in whole.columns]
    whole.with_columns(lacking).select(pl.col(name).cast(dtype) for name, dtype in SCORES.items()).write_parquet(
        paths.SCORES
    )
    settings = Settings(AS_OF, 90, 0, "bundle", ExperienceSettings(), policy)
    ScoringContext(settings, Base(AS_OF, None, np.array([0.5]))).save(paths.SCORING)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make(tmp_path / "project", customers=20)


def test_the_limit_is_that_of_the_scores_whatever_params_say_now(project: Path, capsys: pytest.CaptureFixture[str]):
    with inside(project):
        scored(PolicySettings(economics=COSTS, holdout=NOBODY, capacity=4))
        assert main(["plan"]) == 0
    told = capsys.readouterr()
    assert "Planned are 4 actions of at most 4 per run" in told.out
    assert ANOTHER in told.err


def test_the_policy_that_the_scores_were_made_by_is_no_other(project: Path, capsys: pytest.CaptureFixture[str]):
    with inside(project):
        params = Path("params.yaml")
        costs = "economics: {contact_cost: 1, offer_cost: 6, keep_success: 0.15}"
        params.write_text(params.read_text().replace("policy: {", f"policy: {{{costs}, "))
        scored(load_params().policy)
        assert main(["plan"]) == 0
    assert ANOTHER not in capsys.readouterr().err


def test_the_cents_of_a_budget_are_shown(project: Path, capsys: pytest.CaptureFixture[str]):
    with inside(project):
        scored(PolicySettings(economics=COSTS, holdout=NOBODY, budget=0.5))
        assert main(["plan"]) == 0
    assert "a budget of 0.50 per run" in capsys.readouterr().out
