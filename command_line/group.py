"""The command that all others are of, and what they share: headings of the help, the project, answers as JSON."""

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

PROJECT, RUNNING, MODELS, ANSWERS, SERVICE = SECTIONS = (
    "A project and its data",
    "Running it",
    "Models",
    "Answers",
    "The service",
)
FOLDER = click.Path(path_type=Path)
DATE = "DATE"
Command = TypeVar("Command", bound=Callable[..., Any])


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


def in_section(section: str) -> Callable[[Command], Command]:
    """Put a command under a heading of the help."""

    def mark(command: Command) -> Command:
        command.section = section  # type: ignore[attr-defined]
        return command

    return mark


class SourceName(click.ParamType[str]):
    """The name of a source; the shell completes those of the project."""

    name = "source"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        from click.shell_completion import CompletionItem

        found = sorted(path.parent.name for path in Path("sources").glob("*/source.yaml"))
        return [CompletionItem(name) for name in found if name.startswith(incomplete)]


def enter_project(
    paths: Mapping[str, Path | None] | None = None, *, of_source: bool = False, reads: str = ""
) -> dict[str, Any]:
    """Work in the project's folder, as a command given in a folder below it means; paths stay what was given.

    `of_source` refuses what was made of another source, `reads` tables that are none of those this command reads.
    """
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
    if reads:
        from fedelta.pipeline.contents import tables_must_hold, tables_of_command

        tables_must_hold(*tables_of_command(reads))
    return moved


def print_json(document: object) -> None:
    import json

    click.echo(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False))
