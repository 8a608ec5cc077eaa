"""A project and its data."""

from pathlib import Path
from typing import Literal

import click

from fedelta.command_line.group import FOLDER, PROJECT, SourceName, enter_project, fedelta, in_section


@in_section(PROJECT)
@fedelta.command("init")
def _init() -> None:
    """Make the present folder a project: settings, sources and stages."""
    from fedelta.pipeline.commands.init import init

    click.echo(init())


@in_section(PROJECT)
@fedelta.command("use")
@click.argument("name", type=SourceName())
@click.option("--data", type=FOLDER, help="Folder of its files (default: data/raw/NAME).")
def _use(name: str, data: Path | None) -> None:
    """Make a source the project's: write it and what it recommends into params.yaml."""
    from fedelta.pipeline.commands.use import use

    click.echo(use(name, **enter_project({"data": data})))


@in_section(PROJECT)
@fedelta.group("source")
def _source() -> None:
    """Look at a source without running it."""


@_source.command("check")
@click.argument("name", type=SourceName())
@click.option("--data", type=FOLDER, help="Folder of its files (default: the project's, or data/raw/NAME).")
def _source_check(name: str, data: Path | None) -> None:
    """Say which rows would be kept, quarantined and why."""
    from fedelta.pipeline.commands.use import folder_of
    from fedelta.pipeline.intake.source_check import check

    given = enter_project({"data": data})["data"]
    click.echo(check(name, given or folder_of(name)))


@in_section(PROJECT)
@fedelta.command("fetch")
@click.argument("name", type=SourceName(), required=False)
@click.option("--data", type=FOLDER, help="Folder for the copies (default: the project's, or data/raw/NAME).")
def _fetch(name: str | None, data: Path | None) -> None:
    """Copy a source's database tables into its data folder (NAME: by default the project's source)."""
    from fedelta.pipeline.commands.use import fetch

    click.echo(fetch(name, **enter_project({"data": data})))


@in_section(PROJECT)
@fedelta.command("simulate")
@click.option("--customers", type=int, default=20_000, show_default=True)
@click.option("--seed", type=int, default=7, show_default=True)
@click.option("--out", type=FOLDER, help="Folder to write (default: the project's data/raw/demo).")
@click.option("--no-campaigns", is_flag=True, help="Without campaigns, whose effect on each customer is known.")
def _simulate(customers: int, seed: int, out: Path | None, *, no_campaigns: bool) -> None:
    """Make a company: raw files, and the truth behind them."""
    from fedelta.pipeline.commands.simulate import DEMO
    from fedelta.pipeline.commands.simulate import main as simulate

    if out is None:
        enter_project()
    simulate(customers=customers, seed=seed, out=out or DEMO, campaigns=not no_campaigns)


@in_section(PROJECT)
@fedelta.command("features")
@click.option("--format", "form", type=click.Choice(["text", "markdown", "csv", "json"]), default="text")
def _features(form: Literal["text", "markdown", "csv", "json"]) -> None:
    """Print the data dictionary."""
    from fedelta.pipeline.commands.dictionary import printed

    click.echo(printed(form))
