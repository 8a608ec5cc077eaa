"""What fedelta keeps in MLflow: a run and a registered version per bundle, and a run per decision on the champion.

Imported by ``tracking`` alone, and only when it is used: MLflow takes six CPU-seconds.
"""

import contextlib
import json
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import requires, version
from pathlib import Path
from time import time_ns

import mlflow
import mlflow.pyfunc
import mlflow.store.db.utils
import polars as pl
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModel, Metric, Param, Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.types import ColSpec, Schema
from mlflow.types.schema import AnyType
from packaging.requirements import Requirement
from requests import RequestException
from sqlalchemy.exc import SQLAlchemyError

import fedelta
from fedelta.models import pyfunc
from fedelta.models.panel import PRIOR_FEATURES, to_pandas
from fedelta.pipeline.registry.address import StoreError, model_name, without_password
from fedelta.pipeline.registry.lineage import Data
from fedelta.pipeline.registry.mlflow_errors import explained
from fedelta.pipeline.registry.mlflow_log import DecisionLog, aliases, give_alias

BUNDLE = "fedelta.bundle"
_PARAMS_NOW = "fedelta.params_now"
_FILES = "fedelta.files"
_DATA = "fedelta.datasets"
_MOST_PARAMS = 100  # in one request

mlflow.store.db.utils.MAX_RETRY_COUNT = 1  # a database that cannot be opened is reported at once, not after 100 seconds


@dataclass(frozen=True)
class Registered:
    """A version of the model in the registry."""

    number: str
    bundle: str
    run_id: str | None
    model_id: str | None  # of the logged model
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Record:
    """What MLflow keeps of a bundle. `lineage` is written once: how the bundle came about, not who looked last."""

    bundle: str
    name: str
    description: str  # of the registered version: what was learned from, until when
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    lineage: Mapping[str, str]
    facts: Mapping[str, str]  # tags of the run and of the version: what each fit saw
    files: Mapping[str, Sequence[Path]]  # by the folder they are kept in
    files_hash: str
    folder: Path  # the bundle
    example: pl.DataFrame  # a row as data/features has them, of nobody
    data: Sequence[Data] = field(default=())


@dataclass(frozen=True)
class Store:
    """MLflow, as far as fedelta uses it for a source."""

    client: MlflowClient
    model: str  # name of the registered model
    runs: str  # id of the experiment
    decisions: DecisionLog

    def keep(self, record: Record) -> tuple[Registered, list[str]]:
        """Create or complete the run, the logged model and the registered version of a bundle; and what was made.

        If anything fails the run is marked so and a model that is not registered is taken away, files and all; after a
        kill, the next call completes what is there. MLflow never changes a parameter, so settings that came to differ
        without changing the bundle (`gate.max_ece`) are kept in the tag ``fedelta.params_now``.
        """
        run, made = self.run_of(record.bundle), []
        if run is None:
            tags = {BUNDLE: record.bundle, **record.lineage, **record.facts}
            run = self.client.create_run(self.runs, tags=tags, run_name=record.name)
            made.append("run recorded")
        try:
            written = self._settings(run, record)
            found = self.version_of(record.bundle)
            model = self._logged(found.model_id) if found else self._log(run, record)
            written |= self._measured(run, record, model)
            if found is None:
                assert model is not None
                found = self._register(run, record, model)
                made.append("registered")
            give_alias(self.client, self.model, "challenger", found.number)
            if made or written or run.info.status != "FINISHED":
                self.client.set_terminated(run.info.run_id)
        except BaseException:
            self._undo(run.info.run_id, record.bundle)
            raise
        return found, made or (["record updated"] if written else [])

    def holder(self, alias: str) -> Registered | None:
        """The version that has an alias."""
        number = aliases(self.client, self.model).get(alias)
        return _registered(self.client.get_model_version(self.model, number)) if number else None

    def version(self, number: str) -> Registered | None:
        """The version of a number."""
        return next((held for held in self._versions() if held.number == number), None)

    def version_of(self, bundle: str) -> Registered | None:
        """The version of a bundle."""
        return next((held for held in self._versions(f"tags.`{BUNDLE}` = '{bundle}'")), None)

    def run_of(self, bundle: str) -> Run | None:
        """The run of a bundle."""
        found = self.client.search_runs(
            [self.runs], f"tags.`{BUNDLE}` = '{bundle}'", max_results=1, order_by=["attributes.start_time ASC"]
        )
        return found[0] if found else None

    def aliases_of(self, registered: Registered) -> list[str]:
        """What a version is called, sorted."""
        return sorted(
            alias for alias, number in aliases(self.client, self.model).items() if number == registered.number
        )

    @contextmanager
    def bundle_of(self, registered: Registered) -> Iterator[Path]:
        """The files of a registered bundle, in a folder that is gone afterwards."""
        with tempfile.TemporaryDirectory(prefix="fedelta-champion-") as scratch:
            uri = f"models:/{self.model}/{registered.number}"
            folder = mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=scratch)
            yield Path(folder) / "data" / "bundle"

    @contextmanager
    def file_of(self, registered: Registered, path: str) -> Iterator[Path | None]:
        """A file of the run behind a version, in a folder that is gone afterwards; None where it is not there."""
        run_id = registered.run_id or ""
        found = self.client.list_artifacts(run_id, str(Path(path).parent)) if run_id else []
        with tempfile.TemporaryDirectory(prefix="fedelta-champion-") as scratch:
            there = path in {file.path for file in found}
            yield Path(self.client.download_artifacts(run_id, path, scratch)) if there else None

    def _versions(self, only: str = "") -> list[Registered]:
        """The versions, newest first."""
        found: list[ModelVersion] = []
        token: str | None = None
        while token != "":
            wanted = " AND ".join(filter(None, [f"name = '{self.model}'", only]))
            page = self.client.search_model_versions(wanted, page_token=token)
            found += page
            token = page.token or ""
        return [_registered(made) for made in found]

    def _settings(self, run: Run, record: Record) -> bool:
        """Write the parameters that the run lacks, and those that came to differ; whether any were."""
        run_id, held = run.info.run_id, run.data.params
        missing = [Param(k, v) for k, v in record.params.items() if k not in held]
        for start in range(0, len(missing), _MOST_PARAMS):
            self.client.log_batch(run_id, params=missing[start : start + _MOST_PARAMS])
        differing = {name: value for name, value in record.params.items() if held.get(name, value) != value}
        present = json.dumps(differing, sort_keys=True) if differing else None
        if present == run.data.tags.get(_PARAMS_NOW):
            return bool(missing)
        if present is None:
            self.client.delete_tag(run_id, _PARAMS_NOW)
        else:
            self.client.set_tag(run_id, _PARAMS_NOW, present)
        return True

    def _measured(self, run: Run, record: Record, model: LoggedModel | None) -> bool:
        """Write data, metrics (of the run and of its logged model) and files as far as new; whether any were."""
        run_id, tags, now = run.info.run_id, run.data.tags, time_ns() // 1_000_000
        data = json.dumps([[held.path, held.digest, held.context] for held in record.data])
        if tags.get(_DATA) != data:
            self.client.log_inputs(run_id, [_dataset(held) for held in record.data])
            self.client.set_tag(run_id, _DATA, data)
        judged = next((held for held in record.data if held.context == "evaluation"), None)
        named = {"dataset_name": judged.path, "dataset_digest": judged.digest} if judged else {}
        linked = {"model_id": model.model_id, **named} if model else {}
        held = _latest(model) if model else run.data.metrics
        fresh = [Metric(k, v, now, 0, **linked) for k, v in record.metrics.items() if held.get(k) != v]
        if fresh:
            self.client.log_batch(run_id, metrics=fresh)
        if new_files := tags.get(_FILES) != record.files_hash:
            for place, paths in record.files.items():
                for path in paths:
                    self.client.log_artifact(run_id, str(path), place)
            self.client.set_tag(run_id, _FILES, record.files_hash)
        return bool(fresh or new_files or tags.get(_DATA) != data)

    def _log(self, run: Run, record: Record) -> LoggedModel:
        """The logged model of a bundle: what a killed run left whole, or a new one."""
        run_id = run.info.run_id
        for left in self._unregistered(run_id, record.bundle):
            if left.status == "READY":
                return left
            self._remove(left)
        with mlflow.start_run(run_id=run_id), warnings.catch_warnings(), _code() as code:
            warnings.simplefilter("ignore", DeprecationWarning)  # of MLflow's own use of pandas
            logged = mlflow.pyfunc.log_model(
                name="bundle",
                loader_module=pyfunc.__name__,
                data_path=str(record.folder),
                code_paths=[str(code)],
                pip_requirements=requirements(),
                signature=_signature(record),
                input_example=to_pandas(record.example),
                tags={BUNDLE: record.bundle},
            )
        return self.client.get_logged_model(logged.model_id)

    def _register(self, run: Run, record: Record, model: LoggedModel) -> Registered:
        return _registered(
            self.client.create_model_version(
                self.model,
                model.model_uri,
                run_id=run.info.run_id,
                tags={BUNDLE: record.bundle, **record.facts},
                description=record.description,
                model_id=model.model_id,
            )
        )

    def _logged(self, model_id: str | None) -> LoggedModel | None:
        """The logged model behind a version; None where somebody deleted it."""
        try:
            return self.client.get_logged_model(model_id) if model_id else None
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None

    def _unregistered(self, run_id: str, bundle: str) -> list[LoggedModel]:
        """The logged models of a bundle and run that no version points at."""
        found = self.client.search_logged_models([self.runs], f"tags.`{BUNDLE}` = '{bundle}'")
        kept = {held.model_id for held in self._versions(f"tags.`{BUNDLE}` = '{bundle}'")}
        return [model for model in found if model.source_run_id == run_id and model.model_id not in kept]

    def _undo(self, run_id: str, bundle: str) -> None:
        """Mark a run as failed and take away what nobody would look for; what MLflow refuses now, the next run does."""
        with contextlib.suppress(MlflowException, SQLAlchemyError, OSError):
            self.client.set_terminated(run_id, "FAILED")
            for left in self._unregistered(run_id, bundle):
                self._remove(left)

    def _remove(self, model: LoggedModel) -> None:
        self.client.delete_logged_model(model.model_id)
        get_artifact_repository(model.artifact_location).delete_artifacts()  # type: ignore[no-untyped-call]


@contextmanager
def opened(uri: str, artifacts: str | None, source: str) -> Iterator[Store]:
    """MLflow at a tracking URI, with the experiments and the registered model of a source made if need be.

    `artifacts` is where new experiments keep their files; None leaves it to the server.

    Raises
    ------
    StoreError
        If MLflow cannot be reached, refuses what is asked of it, or something of a source was deleted there, here or
        inside the block.
    """
    with _in_words(uri, OSError):
        store = _open(uri, artifacts, source)
    with _in_words(uri, RequestException, shutil.Error):  # other errors of files are reported by the command
        yield store


@contextmanager
def _code() -> Iterator[Path]:
    """A folder named as the package, with what loading a bundle runs: nothing of the pipeline or the service."""
    home = Path(str(fedelta.__file__)).parent
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "fedelta"
        folder.mkdir()
        shutil.copy(home / "__init__.py", folder)
        for name in ("features", "models"):
            shutil.copytree(home / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        yield folder


def _open(uri: str, artifacts: str | None, source: str) -> Store:
    mlflow.set_tracking_uri(uri)
    client, name = MlflowClient(), model_name(source)
    runs, decisions = (_experiment(client, called, artifacts) for called in (name, f"{name}-promotions"))
    made = client.search_registered_models(f"name = '{name}'") or [
        client.create_registered_model(
            name, {"fedelta.source": source}, f"Churn and lifetime value of source {source}; a version per bundle."
        )
    ]
    return Store(client, name, runs, DecisionLog(client, decisions, name, str(made[0].creation_timestamp)))


@contextmanager
def _in_words(uri: str, *more: type[Exception]) -> Iterator[None]:
    kinds: tuple[type[Exception], ...] = (MlflowException, SQLAlchemyError, *more)
    try:
        yield
    except kinds as error:
        raise StoreError(explained(error, uri)) from error


def requirements() -> list[str]:
    """What a bundle needs to predict, as installed here: ``name==version``."""
    named = [Requirement(line) for line in requires("fedelta") or []]
    needed = [need for need in named if need.marker is None or need.marker.evaluate({"extra": "score"})]
    return [f"{need.name}=={version(need.name)}" for need in needed]


def _experiment(client: MlflowClient, name: str, artifacts: str | None) -> str:
    held = client.get_experiment_by_name(name)
    if held is None:
        return str(client.create_experiment(name, artifact_location=artifacts))
    if held.lifecycle_stage != "active":
        raise StoreError(
            f"The experiment {name} was deleted in MLflow. Bring it back with `MLFLOW_TRACKING_URI="
            f"{without_password(mlflow.get_tracking_uri())} mlflow experiments restore --experiment-id "
            f"{held.experiment_id}`, or remove it for good with `mlflow gc`; then run the command again."
        )
    return str(held.experiment_id)


def _registered(made: ModelVersion) -> Registered:
    # Not every server tells the logged model's id; the source always does: models:/m-1234.
    source = str(made.source or "")
    model_id = source.removeprefix("models:/") if source.startswith("models:/m-") else None
    return Registered(str(made.version), made.tags.get(BUNDLE, ""), made.run_id, model_id, made.tags)


def _latest(model: LoggedModel) -> dict[str, float]:
    """The newest value of each metric of a logged model."""
    return {held.key: held.value for held in sorted(model.metrics or [], key=lambda held: int(held.timestamp))}


def _dataset(held: Data) -> DatasetInput:
    named = Dataset(held.path, held.digest, "local", json.dumps({"uri": held.path}))
    return DatasetInput(named, [InputTag("mlflow.data.context", held.context)])


def _signature(record: Record) -> ModelSignature:
    """A row of data/features: what the models read is required; the rest and BTYD's columns are optional."""
    model = pyfunc.load_bundle(record.folder)
    required = {*model.required}
    inputs = [ColSpec(_type(kind), name, required=name in required) for name, kind in record.example.schema.items()]
    prior = [ColSpec("double", name, required=False) for name in PRIOR_FEATURES]
    return ModelSignature(Schema([*inputs, *prior]), Schema([ColSpec("double", name) for name in model.outputs]))


def _type(kind: pl.DataType) -> str | AnyType:
    """The type that MLflow checks; any, where it would refuse what pandas reads: zones, categories, long integers."""
    plain = (pl.Float32, pl.Float64, pl.Int8, pl.Int16, pl.Int32)
    return "double" if kind in plain else AnyType()  # type: ignore[no-untyped-call]
