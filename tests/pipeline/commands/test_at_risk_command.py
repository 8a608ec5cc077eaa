"""`fedelta at-risk`: whom to contact first and why, in two languages."""

import json
from pathlib import Path

import polars as pl
import pytest
from tiny_project import inside, scored_project

from fedelta.pipeline import paths
from fedelta.pipeline.commands.at_risk import listed, main


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scored_project(tmp_path_factory.mktemp("list") / "project")


def test_those_with_most_at_stake_come_first_each_with_the_reasons_of_the_scores(project: Path, capsys):
    with inside(project):
        main(limit=7)
        english = capsys.readouterr().out.splitlines()
        main(limit=7, language="it")
        italian = capsys.readouterr().out
        rows = listed(pl.read_parquet(paths.SCORES), 7)
    assert [line.split()[0] for line in english if not line.startswith(" ")] == [row["customer_id"] for row in rows]
    assert [row["value_at_risk"] for row in rows] == sorted((row["value_at_risk"] for row in rows), reverse=True)
    for row in rows:
        first = row["reasons"][0]
        assert f"    {first['text']}" in english
        assert first["text_it"] in italian


def test_who_must_not_be_contacted_is_not_listed_and_tiers_are_chosen(project: Path):
    scores = pl.read_parquet(project / paths.SCORES)
    everybody = listed(scores, 1_000)
    assert 0 < len(everybody) < (scores["status"] == "scored").sum()
    assert not any(row["held_out"] or row["suppression_reason"] for row in everybody)
    assert {row["risk_tier"] for row in listed(scores, 1_000, ["high"])} <= {"high"}
    assert {row["risk_tier"] for row in listed(scores, 1_000, ["low", "medium"])} <= {"low", "medium"}


def test_json_holds_all_of_a_score(project: Path, capsys):
    with inside(project):
        main(limit=1, as_json=True)
    (row,) = json.loads(capsys.readouterr().out)
    assert row["reasons"][0]["text"]
    assert row["churn_probability"] > 0
