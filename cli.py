"""The ``fedelta`` command: dispatch only. A command imports what it needs when it runs."""

import argparse
import importlib
import importlib.metadata
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from features.errors import ExplainedError

STAGES = (
    "ingest", "build_features", "experience", "fit_btyd", "leak_check", "train_churn", "train_clv", "train_loyalty",
    "evaluate", "score", "report", "monitor", "model_card", "track",
)  # fmt: skip


Command = Callable[[argparse.Namespace], None]
Add = Callable[[str, Command, str], argparse.ArgumentParser]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; an error that explains itself is shown as one line."""
    # Threads of LightGBM that wait must not spin: on a busy machine that cost six times the CPU.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Matrices are small, and work is shared out by fold and by booster: threads of BLAS beside these doubled the CPU.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["keys"] or words[:1] == ["serve"]:
        return _service(words)
    arguments = _parser().parse_args(words)
    command: Command = arguments.command
    try:
        _enter_project(arguments)
        command(arguments)
    except ExplainedError as error:
        print(f"fedelta: {error}", file=sys.stderr)
        return 1
    except FileNotFoundError as error:
        missing = error.filename or error
        print(f"fedelta: {missing} is missing. `dvc repro` makes what a command reads.", file=sys.stderr)
        return 1
    except OSError as error:  # no room, no permission: nothing half-written is left (pipeline/whole_files.py)
        print(f"fedelta: {error}. Make room or grant access, then run again.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("fedelta: stopped.", file=sys.stderr)
        return 130
    return 0


class _Version(argparse.Action):
    """Print the installed version and stop; reading it takes time that no other command should spend."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"fedelta {importlib.metadata.version('fedelta')}")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fedelta", description="Churn, lifetime value and loyalty from interaction histories."
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Command, says: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=says, description=says)
        sub.set_defaults(command=command)
        return sub

    run = add("run", _run, "simulate the demo company if its data are missing, run every stage, say where to look")
    run.add_argument("--no-dvc", action="store_true", help="run every stage anew, without DVC and its cache")
    _add_data_commands(add)
    _add_model_commands(add)
    _add_answers(add)
    stage = add(
        "stage",
        lambda arguments: _stage_named(arguments.name),
        "run one stage by itself (dvc repro runs them in order)",
    )
    stage.add_argument("name", choices=STAGES)
    commands.add_parser("keys", help="create, list and revoke API keys")
    commands.add_parser("serve", help="start the scoring service")
    return parser


def _add_data_commands(add: Add) -> None:
    simulate = add("simulate", _simulate, "make a company: raw files, and the truth behind them")
    simulate.add_argument("--customers", type=int, default=20_000)
    simulate.add_argument("--seed", type=int, default=7)
    simulate.add_argument("--out", type=Path, help="folder to write (default: the project's data/raw/demo)")
    source = add("source", _source_check, "look at a source without running it")
    source.add_argument("action", choices=["check"])
    source.add_argument("name")
    source.add_argument("--data", type=Path, help="folder of its files (default: the project's, or data/raw/NAME)")
    use = add("use", _use, "make a source the project's: writes params.yaml")
    use.add_argument("name")
    use.add_argument("--data", type=Path, help="folder of its files (default: data/raw/NAME)")
    fetch = add("fetch", _fetch, "copy a source's database tables into its data folder")
    fetch.add_argument("name", nargs="?", help="default: the project's source")
    fetch.add_argument("--data", type=Path, help="folder for the copies (default: the project's, or data/raw/NAME)")
    features = add("features", _features, "print the data dictionary")
    features.add_argument("--format", choices=["text", "markdown", "csv"], default="text")
    add("leak-check", lambda _: _stage_named("leak_check"), "look for the outcome in what models learn from")


def _add_model_commands(add: Add) -> None:
    window = add("churn-window", _churn_window, "advise after how much silence to call a customer gone")
    window.add_argument(
        "--return", type=float, default=0.2, dest="most_returning", metavar="SHARE", help="of whom may still come back"
    )
    backtest = add("backtest", _backtest, "pretend the data ended at a date, then compare with what happened")
    when = backtest.add_mutually_exclusive_group(required=True)
    when.add_argument("--at", metavar="DATE", help="2026-01-31")
    when.add_argument("--rolling", type=int, metavar="N", help="at the last N cutoffs whose horizon is over")
    backtest.add_argument("--step", type=int, metavar="DAYS", help="between rolling cutoffs (default: a horizon)")
    tune = add("tune", _tune, "search the settings of the churn model in use on the training cutoffs")
    tune.add_argument("--candidate", choices=["trees", "mean", "deep"], help="tuned instead of the one in use")
    tune.add_argument("--budget", type=int, metavar="TRIALS", help="settings to try (default: tune.trials)")
    tune.add_argument("--seconds", type=int, help="for the search (default: tune.seconds)")
    tune.add_argument("--write", action="store_true", help="into params.yaml, if they are significantly better")
    monitor = add("monitor", _monitor, "judge the newest month by those before: drift, and how good the model still is")
    monitor.add_argument("--fail-on-alarm", action="store_true", help="exit 1 if something is out of the ordinary")
    add("track", lambda _: _stage_named("track"), "record the present bundle in MLflow")
    promote = add("promote", _promote, "make a version of the model champion, whatever the gate said")
    promote.add_argument("version", nargs="?", help="its number (default: the challenger)")
    promote.add_argument("--because", required=True, metavar="TEXT")
    rollback = add("rollback", _rollback, "bring back the champion before")
    rollback.add_argument("--because", required=True, metavar="TEXT")
    promotions = add("promotions", _promotions, "the log of champions, or who it was at a date")
    promotions.add_argument("--at", metavar="DATE")


def _add_answers(add: Add) -> None:
    score = add("score", _score, "score other customers with the models of the last run, without training")
    score.add_argument("--data", type=Path, required=True, help="folder of their files, laid out as the source's own")
    score.add_argument("--out", type=Path, help="a Parquet file (default: data/scored/NAME OF THE FOLDER.parquet)")
    score.add_argument("--at", metavar="DATE", help="as of midnight of a day (default: after the last interaction)")
    explain = add("explain", _explain, "why a customer has their score, and what it would be had things gone better")
    explain.add_argument("customer_id", metavar="ID")
    which = explain.add_mutually_exclusive_group()
    which.add_argument("--without", choices=["last_bad"], help="had the last bad experience not happened")
    which.add_argument("--resolved", choices=["last_bad"], help="had it been settled at once")
    explain.add_argument("--json", action="store_true", dest="as_json")
    lineage = add("lineage", _lineage, "from a customer's score back to the source's files")
    lineage.add_argument("customer_id", metavar="ID")


def _enter_project(arguments: argparse.Namespace) -> None:
    """Work in the project's folder, as a command given in a folder below it means; paths stay what was given."""
    from pipeline.paths import project_folder
    from pipeline.project import must_be_of_source, must_be_project

    here = Path.cwd()
    anywhere = arguments.command is _features or (arguments.command is _simulate and arguments.out is not None)
    root = project_folder(here) or here if anywhere else must_be_project(here)
    if root != here:
        for name, value in vars(arguments).items():
            if isinstance(value, Path):
                given = Path(os.path.normpath(here / value))
                setattr(arguments, name, given.relative_to(root) if given.is_relative_to(root) else given)
        print(f"fedelta: in the project {root}", file=sys.stderr)
        os.chdir(root)
    if arguments.command in {_backtest, _churn_window, _tune, _explain, _lineage, _monitor, _score}:
        must_be_of_source()


def _run(arguments: argparse.Namespace) -> None:
    from pipeline.paths import WHOLE_RUN_LOCK
    from pipeline.run import run
    from pipeline.run_lock import sole_run

    with sole_run("run", WHOLE_RUN_LOCK):
        run(dvc=not arguments.no_dvc)


def _simulate(arguments: argparse.Namespace) -> None:
    from pipeline.simulate import main as simulate

    simulate(customers=arguments.customers, seed=arguments.seed, out=arguments.out or Path("data/raw/demo"))


def _source_check(arguments: argparse.Namespace) -> None:
    from pipeline.source_check import check
    from pipeline.use import folder_of

    print(check(arguments.name, arguments.data or folder_of(arguments.name)))


def _use(arguments: argparse.Namespace) -> None:
    from pipeline.use import use

    print(use(arguments.name, arguments.data))


def _fetch(arguments: argparse.Namespace) -> None:
    from pipeline.use import fetch

    print(fetch(arguments.name, arguments.data))


def _score(arguments: argparse.Namespace) -> None:
    from pipeline.score_population import main as score

    score(arguments.data, arguments.out, arguments.at)


def _features(arguments: argparse.Namespace) -> None:
    from pipeline.dictionary import printed

    print(printed(arguments.format))


def _backtest(arguments: argparse.Namespace) -> None:
    if arguments.rolling is not None:
        from pipeline.rolling import main as rolling

        rolling(arguments.rolling, arguments.step)
        return
    from pipeline.backtest import main as backtest

    backtest(arguments.at)


def _churn_window(arguments: argparse.Namespace) -> None:
    from pipeline.churn_window import main as churn_window

    churn_window(arguments.most_returning)


def _tune(arguments: argparse.Namespace) -> None:
    from pipeline.params import load_params
    from pipeline.tune import main as tune

    asked = {"trials": arguments.budget, "seconds": arguments.seconds}
    settings = replace(load_params().tune, **{name: value for name, value in asked.items() if value is not None})
    tune(settings, candidate=arguments.candidate, write=arguments.write)


def _explain(arguments: argparse.Namespace) -> None:
    from pipeline.explain import main as explain

    explain(arguments.customer_id, without=arguments.without, resolved=arguments.resolved, as_json=arguments.as_json)


def _monitor(arguments: argparse.Namespace) -> None:
    from pipeline.monitor import main as monitor
    from pipeline.run_lock import sole_run

    with sole_run("monitor"):
        monitor(fail_on_alarm=arguments.fail_on_alarm)


def _promote(arguments: argparse.Namespace) -> None:
    from pipeline.promotion import promote

    promote(arguments.version, arguments.because)


def _rollback(arguments: argparse.Namespace) -> None:
    from pipeline.promotion import rollback

    rollback(arguments.because)


def _promotions(arguments: argparse.Namespace) -> None:
    from pipeline.promotion import promotions

    promotions(arguments.at)


def _lineage(arguments: argparse.Namespace) -> None:
    from pipeline.lineage import main as lineage

    lineage(arguments.customer_id)


def _stage_named(name: str) -> None:
    from pipeline.project import features_must_be_current, must_be_of_source
    from pipeline.run_lock import sole_run

    with sole_run(f"stage {name}"):
        if name != "ingest":
            must_be_of_source()
        if name not in {"ingest", "build_features", "experience"}:
            features_must_be_current()
        importlib.import_module(f"pipeline.{name}").main()


def _entered_for_service(words: Sequence[str]) -> bool:
    """Whether a database is named or a project is here to hold it, which is entered: none is made by accident."""
    from pipeline.paths import project_folder

    if any(word.split("=")[0] in {"--database", "-h", "--help"} for word in words):
        return True
    here = Path.cwd()
    if root := project_folder(here):
        os.chdir(root)
    elif "FEDELTA_DATABASE_URL" not in os.environ:
        print(
            f"fedelta {words[0]}: There is no params.yaml in {here} or in a folder above it, so no project with a "
            "database. Run this in a project, or name the database: --database sqlite:///PATH or FEDELTA_DATABASE_URL.",
            file=sys.stderr,
        )
        return False
    return True


def _service(words: Sequence[str]) -> int:
    if not _entered_for_service(words):
        return 1
    module = importlib.import_module("serve.keys" if words[0] == "keys" else "serve.main")
    return int(module.main(list(words[1:])) or 0)


if __name__ == "__main__":
    sys.exit(main())
