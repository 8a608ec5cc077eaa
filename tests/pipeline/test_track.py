"""Each bundle has one run and one version in MLflow, and the champion is the one that earned it.

On a real MLflow: in the project's own SQLite, and, for what is asked of it, behind a server.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from clean_environment import install
from made_once import made_once
from mlflow_place import Place, on_a_server_too
from tiny_project import HERE, inside, retrained, scored_project

from fedelta.models.bundle import BadBundle, bundle_hash, read_contract
from fedelta.pipeline import paths, track
from fedelta.pipeline.panel import read_panel
from fedelta.pipeline.registry.address import StoreError, set_defaults
from fedelta.pipeline.registry.lineage import dvc_md5
from fedelta.pipeline.registry.promotion import promote, promotions, rollback

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # MLflow warns of its own type hints when it is imported
    set_defaults()
    import mlflow
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run
    from mlflow.exceptions import MlflowException
    from mlflow.tracking._tracking_service import utils as places_of_files

    from fedelta.pipeline.registry.mlflow_store import requirements

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")  # of MLflow's own queries


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a `weak` project, and a `strong` one of better models on the same data."""
    folder = tmp_path_factory.mktemp("track")
    (scored_project(folder / "strong") / paths.MODEL_CARD).write_text("# Model card\n")
    retrained(folder / "strong", folder / "weak", num_iterations=2)
    return folder


HERE_IT_WAS = "{folder}"


@dataclass
class Shop:
    """The project one works in, and what MLflow holds of its source."""

    place: Place
    made: Path
    folder: Path

    def use(self, project: str, source: str = "") -> None:
        """Put the data and models of a project here."""
        shutil.copytree(self.made / project, self.folder, symlinks=True, dirs_exist_ok=True, ignore=_links)
        text = paths.PARAMS.read_text()
        paths.PARAMS.write_text(text.replace("source: demo", f"source: {source or self.place.source}"))

    def track(self, project: str) -> None:
        self.use(project)
        track.main()

    def tracked(self, *projects: str) -> None:
        """Have these tracked one after the other; in SQLite by copying what that left where it was done once."""
        if self.place.uri.startswith("http"):
            for project in projects:
                self.track(project)
            return
        once = made_once("-".join(("tracked", *projects)), partial(self._track_in, projects))
        shutil.copytree(once, self.folder, symlinks=True, dirs_exist_ok=True)
        self.place.restore(Path("mlflow.sql").read_text().replace(HERE_IT_WAS, str(self.folder)))
        mlflow.set_tracking_uri(self.place.uri)  # as tracking here would leave it
        places_of_files._artifact_repos_cache.clear()  # MLflow remembers by the run's id where its files are

    def _track_in(self, projects: tuple[str, ...], folder: Path) -> None:
        database = Path(shutil.copy(self.place.database, folder))
        place = Place(f"sqlite:///{database}", database, folder / "mlartifacts", self.place.source)
        with inside(folder):
            for project in projects:
                Shop(place, self.made, folder).track(project)
            Path("mlflow.sql").write_text("\n".join(place.dump()).replace(str(folder), HERE_IT_WAS))
        database.unlink()

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(self.place.uri)

    def aliases(self) -> dict[str, str]:
        held = self.client.get_registered_model(self.place.model).aliases
        return {name: str(number) for name, number in held.items()}

    def experiment(self, promotions: str = "") -> str:
        return str(self.client.get_experiment_by_name(self.place.model + promotions).experiment_id)

    def runs(self) -> list[Run]:
        return list(self.client.search_runs([self.experiment()]))

    def decisions(self) -> list[Run]:
        return list(self.client.search_runs([self.experiment("-promotions")]))

    def logged(self) -> list[LoggedModel]:
        return list(self.client.search_logged_models([self.experiment()]))

    def tags(self, number: str) -> dict[str, str]:
        return dict(self.client.get_model_version(self.place.model, number).tags)

    def files(self) -> list[Path]:
        """The files that MLflow keeps of the source."""
        experiment = self.client.get_experiment(self.experiment()).artifact_location
        folder = self.place.artifacts / (self.experiment() if experiment.startswith("mlflow-artifacts") else "")
        return sorted(path for path in folder.rglob("*") if path.is_file())


def _links(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if (Path(folder) / name).is_symlink() and Path(name).is_symlink()}


@pytest.fixture
def shop(made: Path, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """An empty folder to work in, with an MLflow that knows nothing of its source."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return Shop(place, made, tmp_path)


PLOTS = (
    "calibration.json", "gains.json", "precision_recall.json", "profit.json", "residuals.json", "roc.json",
)  # fmt: skip


def kept_reports(shop: Shop, run: Run) -> set[str]:
    """The files of reports/ that a run holds."""
    return {file.path.removeprefix("reports/") for file in shop.client.list_artifacts(run.info.run_id, "reports")}


def alter(**facts: object) -> None:
    """Make another bundle of the same models."""
    path = paths.CHURN_EVALUATED / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | facts))


def change_params(one: str, other: str) -> None:
    text = paths.PARAMS.read_text()
    assert one in text
    paths.PARAMS.write_text(text.replace(one, other))


@on_a_server_too
def test_the_first_bundle_is_recorded_registered_and_champion(shop: Shop, capfd: pytest.CaptureFixture[str]):
    shop.track("weak")
    out, err = capfd.readouterr()
    assert err == ""
    assert out.count("\n") == 1
    bundle = bundle_hash(paths.BUNDLE)
    assert f"bundle {bundle} is {shop.place.model} version 1: run recorded; registered; promoted: there was no" in out
    assert shop.aliases() == {"champion": "1", "challenger": "1"}
    assert shop.tags("1")["fedelta.bundle"] == bundle
    (run,) = shop.runs()
    assert run.info.status == "FINISHED"
    assert run.data.params["churn.num_iterations"] == "2"
    assert run.data.params["experience.rules.late_delivery.when"] == "kind = 'delivery' AND delay_hours > 24"
    assert run.data.tags["fedelta.bundle"] == bundle
    assert run.data.tags["fedelta.registry"] == read_contract(paths.CHURN_DELIVERED)["registry"]
    assert len(run.data.tags["fedelta.data"]) == 64
    report = json.loads(paths.EVALUATION_REPORT.read_text())
    assert run.data.metrics["churn/auc"] == report["churn"]["chosen"]["auc"]["value"]
    assert run.data.metrics["churn/auc_low"] == report["churn"]["chosen"]["auc"]["low"]
    assert run.data.metrics["churn/pareto_nbd/log_loss"] == report["churn"]["pareto_nbd"]["log_loss"]["value"]
    assert run.data.metrics["clv/rmse"] == report["clv"]["chosen"]["rmse"]["value"]
    assert kept_reports(shop, run) == {"evaluation.json", "model_card.md", *PLOTS}


@on_a_server_too
def test_the_version_points_at_a_logged_model_with_the_runs_figures_and_settings(shop: Shop):
    shop.tracked("weak")
    (run,), (model,) = shop.runs(), shop.logged()
    assert model.status == "READY"
    assert model.source_run_id == run.info.run_id
    assert {metric.key: metric.value for metric in model.metrics} == run.data.metrics
    assert model.params == run.data.params
    assert [held.model_id for held in run.outputs.model_outputs] == [model.model_id]
    version = shop.client.get_model_version(shop.place.model, "1")
    assert version.source == f"models:/{model.model_id}"
    assert version.run_id == run.info.run_id


@on_a_server_too
def test_the_run_names_its_data_by_the_hash_that_dvc_knows_them_by(shop: Shop):
    shop.use("weak")
    Path("dvc.lock").write_text("stages: {build_features: {outs: [{path: data/features, md5: 0123456789.dir}]}}\n")
    track.main()
    (run,), (model,) = shop.runs(), shop.logged()
    held = {
        given.dataset.name: (given.dataset.digest, json.loads(given.dataset.source)["uri"], given.tags[0].value)
        for given in run.inputs.dataset_inputs
    }
    assert held == {
        "data/features": ("0123456789.dir", "data/features", "training"),
        "data/labels": (dvc_md5(paths.LABELS), "data/labels", "training"),
        "data/prior.parquet": (dvc_md5(paths.PRIOR), "data/prior.parquet", "training"),
        "data/evaluation.parquet": (dvc_md5(paths.EVALUATION), "data/evaluation.parquet", "evaluation"),
    }
    (auc,) = (metric for metric in model.metrics if metric.key == "churn/auc")
    assert (auc.dataset_name, auc.dataset_digest) == ("data/evaluation.parquet", dvc_md5(paths.EVALUATION))


def test_the_registered_version_tells_what_was_learned_from_until_when(shop: Shop):
    shop.tracked("weak")
    text = shop.client.get_model_version(shop.place.model, "1").description
    assert "The evaluated model was trained at the cutoffs 2023-07-30, 2023-10-28, on outcomes known until" in text
    assert "The delivered model was trained at the cutoffs 2023-10-28, 2024-01-26, on outcomes known until" in text
    assert "Evaluated at 2024-01-26 on 285 customers: AUC 0." in text
    assert shop.tags("1")["fedelta.evaluated.learned_until"] == "2024-01-26"
    assert shop.tags("1")["fedelta.delivered.learned_until"] == "2024-04-25"


@on_a_server_too
def test_the_registered_model_predicts_what_is_delivered_and_needs_no_pickle(shop: Shop):
    shop.tracked("weak")
    table = read_panel(["score"]).of_role("score").table
    model = mlflow.pyfunc.load_model(f"models:/{shop.place.model}@champion")
    predicted = model.predict(table)
    scores = pl.read_parquet(paths.SCORES).filter(status="scored").sort("customer_id")
    for name in ("churn_probability", "clv_expected", "clv_low", "clv_high", "expected_orders"):
        np.testing.assert_array_equal(predicted[name], scores[name])
    with pytest.raises(MlflowException, match=r"Model is missing inputs \['cutoff', 'interaction_count_7d'"):
        model.predict(table[["interaction_count"]])
    names = {path.name for path in shop.files()}
    assert not [name for name in names if name.endswith((".pkl", ".pickle", ".pyc"))]
    assert names >= {"churn-0-0.txt", "model.json", "requirements.txt", "input_example.json"}


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that holds what the registered model asks for, and nothing of fedelta."""
    needed = [f"mlflow=={mlflow.__version__}", *requirements()]  # MLflow adds itself
    folder = install(needed, tmp_path_factory.mktemp("elsewhere") / "site-packages")
    assert not any((folder / name).exists() for name in ("duckdb", "dvc", "cli.py", "pipeline"))
    return folder


def test_the_two_lines_of_the_docs_score_the_rows_of_data_features_in_a_clean_environment(
    shop: Shop, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
):
    text = (HERE / "docs/tracking.md").read_text()
    (lines,) = re.findall(r"^    (model = .*)\n    (scores = .*)$", text, re.MULTILINE)
    shop.tracked("weak")
    script = Path("score.py")
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(elsewhere)!r})\nimport mlflow\nimport pandas as pd\n"
        + "\n".join(lines).replace("fedelta-demo", shop.place.model)
        + "\nscores.to_parquet('scores.parquet')\n"
    )
    if not shop.place.uri.startswith("http"):
        monkeypatch.delenv("MLFLOW_TRACKING_URI")  # MLflow looks for mlflow.db in the folder by itself
    done = subprocess.run([sys.executable, "-I", "-S", str(script)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    predicted = pl.read_parquet("scores.parquet")
    rows = pl.read_parquet(paths.FEATURES / "*.parquet").select("customer_id", "role")
    assert predicted.height == rows.height
    delivered = pl.read_parquet(paths.SCORES).filter(status="scored").sort("customer_id")
    mine = predicted.hstack(rows).filter(role="score").sort("customer_id")
    for name in ("churn_probability", "clv_expected", "clv_low", "clv_high", "expected_orders"):
        np.testing.assert_allclose(mine[name], delivered[name], rtol=1e-9)


def test_the_input_example_is_of_nobody(shop: Shop):
    shop.tracked("weak")
    example = mlflow.pyfunc.load_model(f"models:/{shop.place.model}@champion").input_example
    assert example["customer_id"].tolist() == ["example"]
    features = pl.read_parquet(paths.FEATURES / "*.parquet").filter(role="score", status="scored")
    assert example["purchase_count"].item() == features["purchase_count"].quantile(0.5, "lower")
    assert example["cutoff"].item().startswith("2024-04-25")


@on_a_server_too
def test_tracking_twice_changes_nothing_and_says_so(shop: Shop, capsys: pytest.CaptureFixture[str]):
    shop.tracked("weak")
    before, files = shop.place.dump(), shop.files()
    capsys.readouterr()
    track.main()
    assert capsys.readouterr().out.endswith(f"is {shop.place.model} version 1: recorded before, nothing changed\n")
    assert shop.place.dump() == before
    assert shop.files() == files


@on_a_server_too
def test_a_better_challenger_becomes_champion_and_the_old_one_is_kept_as_previous(shop: Shop):
    shop.tracked("weak")
    shop.track("strong")
    assert shop.aliases() == {"champion": "2", "challenger": "2", "previous": "1"}
    assert shop.tags("2")["fedelta.outcome"] == "promoted"
    assert shop.tags("2")["fedelta.by"] == "the gate"
    assert shop.tags("2")["fedelta.because"].startswith("log loss -0.1")
    decided = {run.info.run_name: run for run in shop.decisions()}
    assert set(decided) == {"version 1: promoted", "version 2: promoted"}
    assert {run.info.status for run in decided.values()} == {"FINISHED"}
    figures = decided["version 2: promoted"].data.metrics
    assert figures["empc_difference"] > 0
    assert figures["clv_gini_difference_low"] <= figures["clv_gini_difference"]
    assert figures["log_loss_difference_low"] < figures["log_loss_difference"] < figures["log_loss_difference_high"] < 0
    before = shop.place.dump()
    track.main()
    assert shop.place.dump() == before


def test_a_worse_challenger_is_registered_and_refused(shop: Shop, capsys: pytest.CaptureFixture[str]):
    shop.tracked("strong")
    shop.track("weak")
    assert shop.aliases() == {"champion": "1", "challenger": "2"}
    assert "not promoted: log loss +0.1" in capsys.readouterr().out
    assert shop.tags("2")["fedelta.because"].endswith("the champion is better")
    before = shop.place.dump()
    track.main()
    assert shop.place.dump() == before


def test_a_tie_is_refused(shop: Shop):
    shop.tracked("weak")
    alter(note="the same trees, packed anew")
    track.main()
    assert shop.aliases() == {"champion": "1", "challenger": "2"}
    assert "log loss +0.0000 [+0.0000, +0.0000]" in shop.tags("2")["fedelta.because"]
    assert "a tie keeps the champion" in shop.tags("2")["fedelta.because"]


def test_a_champion_brought_back_by_hand_stays(shop: Shop):
    shop.tracked("weak", "strong")
    shop.client.set_registered_model_alias(shop.place.model, "champion", "1")
    track.main()
    assert shop.aliases()["champion"] == "1"


def test_who_was_rolled_back_is_not_promoted_again_by_the_gate(shop: Shop):
    shop.tracked("weak", "strong")
    rollback("it frightened the shop")
    assert shop.aliases() == {"champion": "1", "challenger": "2"}
    change_params("bootstrap: 20", "bootstrap: 21")  # looked at anew
    track.main()
    assert shop.aliases() == {"champion": "1", "challenger": "2"}
    assert shop.tags("2")["fedelta.because"].endswith("it frightened the shop")


def test_a_changed_limit_is_a_new_decision(shop: Shop):
    shop.tracked("weak")
    shop.use("strong")
    change_params("max_ece: 0.3", "max_ece: 0.001")
    track.main()
    assert shop.aliases() == {"champion": "1", "challenger": "2"}
    assert "is above gate.max_ece 0.001" in shop.tags("2")["fedelta.because"]
    change_params("max_ece: 0.001", "max_ece: 0.3")
    track.main()
    assert shop.aliases() == {"champion": "2", "challenger": "2", "previous": "1"}
    (run,) = (run for run in shop.runs() if run.data.params["churn.num_iterations"] == "20")
    assert json.loads(run.data.tags["fedelta.params_now"]) == {"gate.max_ece": "0.3"}


def test_every_source_has_a_champion_and_a_log_of_its_own(shop: Shop, capsys: pytest.CaptureFixture[str]):
    shop.tracked("strong")
    other = f"{shop.place.source}_abroad"
    shop.use("weak", source=other)
    track.main()
    assert f"is fedelta-{other} version 1: run recorded; registered; promoted" in capsys.readouterr().out
    assert shop.aliases() == {"champion": "1", "challenger": "1"}
    promotions()
    assert capsys.readouterr().out.count("\n") == 1
    (run,) = shop.runs()
    assert run.data.params["source"] == shop.place.source


def test_a_champion_of_another_question_is_not_compared_and_the_remedy_is_reported(shop: Shop):
    shop.tracked("weak")
    alter(horizon_days=30)
    track.main()
    assert shop.aliases() == {"champion": "1", "challenger": "2"}
    assert "another horizon (90, not 30)" in shop.tags("2")["fedelta.because"]
    assert "`fedelta promote --because REASON`" in shop.tags("2")["fedelta.because"]


def test_a_champion_of_other_features_is_kept_and_the_reason_reported(shop: Shop):
    shop.tracked("weak")
    (path,) = (path for path in shop.files() if path.as_posix().endswith("bundle/churn/evaluated/model.json"))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"registry": "of last year"}))
    shop.track("strong")
    assert shop.aliases()["champion"] == "1"
    assert "trained on other features" in shop.tags("2")["fedelta.because"]


def test_measurements_made_anew_update_the_run_and_the_logged_model_of_the_bundle(shop: Shop):
    shop.tracked("weak")
    report = json.loads(paths.EVALUATION_REPORT.read_text())
    report["churn"]["chosen"]["auc"]["value"] = 0.625
    paths.EVALUATION_REPORT.write_text(json.dumps(report))
    track.main()
    (run,), (model,) = shop.runs(), shop.logged()
    assert run.data.metrics["churn/auc"] == 0.625
    assert max((m.timestamp, m.value) for m in model.metrics if m.key == "churn/auc")[1] == 0.625
    assert shop.aliases() == {"champion": "1", "challenger": "1"}
    before = shop.place.dump()
    track.main()
    assert shop.place.dump() == before


def test_a_card_written_anew_takes_the_place_of_the_one_kept(shop: Shop):
    shop.tracked("weak")
    paths.MODEL_CARD.write_text("# Model card, with a glossary\n")
    track.main()
    (run,) = shop.runs()
    (card,) = (path for path in shop.files() if path.name == "model_card.md")
    assert run.info.run_id in card.parts
    assert card.read_text() == "# Model card, with a glossary\n"
    before = shop.place.dump()
    track.main()
    assert shop.place.dump() == before


# Models that no later outcomes could judge


def cross_fitted() -> None:
    """Leave the bundle as it is where there is no later outcome: without an evaluated fit."""
    for folder in (paths.CHURN_EVALUATED, paths.CLV_EVALUATED):
        shutil.rmtree(folder)


@on_a_server_too
def test_cross_fitted_predictions_are_compared_with_those_kept_of_the_champion(shop: Shop):
    shop.use("weak")
    cross_fitted()
    track.main()
    shop.use("strong")
    cross_fitted()
    evaluation = pl.read_parquet(paths.EVALUATION)
    evaluation[10:].write_parquet(paths.EVALUATION)  # ten customers are gone
    track.main()
    assert shop.aliases() == {"champion": "2", "challenger": "2", "previous": "1"}
    assert f"against the champion on {evaluation.height - 10} customers" in shop.tags("2")["fedelta.because"]


def test_a_cross_fitted_challenger_is_not_compared_with_a_champion_judged_by_later_outcomes(shop: Shop):
    shop.tracked("weak")
    shop.use("strong")
    cross_fitted()
    track.main()
    assert shop.aliases() == {"champion": "1", "challenger": "2"}
    assert "evaluated on later outcomes, the other cross-fitted" in shop.tags("2")["fedelta.because"]
    assert "`fedelta promote --because REASON`" in shop.tags("2")["fedelta.because"]


# What goes wrong halfway


class Killed(BaseException):
    """The process is gone."""


WRITES = (
    "create_run", "log_batch", "_create_logged_model", "log_outputs", "log_model_artifacts", "finalize_logged_model",
    "log_inputs", "log_artifact", "set_tag", "create_model_version", "set_registered_model_alias",
    "set_model_version_tag", "set_terminated",
)  # fmt: skip


def after(writes: range) -> pytest.MarkDecorator:
    """Run a test with so many writes done before what goes wrong, and once on a server."""
    cases = [
        *(("sqlite", done) for done in writes),
        *(pytest.param("server", done, marks=pytest.mark.long) for done in writes[-2:-1]),
    ]
    return pytest.mark.parametrize(("place", "done"), cases, indirect=["place"])


def failing(patch: pytest.MonkeyPatch, after: int, error: BaseException, *, for_ever: bool) -> None:
    """Let so many writes to MLflow through; then one fails, or all."""
    left = after

    def mortal(write: Callable[..., object]) -> Callable[..., object]:
        def done(*arguments: object, **more: object) -> object:
            nonlocal left
            left -= 1
            if left == -1 or (left < -1 and for_ever):
                raise error
            return write(*arguments, **more)

        return done

    for name in WRITES:
        patch.setattr(MlflowClient, name, mortal(getattr(MlflowClient, name)))


def assert_complete(shop: Shop) -> None:
    """One run, one logged model, one version, one decision: all whole."""
    (run,), (model,), (decision,) = shop.runs(), shop.logged(), shop.decisions()
    assert run.info.status == decision.info.status == "FINISHED"
    assert model.status == "READY"
    assert {metric.key: metric.value for metric in model.metrics} == run.data.metrics
    assert run.data.metrics == dict(track.measured(json.loads(paths.EVALUATION_REPORT.read_text())))
    assert kept_reports(shop, run) == {"evaluation.json", "model_card.md", *PLOTS}
    assert len(run.inputs.dataset_inputs) == 4
    (version,) = shop.client.search_model_versions(f"name = '{shop.place.model}'")
    assert version.source == f"models:/{model.model_id}"
    assert shop.aliases() == {"champion": "1", "challenger": "1"}
    assert shop.tags("1")["fedelta.outcome"] == "promoted"


@after(range(0, 24, 3))
def test_a_process_that_was_killed_is_completed_by_the_next(shop: Shop, monkeypatch: pytest.MonkeyPatch, done: int):
    shop.use("weak")
    with monkeypatch.context() as patch:
        failing(patch, done, Killed(), for_ever=True)
        with pytest.raises(Killed):
            track.main()
    track.main()
    assert_complete(shop)


@after(range(1, 20, 3))
def test_a_failure_halfway_leaves_nothing_behind(shop: Shop, monkeypatch: pytest.MonkeyPatch, done: int):
    shop.use("weak")
    with monkeypatch.context() as patch:
        failing(patch, done, MlflowException("the disk burns\nand so on"), for_ever=False)
        with pytest.raises(StoreError, match="failed: the disk burns Check") as failed:
            track.main()
    assert "\n" not in str(failed.value)
    versions = shop.client.search_model_versions(f"name = '{shop.place.model}'")
    assert {f"models:/{model.model_id}" for model in shop.logged()} == {version.source for version in versions}
    if not versions:
        assert [run.info.status for run in shop.runs()] == ["FAILED"]
        assert not [path for path in shop.files() if "models" in path.parts]
    track.main()
    assert_complete(shop)


def test_a_process_killed_by_the_system_is_completed_by_the_next(shop: Shop):
    shop.use("weak")
    script = (
        "import os, signal\n"
        "from mlflow import MlflowClient\n"
        "MlflowClient.log_model_artifacts = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "from fedelta.pipeline import track\n"
        "track.main()\n"
    )
    killed = subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=False, env=os.environ)
    assert killed.returncode == -signal.SIGKILL
    assert [model.status for model in shop.logged()] == ["PENDING"]
    track.main()
    assert_complete(shop)


# What was deleted in MLflow


@pytest.mark.parametrize("log", ["", "-promotions"])
@on_a_server_too
def test_a_deleted_experiment_says_how_to_bring_it_back(shop: Shop, log: str):
    shop.tracked("weak")
    experiment = shop.experiment(log)
    shop.client.delete_experiment(experiment)
    with pytest.raises(StoreError, match=f"The experiment {shop.place.model}{log} was deleted in MLflow") as failed:
        track.main()
    assert f"`MLFLOW_TRACKING_URI={shop.place.uri} mlflow experiments restore --experiment-id {experiment}`" in str(
        failed.value
    )
    shop.client.restore_experiment(experiment)
    track.main()
    assert_complete(shop)


@on_a_server_too
def test_a_deleted_registered_model_is_made_anew_and_its_decisions_are_not_taken_for_the_new_ones(
    shop: Shop, capsys: pytest.CaptureFixture[str]
):
    shop.tracked("weak", "strong")
    shop.client.delete_registered_model(shop.place.model)
    track.main()
    assert shop.aliases() == {"champion": "1", "challenger": "1"}
    assert len(shop.logged()) == 2
    capsys.readouterr()
    promotions()
    *lines, last = capsys.readouterr().out.splitlines()
    assert [line.endswith(f"({shop.place.model} was deleted since, and made anew)") for line in lines] == [True, True]
    assert "version 1 promoted, by the gate: there was no champion" in last


def test_a_champion_alias_taken_away_is_reported_and_not_given_by_the_gate(
    shop: Shop, capsys: pytest.CaptureFixture[str]
):
    shop.tracked("weak")
    shop.client.delete_registered_model_alias(shop.place.model, "champion")
    shop.track("strong")
    assert "by the log version 1 had it). Give it to a version with `fedelta promote VERSION" in capsys.readouterr().out
    assert shop.aliases() == {"challenger": "2"}
    promotions()
    assert "`fedelta promote VERSION --because REASON` gives it again" in capsys.readouterr().out
    promote("2", "it is better")
    assert shop.aliases() == {"champion": "2", "challenger": "2"}


def test_a_deleted_version_is_registered_again_from_its_logged_model(shop: Shop):
    shop.tracked("weak")
    shop.client.delete_model_version(shop.place.model, "1")
    track.main()
    assert len(shop.logged()) == 1
    assert shop.aliases() == {"challenger": "2"}


def test_rows_of_another_evaluation_are_refused(shop: Shop):
    shop.tracked("weak")
    shop.use("strong")
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
def test_without_a_bundle_or_its_measurements_there_is_nothing_to_track(shop: Shop, missing, error, words):
    shop.use("weak")
    missing.unlink()
    with pytest.raises(error, match=words):
        track.main()


def test_a_bundle_needs_the_core_packages_as_installed_and_no_extra():
    names = {line.split("==")[0] for line in requirements()}
    assert {"lightgbm", "numpy", "pandas"} <= names
    assert not {"fastapi", "dvc", "mlflow", "pytest"} & names
