"""What fedelta keeps in MLflow: a run and a registered version per bundle, and a run per decision on the champion.

Imported by ``tracking`` alone, and only when it is used: MLflow takes six CPU-seconds.
"""

import json
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import requires, version
from pathlib import Path
from time import time_ns

import mlflow
import mlflow.pyfunc
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema
from packaging.requirements import Requirement
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

import features
import models
from features.errors import ExplainedError
from models import pyfunc
from pipeline.mlflow_log import DecisionLog, aliases, give_alias
from pipeline.tracking import MODEL

RUNS = "fedelta"
DECISIONS = "fedelta-promotions"
BUNDLE = "fedelta.bundle"
_PARAMS_NOW = "fedelta.params_now"
_FILES = "fedelta.files"
_MOST_PARAMS = 100  # in one request


class StoreError(ExplainedError):
    """MLflow cannot be reached, or refuses."""


@dataclass(frozen=True)
class Registered:
    """A version of the model in the registry."""

    number: str
    bundle: str
    run_id: str | None
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Record:
    """What a run says of a bundle. `lineage` is written once: how the bundle came about, not who looked at it last."""

    bundle: str
    name: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    lineage: Mapping[str, str]
    files: Sequence[Path]
    files_hash: str


@dataclass(frozen=True)
class Store:
    """MLflow, as far as fedelta uses it."""

    client: MlflowClient
    runs: str  # id of the experiment
    decisions: DecisionLog

    def record(self, record: Record) -> tuple[str, bool]:
        """Create or complete the one run of a bundle; its id, and whether anything was written.

        MLflow never changes a parameter, so settings that came to differ without changing the bundle (`gate.max_ece`)
        are kept in the tag ``fedelta.params_now``.
        """
        run = self.run_of(record.bundle)
        created = run is None
        if run is None:
            tags = {BUNDLE: record.bundle, **record.lineage}
            run = self.client.create_run(self.runs, tags=tags, run_name=record.name)
        run_id, tags, now = run.info.run_id, dict(run.data.tags), time_ns() // 1_000_000
        missing = [Param(k, v) for k, v in record.params.items() if k not in run.data.params]
        for start in range(0, len(missing), _MOST_PARAMS):
            self.client.log_batch(run_id, params=missing[start : start + _MOST_PARAMS])
        fresh = [Metric(k, v, now, 0) for k, v in record.metrics.items() if run.data.metrics.get(k) != v]
        if fresh:
            self.client.log_batch(run_id, metrics=fresh)
        changed = self._tell_changed_params(run, record.params)
        if tags.get(_FILES) != record.files_hash:
            for path in record.files:
                self.client.log_artifact(run_id, str(path), "reports")
            self.client.set_tag(run_id, _FILES, record.files_hash)
            changed = True
        written = bool(created or missing or fresh or changed)
        if written or run.info.status != "FINISHED":
            self.client.set_terminated(run_id)
        return run_id, written

    def register(self, bundle: str, run_id: str, folder: Path) -> tuple[Registered, bool]:
        """The version of a bundle, logged and registered if there is none, as `challenger`; and whether it is new."""
        found = self.version_of(bundle)
        if found is None:
            with mlflow.start_run(run_id=run_id), warnings.catch_warnings():
                # An example would be a customer's data, in a registry that many read.
                warnings.filterwarnings("ignore", message=".*input example was not provided")
                logged = mlflow.pyfunc.log_model(
                    name="bundle",
                    loader_module=pyfunc.__name__,
                    data_path=str(folder),
                    code_paths=[str(Path(str(package.__file__)).parent) for package in (features, models)],
                    pip_requirements=requirements(),
                    signature=_signature(folder),
                )
            made = self.client.create_model_version(MODEL, logged.model_uri, run_id=run_id, tags={BUNDLE: bundle})
            give_alias(self.client, "challenger", str(made.version))
            return _registered(made), True
        give_alias(self.client, "challenger", found.number)
        return found, False

    def holder(self, alias: str) -> Registered | None:
        """The version that has an alias."""
        number = aliases(self.client).get(alias)
        return _registered(self.client.get_model_version(MODEL, number)) if number else None

    def version(self, number: str) -> Registered | None:
        """The version of a number."""
        return next((held for held in self._versions() if held.number == number), None)

    def version_of(self, bundle: str) -> Registered | None:
        """The version of a bundle."""
        return next((held for held in self._versions() if held.bundle == bundle), None)

    def run_of(self, bundle: str) -> Run | None:
        """The run of a bundle."""
        found = self.client.search_runs(
            [self.runs], f"tags.`{BUNDLE}` = '{bundle}'", max_results=1, order_by=["attributes.start_time ASC"]
        )
        return found[0] if found else None

    def aliases_of(self, registered: Registered) -> list[str]:
        """What a version is called, sorted."""
        return sorted(alias for alias, number in aliases(self.client).items() if number == registered.number)

    def param(self, registered: Registered, name: str) -> str | None:
        """A parameter of the run behind a version; None where there is none."""
        if registered.run_id is None:
            return None
        value = self.client.get_run(registered.run_id).data.params.get(name)
        return None if value is None else str(value)

    @contextmanager
    def bundle_of(self, registered: Registered) -> Iterator[Path]:
        """The files of a registered bundle, in a folder that is gone afterwards."""
        with tempfile.TemporaryDirectory(prefix="fedelta-champion-") as scratch:
            uri = f"models:/{MODEL}/{registered.number}"
            folder = mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=scratch)
            yield Path(folder) / "data" / "bundle"

    def _versions(self) -> list[Registered]:
        return [_registered(made) for made in self.client.search_model_versions(f"name = '{MODEL}'")]

    def _tell_changed_params(self, run: Run, params: Mapping[str, str]) -> bool:
        held = run.data.params
        differing = {name: value for name, value in params.items() if held.get(name, value) != value}
        told = json.dumps(differing, sort_keys=True) if differing else None
        if told == run.data.tags.get(_PARAMS_NOW):
            return False
        if told is None:
            self.client.delete_tag(run.info.run_id, _PARAMS_NOW)
        else:
            self.client.set_tag(run.info.run_id, _PARAMS_NOW, told)
        return True


@contextmanager
def opened(uri: str, artifacts: str | None) -> Iterator[Store]:
    """MLflow at a tracking URI, with the experiments and the registered model of fedelta made if need be.

    `artifacts` is where new experiments keep their files; None leaves it to the server.

    Raises
    ------
    StoreError
        If MLflow cannot be reached or refuses what is asked of it, here or inside the block.
    """
    try:
        mlflow.set_tracking_uri(uri)
        client = MlflowClient()
        if not client.search_registered_models(f"name = '{MODEL}'"):
            client.create_registered_model(MODEL, description="Churn and lifetime value; a version per bundle.")
        runs, decisions = (_experiment(client, name, artifacts) for name in (RUNS, DECISIONS))
        yield Store(client, runs, DecisionLog(client, decisions))
    except (MlflowException, SQLAlchemyError) as error:
        why = str(error).strip().split("\n", maxsplit=1)[0]
        raise StoreError(
            f"MLflow at {without_password(uri)} failed: {why} Check MLFLOW_TRACKING_URI, then run the command again."
        ) from error


def requirements() -> list[str]:
    """What a bundle needs to predict, as installed here: ``name==version``."""
    named = [Requirement(line) for line in requires("fedelta") or []]
    return [f"{need.name}=={version(need.name)}" for need in named if need.marker is None]


def without_password(uri: str) -> str:
    """A URI as it may be shown."""
    return make_url(uri).render_as_string(hide_password=True) if "@" in uri else uri


def _experiment(client: MlflowClient, name: str, artifacts: str | None) -> str:
    held = client.get_experiment_by_name(name)
    return str(held.experiment_id if held else client.create_experiment(name, artifact_location=artifacts))


def _registered(made: ModelVersion) -> Registered:
    return Registered(str(made.version), made.tags.get(BUNDLE, ""), made.run_id, made.tags)


def _signature(folder: Path) -> ModelSignature:
    model = pyfunc.load_bundle(folder)
    outputs = ["churn_probability", *(["clv_expected"] if model.clv else [])]
    return ModelSignature(
        inputs=Schema([ColSpec(kind, name, required=False) for name, kind in model.columns.items()]),
        outputs=Schema([ColSpec("double", name) for name in outputs]),
    )
