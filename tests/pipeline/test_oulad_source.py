"""Course enrolments by the shipped source: withdrawals are predicted, and its own rules get tolerance curves."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tiny_project import HERE, inside

from fedelta.pipeline import experience, ingest, paths
from fedelta.pipeline.commands.use import set_params, use

STUDENTS = 900
DEADLINES = {"1": 20, "2": 50, "3": 80, "4": 84}
PILLAR = {"missed_deadline": "expectations", "late_submission": "time_and_effort", "failed_work": "personalisation"}


def _files(folder: Path) -> None:
    """One presentation of 240 days: of who misses the first deadline half withdraw soon after, of others a tenth.

    A fifth of the rest withdraws after the last deadline. Of the third work a third is late,
    which is a missed deadline first.
    """
    folder.mkdir()
    rng = np.random.default_rng(3)
    where = {"code_module": "AAA", "code_presentation": "2013B"}
    students, registrations, submissions = [], [], []
    for number in range(STUDENTS):
        who = {**where, "id_student": f"s{number}"}
        missed = number % 3 == 0
        soon, later = rng.random() < (0.5 if missed else 0.1), rng.random() < 0.2
        withdrawn = int(rng.integers(21, 49)) if soon else int(rng.integers(90, 139)) if later else None
        others = dict.fromkeys(("gender", "region", "highest_education", "imd_band", "age_band", "disability"), "x")
        students.append({**who, **others, "num_of_prev_attempts": 0, "studied_credits": 60})
        registrations.append({**who, "date_registration": -30, "date_unregistration": withdrawn})
        for work, due in DEADLINES.items():
            if (missed and work == "1") or (withdrawn is not None and withdrawn < due):
                continue
            late, score = int(work == "3" and rng.random() < 0.33), int(rng.integers(25, 100))
            given = {"id_assessment": work, "id_student": f"s{number}", "date_submitted": due + late}
            submissions.append({**given, "is_banked": "False", "score": score})
    tables: dict[str, list[dict[str, Any]]] = {
        "students": students,
        "registrations": registrations,
        "submissions": submissions,
        "assessments": [
            {**where, "id_assessment": a, "assessment_type": "TMA", "date": d} for a, d in DEADLINES.items()
        ],
        "courses": [{**where, "module_presentation_length": 240}],
    }
    for name, rows in tables.items():
        pl.DataFrame(rows, infer_schema_length=None).write_csv(folder / f"{name}.csv")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The report of experience, made by the real stages."""
    folder = tmp_path_factory.mktemp("oulad")
    _files(folder / "files")
    (folder / "sources").symlink_to(HERE / "sources")
    (folder / "params.yaml").write_text((HERE / "params.yaml").read_text())
    with inside(folder):
        use("oulad", folder / "files")
        set_params(paths.PARAMS, {"engine.buckets": 1, "engine.workers": 1, "cutoffs.score_at": "2013-11-01"})
        ingest.main()
        experience.main()
        read: dict[str, Any] = json.loads(paths.EXPERIENCE_REPORT.read_text())
    return read


def test_missed_and_failed_work_have_a_tolerance_curve_each(found: dict[str, Any]):
    steps = [step for step in found["tolerance"]["steps"] if step["left"] is not None]
    for rule, pillar in PILLAR.items():
        assert found["rules"]["by_rule"][rule]["times"] > 50
        for group, value in (("rule", rule), ("pillar", pillar)):
            any_number = [s for s in steps if (s["group"], s["value"], s["number"]) == (group, value, None)]
            assert bool(any_number) == (rule != "late_submission"), (group, value)


def test_late_work_is_counted_with_the_deadline_it_missed(found: dict[str, Any]):
    (whole,) = (step for step in found["tolerance"]["steps"] if (step["group"], step["number"]) == ("all", None))
    parts = [s for s in found["tolerance"]["steps"] if s["group"] == "rule" and s["number"] is None]
    assert sum(step["experiences"] for step in parts) == whole["experiences"]
    late = found["rules"]["by_rule"]["late_submission"]["times"]
    assert found["rules"]["by_rule"]["missed_deadline"]["times"] == late + STUDENTS // 3


def test_a_missed_deadline_shows_the_withdrawals_that_follow_it(found: dict[str, Any]):
    steps = {(s["group"], s["value"], s["number"]): s for s in found["tolerance"]["steps"]}
    first = steps["rule", "missed_deadline", 1]
    # Of 300 who miss the first .6 leave and .28 of the controls; of some 100 who miss a later one, .2 and .2.
    assert first["excess"]["value"] == pytest.approx(0.24, abs=0.08)
    assert first["excess"]["low"] > 0.1
    assert "within 120 days" in found["tolerance"]["says"]


def test_purchases_are_not_mentioned_where_nobody_buys(found: dict[str, Any]):
    assert "bought" not in found["tolerance"]["matched_on"]
