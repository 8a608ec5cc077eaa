"""The ``fedelta`` command: dispatch only. A command imports what it needs when it runs."""

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from features.errors import ExplainedError

STAGES = (
    "ingest", "build_features", "fit_btyd", "train_churn", "train_clv", "evaluate", "score", "report", "track",
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; an error that explains itself is shown as one line."""
    # Threads of LightGBM that wait must not spin: on a busy machine that cost six times the CPU.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["keys"] or words[:1] == ["serve"]:
        return _service(words)
    arguments = _parser().parse_args(words)
    command: Callable[[argparse.Namespace], None] = arguments.command
    try:
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fedelta", description="Churn, lifetime value and loyalty from interaction histories."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Callable[[argparse.Namespace], None], says: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=says, description=says)
        sub.set_defaults(command=command)
        return sub

    add("run", _run, "simulate the demo company if its data are missing, run every stage, say where to look")
    simulate = add("simulate", _simulate, "make a company: raw files, and the truth behind them")
    simulate.add_argument("--customers", type=int, default=20_000)
    simulate.add_argument("--seed", type=int, default=7)
    simulate.add_argument("--out", type=Path, default=Path("data/raw/demo"))
    source = add("source", _source_check, "look at a source without running it")
    source.add_argument("action", choices=["check"])
    source.add_argument("name")
    source.add_argument("--data", type=Path, help="folder of its files (default: data/raw/NAME)")
    use = add("use", _use, "make a source the project's: writes params.yaml")
    use.add_argument("name")
    use.add_argument("--data", type=Path, help="folder of its files (default: data/raw/NAME)")
    features = add("features", _features, "print the data dictionary")
    features.add_argument("--format", choices=["text", "markdown", "csv"], default="text")
    backtest = add("backtest", _backtest, "pretend the data ended at a date, then compare with what happened")
    backtest.add_argument("--at", required=True, metavar="DATE", help="2026-01-31")
    add("track", lambda _: _stage_named("track"), "record the present bundle in MLflow")
    stage = add(
        "stage",
        lambda arguments: _stage_named(arguments.name),
        "run one stage by itself (dvc repro runs them in order)",
    )
    stage.add_argument("name", choices=STAGES)
    commands.add_parser("keys", help="create, list and revoke API keys")
    commands.add_parser("serve", help="start the scoring service")
    return parser


def _run(_: argparse.Namespace) -> None:
    from pipeline.run import run

    run()


def _simulate(arguments: argparse.Namespace) -> None:
    from pipeline.simulate import main as simulate

    simulate(customers=arguments.customers, seed=arguments.seed, out=arguments.out)


def _source_check(arguments: argparse.Namespace) -> None:
    from pipeline.ingest import check

    print(check(arguments.name, arguments.data))


def _use(arguments: argparse.Namespace) -> None:
    from pipeline.use import use

    print(use(arguments.name, arguments.data))


def _features(arguments: argparse.Namespace) -> None:
    from pipeline.dictionary import printed

    print(printed(arguments.format))


def _backtest(arguments: argparse.Namespace) -> None:
    from pipeline.backtest import main as backtest

    backtest(arguments.at)


def _stage_named(name: str) -> None:
    importlib.import_module(f"pipeline.{name}").main()


def _service(words: Sequence[str]) -> int:
    module = importlib.import_module("serve.keys" if words[0] == "keys" else "serve.main")
    return int(module.main(list(words[1:])) or 0)


if __name__ == "__main__":
    sys.exit(main())
