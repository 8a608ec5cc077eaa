"""A daily run in Dagster: three assets, each the outcome of one command."""

import subprocess

from dagster import AssetExecutionContext, Definitions, RetryPolicy, ScheduleDefinition, asset, define_asset_job

PROJECT = "/srv/fedelta/project"  # a project made by `fedelta init`
AGAIN = RetryPolicy(max_retries=2, delay=600)


def command(context: AssetExecutionContext, *words: str) -> None:
    """Run a command in the project, its words in the log; an error fails the asset."""
    done = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True, check=False)
    context.log.info(done.stdout + done.stderr)
    done.check_returncode()


@asset(retry_policy=AGAIN)
def scores(context: AssetExecutionContext) -> None:
    """The scores, published to the service: every stage that is out of date."""
    command(context, "fedelta", "run")


@asset(deps=[scores], retry_policy=AGAIN)
def fedelta_scores(context: AssetExecutionContext) -> None:
    """The tables of scores and changes for reverse ETL."""
    command(context, "fedelta", "export-scores", "--to", "crm")


@asset(deps=[scores])
def drift(context: AssetExecutionContext) -> None:
    """Whether the newest month is like those before."""
    command(context, "fedelta", "monitor", "--fail-on-alarm")


daily = define_asset_job("daily", selection="*")
defs = Definitions(
    assets=[scores, fedelta_scores, drift],
    jobs=[daily],
    schedules=[ScheduleDefinition(job=daily, cron_schedule="0 4 * * *")],
)
