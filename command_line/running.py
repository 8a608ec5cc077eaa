"""Running a project's stages."""

import importlib
from pathlib import Path
from typing import Any

import click

from fedelta.command_line.ends import run_command
from fedelta.command_line.group import DATE, FOLDER, RUNNING, enter_project, fedelta, in_section
from fedelta.features.errors import FedeltaError


def _names_of_stages() -> tuple[str, ...]:
    """The stages that are run by name: those of dvc.yaml, but for the service's own."""
    from fedelta.pipeline.stages import stage_names

    return tuple(name for name in stage_names() if name != "publish")


class _Stage(click.ParamType[str]):
    """The name of a stage of dvc.yaml."""

    name = "stage"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in (known := _names_of_stages()):
            self.fail(f"{value!r} is no stage. Stages: {', '.join(known)}.", param, ctx)
        return value

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        from click.shell_completion import CompletionItem

        return [CompletionItem(name) for name in _names_of_stages() if name.startswith(incomplete)]


@in_section(RUNNING)
@fedelta.command("run")
@click.option("--no-dvc", is_flag=True, help="Run every stage anew, without DVC and its cache.")
def _run(*, no_dvc: bool) -> None:
    """Run every stage that is out of date, and say where to look; in an empty folder, on a simulated company."""
    from fedelta.pipeline.commands.run import run
    from fedelta.pipeline.paths import WHOLE_RUN_LOCK, project_folder
    from fedelta.pipeline.run_lock import sole_run

    if project_folder(Path.cwd()):
        enter_project()
    with sole_run("run", WHOLE_RUN_LOCK):
        run(run_command, dvc=not no_dvc)


@in_section(RUNNING)
@fedelta.command("stage")
@click.argument("name", type=_Stage())
@click.option("--bucket", metavar="I/N", help="Of build_features: one of N shares, counted from 0, on this machine.")
@click.option("--merge", is_flag=True, help="Of build_features: join the shares that machines have written.")
def _stage(name: str, bucket: str | None, merge: bool) -> None:
    """Run one stage by itself (dvc repro runs them in order)."""
    enter_project()
    if bucket is None and not merge:
        run_stage(name)
        return
    if name != "build_features" or (bucket and merge):
        raise click.UsageError("Shares are of build_features: --bucket I/N on each machine, then --merge on one.")
    from fedelta.pipeline import build_features, paths
    from fedelta.pipeline.fan_out import Share
    from fedelta.pipeline.project import must_be_of_source
    from fedelta.pipeline.run_lock import sole_run

    must_be_of_source()
    if bucket is None:
        with sole_run("stage build_features --merge"):
            build_features.merge()
        return
    share = Share.parse(bucket)
    with sole_run(f"share {bucket}", paths.FEATURE_SHARES / f".{share.number}-of-{share.of}.lock"):
        build_features.build_share(share)


@in_section(RUNNING)
@fedelta.command("leak-check")
def _leak_check() -> None:
    """Look for the outcome in what models learn from."""
    enter_project()
    run_stage("leak_check")


@in_section(RUNNING)
@fedelta.command("score")
@click.option("--data", type=FOLDER, required=True, help="Folder of their files, laid out as the source's own.")
@click.option("--out", type=FOLDER, help="A Parquet file (default: data/scored/NAME OF THE FOLDER.parquet).")
@click.option("--at", metavar=DATE, help="As of midnight of a day (default: after the last interaction).")
def _score(data: Path, out: Path | None, at: str | None) -> None:
    """Score other customers with the models of the last run, without training."""
    from fedelta.pipeline.commands.score_population import main as score

    given = enter_project({"data": data, "out": out}, of_source=True)
    score(given["data"], given["out"], at)


@in_section(RUNNING)
@fedelta.command("monitor")
@click.option("--fail-on-alarm", is_flag=True, help="Exit with 1 if something is out of the ordinary.")
def _monitor(*, fail_on_alarm: bool) -> None:
    """Judge the newest month by those before: drift, and how good the model still is (reports/drift.json)."""
    from fedelta.pipeline.monitor import main as monitor
    from fedelta.pipeline.run_lock import sole_run

    enter_project(of_source=True)
    with sole_run("monitor"):
        monitor(fail_on_alarm=fail_on_alarm)


def run_stage(name: str) -> None:
    from fedelta.pipeline.contents import tables_must_hold, tables_of_stage
    from fedelta.pipeline.project import features_must_be_current, inputs_must_be_there, must_be_of_source
    from fedelta.pipeline.run_lock import sole_run

    with sole_run(f"stage {name}"):
        if name != "ingest":
            must_be_of_source()
        tables_must_hold(*tables_of_stage(name))
        if name not in {"ingest", "build_features", "experience"}:
            features_must_be_current()
        try:
            importlib.import_module(f"fedelta.pipeline.{name}").main()
        except FedeltaError:
            raise
        except Exception:
            inputs_must_be_there(name)  # whatever reads what is missing says so in words of its own
            raise
