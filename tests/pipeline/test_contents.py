"""A file of other content than it must have is named in one line, before anything is computed of it."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import polars as pl
import pytest
from table_project import Gym, members
from tiny_project import inside, scored_project

from fedelta.command_line.ends import run_command
from fedelta.models.btyd.purchase_prior import COLUMNS
from fedelta.models.btyd.storage import load_prior
from fedelta.models.bundle import CONTRACT, BadBundle
from fedelta.models.churn.storage import load_churn
from fedelta.models.experience.storage import load_experience
from fedelta.models.leaving.storage import load_leaving
from fedelta.models.loyalty.storage import load_loyalty, load_personas
from fedelta.models.next_purchase.storage import load_next
from fedelta.models.uplift.storage import load_uplift
from fedelta.models.value.storage import load_clv
from fedelta.pipeline import build_features, experience, fit_btyd, ingest, paths
from fedelta.pipeline.contents import (
    TABLES,
    WrongContent,
    mistakes_in_reports,
    mistakes_in_tables,
    tables_must_hold,
    tables_of_stage,
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return scored_project(tmp_path / "project")


def hashes(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"}


def file_of(path: Path) -> Path:
    return next(path.glob("*.parquet")) if path.is_dir() else path


def test_what_stages_write_holds_what_it_must(project: Path) -> None:
    with inside(project):
        assert [*mistakes_in_tables(), *mistakes_in_reports()] == []
        assert {path for path in TABLES if not path.exists()} == {
            paths.DECLARED_LABELS, paths.SOURCE_TREATMENTS, paths.VALUE_FEATURES, paths.VALUE_LABELS,
        }  # fmt: skip


def test_what_models_of_purchases_answer_is_known_by_name() -> None:
    assert {name for name in TABLES[paths.PRIOR].columns if name not in ("customer_id", "cutoff")} == set(COLUMNS)


def test_a_table_of_customers_holds_what_it_must(tmp_path: Path) -> None:
    with inside(Gym(tmp_path / "gym", members()).write()):
        for stage in (ingest, build_features, experience, fit_btyd):
            stage.main()
        assert [*mistakes_in_tables()] == []


def test_a_stage_reads_the_tables_that_dvc_yaml_names(tmp_path: Path) -> None:
    assert tables_of_stage("train_leaving") == (paths.FEATURES,)
    text = "stages: {newcomers: {cmd: x, deps: ['sources/${source}', data/interactions, reports/data.json]}}"
    (tmp_path / "dvc.yaml").write_text(text)
    with inside(tmp_path):
        assert tables_of_stage("newcomers") == (paths.INTERACTIONS,)
        (tmp_path / "dvc.yaml").write_text(text.replace("interactions", "scores.parquet"))
        assert tables_of_stage("newcomers") == (paths.SCORES,), "an edit is seen"
        assert tables_of_stage("train_leaving") == ()


BREAKS: list[tuple[str, Callable[[pl.DataFrame], pl.DataFrame], str]] = [
    ("another table", lambda _: pl.DataFrame({"x": [1, 2]}), "lacks .*customer_id"),
    ("a column is gone", lambda table: table.drop("customer_id"), "lacks customer_id"),
    (
        "numbers for text",
        lambda table: table.with_columns(customer_id=pl.int_range(pl.len())),
        "customer_id as Int64 instead of String",
    ),
    (
        "nobody's row",
        lambda table: table.with_columns(
            customer_id=pl.when(pl.int_range(pl.len()) == 1).then(None).otherwise("customer_id")
        ),
        "rows without customer_id",
    ),
]


@pytest.mark.parametrize(("wrong", "change", "says"), BREAKS, ids=[case[0] for case in BREAKS])
def test_any_table_of_other_content_is_named(
    project: Path, wrong: str, change: Callable[[pl.DataFrame], pl.DataFrame], says: str
) -> None:
    with inside(project):
        for path in (path for path in TABLES if path.exists()):
            file = file_of(path)
            whole, table = file.read_bytes(), pl.read_parquet(file)
            if table.is_empty() and "without" in says:
                continue
            change(table).write_parquet(file)
            with pytest.raises(WrongContent, match=rf"^{file} .*{says}.*remove it and run `dvc repro`") as refused:
                tables_must_hold(path)
            assert "\n" not in str(refused.value), wrong
            file.write_bytes(whole)
            tables_must_hold(path)


@pytest.mark.parametrize("share", [0, 0.5, 0.999])
def test_any_table_that_is_cut_short_is_named(project: Path, share: float) -> None:
    with inside(project):
        for path in (path for path in TABLES if path.exists()):
            file = file_of(path)
            file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])
            with pytest.raises(WrongContent, match=rf"^{file} is cut short"):
                tables_must_hold(path)


def test_tables_without_a_row_are_named_where_there_must_be_one(project: Path) -> None:
    with inside(project):
        for path, table in TABLES.items():
            if path.exists():
                file = file_of(path)
                pl.read_parquet(file).clear().write_parquet(file)
                assert any("has no rows" in words for words in mistakes_in_tables(only=frozenset({path}))) == table.some


@pytest.mark.parametrize(
    ("words", "table"),
    [
        (["stage", "train_churn"], paths.FEATURES),
        (["stage", "fit_btyd"], paths.FEATURES),
        (["stage", "experience"], paths.INTERACTIONS),
        (["plan"], paths.SCORES),
        (["explain", "c0001"], paths.INTERACTIONS),
        (["lineage", "c0001"], paths.SCORES),
        (["saves", "--record", "treatments/may.parquet"], paths.SCORES),
        (["backtest", "--at", "2023-12-01"], paths.INTERACTIONS),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, list) else "",
)
def test_a_command_names_such_a_table_in_one_line_and_writes_nothing(
    project: Path, words: list[str], table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with inside(project):
        pl.DataFrame({"x": [1, 2]}).write_parquet(file := file_of(table))
        before = hashes(project)
        assert run_command(words) == 1
        said = capsys.readouterr().err
        assert said.startswith(f"fedelta: {file} lacks ")
        assert said.count("\n") == 1
        assert hashes(project) == before


@pytest.mark.parametrize("content", ["[]", "null", '"x"', "[1, 2]", "{}"])
def test_reports_of_other_content_are_named(project: Path, content: str) -> None:
    with inside(project):
        for report in sorted(Path("reports").glob("*.json")):
            whole = report.read_bytes()
            report.write_text(content)
            assert report == paths.METRICS or next(mistakes_in_reports()).startswith(f"{report} ")
            report.write_bytes(whole)


LOADERS: Mapping[Path, Callable[[Path], object]] = {
    paths.BTYD_BUNDLE: lambda folder: load_prior(folder, None),
    paths.EXPERIENCE_BUNDLE: load_experience,
    paths.LEAVING_BUNDLE: load_leaving,
    paths.LOYALTY_BUNDLE: load_loyalty,
    paths.PERSONAS_BUNDLE: load_personas,
    paths.CHURN_DELIVERED: load_churn,
    paths.CHURN_EVALUATED: load_churn,
    paths.CLV_DELIVERED: load_clv,
    paths.CLV_EVALUATED: load_clv,
    paths.NEXT_DELIVERED: load_next,
    paths.NEXT_EVALUATED: load_next,
    paths.UPLIFT_BUNDLE: load_uplift,
}


@pytest.mark.parametrize("content", ["[]", "null", '"x"', "[1, 2]", "{}"])
def test_models_of_other_content_are_named(project: Path, content: str) -> None:
    with inside(project):
        contracts = sorted(paths.BUNDLE.rglob(CONTRACT))
        assert {contract.parent for contract in contracts} <= LOADERS.keys()
        for contract in contracts:
            if contract.parent == paths.BTYD_BUNDLE and content == "{}":
                continue  # where nobody buys
            contract.write_text(content)
            with pytest.raises(BadBundle, match=rf"{contract.parent}"):
                LOADERS[contract.parent](contract.parent)


@pytest.mark.parametrize("entry", [None, {"x": ["y"]}, ["x"], "x"], ids=str)
def test_models_with_an_entry_of_other_content_load_or_are_named(project: Path, entry: object) -> None:
    with inside(project):
        for contract in sorted(paths.BUNDLE.rglob(CONTRACT)):
            document = json.loads(contract.read_text())
            for name in document:
                contract.write_text(json.dumps({**document, name: entry}))
                with suppress(BadBundle):
                    LOADERS[contract.parent](contract.parent)


def test_a_command_names_the_model_that_it_cannot_load(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with inside(project):
        document = json.loads((paths.CHURN_DELIVERED / "model.json").read_text())
        del document["calibrator"]
        (paths.CHURN_DELIVERED / "model.json").write_text(json.dumps(document))
        assert run_command(["explain", "c0001"]) == 1
        said = capsys.readouterr().err
        assert said.startswith("fedelta: data/bundle/churn/delivered holds no model that can be loaded (KeyError: 'cal")
        assert said.count("\n") == 1
