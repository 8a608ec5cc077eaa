"""A person moves the champion, says why, and the log tells it for ever. On a real MLflow."""

import shutil
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from models.bundle import bundle_hash
from pipeline import paths, promotion
from pipeline.promotion import CannotPromote, promote, promotions, rollback
from pipeline.tracking import MODEL, tracking

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # MLflow warns of its own type hints when it is imported
    from mlflow import MlflowClient

    from pipeline import mlflow_log
    from pipeline.mlflow_store import BUNDLE, DECISIONS, opened

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")  # of MLflow's own queries


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow with three versions; the last is challenger, none is champion."""
    folder = tmp_path_factory.mktemp("registry")
    with opened(f"sqlite:///{folder / 'mlflow.db'}", folder.as_uri()) as store:
        for number in (1, 2, 3):
            store.client.create_model_version(MODEL, folder.as_uri(), tags={BUNDLE: f"bundle{number}"})
        mlflow_log.give_alias(store.client, "challenger", "3")
    return folder / "mlflow.db"


@pytest.fixture(autouse=True)
def project(registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder with an MLflow of its own, and ann at the keyboard."""
    shutil.copy(registry, tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(promotion.getpass, "getuser", lambda: "ann")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def client() -> MlflowClient:
    return MlflowClient(f"sqlite:///{Path('mlflow.db').absolute()}")


def aliases() -> dict[str, str]:
    return {name: number for name, number in mlflow_log.aliases(client()).items() if name != "challenger"}


def printed(capsys: pytest.CaptureFixture[str], at: str | None = None) -> list[str]:
    capsys.readouterr()
    promotions(at)
    return capsys.readouterr().out.splitlines()


def test_the_challenger_is_promoted_unless_a_version_is_named(capsys: pytest.CaptureFixture[str]):
    promote(None, "it found the spring leavers")
    assert aliases() == {"champion": "3"}
    promote("1", "less to explain")
    assert aliases() == {"champion": "1", "previous": "3"}
    assert "version 1 (bundle bundle1) is champion, version 3 is previous." in capsys.readouterr().out
    tags = client().get_model_version(MODEL, "1").tags
    assert (tags["fedelta.outcome"], tags["fedelta.by"], tags["fedelta.because"]) == (
        "promoted", "ann", "less to explain",
    )  # fmt: skip


def test_rollbacks_go_back_one_champion_after_the_other(capsys: pytest.CaptureFixture[str]):
    for number in ("1", "2", "3"):
        promote(number, "a test")
    rollback("false alarms")
    assert aliases() == {"champion": "2", "previous": "1"}
    rollback("still")
    assert aliases() == {"champion": "1"}
    with pytest.raises(CannotPromote, match="Version 1 is the first champion: there is none to go back to"):
        rollback("still")
    assert "version 1 (bundle bundle1) is champion again, version 2 is not" in capsys.readouterr().out


def test_the_log_tells_who_was_champion_when_and_why(capsys: pytest.CaptureFixture[str]):
    promote("1", "the first")
    promote("2", "better in May")
    rollback("worse in June")
    first, second, third = printed(capsys)
    assert first.endswith("version 1 promoted, by ann: the first")
    assert second.endswith("version 2 promoted, by ann: better in May")
    assert third.endswith("version 2 rolled back, champion 1, by ann: worse in June")
    (told,) = printed(capsys, "2020-01-01")
    assert told == "At 2020-01-01 00:00 UTC there was no champion."
    (told,) = printed(capsys, f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}")
    assert "version 1 (bundle bundle1) was champion" in told
    with tracking() as store:
        at = store.decisions.read()[1].at
    assert at is not None
    (told,) = printed(capsys, at.isoformat())
    assert "version 2 (bundle bundle2) was champion" in told


def test_the_log_only_grows_and_forgets_nothing_that_is_deleted_in_mlflow(capsys: pytest.CaptureFixture[str]):
    promote("1", "the first")
    promote("2", "the second")
    before = printed(capsys)
    experiment = client().get_experiment_by_name(DECISIONS).experiment_id
    for run in client().search_runs([experiment]):
        client().delete_run(run.info.run_id)
    assert printed(capsys) == before
    rollback("it still knows the way")
    assert aliases() == {"champion": "1"}
    assert printed(capsys)[:2] == before


def test_a_champion_moved_by_hand_is_told_and_can_be_undone(capsys: pytest.CaptureFixture[str]):
    promote("1", "the first")
    client().set_registered_model_alias(MODEL, "champion", "2")
    assert printed(capsys)[-1].startswith("The champion is version 2, by the log version 1: it was moved by hand")
    rollback("nobody knows why")
    assert aliases() == {"champion": "1"}


class Killed(BaseException):
    """The process is gone."""


STEPS = ("create_run", "set_model_version_tag", "set_registered_model_alias", "set_terminated")


@pytest.mark.parametrize("done", range(7))  # one run, three tags, two aliases, one end
def test_a_process_killed_at_any_step_has_decided_all_or_nothing(done: int, monkeypatch: pytest.MonkeyPatch):
    promote("1", "the first")
    promote("2", "the second")
    left = iter(range(done))

    def mortal(step: Callable[..., object]) -> Callable[..., object]:
        def taken(*arguments: object, **more: object) -> object:
            if next(left, None) is None:
                raise Killed
            return step(*arguments, **more)

        return taken

    with monkeypatch.context() as patch:
        for name in STEPS:
            patch.setattr(MlflowClient, name, mortal(getattr(MlflowClient, name)))
        with pytest.raises(Killed):
            promote("3", "the third")
    with tracking() as store:  # what any next command does first
        versions = [decision.version for decision in store.decisions.read()]
    if done == 0:
        assert (aliases(), versions) == ({"champion": "2", "previous": "1"}, ["1", "2"])
    else:
        assert (aliases(), versions) == ({"champion": "3", "previous": "2"}, ["1", "2", "3"])


def test_scores_of_another_bundle_than_the_champions_are_told(project: Path, capsys: pytest.CaptureFixture[str]):
    (project / paths.BUNDLE).mkdir(parents=True)
    (project / paths.BUNDLE / "model.json").write_text("{}")
    promote("1", "a test")
    assert f"The scores are still of bundle {bundle_hash(paths.BUNDLE)}" in capsys.readouterr().out
    number = client().create_model_version(MODEL, project.as_uri(), tags={BUNDLE: bundle_hash(paths.BUNDLE)}).version
    promote(str(number), "what we score with")
    assert "The scores are still" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (lambda: promote("9", "why not"), "fedelta-churn has no version 9"),
        (lambda: promote("1", "  "), "Say why"),
        (lambda: rollback(""), "Say why"),
        (lambda: rollback("why not"), "There is no champion to roll back"),
        (lambda: promotions("yesterday"), "'yesterday' is no date. Write 2026-01-31"),
    ],
)
def test_what_cannot_be_done_is_one_clear_line_and_decides_nothing(asked, words):
    with pytest.raises(CannotPromote, match=words) as refused:
        asked()
    assert "\n" not in str(refused.value)
    assert aliases() == {}


def test_the_champion_is_not_promoted_again():
    promote("1", "the first")
    with pytest.raises(CannotPromote, match="Version 1 is champion already"):
        promote("1", "again")


def test_before_anything_is_tracked_there_is_nothing_to_promote():
    client().delete_registered_model_alias(MODEL, "challenger")
    with pytest.raises(CannotPromote, match="No version is registered yet"):
        promote(None, "why not")
