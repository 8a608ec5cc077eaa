"""The monitor over a year of a company in which nothing changes, with all that it checks; and then something does."""

import pytest

from benchmarks.drift_alarms import DAYS, PLANTED, Replay
from fedelta.models.monitoring.drift import RUNS
from fedelta.pipeline.monitoring.drift_report import CHECKS
from fedelta.pipeline.simulator import Company


@pytest.fixture(scope="module", params=[1, 2, 3], ids=lambda seed: f"company {seed}")
def replay(request: pytest.FixtureRequest) -> Replay:
    """Three years of 300 customers, and a small model that learned before the last of them."""
    company = Company(300, seed=request.param, days=DAYS, regime="dense")
    return Replay(company, {"num_iterations": 10, "candidate": "lightgbm"})


def test_twelve_monthly_runs_of_all_checks_raise_at_most_one_false_alarm(replay: Replay):
    runs = replay.checks()
    assert len(runs) == RUNS
    names = {"features", "scores", "single feature", "data", "new kinds"}
    assert len(names) == CHECKS
    assert all({check.name for check in run if check.alarm is not None} == names for run in runs)
    assert sum(any(check.alarm for check in run) for run in runs) <= 1


@pytest.mark.parametrize(
    ("planted", "found_by"),
    [("amounts unknown", {"single feature", "data"}), ("a third of the delays unknown", {"data"})],
)
def test_the_same_company_with_its_last_month_spoiled_alarms(replay: Replay, planted: str, found_by: set[str]):
    assert found_by <= set(replay.spoiled(PLANTED[planted]))
