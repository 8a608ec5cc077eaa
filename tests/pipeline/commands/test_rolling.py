"""The rolling backtest: each date as if alone, no more dates than the history holds, and steadiness counted right."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import hashed_project
import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from tiny_project import inside

from fedelta.features.cutoffs import CutoffSettings, TooLittleHistory, backtest_calendar
from fedelta.models.evaluation import Evaluation
from fedelta.models.value.value_trees import SPEND
from fedelta.pipeline import paths
from fedelta.pipeline.atomic_write import write_json
from fedelta.pipeline.commands import rolling
from fedelta.pipeline.commands.backtest import backtest, panel_at, panels_at
from fedelta.pipeline.commands.rolling import BadRolling, Turn, rolled, rolling_calendars, rolling_table
from fedelta.pipeline.params import Params, load_params
from fedelta.pipeline.span import span


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of 300 customers over 480 days, with a horizon of 90."""
    return hashed_project.make(tmp_path_factory.mktemp("rolling") / "project")


@pytest.fixture(scope="module")
def params(project: Path) -> Params:
    """Its settings, with the quickest model."""
    with inside(project):
        held = load_params()
    return replace(held, churn=replace(held.churn, candidate="logistic"))


def test_cutoffs_step_back_by_a_horizon_from_the_projects_own_evaluation(params: Params):
    first, last = datetime(2023, 1, 1, tzinfo=UTC), datetime(2024, 12, 30, 12, tzinfo=UTC)
    calendars = rolling_calendars(first, last, params, 3, 90)
    assert [f"{calendar[-1].at:%Y-%m-%d}" for calendar in calendars] == ["2024-10-02", "2024-07-04", "2024-04-05"]
    for calendar in calendars:
        *train, evaluate = calendar
        assert evaluate.role == "evaluate"
        assert all(cutoff.horizon_end <= evaluate.at for cutoff in train)


def test_no_more_cutoffs_are_made_than_the_history_holds(params: Params):
    first, last = datetime(2023, 1, 1, tzinfo=UTC), datetime(2023, 12, 31, tzinfo=UTC)
    assert len(rolling_calendars(first, last, params, 10, 90)) == 2
    assert len(rolling_calendars(first, last, params, 10, 30)) == 6
    with pytest.raises(TooLittleHistory):
        rolling_calendars(first, datetime(2023, 4, 1, tzinfo=UTC), params, 10, 90)


@pytest.mark.parametrize(("number", "step"), [(0, 90), (2, 0)])
def test_less_than_one_cutoff_or_day_is_refused(params: Params, number: int, step: int):
    with pytest.raises(BadRolling, match="at least 1"):
        rolling_calendars(datetime(2023, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC), params, number, step)


def test_a_panel_built_beside_others_is_the_one_built_alone(project: Path, params: Params):
    with inside(project):
        first, last = span(paths.INTERACTIONS)
        short = replace(params, cutoffs=CutoffSettings(step_days=20, train=2, min_history_days=60))
        # The third looks from the same instants to shorter horizons, so it needs a pass of its own.
        calendars = [*rolling_calendars(first, last, params, 2, 90), *rolling_calendars(first, last, short, 9, 90)[-1:]]
        together = list(panels_at(calendars, params))
        for calendar, panel in zip(calendars, together, strict=True):
            alone = panel_at(calendar, params)
            assert_frame_equal(panel.table, alone.table)
            assert_frame_equal(panel.outcomes, alone.outcomes)


def test_an_instant_seen_with_two_horizons_is_built_twice(params: Params):
    from fedelta.pipeline.commands.backtest import _passes

    first, last, at = (datetime(2023, month, 1, tzinfo=UTC) for month in (1, 12, 8))
    long, short = (
        backtest_calendar(first, last, at, params.cutoffs, horizon_days=days, lead_days=0) for days in (90, 60)
    )
    assert _passes([long, short, long])[0] == [0, 1, 0]
    assert _passes([long, long])[0] == [0, 0]


def test_the_latest_turn_is_the_backtest_at_its_date_and_the_file_has_the_documented_form(
    project: Path, params: Params, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(rolling, "load_params", lambda: params)
    with inside(project):
        rolling.main(9)
        first, last = span(paths.INTERACTIONS)
        (cutoffs,) = rolling_calendars(first, last, params, 1, 90)
        alone = backtest(cutoffs, params, cutoffs)  # value has churn's horizon
        report = json.loads(paths.BACKTEST.read_text())
        summary = report.pop("rolling")
        write_json(Path("alone.json"), alone)  # figures are rounded when written
        assert report == json.loads(Path("alone.json").read_text())
    assert 2 <= summary["possible"] < summary["asked"] == 9
    assert len(summary["cutoffs"]) == summary["possible"] == len(summary["stability"]) + 1
    aucs = [turn["churn"]["auc"]["value"] for turn in summary["cutoffs"]]
    assert summary["metrics"]["churn"]["chosen"]["auc"]["mean"] == pytest.approx(np.mean(aucs))
    assert summary["metrics"]["churn"]["chosen"]["auc"]["deviation"] == pytest.approx(np.std(aucs, ddof=1))
    out = capsys.readouterr().out
    assert "The history holds no more" in out
    for turn in summary["cutoffs"]:
        candidate, held = turn["candidate"], turn["clv_interval"]
        assert candidate["clv"] in SPEND
        assert f"{turn['cutoff']}: churn by {candidate['churn']}, spend by {candidate['clv']}; 90% intervals" in out
        assert f"{held['covered']:.1%} of spends, {held['covered_above_0']:.1%} where they reach above 0" in out
    assert summary["cutoffs"][0]["candidate"]["churn"] == "logistic"  # as set, and below the minimum the baseline:
    assert summary["cutoffs"][-1]["candidate"]["churn"] == "pareto_nbd"
    assert report["candidate"] == summary["cutoffs"][0]["candidate"]
    assert report["clv_interval"] == summary["cutoffs"][0]["clv_interval"]


def turn(cutoff: str, scores: dict[str, float], churned: float = 1.0, spend: list[float] | None = None) -> Turn:
    """A turn in which customers got these probabilities, and a share of them, the first, left; `spend` was expected."""
    probability = np.array(list(scores.values()))
    left = (np.arange(len(scores)) < churned * len(scores)).astype(float)
    report = {"cutoff": cutoff, "rows": len(scores), "training": [], "churn": {}, "clv": {}, "clv_interval": None}
    report["candidate"] = {"churn": "lightgbm", "clv": None}
    values = {"chosen": np.array(spend)} if spend else {}
    return Turn(np.array(list(scores)), Evaluation(left, left, {"chosen": probability}, values, report, pd.DataFrame()))


def test_of_the_riskiest_tenth_only_those_in_both_lists_count():
    before = {f"c{number:02}": number / 100 for number in range(20)}  # riskiest: c19, c18
    after = {**before, "c18": 0.0, "new": 0.99}  # c18 calmed down, c17 took its place; new was not there before
    (found,) = rolled([turn("later", after), turn("earlier", before)], asked=2, step_days=90)["stability"]
    names = ("before", "after", "customers", "overlap", "overlap_by_value", "by_chance")
    assert found == dict(zip(names, ("earlier", "later", 20, 0.5, None, 0.1), strict=True))


def test_who_has_most_at_risk_is_another_list_than_who_is_riskiest():
    scores = {f"c{number:02}": 0.5 + number / 100 for number in range(20)}
    rich = [1000.0, 900.0, *[1.0] * 18]  # c00 and c01, who spend most, are the least at risk of leaving
    earlier, later = turn("earlier", scores, spend=rich), turn("later", scores, spend=[1.0, *rich[1:19], 1000.0])
    summary = rolled([later, earlier], asked=2, step_days=90)
    (found,) = summary["stability"]
    assert (found["overlap"], found["overlap_by_value"]) == (1.0, 0.5)
    assert "100% were in it on later too, of the tenth with most at risk 50%" in rolling_table(summary)


def test_without_a_common_customer_there_is_no_overlap_to_speak_of():
    summary = rolled([turn("later", {"ann": 0.5}), turn("earlier", {"bob": 0.5})], asked=2, step_days=90)
    assert summary["stability"][0]["overlap"] is None
    assert "no customer in common" in rolling_table(summary)


def test_the_estimated_churn_rate_is_held_against_the_realised_one():
    scores = {f"c{number}": 0.5 for number in range(100)}
    (row,) = rolled([turn("now", scores, churned=0.4)], asked=1, step_days=90)["cutoffs"]
    rate = row["churn_rate"]
    assert (rate["estimated"], rate["realised"]) == (0.5, 0.4)
    assert rate["difference"]["value"] == pytest.approx(0.1)
    assert rate["difference"]["low"] == pytest.approx(0.1 - 1.96 * np.sqrt(0.24 / 100))
