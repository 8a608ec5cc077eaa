"""What models there are, how good they are, which is in use."""

from typing import Any

import click

from fedelta.command_line.group import DATE, MODELS, enter_project, fedelta, in_section
from fedelta.command_line.running import run_stage


@in_section(MODELS)
@fedelta.command("churn-window")
@click.option("--return", "share", type=float, default=0.2, metavar="SHARE", help="Of whom may still come back.")
def _churn_window(share: float) -> None:
    """Advise after how much silence to call a customer gone."""
    from fedelta.pipeline.commands.churn_window import main as churn_window

    enter_project(of_source=True, reads="churn-window")
    churn_window(share)


@in_section(MODELS)
@fedelta.command("backtest")
@click.option("--at", metavar=DATE, help="2026-01-31")
@click.option("--rolling", type=int, metavar="N", help="At the last N cutoffs whose horizon is over.")
@click.option("--step", type=int, metavar="DAYS", help="Between rolling cutoffs (default: a horizon).")
def _backtest(at: str | None, rolling: int | None, step: int | None) -> None:
    """Pretend the data ended at a date, then compare with what happened (reports/backtest.json)."""
    if (at is None) == (rolling is None):
        raise click.UsageError("Give either --at DATE or --rolling N.", click.get_current_context())
    enter_project(of_source=True, reads="backtest")
    if rolling is not None:
        from fedelta.pipeline.commands.rolling import main as rolling_backtest

        rolling_backtest(rolling, step)
    elif at is not None:
        from fedelta.pipeline.commands.backtest import main as backtest

        backtest(at)


@in_section(MODELS)
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

    enter_project(of_source=True, reads="tune")
    asked = {name: value for name, value in (("trials", trials), ("seconds", seconds)) if value is not None}
    tune(replace(load_params().tune, **asked), candidate=candidate, write=write)


@in_section(MODELS)
@fedelta.command("track")
def _track() -> None:
    """Record the present bundle in MLflow."""
    enter_project()
    run_stage("track")


@in_section(MODELS)
@fedelta.command("promote")
@click.argument("version", required=False)
@click.option("--because", required=True, metavar="TEXT", help="The reason, for the log.")
def _promote(version: str | None, because: str) -> None:
    """Make VERSION of the model champion, by default the challenger, whatever the gate's verdict."""
    from fedelta.pipeline.registry.promotion import promote

    enter_project()
    promote(version, because)


@in_section(MODELS)
@fedelta.command("rollback")
@click.option("--because", required=True, metavar="TEXT", help="The reason, for the log.")
def _rollback(because: str) -> None:
    """Bring back the champion before."""
    from fedelta.pipeline.registry.promotion import rollback

    enter_project()
    rollback(because)


@in_section(MODELS)
@fedelta.command("promotions")
@click.option("--at", metavar=DATE, help="Who was champion then.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def _promotions(at: str | None, *, as_json: bool) -> None:
    """Print the log of champions."""
    from fedelta.pipeline.registry.promotion import promotions

    enter_project()
    promotions(at, as_json=as_json)
