"""The log of promotions in MLflow: a run per decision on the champion, written ahead of what it decides.

One transaction makes the run, with everything decided in its tags and the status RUNNING; then the aliases move,
`previous` first; then the run is FINISHED. A process killed before the run exists has decided nothing; killed later, it
leaves a run that `complete` carries out from its tags, as often as need be. Nothing here changes or deletes a decision,
and one that somebody deleted in MLflow is still read.
"""

import json
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from time import time_ns
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Run, ViewType
from mlflow.exceptions import MlflowException

from fedelta.pipeline.registry.promotion_log import Decision

_PREFIX = "fedelta.decision."


@dataclass(frozen=True)
class DecisionLog:
    """The decisions on the champion of a registered model, in an experiment of their own."""

    client: MlflowClient
    experiment: str
    model: str
    registry: str  # when the registered model was created

    def decide(self, decision: Decision) -> None:
        """Log a decision and carry it out."""
        decision = replace(decision, registry=self.registry)
        held = {f.name: getattr(decision, f.name) for f in fields(Decision) if f.name != "at"}
        held["figures"] = json.dumps(dict(decision.figures), sort_keys=True)
        tags = {f"{_PREFIX}{name}": value for name, value in held.items() if value is not None}
        name = f"version {decision.version}: {decision.outcome}"
        self._carry_out(self.client.create_run(self.experiment, tags=tags, run_name=name))

    def complete(self) -> None:
        """Carry out what was decided by a process that was killed; what is about a deleted version has failed."""
        for run in self._runs("attributes.status = 'RUNNING'"):
            try:
                ours = _decision(run).registry == self.registry
                if ours:
                    self._carry_out(run)
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                ours = False
            if not ours:
                self.client.set_terminated(run.info.run_id, "FAILED")

    def read(self) -> list[Decision]:
        """Every decision on the registered model, oldest first: none on one of its name that was deleted."""
        return [decision for decision in self.everything() if decision.registry == self.registry]

    def everything(self) -> list[Decision]:
        """Every decision that was ever carried out, oldest first."""
        return [_decision(run) for run in self._runs() if run.info.status != "FAILED"]

    def _carry_out(self, run: Run) -> None:
        decision, run_id, now = _decision(run), run.info.run_id, time_ns() // 1_000_000
        if decision.figures:
            self.client.log_batch(run_id, metrics=[Metric(k, v, now, 0) for k, v in decision.figures.items()])
        for tag in ("outcome", "because", "by"):
            self.client.set_model_version_tag(self.model, decision.version, f"fedelta.{tag}", getattr(decision, tag))
        if decision.outcome != "not promoted":
            give_alias(self.client, self.model, "previous", decision.previous)
            give_alias(self.client, self.model, "champion", decision.champion)
        self.client.set_terminated(run_id)

    def _runs(self, only: str = "") -> list[Run]:
        """The runs of decisions, oldest first; deleted ones too, since a log forgets nothing."""
        found: list[Run] = []
        token: str | None = None
        while token != "":
            page = self.client.search_runs(
                [self.experiment], only, ViewType.ALL, order_by=["attributes.start_time ASC"], page_token=token
            )
            found += page
            token = page.token or ""
        return [run for run in found if f"{_PREFIX}outcome" in run.data.tags]


def aliases(client: MlflowClient, model: str) -> dict[str, str]:
    """Number of the version that has each alias."""
    return {name: str(number) for name, number in client.get_registered_model(model).aliases.items()}


def give_alias(client: MlflowClient, model: str, alias: str, number: str | None) -> None:
    """Give an alias to a version and take it from any other; None takes it away."""
    if aliases(client, model).get(alias) == number:
        return
    if number is None:
        client.delete_registered_model_alias(model, alias)
    else:
        client.set_registered_model_alias(model, alias, number)


def _decision(run: Run) -> Decision:
    held: dict[str, Any] = {"champion": None, "champion_bundle": None, "previous": None}
    held |= {name.removeprefix(_PREFIX): tag for name, tag in run.data.tags.items() if name.startswith(_PREFIX)}
    at = datetime.fromtimestamp(run.info.start_time / 1000, UTC)
    return Decision(**{**held, "figures": json.loads(held["figures"]), "at": at})
