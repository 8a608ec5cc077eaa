"""The service: what it is given, serves and gives back."""

import importlib.util
import os
from pathlib import Path
from typing import Any

import click

from fedelta.command_line.database import database_option, enter_for_service, tenant_option
from fedelta.command_line.group import FOLDER, SERVICE, Command, fedelta, in_section, print_json


@in_section(SERVICE)
@fedelta.command("publish")
@click.option("--scores", type=FOLDER, default=Path("data/scores.parquet"), show_default=True)
@click.option("--bundle", type=FOLDER, default=Path("data/bundle"), show_default=True)
@click.option("--metrics", type=FOLDER, default=Path("reports/evaluation.json"), show_default=True)
@click.option("--reports", type=FOLDER, default=Path("reports"), show_default=True, help="What the desk shows of it.")
@click.option("--scoring", type=FOLDER, default=Path("data/scoring"), show_default=True)
@click.option("--interactions", type=FOLDER, default=Path("data/interactions"), show_default=True)
@click.option("--customers", type=FOLDER, default=Path("data/customers.parquet"), show_default=True)
@click.option("--receipt", type=FOLDER, help="A file to say in which snapshot is current.")
@click.option("--cases", is_flag=True, help="Then bring cases to it, as `fedelta cases update` does.")
@tenant_option
@database_option
def _publish(database: str | None, tenant: str, *, cases: bool, **given: Any) -> None:
    """Write the scores to a snapshot of the service's and make it current, in one transaction."""
    from fedelta.serve.desk.entered import entered_views
    from fedelta.serve.snapshots.publish import main as publish

    enter_for_service(database)
    tiers, policy = _policy_of_project()
    publish(database, thresholds=tiers, policy=policy, entered=entered_views, tenant=tenant, **given)
    if cases:
        from fedelta.serve.acting.run_cases import main as update

        update(database, tenant=tenant)


@in_section(SERVICE)
@fedelta.group("cases")
def _cases() -> None:
    """Cases: one open matter per customer and reason."""


@_cases.command("update")
@click.option("--campaign", metavar="NAME", help="What the entries are noted under, for measuring.")
@click.option("--playbook", metavar="NAME", help="That the new cases follow.")
@click.option("--quiet-days", type=float, default=30, show_default=True, help="After somebody closed one: no new one.")
@tenant_option
@database_option
def _update_cases(database: str | None, **given: Any) -> None:
    """Open cases for the planned actions of the current run and refresh those that are open."""
    from fedelta.serve.acting.run_cases import main as update

    enter_for_service(database)
    update(database, **given)


@_cases.command("playbooks")
@click.argument("file", type=FOLDER, required=False)
@tenant_option
@database_option
def _playbooks(file: Path | None, tenant: str, database: str | None) -> None:
    """Store the playbooks of FILE, as JSON: {"NAME": [{"name": "Call", "after_days": 0}]}; show those there are."""
    from fedelta.serve.acting.playbooks import main as playbooks

    found = Path.cwd() / file if file else None
    enter_for_service(database)
    print_json(playbooks(found, database, tenant=tenant))


@in_section(SERVICE)
@fedelta.command("erase")
@click.argument("customer_ids", nargs=-1, required=True, metavar="ID...")
@tenant_option
@database_option
def _erase(customer_ids: tuple[str, ...], tenant: str, database: str | None) -> None:
    """Erase customers: at once from what is served, with the next publish and `dvc repro` from all that is derived."""
    from fedelta.serve.acting.erasure import main as erase

    enter_for_service(database)
    print_json([receipt.model_dump(mode="json") for receipt in erase(customer_ids, database, tenant=tenant)])


@in_section(SERVICE)
@fedelta.command("export-erased")
@click.argument("folder", type=FOLDER, default=Path("erased"))
@tenant_option
@database_option
def _export_erased(folder: Path, tenant: str, database: str | None) -> None:
    """Write the suppression list (keyed hashes of erased ids) to FOLDER (default: erased), for the stage `ingest`."""
    from fedelta.serve.acting.erasure import export_list

    enter_for_service(database)
    click.echo(export_list(folder, database, tenant=tenant))


@in_section(SERVICE)
@fedelta.command("digest")
@click.option("--file", "folder", type=FOLDER, metavar="FOLDER", help="Write messages there instead of sending them.")
@click.option("--address", default="http://127.0.0.1:8000", show_default=True, help="Of the service, for links.")
@click.option("--sender", default="fedelta@localhost", show_default=True)
@database_option
def _digest(folder: Path | None, database: str | None, **given: str) -> None:
    """Send the views that people want to hear of and whose hour has come: run it every hour.

    The mail server is FEDELTA_SMTP_HOST, with _PORT, _USER, _PASSWORD and _TLS (off: none).
    """
    from fedelta.serve.desk.digests import main as digest

    place = Path.cwd() / folder if folder else None
    enter_for_service(database)
    digest(database, folder=place, **given)


@in_section(SERVICE)
@fedelta.command("export-treatments")
@click.argument("folder", type=FOLDER, default=Path("treatments"))
@tenant_option
@database_option
def _export_treatments(folder: Path, tenant: str, database: str | None) -> None:
    """Write entries, contacts and outcomes to FOLDER (default: treatments), for the stage `measure`."""
    from fedelta.serve.acting.export_treatments import main as export

    enter_for_service(database)
    export(folder, database, tenant=tenant)


@in_section(SERVICE)
@fedelta.command("export-interactions")
@click.argument("folder", type=FOLDER)
@click.option(
    "--keep-days",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    help="For how many days what FOLDER and every kept run hold stays in the database, too; 0: for ever.",
)
@tenant_option
@database_option
def _export_interactions(folder: Path, keep_days: float, tenant: str, database: str | None) -> None:
    """Write what the service received since the last export to FOLDER, beside the files of the source."""
    from fedelta.serve.export_interactions import main as export

    enter_for_service(database)
    export(folder, database, tenant=tenant, keep_days=keep_days)


def _settings(command: Command) -> Command:
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


@in_section(SERVICE)
@fedelta.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=int, default=8000, show_default=True, help="0 takes a free one.")
@_settings
@database_option
def _serve(host: str, port: int, database: str | None, **given: object) -> None:
    """Serve the published scores over HTTP until stopped.

    Each setting may also come from a variable, FEDELTA_SERVE_WORKERS and so on; see docs/service.md.
    """
    from fedelta.serve.caller.settings import Settings
    from fedelta.serve.main import main as serve

    enter_for_service(database)
    chosen = {name: value for name, value in given.items() if value != ()}
    serve(host, port, database, Settings.from_environment(chosen))


@in_section(SERVICE)
@fedelta.command("deliver")
@click.option("--once", is_flag=True, help="Send what is due, then end.")
@database_option
def _deliver(database: str | None, *, once: bool) -> None:
    """Send messages to the endpoints of webhooks, as `serve` does too unless --webhook-delivery is off.

    The variables FEDELTA_SERVE_WEBHOOK_… set how; see docs/webhooks.md.
    """
    from fedelta.serve.webhooks.command import main as deliver

    enter_for_service(database)
    deliver(database, once=once)


@in_section(SERVICE)
@fedelta.command("export-scores")
@click.option("--to", required=True, metavar="URL|DIR", help="postgresql://…, sqlite:///PATH, or a folder for Parquet.")
@tenant_option
@database_option
def _export_scores(to: str, tenant: str, database: str | None) -> None:
    """Bring the tables fedelta_scores and fedelta_score_changes up to date with the current scores (reverse ETL)."""
    from fedelta.serve.export_scores import export_scores
    from fedelta.serve.operational.database import Database

    if "://" not in to:
        to = os.path.normpath(Path.cwd() / to)
    enter_for_service(database)
    click.echo(export_scores(Database.at(database), to, tenant=tenant))


@in_section(SERVICE)
@fedelta.command("backup")
@click.argument("folder", metavar="DIR", type=FOLDER)
@database_option
def _backup(folder: Path, database: str | None) -> None:
    """Write the operational data and the snapshots to DIR, each file with its hash, while the service runs."""
    from fedelta.serve.backup import backup
    from fedelta.serve.operational.database import Database

    folder = Path(os.path.normpath(Path.cwd() / folder))
    enter_for_service(database)
    click.echo(f"Backed up {backup(Database.at(database), folder)}, to {folder}.")


@in_section(SERVICE)
@fedelta.command("restore")
@click.argument("folder", metavar="DIR", type=FOLDER)
@click.option("--force", is_flag=True, help="Replace what the database holds.")
@database_option
def _restore(folder: Path, database: str | None, *, force: bool) -> None:
    """Put back the backup in DIR, when all of its files are as they were written; all of it or nothing."""
    from fedelta.serve.backup import restore
    from fedelta.serve.operational.database import Database

    folder = Path(os.path.normpath(Path.cwd() / folder))
    enter_for_service(database)
    click.echo(f"Restored {restore(Database.at(database), folder, force=force)}.")


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
