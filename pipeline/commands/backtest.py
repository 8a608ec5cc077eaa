"""``fedelta backtest``: pretend the data ended at a date, run the same recipe, then compare with what happened."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from fedelta.features.cutoffs import Cutoff, backtest_calendar, value_calendar
from fedelta.features.errors import FedeltaError
from fedelta.models.churn.baselines import Logistic
from fedelta.models.evaluation import Evaluation, evaluate
from fedelta.models.metrics.bootstrap import Resampling
from fedelta.models.panel import Panel
from fedelta.models.value.model import fit_clv
from fedelta.pipeline import paths
from fedelta.pipeline.atomic_write import write_json
from fedelta.pipeline.buckets.shuffle import bounded_buckets
from fedelta.pipeline.declared import cutoff_settings
from fedelta.pipeline.feature_job import build, job_for
from fedelta.pipeline.fit_btyd import priors_of
from fedelta.pipeline.panel import Files, read_panel, sampled_customers
from fedelta.pipeline.params import Params, load_params
from fedelta.pipeline.span import span
from fedelta.pipeline.train_churn import train
from fedelta.pipeline.training import THREADS, value_ahead

CHURN_COLUMNS = ("auc", "log_loss", "brier", "ece", "lift")
CLV_COLUMNS = ("rmse", "r2", "bias", "gini", "spearman")


class BadDate(FedeltaError):
    """A date that cannot be read."""


def main(at: str) -> None:
    """Backtest the project at a date (YYYY-MM-DD), print the table, write reports/backtest.json."""
    when, params = _date(at), load_params()
    first, last = span(paths.INTERACTIONS)
    cutoffs = backtest_calendar(
        first, last, when, cutoff_settings(params), horizon_days=params.horizon_days, lead_days=params.lead_days
    )
    of_value = value_calendar(first, last, cutoff_settings(params), cutoffs, days=params.value_days)
    report = backtest(cutoffs, params, of_value)
    write_json(paths.BACKTEST, report)
    print(table_of(report))
    print(f"Written to {paths.BACKTEST}.")


def backtest(cutoffs: Sequence[Cutoff], params: Params, of_value: Sequence[Cutoff]) -> dict[str, Any]:
    """The report of the recipe trained at the training cutoffs and measured at the evaluation cutoff.

    `of_value`: the cutoffs of value, perhaps the same.
    """
    panels = list(panels_at([cutoffs, of_value], params))
    return measured(panels[0], params, panels[1]).report


def measured(panel: Panel, params: Params, of_value: Panel) -> Evaluation:
    """The recipe trained on the training rows of a panel and measured on its rows to evaluate; value on its own."""
    training, present = panel.of_role("train"), panel.of_role("evaluate")
    model, facts = train(training, params)
    clv = fit_clv(of_value.of_role("train"), params.clv, **value_ahead(params), threads=THREADS)
    baselines = {name: Logistic.from_dict(held) for name, held in facts["baselines"].items()}
    resampling = Resampling(params.evaluate.bootstrap, seed=params.evaluate.seed)
    measured_at = of_value.of_role("evaluate")
    found = evaluate(present, model, baselines, clv, resampling, params.churn.definition, of_value=measured_at)
    found.report.update(
        candidate={"churn": model.name, "clv": clv.chosen if clv else None},
        training=facts["training"],
        prior=model.prior,
        calibration=model.calibrator.note,
        season=model.season.note,
    )
    return found


def panel_at(cutoffs: Sequence[Cutoff], params: Params) -> Panel:
    """The project's interactions as a panel at other cutoffs than its own; nothing of the project's is overwritten.

    No event at or after a cutoff enters its features, and no label reaches beyond its horizon: the kernel sees to that.
    """
    (panel,) = panels_at([cutoffs], params)
    return panel


def panels_at(calendars: Sequence[Sequence[Cutoff]], params: Params) -> Iterator[Panel]:
    """A panel for each calendar, one in memory at a time.

    Features and purchase models of an instant are made once, whatever calendars share it: in one pass over the
    interactions, or more where calendars look from the same instant to different horizons.
    """
    with TemporaryDirectory(prefix="fedelta-") as scratch:
        number, passes = _passes(calendars)
        folders = [Path(scratch) / str(k) for k in range(len(passes))]
        for folder, cutoffs in zip(folders, passes, strict=True):
            _build(cutoffs, params, folder)
        for calendar, k in zip(calendars, number, strict=True):
            yield _read(calendar, folders[k], params.engine.learn_customers)


def _passes(calendars: Sequence[Sequence[Cutoff]]) -> tuple[list[int], list[list[Cutoff]]]:
    """In which pass each calendar is built, and the cutoffs of each pass: in one pass an instant has one horizon."""
    number: list[int] = []
    passes: list[dict[datetime, Cutoff]] = []
    for calendar in calendars:
        fits = (all(p.get(c.at, c).horizon_end == c.horizon_end for c in calendar) for p in passes)
        number.append(next((k for k, fit in enumerate(fits) if fit), len(passes)))
        if number[-1] == len(passes):
            passes.append({})
        passes[number[-1]] |= {cutoff.at: cutoff for cutoff in calendar}
    return number, [[held[at] for at in sorted(held)] for held in passes]


def _build(cutoffs: Sequence[Cutoff], params: Params, folder: Path) -> None:
    features, labels = folder / "features", folder / "labels"
    features.mkdir(parents=True)
    labels.mkdir()
    job = job_for(params, cutoffs, features, labels)
    build(job, bounded_buckets(paths.INTERACTIONS, params.engine.buckets), params.engine.workers)
    _, columns = priors_of(params, features)
    columns.write_parquet(folder / "prior.parquet")


def _read(calendar: Sequence[Cutoff], folder: Path, most: int | None) -> Panel:
    """The rows of one calendar, in the roles they have there; those to learn from of so many customers at most."""
    roles = pl.LazyFrame(
        {"cutoff": [c.at for c in calendar], "role": [c.role for c in calendar]},
        schema={"cutoff": pl.Datetime("us", "UTC"), "role": pl.String},
    )
    rows = pl.scan_parquet(folder / "features" / "*.parquet")
    mine = rows.drop("role").join(roles, on="cutoff").select(rows.collect_schema().names())
    with TemporaryDirectory(dir=folder) as scratch:
        mine.sink_parquet(Path(scratch) / "part.parquet")
        files = Files(Path(scratch), folder / "labels", folder / "prior.parquet")
        roles_read = sorted({c.role for c in calendar})
        return read_panel(roles_read, files, among=sampled_customers(most, files.features), whole=["evaluate"])


def table_of(report: dict[str, Any]) -> str:
    """The report as two tables to read in a terminal."""
    lines = [
        f"Backtest at {report['cutoff']}, horizon {report['horizon_days']} days: {report['rows']:,} customers, "
        f"{report['churn_rate']:.1%} churned; {report['clv_rows']:,} spent {report['spend_total']:,.2f} in "
        f"{report['clv_horizon_days']} days.",
        *_table("churn", report["churn"], CHURN_COLUMNS),
    ]
    lines.insert(1, f"Chosen: {choice_of(report)}.")
    if report["clv"]:
        lines += _table("spend", report["clv"], CLV_COLUMNS)
    return "\n".join(lines)


def choice_of(report: dict[str, Any]) -> str:
    """What was chosen, and how often its intervals held, in words."""
    candidate, held = report["candidate"], report["clv_interval"]
    words = f"churn by {candidate['churn']}"
    if candidate["clv"]:
        words += f", spend by {candidate['clv']}"
    if held is None:
        return words
    above = "" if held["covered_above_0"] is None else f", {held['covered_above_0']:.1%} where they reach above 0"
    return f"{words}; {held['nominal']:.0%} intervals held {held['covered']:.1%} of spends{above}"


def _table(title: str, models: dict[str, Any], columns: tuple[str, ...]) -> list[str]:
    lines = ["", f"{title:<14}" + "".join(f"{name.replace('_', ' '):>30}" for name in columns)]
    for model, metrics in models.items():
        lines.append(f"{model:<14}" + "".join(f"{_figure(metrics.get(name)):>30}" for name in columns))
    return lines


def _figure(interval: dict[str, float | None] | None) -> str:
    if interval is None or interval["value"] is None:
        return "-"
    value, low, high = (interval[name] or 0.0 for name in ("value", "low", "high"))
    digits = 2 if abs(value) >= 10 else 4
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def _date(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise BadDate(f"--at is {text!r}; it must be a date such as 2026-01-31.") from None
