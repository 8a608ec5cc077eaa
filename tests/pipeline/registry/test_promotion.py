"""A person moves the champion, says why, and the log tells it for ever. On a real MLflow, with and without a server."""

import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from mlflow_place import Place, on_a_server_too
from tiny_project import PARAMS

from fedelta.models.bundle import bundle_hash
from fedelta.pipeline import paths
from fedelta.pipeline.registry import promotion
from fedelta.pipeline.registry.address import set_defaults
from fedelta.pipeline.registry.promotion import CannotPromote, promote, promotions, rollback
from fedelta.pipeline.registry.tracking import tracking

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # MLflow warns of its own type hints when it is imported
    set_defaults()
    from mlflow import MlflowClient

    from fedelta.pipeline.registry import mlflow_log
    from fedelta.pipeline.registry.mlflow_store import BUNDLE

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")  # of MLflow's own queries


class Registry:
    """The registered model of the test's source, and the project one works in."""

    def __init__(self, place: Place, folder: Path) -> None:
        self.place, self.folder = place, folder

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(self.place.uri)

    def add(self, bundle: str) -> str:
        """A version of a bundle; its model is of no interest."""
        with tracking(self.place.source) as store:
            run = store.client.create_run(store.runs)
            source = f"runs:/{run.info.run_id}/model"
            tags = {BUNDLE: bundle}
            return str(store.client.create_model_version(store.model, source, run.info.run_id, tags).version)

    def aliases(self) -> dict[str, str]:
        held = mlflow_log.aliases(self.client, self.place.model)
        return {name: number for name, number in held.items() if name != "challenger"}


@pytest.fixture(autouse=True)
def registry(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """Three versions, the last of them challenger and none champion; ann is at the keyboard."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(promotion.getpass, "getuser", lambda: "ann")
    Path("params.yaml").write_text(PARAMS.replace("TREES", "2").replace("source: demo", f"source: {place.source}"))
    held = Registry(place, tmp_path)
    for number in (1, 2, 3):
        held.add(f"bundle{number}")
    mlflow_log.give_alias(held.client, place.model, "challenger", "3")
    return held


def printed(capsys: pytest.CaptureFixture[str], at: str | None = None) -> list[str]:
    capsys.readouterr()
    promotions(at)
    return capsys.readouterr().out.splitlines()


@on_a_server_too
def test_the_challenger_is_promoted_unless_a_version_is_named(registry: Registry, capsys: pytest.CaptureFixture[str]):
    promote(None, "it found the spring leavers")
    assert registry.aliases() == {"champion": "3"}
    promote("1", "less to explain")
    assert registry.aliases() == {"champion": "1", "previous": "3"}
    assert "version 1 (bundle bundle1) is champion, version 3 is previous." in capsys.readouterr().out
    tags = registry.client.get_model_version(registry.place.model, "1").tags
    assert (tags["fedelta.outcome"], tags["fedelta.by"], tags["fedelta.because"]) == (
        "promoted", "ann", "less to explain",
    )  # fmt: skip


@on_a_server_too
def test_rollbacks_go_back_one_champion_after_the_other(registry: Registry, capsys: pytest.CaptureFixture[str]):
    for number in ("1", "2", "3"):
        promote(number, "a test")
    rollback("false alarms")
    assert registry.aliases() == {"champion": "2", "previous": "1"}
    rollback("still")
    assert registry.aliases() == {"champion": "1"}
    with pytest.raises(CannotPromote, match="Version 1 is the first champion: there is none to go back to"):
        rollback("still")
    assert "version 1 (bundle bundle1) is champion again, version 2 is not" in capsys.readouterr().out


def test_the_log_tells_who_was_champion_when_and_why(registry: Registry, capsys: pytest.CaptureFixture[str]):
    promote("1", "the first")
    promote("2", "better in May")
    rollback("worse in June")
    first, second, third = printed(capsys)
    assert first.endswith("version 1 promoted, by ann: the first")
    assert second.endswith("version 2 promoted, by ann: better in May")
    assert third.endswith("version 2 rolled back, champion 1, by ann: worse in June")
    (line,) = printed(capsys, "2020-01-01")
    assert line == "At 2020-01-01 00:00 UTC there was no champion."
    (line,) = printed(capsys, f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}")
    assert "version 1 (bundle bundle1) was champion" in line
    with tracking(registry.place.source) as store:
        at = store.decisions.read()[1].at
    assert at is not None
    (line,) = printed(capsys, at.isoformat())
    assert "version 2 (bundle bundle2) was champion" in line


@on_a_server_too
def test_the_log_only_grows_and_forgets_nothing_that_is_deleted_in_mlflow(
    registry: Registry, capsys: pytest.CaptureFixture[str]
):
    promote("1", "the first")
    promote("2", "the second")
    before = printed(capsys)
    experiment = registry.client.get_experiment_by_name(f"{registry.place.model}-promotions").experiment_id
    for run in registry.client.search_runs([experiment]):
        registry.client.delete_run(run.info.run_id)
    assert printed(capsys) == before
    rollback("it still knows the way")
    assert registry.aliases() == {"champion": "1"}
    assert printed(capsys)[:2] == before


@on_a_server_too
def test_a_champion_moved_by_hand_is_reported_and_can_be_undone(registry: Registry, capsys: pytest.CaptureFixture[str]):
    promote("1", "the first")
    registry.client.set_registered_model_alias(registry.place.model, "champion", "2")
    assert printed(capsys)[-1].startswith("The champion is version 2, by the log version 1: it was moved by hand")
    rollback("nobody knows why")
    assert registry.aliases() == {"champion": "1"}


class Killed(BaseException):
    """The process is gone."""


STEPS = ("create_run", "set_model_version_tag", "set_registered_model_alias", "set_terminated")


@pytest.mark.parametrize(  # one run, three tags, two aliases, one end
    ("place", "done"),
    [
        *(("sqlite", done) for done in range(7)),
        *(pytest.param("server", done, marks=pytest.mark.long) for done in (1, 4)),
    ],
    indirect=["place"],
)
def test_a_process_killed_at_any_step_has_decided_all_or_nothing(
    registry: Registry, done: int, monkeypatch: pytest.MonkeyPatch
):
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
    with tracking(registry.place.source) as store:  # what any next command does first
        versions = [decision.version for decision in store.decisions.read()]
    if done == 0:
        assert (registry.aliases(), versions) == ({"champion": "2", "previous": "1"}, ["1", "2"])
    else:
        assert (registry.aliases(), versions) == ({"champion": "3", "previous": "2"}, ["1", "2", "3"])


def test_scores_of_another_bundle_than_the_champions_are_reported(
    registry: Registry, capsys: pytest.CaptureFixture[str]
):
    (registry.folder / paths.BUNDLE).mkdir(parents=True)
    (registry.folder / paths.BUNDLE / "model.json").write_text("{}")
    promote("1", "a test")
    assert f"The scores are still of bundle {bundle_hash(paths.BUNDLE)}" in capsys.readouterr().out
    promote(registry.add(bundle_hash(paths.BUNDLE)), "what we score with")
    assert "The scores are still" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (lambda: promote("9", "why not"), " has no version 9"),
        (lambda: promote("1", "  "), "Say why"),
        (lambda: rollback(""), "Say why"),
        (lambda: rollback("why not"), "There is no champion. `fedelta track` makes"),
        (lambda: promotions("yesterday"), "'yesterday' is no date. Write 2026-01-31"),
    ],
)
def test_what_cannot_be_done_is_one_clear_line_and_decides_nothing(registry: Registry, asked, words):
    with pytest.raises(CannotPromote, match=words) as refused:
        asked()
    assert "\n" not in str(refused.value)
    assert registry.aliases() == {}


def test_the_champion_is_not_promoted_again():
    promote("1", "the first")
    with pytest.raises(CannotPromote, match="Version 1 is champion already"):
        promote("1", "again")


def test_before_anything_is_tracked_there_is_nothing_to_promote(registry: Registry):
    registry.client.delete_registered_model_alias(registry.place.model, "challenger")
    with pytest.raises(CannotPromote, match="No version is registered yet"):
        promote(None, "why not")
