"""The ``fedelta`` command: what can be asked, and how an error is shown. A command imports what it needs when it runs.

Exit codes: 0 done; 1 it could not be done, or a check that was asked for failed, as one line on standard error says;
2 the words of the command are wrong; 130 stopped by the user.
"""

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import click

if __name__ in {"__main__", "__mp_main__"} and not __package__:
    # Run as a file, as the stages of dvc.yaml do: the folder it lies in is the package, whatever is installed. So the
    # copy that `dvc exp run --temp` works in runs its own code.
    _home = Path(__file__).resolve().parent
    _spec = importlib.util.spec_from_file_location(
        "fedelta", _home / "__init__.py", submodule_search_locations=[str(_home)]
    )
    assert _spec
    assert _spec.loader
    sys.modules["fedelta"] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules["fedelta"])

from fedelta.features.errors import FedeltaError

SECTIONS = ("A project and its data", "Running it", "Models", "Answers", "The service")
_F = TypeVar("_F", bound=Callable[..., Any])


def main(argv: Sequence[str] | None = None) -> int:  # noqa: PLR0911 - a line per way to end
    """Run one command and give its exit code; an error that explains itself is shown as one line."""
    # Threads of LightGBM that wait must not spin: on a busy machine that cost six times the CPU.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Matrices are small, and work is shared out by fold and by booster: threads of BLAS beside these doubled the CPU.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        fedelta.main(None if argv is None else list(argv), prog_name="fedelta", standalone_mode=False)
    except FedeltaError as error:
        return _failed(str(error))
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return 2
    except click.UsageError as error:
        hint = f" See `{error.ctx.command_path} --help`." if error.ctx else ""
        print(f"fedelta: {error.format_message()}{hint}", file=sys.stderr)
        return 2
    except click.Abort:
        print("fedelta: stopped.", file=sys.stderr)
        return 130
    except FileNotFoundError as error:
        return _failed(f"{error.filename or error} is missing. `dvc repro` makes what a command reads.")
    except OSError as error:  # no room, no permission: nothing half-written is left (pipeline/atomic_write.py)
        return _failed(f"{error}. Make room or grant access, then run again.")
    return 0


def _failed(why: str) -> int:
    print(f"fedelta: {why}", file=sys.stderr)
    return 1


class _Grouped(click.Group):
    """A group whose help lists its commands under headings."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section in SECTIONS:
            rows = [
                (name, command.get_short_help_str(90))
                for name, command in self.commands.items()
                if getattr(command, "section", None) == section
            ]
            with formatter.section(section):
                formatter.write_dl(rows)


@click.group(cls=_Grouped, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="fedelta", message="fedelta %(version)s")
def fedelta() -> None:
    """Churn, lifetime value and loyalty from interaction histories.

    Exit codes: 0 done; 1 it could not be done, or a check that was asked for failed; 2 wrong words; 130 stopped.
    """


def _in(section: str) -> Callable[[_F], _F]:
    """Put a command under a heading of the help."""

    def mark(command: _F) -> _F:
        command.section = section  # type: ignore[attr-defined]
        return command

    return mark


class _Source(click.ParamType[str]):
    """The name of a source; the shell completes those of the project."""

    name = "source"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        from click.shell_completion import CompletionItem

        found = sorted(path.parent.name for path in Path("sources").glob("*/source.yaml"))
        return [CompletionItem(name) for name in found if name.startswith(incomplete)]


_FOLDER = click.Path(path_type=Path)
_DATE = "DATE"
_SCOPES = (
    "read:score", "read:list", "read:metrics", "write:interactions", "write:cases", "write:outcome", "erase", "admin",
)  # fmt: skip
_ROLES = ("viewer", "agent", "manager", "admin")


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


def _enter_project(paths: Mapping[str, Path | None] | None = None, *, of_source: bool = False) -> dict[str, Any]:
    """Work in the project's folder, as a command given in a folder below it means; paths stay what was given."""
    from fedelta.pipeline.project import must_be_of_source, must_be_project

    here = Path.cwd()
    root = must_be_project(here)
    moved = dict(paths or {})
    if root != here:
        for name, value in moved.items():
            if value is not None:
                given = Path(os.path.normpath(here / value))
                moved[name] = given.relative_to(root) if given.is_relative_to(root) else given
        print(f"fedelta: in the project {root}", file=sys.stderr)
        os.chdir(root)
    if of_source:
        must_be_of_source()
    return moved


def _json(document: object) -> None:
    import json

    click.echo(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False))


# --- A project and its data ---------------------------------------------------------------------------------------


@_in(SECTIONS[0])
@fedelta.command("init")
def _init() -> None:
    """Make the present folder a project: settings, sources and stages."""
    from fedelta.pipeline.commands.init import init

    click.echo(init())


@_in(SECTIONS[0])
@fedelta.command("use")
@click.argument("name", type=_Source())
@click.option("--data", type=_FOLDER, help="Folder of its files (default: data/raw/NAME).")
def _use(name: str, data: Path | None) -> None:
    """Make a source the project's: write it and what it recommends into params.yaml."""
    from fedelta.pipeline.commands.use import use

    click.echo(use(name, **_enter_project({"data": data})))


@_in(SECTIONS[0])
@fedelta.group("source")
def _source() -> None:
    """Look at a source without running it."""


@_source.command("check")
@click.argument("name", type=_Source())
@click.option("--data", type=_FOLDER, help="Folder of its files (default: the project's, or data/raw/NAME).")
def _source_check(name: str, data: Path | None) -> None:
    """Say which rows would be kept, quarantined and why."""
    from fedelta.pipeline.commands.use import folder_of
    from fedelta.pipeline.intake.source_check import check

    given = _enter_project({"data": data})["data"]
    click.echo(check(name, given or folder_of(name)))


@_in(SECTIONS[0])
@fedelta.command("fetch")
@click.argument("name", type=_Source(), required=False)
@click.option("--data", type=_FOLDER, help="Folder for the copies (default: the project's, or data/raw/NAME).")
def _fetch(name: str | None, data: Path | None) -> None:
    """Copy a source's database tables into its data folder (NAME: by default the project's source)."""
    from fedelta.pipeline.commands.use import fetch

    click.echo(fetch(name, **_enter_project({"data": data})))


@_in(SECTIONS[0])
@fedelta.command("simulate")
@click.option("--customers", type=int, default=20_000, show_default=True)
@click.option("--seed", type=int, default=7, show_default=True)
@click.option("--out", type=_FOLDER, help="Folder to write (default: the project's data/raw/demo).")
@click.option("--no-campaigns", is_flag=True, help="Without campaigns, whose effect on each customer is known.")
def _simulate(customers: int, seed: int, out: Path | None, *, no_campaigns: bool) -> None:
    """Make a company: raw files, and the truth behind them."""
    from fedelta.pipeline.commands.simulate import DEMO
    from fedelta.pipeline.commands.simulate import main as simulate

    if out is None:
        _enter_project()
    simulate(customers=customers, seed=seed, out=out or DEMO, campaigns=not no_campaigns)


@_in(SECTIONS[0])
@fedelta.command("features")
@click.option("--format", "form", type=click.Choice(["text", "markdown", "csv", "json"]), default="text")
def _features(form: Literal["text", "markdown", "csv", "json"]) -> None:
    """Print the data dictionary."""
    from fedelta.pipeline.commands.dictionary import printed

    click.echo(printed(form))


# --- Running it ---------------------------------------------------------------------------------------------------


@_in(SECTIONS[1])
@fedelta.command("run")
@click.option("--no-dvc", is_flag=True, help="Run every stage anew, without DVC and its cache.")
def _run(*, no_dvc: bool) -> None:
    """Run every stage that is out of date, and say where to look; in an empty folder, on a simulated company."""
    from fedelta.pipeline.commands.run import run
    from fedelta.pipeline.paths import WHOLE_RUN_LOCK, project_folder
    from fedelta.pipeline.run_lock import sole_run

    if project_folder(Path.cwd()):
        _enter_project()
    with sole_run("run", WHOLE_RUN_LOCK):
        run(dvc=not no_dvc)


@_in(SECTIONS[1])
@fedelta.command("stage")
@click.argument("name", type=_Stage())
@click.option("--bucket", metavar="I/N", help="Of build_features: one of N shares, counted from 0, on this machine.")
@click.option("--merge", is_flag=True, help="Of build_features: join the shares that machines have written.")
def _stage(name: str, bucket: str | None, merge: bool) -> None:
    """Run one stage by itself (dvc repro runs them in order)."""
    _enter_project()
    if bucket is None and not merge:
        _stage_named(name)
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


@_in(SECTIONS[1])
@fedelta.command("leak-check")
def _leak_check() -> None:
    """Look for the outcome in what models learn from."""
    _enter_project()
    _stage_named("leak_check")


@_in(SECTIONS[1])
@fedelta.command("score")
@click.option("--data", type=_FOLDER, required=True, help="Folder of their files, laid out as the source's own.")
@click.option("--out", type=_FOLDER, help="A Parquet file (default: data/scored/NAME OF THE FOLDER.parquet).")
@click.option("--at", metavar=_DATE, help="As of midnight of a day (default: after the last interaction).")
def _score(data: Path, out: Path | None, at: str | None) -> None:
    """Score other customers with the models of the last run, without training."""
    from fedelta.pipeline.commands.score_population import main as score

    given = _enter_project({"data": data, "out": out}, of_source=True)
    score(given["data"], given["out"], at)


@_in(SECTIONS[1])
@fedelta.command("monitor")
@click.option("--fail-on-alarm", is_flag=True, help="Exit with 1 if something is out of the ordinary.")
def _monitor(*, fail_on_alarm: bool) -> None:
    """Judge the newest month by those before: drift, and how good the model still is (reports/drift.json)."""
    from fedelta.pipeline.monitor import main as monitor
    from fedelta.pipeline.run_lock import sole_run

    _enter_project(of_source=True)
    with sole_run("monitor"):
        monitor(fail_on_alarm=fail_on_alarm)


# --- Models -------------------------------------------------------------------------------------------------------


@_in(SECTIONS[2])
@fedelta.command("churn-window")
@click.option("--return", "share", type=float, default=0.2, metavar="SHARE", help="Of whom may still come back.")
def _churn_window(share: float) -> None:
    """Advise after how much silence to call a customer gone."""
    from fedelta.pipeline.commands.churn_window import main as churn_window

    _enter_project(of_source=True)
    churn_window(share)


@_in(SECTIONS[2])
@fedelta.command("backtest")
@click.option("--at", metavar=_DATE, help="2026-01-31")
@click.option("--rolling", type=int, metavar="N", help="At the last N cutoffs whose horizon is over.")
@click.option("--step", type=int, metavar="DAYS", help="Between rolling cutoffs (default: a horizon).")
def _backtest(at: str | None, rolling: int | None, step: int | None) -> None:
    """Pretend the data ended at a date, then compare with what happened (reports/backtest.json)."""
    if (at is None) == (rolling is None):
        raise click.UsageError("Give either --at DATE or --rolling N.", click.get_current_context())
    _enter_project(of_source=True)
    if rolling is not None:
        from fedelta.pipeline.commands.rolling import main as rolling_backtest

        rolling_backtest(rolling, step)
    elif at is not None:
        from fedelta.pipeline.commands.backtest import main as backtest

        backtest(at)


@_in(SECTIONS[2])
@fedelta.command("tune")
@click.option("--candidate", help="Tuned instead of the one in use.")
@click.option("--budget", "trials", type=int, metavar="TRIALS", help="Settings to try (default: tune.trials).")
@click.option("--seconds", type=int, help="For the search (default: tune.seconds).")
@click.option("--write", is_flag=True, help="Into params.yaml, if they are significantly better.")
def _tune(candidate: Any, trials: int | None, seconds: int | None, *, write: bool) -> None:
    """Search the settings of the churn model in use on the training cutoffs."""
    from dataclasses import replace

    from fedelta.pipeline.commands.tune import main as tune
    from fedelta.pipeline.params import load_params

    _enter_project(of_source=True)
    asked = {name: value for name, value in (("trials", trials), ("seconds", seconds)) if value is not None}
    tune(replace(load_params().tune, **asked), candidate=candidate, write=write)


@_in(SECTIONS[2])
@fedelta.command("track")
def _track() -> None:
    """Record the present bundle in MLflow."""
    _enter_project()
    _stage_named("track")


@_in(SECTIONS[2])
@fedelta.command("promote")
@click.argument("version", required=False)
@click.option("--because", required=True, metavar="TEXT", help="The reason, for the log.")
def _promote(version: str | None, because: str) -> None:
    """Make VERSION of the model champion, by default the challenger, whatever the gate's verdict."""
    from fedelta.pipeline.registry.promotion import promote

    _enter_project()
    promote(version, because)


@_in(SECTIONS[2])
@fedelta.command("rollback")
@click.option("--because", required=True, metavar="TEXT", help="The reason, for the log.")
def _rollback(because: str) -> None:
    """Bring back the champion before."""
    from fedelta.pipeline.registry.promotion import rollback

    _enter_project()
    rollback(because)


@_in(SECTIONS[2])
@fedelta.command("promotions")
@click.option("--at", metavar=_DATE, help="Who was champion then.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def _promotions(at: str | None, *, as_json: bool) -> None:
    """Print the log of champions."""
    from fedelta.pipeline.registry.promotion import promotions

    _enter_project()
    promotions(at, as_json=as_json)


# --- Answers ------------------------------------------------------------------------------------------------------


_language = click.option("--language", type=click.Choice(["en", "it"]), default="en", help="Of reasons.")


@_in(SECTIONS[3])
@fedelta.command("at-risk")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Customers.")
@click.option("--tier", "tiers", type=click.Choice(["low", "medium", "high", "critical"]), multiple=True)
@_language
@click.option("--json", "as_json", is_flag=True, help="As JSON, with all of the score.")
def _at_risk(limit: int, tiers: Any, language: Any, *, as_json: bool) -> None:
    """List who may be contacted, most at stake first, and why they may leave."""
    from fedelta.pipeline.commands.at_risk import main as at_risk

    _enter_project(of_source=True)
    at_risk(limit=limit, tiers=tiers, language=language, as_json=as_json)


@_in(SECTIONS[3])
@fedelta.command("saves")
@click.option("--plan", type=click.IntRange(min=2), metavar="N", help="What a campaign of N entries could find.")
@click.option(
    "--base", type=float, metavar="SHARE", help="Of a plan: who stays by themselves (default: by the scores)."
)
@click.option("--held-out", type=float, metavar="SHARE", help="Of a plan (default: policy.holdout.share).")
@click.option("--record", type=_FOLDER, metavar="FILE", help="Write who enters now, both arms: treatments/may.parquet.")
@click.option("--campaign", metavar="NAME", help="Of what is recorded.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def _saves(
    plan: int | None,
    base: float | None,
    held_out: float | None,
    record: Path | None,
    campaign: str | None,
    *,
    as_json: bool,
) -> None:
    """Say what contacting achieved, against the control group (reports/saves.json)."""
    if plan is None and (base is not None or held_out is not None):
        raise click.UsageError("--base and --held-out belong to --plan N.", click.get_current_context())
    if record is None and campaign is not None:
        raise click.UsageError("--campaign belongs to --record FILE.", click.get_current_context())
    from datetime import UTC, datetime

    from fedelta.pipeline.commands import saves

    file = _enter_project({"record": record}, of_source=True)["record"]
    if file is not None:
        click.echo(saves.record(file, campaign, datetime.now(UTC)))
    elif plan is not None:
        found = saves.planned(plan, base, held_out)
        _json(found) if as_json else click.echo(saves.plan_in_words(found))
    else:
        report = saves.saves()
        _json(report) if as_json else click.echo(saves.in_words(report))


@_in(SECTIONS[3])
@fedelta.command("explain")
@click.argument("customer_id", metavar="ID")
@click.option("--without", type=click.Choice(["last_bad"]), help="Had the last bad experience not happened.")
@click.option("--resolved", type=click.Choice(["last_bad"]), help="Had it been settled at once.")
@_language
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def _explain(customer_id: str, without: str | None, resolved: str | None, language: Any, *, as_json: bool) -> None:
    """Say why a customer has their score, and what it would be had things gone better."""
    from fedelta.pipeline.commands.explain import main as explain

    if without and resolved:
        raise click.UsageError("Give either --without or --resolved.", click.get_current_context())
    _enter_project(of_source=True)
    explain(customer_id, without=without, resolved=resolved, language=language, as_json=as_json)


@_in(SECTIONS[3])
@fedelta.command("plan")
@click.option("--capacity", type=click.IntRange(min=0), metavar="N", help="A number of contacts to show as well.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def _plan(capacity: int | None, *, as_json: bool) -> None:
    """Show what contacting customers would bring, by how many are contacted."""
    from fedelta.pipeline.commands.plan import main as plan

    _enter_project()
    plan(capacity, as_json=as_json)


@_in(SECTIONS[3])
@fedelta.command("lineage")
@click.argument("customer_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def _lineage(customer_id: str, *, as_json: bool) -> None:
    """Walk from a customer's score back to the source's files."""
    from fedelta.pipeline.commands.lineage import main as lineage

    _enter_project(of_source=True)
    lineage(customer_id, as_json=as_json)


@_in(SECTIONS[3])
@fedelta.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def _completion(shell: str) -> None:
    """Print the script that completes commands: eval "$(fedelta completion bash)" in ~/.bashrc."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(fedelta, {}, "fedelta", "_FEDELTA_COMPLETE").source())


# --- The service --------------------------------------------------------------------------------------------------

_database = click.option(
    "--database",
    metavar="URL",
    help="sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME (default: FEDELTA_DATABASE_URL, else the project's).",
)
_tenant = click.option("--tenant", default="default", show_default=True, help="Whose customers they are.")
_of_tenant = click.option("--tenant", help="Whose (default: those of all).")


@_in(SECTIONS[4])
@fedelta.command("publish")
@click.option("--scores", type=_FOLDER, default=Path("data/scores.parquet"), show_default=True)
@click.option("--bundle", type=_FOLDER, default=Path("data/bundle"), show_default=True)
@click.option("--metrics", type=_FOLDER, default=Path("reports/evaluation.json"), show_default=True)
@click.option("--reports", type=_FOLDER, default=Path("reports"), show_default=True, help="What the desk shows of it.")
@click.option("--scoring", type=_FOLDER, default=Path("data/scoring"), show_default=True)
@click.option("--interactions", type=_FOLDER, default=Path("data/interactions"), show_default=True)
@click.option("--customers", type=_FOLDER, default=Path("data/customers.parquet"), show_default=True)
@click.option("--receipt", type=_FOLDER, help="A file to say in which snapshot is current.")
@click.option("--cases", is_flag=True, help="Then bring cases to it, as `fedelta cases update` does.")
@_tenant
@_database
def _publish(database: str | None, tenant: str, *, cases: bool, **given: Any) -> None:
    """Write the scores to a snapshot of the service's and make it current, in one transaction."""
    from fedelta.serve.desk.entered import entered_views
    from fedelta.serve.snapshots.publish import main as publish

    _enter_for_service(database)
    tiers, policy = _policy_of_project()
    publish(database, thresholds=tiers, policy=policy, entered=entered_views, tenant=tenant, **given)
    if cases:
        from fedelta.serve.acting.run_cases import main as update

        update(database, tenant=tenant)


@_in(SECTIONS[4])
@fedelta.group("cases")
def _cases() -> None:
    """Cases: one open matter per customer and reason."""


@_cases.command("update")
@click.option("--campaign", metavar="NAME", help="What the entries are noted under, for measuring.")
@click.option("--playbook", metavar="NAME", help="That the new cases follow.")
@click.option("--quiet-days", type=float, default=30, show_default=True, help="After somebody closed one: no new one.")
@_tenant
@_database
def _update_cases(database: str | None, **given: Any) -> None:
    """Open cases for the planned actions of the current run and refresh those that are open."""
    from fedelta.serve.acting.run_cases import main as update

    _enter_for_service(database)
    update(database, **given)


@_cases.command("playbooks")
@click.argument("file", type=_FOLDER, required=False)
@_tenant
@_database
def _playbooks(file: Path | None, tenant: str, database: str | None) -> None:
    """Store the playbooks of FILE, as JSON: {"NAME": [{"name": "Call", "after_days": 0}]}; show those there are."""
    from fedelta.serve.acting.playbooks import main as playbooks

    found = Path.cwd() / file if file else None
    _enter_for_service(database)
    _json(playbooks(found, database, tenant=tenant))


@_in(SECTIONS[4])
@fedelta.command("erase")
@click.argument("customer_ids", nargs=-1, required=True, metavar="ID...")
@_tenant
@_database
def _erase(customer_ids: tuple[str, ...], tenant: str, database: str | None) -> None:
    """Erase customers: at once from what is served, with the next publish and `dvc repro` from all that is derived."""
    from fedelta.serve.acting.erasure import main as erase

    _enter_for_service(database)
    _json([receipt.model_dump(mode="json") for receipt in erase(customer_ids, database, tenant=tenant)])


@_in(SECTIONS[4])
@fedelta.command("export-erased")
@click.argument("folder", type=_FOLDER, default=Path("erased"))
@_tenant
@_database
def _export_erased(folder: Path, tenant: str, database: str | None) -> None:
    """Write the suppression list (keyed hashes of erased ids) to FOLDER (default: erased), for the stage `ingest`."""
    from fedelta.serve.acting.erasure import export_list

    _enter_for_service(database)
    click.echo(export_list(folder, database, tenant=tenant))


@_in(SECTIONS[4])
@fedelta.command("digest")
@click.option("--file", "folder", type=_FOLDER, metavar="FOLDER", help="Write messages there instead of sending them.")
@click.option("--address", default="http://127.0.0.1:8000", show_default=True, help="Of the service, for links.")
@click.option("--sender", default="fedelta@localhost", show_default=True)
@_database
def _digest(folder: Path | None, database: str | None, **given: str) -> None:
    """Send the views that people want to hear of and whose hour has come: run it every hour.

    The mail server is FEDELTA_SMTP_HOST, with _PORT, _USER, _PASSWORD and _TLS (off: none).
    """
    from fedelta.serve.desk.digests import main as digest

    place = Path.cwd() / folder if folder else None
    _enter_for_service(database)
    digest(database, folder=place, **given)


@_in(SECTIONS[4])
@fedelta.command("export-treatments")
@click.argument("folder", type=_FOLDER, default=Path("treatments"))
@_tenant
@_database
def _export_treatments(folder: Path, tenant: str, database: str | None) -> None:
    """Write entries, contacts and outcomes to FOLDER (default: treatments), for the stage `measure`."""
    from fedelta.serve.acting.export_treatments import main as export

    _enter_for_service(database)
    export(folder, database, tenant=tenant)


@_in(SECTIONS[4])
@fedelta.command("export-interactions")
@click.argument("folder", type=_FOLDER)
@click.option(
    "--keep-days",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    help="For how many days what FOLDER and every kept run hold stays in the database, too; 0: for ever.",
)
@_tenant
@_database
def _export_interactions(folder: Path, keep_days: float, tenant: str, database: str | None) -> None:
    """Write what the service received since the last export to FOLDER, beside the files of the source."""
    from fedelta.serve.export_interactions import main as export

    _enter_for_service(database)
    export(folder, database, tenant=tenant, keep_days=keep_days)


def _settings(command: _F) -> _F:
    """An option for each setting of the service."""
    from fedelta.serve.caller.settings import options

    for each in reversed([*options()]):
        several = each.kind not in {int, float, str}
        command = click.option(
            f"--{each.name.replace('_', '-')}",
            each.name,
            type=str if several else each.kind,
            multiple=several,
            default=None,
            help=f"{each.says[0].upper()}{each.says[1:]}.{'' if several else f' Default: {each.default!r}.'}",
        )(command)
    return command


@_in(SECTIONS[4])
@fedelta.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=int, default=8000, show_default=True, help="0 takes a free one.")
@_settings
@_database
def _serve(host: str, port: int, database: str | None, **given: object) -> None:
    """Serve the published scores over HTTP until stopped.

    Each setting may also come from a variable, FEDELTA_SERVE_WORKERS and so on; see docs/service.md.
    """
    from fedelta.serve.caller.settings import Settings
    from fedelta.serve.main import main as serve

    _enter_for_service(database)
    chosen = {name: value for name, value in given.items() if value != ()}
    serve(host, port, database, Settings.from_environment(chosen))


@_in(SECTIONS[4])
@fedelta.command("deliver")
@click.option("--once", is_flag=True, help="Send what is due, then end.")
@_database
def _deliver(database: str | None, *, once: bool) -> None:
    """Send messages to the endpoints of webhooks, as `serve` does too unless --webhook-delivery is off.

    The variables FEDELTA_SERVE_WEBHOOK_… set how; see docs/webhooks.md.
    """
    from fedelta.serve.webhooks.command import main as deliver

    _enter_for_service(database)
    deliver(database, once=once)


@_in(SECTIONS[4])
@fedelta.command("export-scores")
@click.option("--to", required=True, metavar="URL|DIR", help="postgresql://…, sqlite:///PATH, or a folder for Parquet.")
@_tenant
@_database
def _export_scores(to: str, tenant: str, database: str | None) -> None:
    """Bring the tables fedelta_scores and fedelta_score_changes up to date with the current scores (reverse ETL)."""
    from fedelta.serve.export_scores import export_scores
    from fedelta.serve.operational.database import Database

    if "://" not in to:
        to = os.path.normpath(Path.cwd() / to)
    _enter_for_service(database)
    click.echo(export_scores(Database.at(database), to, tenant=tenant))


@_in(SECTIONS[4])
@fedelta.command("backup")
@click.argument("folder", metavar="DIR", type=_FOLDER)
@_database
def _backup(folder: Path, database: str | None) -> None:
    """Write the operational data and the snapshots to DIR, each file with its hash, while the service runs."""
    from fedelta.serve.backup import backup
    from fedelta.serve.operational.database import Database

    folder = Path(os.path.normpath(Path.cwd() / folder))
    _enter_for_service(database)
    click.echo(f"Backed up {backup(Database.at(database), folder)}, to {folder}.")


@_in(SECTIONS[4])
@fedelta.command("restore")
@click.argument("folder", metavar="DIR", type=_FOLDER)
@click.option("--force", is_flag=True, help="Replace what the database holds.")
@_database
def _restore(folder: Path, database: str | None, *, force: bool) -> None:
    """Put back the backup in DIR, when all of its files are as they were written; all of it or nothing."""
    from fedelta.serve.backup import restore
    from fedelta.serve.operational.database import Database

    folder = Path(os.path.normpath(Path.cwd() / folder))
    _enter_for_service(database)
    click.echo(f"Restored {restore(Database.at(database), folder, force=force)}.")


@_in(SECTIONS[4])
@fedelta.group("keys")
def _keys() -> None:
    """Create, list and revoke API keys."""


@_keys.command("create")
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, metavar="SCOPE", help=f"May be repeated: {', '.join(_SCOPES)}.")
@click.option("--expires", "days", type=float, metavar="DAYS", help="After how many days (default: never).")
@click.option("--rate", type=float, metavar="N", help="Requests a second, 0 for any (default: as `serve` has it).")
@_tenant
@_database
def _create_key(
    name: str, scopes: tuple[str, ...], days: float | None, rate: float | None, tenant: str, database: str | None
) -> None:
    """Make a key for the system NAME and show it once, alone on standard output."""
    from fedelta.serve.caller import keys

    _enter_for_service(database)
    key, made = keys.create_key(
        keys.opened(database), name, scopes, tenant=tenant, expires_days=days, rate_per_second=rate
    )
    click.echo(key)
    until = f" until {made.expires_at}" if made.expires_at else ""
    click.echo(
        f"Key {made.name!r} may {', '.join(made.scopes)}{until}. It is shown this once: keep it as a secret.",
        err=True,
    )


@_keys.command("rotate")
@click.argument("name")
@click.option("--overlap", type=float, default=24, show_default=True, metavar="HOURS", help="The old key stays good.")
@_of_tenant
@_database
def _rotate_key(name: str, overlap: float, tenant: str | None, database: str | None) -> None:
    """Make a new key like the one with this name or prefix, whose end is set, and show it once."""
    from fedelta.serve.caller import keys

    _enter_for_service(database)
    key, made, old = keys.rotate_key(keys.opened(database), name, overlap_hours=overlap, tenant=tenant)
    click.echo(key)
    click.echo(f"Key {made.name!r} is {made.prefix} now; {old.prefix} is good until {old.expires_at}.", err=True)


@_keys.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@_of_tenant
@_database
def _list_keys(tenant: str | None, database: str | None, *, as_json: bool) -> None:
    """Show every key ever made, without its secret."""
    from dataclasses import asdict

    from fedelta.serve.caller import keys

    _enter_for_service(database)
    found = keys.list_keys(keys.opened(database), tenant)
    if as_json:
        _json([asdict(key) for key in found])
        return
    for key in found:
        what = f"{key.prefix}  {key.tenant}  {key.name}  {','.join(key.scopes)}"
        if key.rate_per_second is not None:
            what += f"  {key.rate_per_second:g}/s" if key.rate_per_second else "  any rate"
        click.echo(f"{what}  created {key.created_at}  last used {key.last_used_at or 'never'}  {key.state()}")


@_keys.command("revoke")
@click.argument("name")
@_of_tenant
@_database
def _revoke_key(name: str, tenant: str | None, database: str | None) -> None:
    """End the keys with this name, or the one with this prefix; the service refuses them within seconds."""
    from fedelta.serve.caller import keys

    _enter_for_service(database)
    click.echo(f"Revoked {keys.revoke_key(keys.opened(database), name, tenant).name!r}.")


@_in(SECTIONS[4])
@fedelta.group("users")
def _users() -> None:
    """Add, list and disable who signs in to the desk."""


@_users.command("add")
@click.argument("email")
@click.option("--name", required=True, help="As others see it.")
@click.option("--role", type=click.Choice(_ROLES), default="agent", show_default=True)
@click.option("--language", type=click.Choice(["en", "it"]), help="Default: as the browser has it.")
@click.option("--no-password", is_flag=True, help="Who signs in by the identity provider alone.")
@_tenant
@_database
def _add_user(
    email: str, name: str, role: str, language: str | None, tenant: str, database: str | None, *, no_password: bool
) -> None:
    """Add a user, asking for the password (or reading it from standard input, where that is no terminal)."""
    from fedelta.serve.caller import keys
    from fedelta.serve.desk import users

    _enter_for_service(database)
    password = None if no_password else _new_password()
    made = users.add_user(keys.opened(database), email, name, role, password, tenant=tenant, language=language)
    click.echo(f"{made.email} may sign in as {made.role}.")


@_users.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@_of_tenant
@_database
def _list_users(tenant: str | None, database: str | None, *, as_json: bool) -> None:
    """Show every user."""
    from dataclasses import asdict

    from fedelta.serve.caller import keys
    from fedelta.serve.desk import users

    _enter_for_service(database)
    found = users.list_users(keys.opened(database), tenant)
    if as_json:
        _json([asdict(user) for user in found])
        return
    for user in found:
        state = f"disabled {user.disabled_at}" if user.disabled_at else "active"
        click.echo(f"{user.email}  {user.tenant}  {user.name}  {user.role}  added {user.created_at}  {state}")


@_users.command("disable")
@click.argument("email")
@_database
def _disable_user(email: str, database: str | None) -> None:
    """Let a user sign in no more; open sessions end within seconds."""
    from fedelta.serve.caller import keys
    from fedelta.serve.desk import users

    _enter_for_service(database)
    click.echo(f"{users.disable_user(keys.opened(database), email).email} can sign in no more.")


@_users.command("passwd")
@click.argument("email")
@_database
def _set_password(email: str, database: str | None) -> None:
    """Give a user another password, asked for as by `add`; a disabled user may sign in again."""
    from fedelta.serve.caller import keys
    from fedelta.serve.desk import users

    _enter_for_service(database)
    users.set_password(keys.opened(database), email, _new_password())
    click.echo(f"{email} has another password, and must sign in again.")


def _new_password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return password


def _policy_of_project() -> tuple[dict[str, float] | None, dict[str, object] | None]:
    """Of params.yaml: the least churn probability of each risk tier, and what limits the contacts of a run.

    None where there is none.
    """
    from fedelta.pipeline.paths import project_folder

    if project_folder(Path.cwd()) is None or importlib.util.find_spec("ruamel") is None:
        return None, None  # no project, or a server without the extra `pipeline`
    from fedelta.pipeline.params import load_params

    policy = load_params().policy
    limits: dict[str, object] = {
        "capacity": policy.capacity,
        "budget": policy.budget,
        "per_day": sum(team.per_day for team in policy.teams.values()) if policy.teams else None,
        "run_days": policy.run_days,
        "holdout": policy.holdout.share,
    }
    return dict(policy.tiers), limits


def _stage_named(name: str) -> None:
    from fedelta.pipeline.project import features_must_be_current, inputs_must_be_there, must_be_of_source
    from fedelta.pipeline.run_lock import sole_run

    with sole_run(f"stage {name}"):
        if name != "ingest":
            must_be_of_source()
        if name not in {"ingest", "build_features", "experience"}:
            features_must_be_current()
        try:
            importlib.import_module(f"fedelta.pipeline.{name}").main()
        except FedeltaError:
            raise
        except Exception:
            inputs_must_be_there(name)  # whatever reads what is missing says so in words of its own
            raise


class _NoDatabase(FedeltaError):
    """No database is named, and no project is here to hold one: none is made by accident."""


def _enter_for_service(database: str | None) -> None:
    """Work in the project that holds the database, unless one is named."""
    from fedelta.pipeline.paths import project_folder

    if database:
        return
    here = Path.cwd()
    if root := project_folder(here):
        os.chdir(root)
    elif "FEDELTA_DATABASE_URL" not in os.environ:
        raise _NoDatabase(
            f"There is no params.yaml in {here} or in a folder above it, so no project with a database. Run this in a "
            "project, or name the database: --database sqlite:///PATH or FEDELTA_DATABASE_URL."
        )


if __name__ == "__main__":
    sys.exit(main())
