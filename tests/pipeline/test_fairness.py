"""Protected attributes: no model, rule or reason sees them, and how their groups are treated is in the report."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tiny_project import inside, scored_project

from fedelta.features.attributes import PREFIX
from fedelta.pipeline import (
    build_features,
    evaluate,
    experience,
    fairness,
    fit_btyd,
    paths,
    score,
    train_churn,
    train_clv,
    train_leaving,
    train_loyalty,
    train_next,
)  # fmt: skip
from fedelta.pipeline.intake.section import SourceError
from fedelta.pipeline.intake.sources import load_source

STAGES = (
    build_features, experience, fit_btyd, train_churn, train_clv, train_leaving, train_loyalty, train_next, evaluate,
    score, fairness,
)  # fmt: skip
SOURCES = Path(__file__).parents[2] / "sources"


def with_ages(folder: Path, seed: int) -> None:
    """Ages that tell who leaves (and others for another seed): a model that saw them would use them."""
    labels = pl.read_parquet(folder / paths.LABELS / "*.parquet")
    evaluated = labels.filter(pl.col("cutoff") == labels["cutoff"].unique().sort()[-2])
    left = evaluated.select("customer_id", left=pl.col("horizon_purchase_count") == 0)
    customers = pl.read_parquet(folder / paths.CUSTOMERS).join(left, on="customer_id", how="left").sort("customer_id")
    rng = np.random.default_rng(seed)
    old = customers["left"].fill_null(False).to_numpy() ^ (rng.random(len(customers)) < (0.1 if seed else 0.0))
    shuffled = rng.permutation(old) if seed else old
    ages = pl.Series("age_group", np.where(shuffled, "60+", "18-29"))
    customers.drop("left").with_columns(ages).write_parquet(folder / paths.CUSTOMERS)


def run(folder: Path) -> pl.DataFrame:
    with inside(folder):
        for stage in STAGES:
            stage.main()
        return pl.read_parquet(paths.SCORES)


def allow(folder: Path, *names: str) -> None:
    text = (folder / "params.yaml").read_text()
    (folder / "params.yaml").write_text(f"{text}fairness: {{allow: {json.dumps(names)}, least_customers: 20}}\n")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = scored_project(tmp_path_factory.mktemp("fair") / "project")
    allow(folder)
    with_ages(folder, 0)
    run(folder)
    return folder


def test_changing_a_protected_attribute_changes_no_score_and_no_reason(project: Path, tmp_path: Path):

    other = tmp_path / "other"
    shutil.copytree(project, other, symlinks=True)
    before = pl.read_parquet(project / paths.SCORES)
    with_ages(other, 1)
    assert not pl.read_parquet(other / paths.CUSTOMERS).equals(pl.read_parquet(project / paths.CUSTOMERS))
    assert run(other).equals(before)


def test_no_table_that_is_learned_from_holds_a_protected_attribute(project: Path):
    columns = pl.read_parquet_schema(next((project / paths.FEATURES).glob("*.parquet")))
    assert f"{PREFIX}age_group" not in columns
    assert f"{PREFIX}plan" in columns
    assert "age_group" not in (project / paths.CHURN_DELIVERED / "model.json").read_text()
    assert "age_group" not in (project / paths.EXPERIENCE_REPORT).read_text()


def test_allowed_it_is_used_like_any_other(project: Path, tmp_path: Path):

    other = tmp_path / "other"
    shutil.copytree(project, other, symlinks=True)
    text = (other / "params.yaml").read_text()
    (other / "params.yaml").write_text(text.replace("allow: []", "allow: [age_group]"))
    scores = run(other)
    assert not scores["churn_probability"].equals(pl.read_parquet(project / paths.SCORES)["churn_probability"])
    assert json.loads((other / paths.FAIRNESS_REPORT).read_text())["attributes"]["age_group"]["used"]


def test_a_group_that_leaves_more_than_any_model_can_know_is_a_warning(project: Path):
    found = json.loads((project / paths.FAIRNESS_REPORT).read_text())
    assert {(w["group"], w["test"]) for w in found["warnings"]} >= {("60+", "miscalibration")}
    old = next(group for group in found["attributes"]["age_group"]["groups"] if group["group"] == "60+")
    assert old["observed"]["value"] > old["predicted"]["value"]
    assert old["warnings"][0].startswith("age group 60+: less churn was predicted than came")


def test_only_protected_attributes_can_be_allowed():
    demo = load_source("demo", SOURCES)
    assert [one.name for one in demo.for_models(())] == ["country", "plan"]
    with pytest.raises(SourceError, match="names plan, which is no protected attribute of source demo; these are age"):
        demo.for_models(("plan",))


def test_a_source_that_protects_nothing_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = scored_project(tmp_path / "project")
    text = (folder / "params.yaml").read_text()
    (folder / "params.yaml").write_text(text.replace("source: demo", "source: online_retail"))
    with inside(folder):
        fairness.main()
        assert json.loads(paths.FAIRNESS_REPORT.read_text())["reason"] == fairness.NOTHING_PROTECTED
    assert "No attribute of the source is declared as protected" in capsys.readouterr().out
