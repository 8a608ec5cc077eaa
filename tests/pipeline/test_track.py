"""Each bundle has one run and one version in MLflow, and the champion is the one that earned it. On a real MLflow."""

import json
import shutil
import sqlite3
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tiny_project import make, retrained

from models.bundle import BadBundle, bundle_hash, read_contract
from models.encoding import MissingFeatures
from pipeline import paths, track
from pipeline.panel import read_panel
from pipeline.promotion import rollback
from pipeline.tracking import MODEL

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # MLflow warns of its own type hints when it is imported
    import mlflow
    from mlflow import MlflowClient

    from pipeline import mlflow_log
    from pipeline.mlflow_store import DECISIONS, RUNS, Store, StoreError, opened, requirements, without_password

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")  # of MLflow's own queries


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a `weak` project, a `strong` one of better models on the same data, and an empty `mlflow.db`."""
    folder = tmp_path_factory.mktemp("track")
    (make(folder / "weak", trees=2) / paths.MODEL_CARD).write_text("# Model card\n")
    retrained(folder / "weak", folder / "strong", trees=20)
    MlflowClient(f"sqlite:///{folder / 'mlflow.db'}").search_experiments()  # its tables take seconds to make
    return folder


Switch = Callable[[str], None]


@pytest.fixture
def use(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Switch:
    """Work in a project with an MLflow of its own; `use("strong")` puts other models in it."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(made / "mlflow.db", tmp_path / "mlflow.db")

    def switch(project: str) -> None:
        shutil.copytree(made / project, tmp_path, symlinks=True, dirs_exist_ok=True, ignore=_links)
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)  # MLflow sets it when told where it is

    monkeypatch.chdir(tmp_path)
    return switch


def _links(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if (Path(folder) / name).is_symlink() and Path(name).is_symlink()}


def client() -> MlflowClient:
    return MlflowClient(f"sqlite:///{Path('mlflow.db').absolute()}")


def aliases() -> dict[str, str]:
    return {name: str(number) for name, number in client().get_registered_model(MODEL).aliases.items()}


def runs(experiment: str) -> list[mlflow.entities.Run]:
    return list(client().search_runs([client().get_experiment_by_name(experiment).experiment_id]))


def tags(number: str) -> dict[str, str]:
    return dict(client().get_model_version(MODEL, number).tags)


def dump() -> list[str]:
    with sqlite3.connect("mlflow.db") as database:
        return list(database.iterdump())


def alter(**facts: object) -> None:
    """Make another bundle of the same models."""
    path = paths.CHURN_EVALUATED / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | facts))


def test_the_first_bundle_is_recorded_registered_and_champion(use: Switch, capfd: pytest.CaptureFixture[str]):
    use("weak")
    track.main()
    out, err = capfd.readouterr()
    assert err == ""
    assert out.count("\n") == 1
    bundle = bundle_hash(paths.BUNDLE)
    assert f"bundle {bundle} is fedelta-churn version 1: run recorded; registered; promoted: there was no" in out
    assert aliases() == {"champion": "1", "challenger": "1"}
    assert tags("1")["fedelta.bundle"] == bundle
    (run,) = runs(RUNS)
    assert run.info.status == "FINISHED"
    assert run.data.params["churn.trees"] == "2"
    assert run.data.params["experience.rules.late_delivery.when"] == "kind = 'delivery' AND delay_hours > 24"
    assert run.data.tags["fedelta.bundle"] == bundle
    assert run.data.tags["fedelta.registry"] == read_contract(paths.CHURN_EVALUATED)["registry"]
    assert len(run.data.tags["fedelta.data"]) == 64
    report = json.loads(paths.EVALUATION_REPORT.read_text())
    assert run.data.metrics["churn/auc"] == report["churn"]["chosen"]["auc"]["value"]
    assert run.data.metrics["churn/auc_low"] == report["churn"]["chosen"]["auc"]["low"]
    assert run.data.metrics["churn/pareto_nbd/log_loss"] == report["churn"]["pareto_nbd"]["log_loss"]["value"]
    assert run.data.metrics["clv/rmse"] == report["clv"]["chosen"]["rmse"]["value"]
    assert {file.path for file in client().list_artifacts(run.info.run_id, "reports")} == {
        "reports/evaluation.json", "reports/calibration.json", "reports/gains.json", "reports/model_card.md",
    }  # fmt: skip


def test_the_registered_model_predicts_what_is_delivered_and_needs_no_pickle(use: Switch):
    use("weak")
    track.main()
    table = read_panel(["score"]).of_role("score").table
    model = mlflow.pyfunc.load_model(f"models:/{MODEL}@champion")
    predicted = model.predict(table)
    scores = pl.read_parquet(paths.SCORES).filter(pl.col("status") == "scored").sort("customer_id")
    np.testing.assert_array_equal(predicted["churn_probability"], scores["churn_probability"])
    np.testing.assert_array_equal(predicted["clv_expected"], scores["clv_expected"])
    with pytest.raises(MissingFeatures, match="purchase"):
        model.predict(table[["interaction_count"]])
    files = [path for path in Path("mlartifacts").rglob("*") if path.is_file()]
    assert not [path for path in files if path.suffix in (".pkl", ".pickle", ".pyc")]
    assert {path.name for path in files} >= {"churn-0-0.txt", "model.json", "requirements.txt"}


def test_tracking_twice_changes_nothing_and_says_so(use: Switch, capsys: pytest.CaptureFixture[str]):
    use("weak")
    track.main()
    before, files = dump(), sorted(Path("mlartifacts").rglob("*"))
    capsys.readouterr()
    track.main()
    assert capsys.readouterr().out.endswith("is fedelta-churn version 1: recorded before, nothing changed\n")
    assert dump() == before
    assert sorted(Path("mlartifacts").rglob("*")) == files


def test_a_better_challenger_becomes_champion_and_the_old_one_is_kept_as_previous(use: Switch):
    use("weak")
    track.main()
    use("strong")
    track.main()
    assert aliases() == {"champion": "2", "challenger": "2", "previous": "1"}
    assert tags("2")["fedelta.outcome"] == "promoted"
    assert tags("2")["fedelta.by"] == "the gate"
    assert tags("2")["fedelta.because"].startswith("log loss -0.1")
    decided = {run.info.run_name: run for run in runs(DECISIONS)}
    assert set(decided) == {"version 1: promoted", "version 2: promoted"}
    assert {run.info.status for run in decided.values()} == {"FINISHED"}
    figures = decided["version 2: promoted"].data.metrics
    assert figures["empc_difference"] > 0
    assert figures["clv_gini_difference_low"] <= figures["clv_gini_difference"]
    assert figures["log_loss_difference_low"] < figures["log_loss_difference"] < figures["log_loss_difference_high"] < 0
    before = dump()
    track.main()
    assert dump() == before


def test_a_worse_challenger_is_registered_and_refused(use: Switch, capsys: pytest.CaptureFixture[str]):
    use("strong")
    track.main()
    use("weak")
    track.main()
    assert aliases() == {"champion": "1", "challenger": "2"}
    assert "not promoted: log loss +0.1" in capsys.readouterr().out
    assert tags("2")["fedelta.because"].endswith("the champion is better")
    before = dump()
    track.main()
    assert dump() == before


def test_a_tie_is_refused(use: Switch):
    use("weak")
    track.main()
    alter(note="the same trees, packed anew")
    track.main()
    assert aliases() == {"champion": "1", "challenger": "2"}
    assert "log loss +0.0000 [+0.0000, +0.0000]" in tags("2")["fedelta.because"]
    assert "a tie keeps the champion" in tags("2")["fedelta.because"]


def test_a_champion_brought_back_by_hand_stays(use: Switch):
    use("weak")
    track.main()
    use("strong")
    track.main()
    client().set_registered_model_alias(MODEL, "champion", "1")
    track.main()
    assert aliases()["champion"] == "1"


def test_who_was_rolled_back_is_not_promoted_again_by_the_gate(use: Switch):
    use("weak")
    track.main()
    use("strong")
    track.main()
    rollback("it frightened the shop")
    assert aliases() == {"champion": "1", "challenger": "2"}
    paths.PARAMS.write_text(paths.PARAMS.read_text().replace("bootstrap: 20", "bootstrap: 21"))  # looked at anew
    track.main()
    assert aliases() == {"champion": "1", "challenger": "2"}
    assert tags("2")["fedelta.because"].endswith("it frightened the shop")


def test_a_changed_limit_is_a_new_decision(use: Switch):
    use("weak")
    track.main()
    use("strong")
    text = paths.PARAMS.read_text()
    paths.PARAMS.write_text(text.replace("max_ece: 0.3", "max_ece: 0.001"))
    track.main()
    assert aliases() == {"champion": "1", "challenger": "2"}
    assert "is above gate.max_ece 0.001" in tags("2")["fedelta.because"]
    paths.PARAMS.write_text(text)
    track.main()
    assert aliases() == {"champion": "2", "challenger": "2", "previous": "1"}
    (run,) = (run for run in runs(RUNS) if run.data.params["churn.trees"] == "20")
    assert json.loads(run.data.tags["fedelta.params_now"]) == {"gate.max_ece": "0.3"}


def test_a_champion_of_other_data_is_not_compared(use: Switch):
    use("weak")
    track.main()
    use("strong")
    paths.PARAMS.write_text(paths.PARAMS.read_text().replace("source: demo", "source: cdnow"))
    track.main()
    assert aliases()["champion"] == "1"
    assert "another source (demo, not cdnow)" in tags("2")["fedelta.because"]


def test_a_champion_of_other_features_is_kept_and_the_reason_told(use: Switch):
    use("weak")
    track.main()
    (contract,) = Path("mlartifacts").rglob("bundle/churn/evaluated/model.json")
    contract.write_text(json.dumps(json.loads(contract.read_text()) | {"registry": "of last year"}))
    use("strong")
    track.main()
    assert aliases()["champion"] == "1"
    assert "trained on other features" in tags("2")["fedelta.because"]


def test_measurements_made_anew_update_the_run_of_the_bundle(use: Switch):
    use("weak")
    track.main()
    report = json.loads(paths.EVALUATION_REPORT.read_text())
    report["churn"]["chosen"]["auc"]["value"] = 0.625
    paths.EVALUATION_REPORT.write_text(json.dumps(report))
    track.main()
    (run,) = runs(RUNS)
    assert run.data.metrics["churn/auc"] == 0.625
    assert aliases() == {"champion": "1", "challenger": "1"}


def test_a_card_written_anew_takes_the_place_of_the_one_kept(use: Switch):
    use("weak")
    track.main()
    paths.MODEL_CARD.write_text("# Model card, with a glossary\n")
    track.main()
    (run,) = runs(RUNS)
    (card,) = Path("mlartifacts").rglob("reports/model_card.md")
    assert run.info.run_id in card.parts
    assert card.read_text() == "# Model card, with a glossary\n"
    before = dump()
    track.main()
    assert dump() == before


def test_a_run_that_was_killed_is_completed(use: Switch, monkeypatch: pytest.MonkeyPatch):
    use("weak")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    for place, name in (
        (Store, "register"),
        (mlflow_log.DecisionLog, "decide"),  # nothing is decided yet
        (mlflow_log.DecisionLog, "_carry_out"),  # decided, and nothing done
        (mlflow_log, "give_alias"),  # a part done
        (MlflowClient, "set_terminated"),  # all done, and not said
    ):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, die)
            with pytest.raises(KeyboardInterrupt):
                track.main()
    track.main()
    assert aliases() == {"champion": "1", "challenger": "1"}
    assert [run.info.status for run in runs(RUNS)] == ["FINISHED"]
    assert [(run.info.run_name, run.info.status) for run in runs(DECISIONS)] == [("version 1: promoted", "FINISHED")]
    assert tags("1")["fedelta.outcome"] == "promoted"


def test_rows_of_another_evaluation_are_refused(use: Switch):
    use("weak")
    track.main()
    use("strong")
    pl.read_parquet(paths.EVALUATION).reverse().write_parquet(paths.EVALUATION)
    with pytest.raises(track.NotEvaluated, match="Run `dvc repro evaluate`"):
        track.main()


@pytest.mark.parametrize(
    ("missing", "error", "words"),
    [
        (
            paths.EVALUATION_REPORT,
            track.NotEvaluated,
            r"evaluation\.json is missing or damaged\. Run `dvc repro evaluate`",
        ),
        (paths.MODEL_CARD, track.NotEvaluated, r"model_card\.md is missing\. Run `dvc repro model_card`"),
        (paths.EVALUATION, track.NotEvaluated, r"evaluation\.parquet is missing\. Run `dvc repro evaluate`"),
        (paths.CHURN_EVALUATED / "model.json", BadBundle, "holds no model"),
    ],
)
def test_without_a_bundle_or_its_measurements_there_is_nothing_to_track(use: Switch, missing, error, words):
    use("weak")
    missing.unlink()
    with pytest.raises(error, match=words):
        track.main()


def test_an_mlflow_that_cannot_be_opened_is_one_clear_line(tmp_path: Path):
    (tmp_path / "mlflow.db").write_text("this is no database, " * 100)
    with (
        pytest.raises(StoreError, match="Check MLFLOW_TRACKING_URI") as failed,
        opened(f"sqlite:///{tmp_path / 'mlflow.db'}", None),
    ):
        pass
    assert "\n" not in str(failed.value)


def test_a_password_in_the_address_is_not_shown():
    assert without_password("postgresql://ann:secret@host/db") == "postgresql://ann:***@host/db"
    assert without_password("sqlite:///mlflow.db") == "sqlite:///mlflow.db"


def test_a_bundle_needs_the_core_packages_as_installed_and_no_extra():
    names = {line.split("==")[0] for line in requirements()}
    assert {"lightgbm", "numpy", "pandas"} <= names
    assert not {"fastapi", "dvc", "mlflow", "pytest"} & names
