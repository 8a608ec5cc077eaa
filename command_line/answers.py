"""Answers of the last run."""

from pathlib import Path
from typing import Any

import click

from fedelta.command_line.group import ANSWERS, FOLDER, enter_project, fedelta, in_section, print_json

_language = click.option("--language", type=click.Choice(["en", "it"]), default="en", help="Of reasons.")


@in_section(ANSWERS)
@fedelta.command("at-risk")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Customers.")
@click.option("--tier", "tiers", type=click.Choice(["low", "medium", "high", "critical"]), multiple=True)
@_language
@click.option("--json", "as_json", is_flag=True, help="As JSON, with all of the score.")
def _at_risk(limit: int, tiers: Any, language: Any, *, as_json: bool) -> None:
    """List who may be contacted, most at stake first, and why they may leave."""
    from fedelta.pipeline.commands.at_risk import main as at_risk

    enter_project(of_source=True, reads="at-risk")
    at_risk(limit=limit, tiers=tiers, language=language, as_json=as_json)


@in_section(ANSWERS)
@fedelta.command("saves")
@click.option("--plan", type=click.IntRange(min=2), metavar="N", help="What a campaign of N entries could find.")
@click.option(
    "--base", type=float, metavar="SHARE", help="Of a plan: who stays by themselves (default: by the scores)."
)
@click.option("--held-out", type=float, metavar="SHARE", help="Of a plan (default: policy.holdout.share).")
@click.option("--record", type=FOLDER, metavar="FILE", help="Write who enters now, both arms: treatments/may.parquet.")
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
    if plan is not None and record is not None:
        raise click.UsageError("Give either --plan or --record.", click.get_current_context())
    if record is None and campaign is not None:
        raise click.UsageError("--campaign belongs to --record FILE.", click.get_current_context())
    from datetime import UTC, datetime

    from fedelta.pipeline.commands import saves

    file = enter_project({"record": record}, of_source=True, reads="saves")["record"]
    if file is not None:
        click.echo(saves.record(file, campaign, datetime.now(UTC)))
    elif plan is not None:
        found = saves.planned(plan, base, held_out)
        print_json(found) if as_json else click.echo(saves.plan_in_words(found))
    else:
        report = saves.saves()
        print_json(report) if as_json else click.echo(saves.in_words(report))


@in_section(ANSWERS)
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
    enter_project(of_source=True, reads="explain")
    explain(customer_id, without=without, resolved=resolved, language=language, as_json=as_json)


@in_section(ANSWERS)
@fedelta.command("plan")
@click.option("--capacity", type=click.IntRange(min=0), metavar="N", help="A number of contacts to show as well.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def _plan(capacity: int | None, *, as_json: bool) -> None:
    """Show what contacting customers would bring, by how many are contacted."""
    from fedelta.pipeline.commands.plan import main as plan

    enter_project(reads="plan")
    plan(capacity, as_json=as_json)


@in_section(ANSWERS)
@fedelta.command("lineage")
@click.argument("customer_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def _lineage(customer_id: str, *, as_json: bool) -> None:
    """Walk from a customer's score back to the source's files."""
    from fedelta.pipeline.commands.lineage import main as lineage

    enter_project(of_source=True, reads="lineage")
    lineage(customer_id, as_json=as_json)


@in_section(ANSWERS)
@fedelta.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def _completion(shell: str) -> None:
    """Print the script that completes commands: eval "$(fedelta completion bash)" in ~/.bashrc."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(fedelta, {}, "fedelta", "_FEDELTA_COMPLETE").source())
