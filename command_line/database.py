"""Which database a command of the service works on, and whose customers."""

import os
from pathlib import Path

import click

from fedelta.features.errors import FedeltaError

database_option = click.option(
    "--database",
    metavar="URL",
    help="sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME (default: FEDELTA_DATABASE_URL, else the project's).",
)
tenant_option = click.option("--tenant", default="default", show_default=True, help="Whose customers they are.")
of_tenant_option = click.option("--tenant", help="Whose (default: those of all).")


class NoDatabase(FedeltaError):
    """No database is named, and no project is here to hold one: none is made by accident."""


def enter_for_service(database: str | None) -> None:
    """Work in the project that holds the database, unless one is named."""
    from fedelta.pipeline.paths import project_folder

    if database:
        return
    here = Path.cwd()
    if root := project_folder(here):
        os.chdir(root)
    elif "FEDELTA_DATABASE_URL" not in os.environ:
        raise NoDatabase(
            f"There is no params.yaml in {here} or in a folder above it, so no project with a database. Run this in a "
            "project, or name the database: --database sqlite:///PATH or FEDELTA_DATABASE_URL."
        )
