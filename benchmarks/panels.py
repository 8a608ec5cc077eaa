"""Event logs and simulated companies as panels, through real source mappings and features, in folders thrown away."""

import gzip
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from fedelta.features.cutoffs import Cutoff, backtest_calendar, calendar, midnight_after, value_calendar
from fedelta.models.panel import Panel
from fedelta.pipeline import paths
from fedelta.pipeline.commands.backtest import panel_at
from fedelta.pipeline.commands.use import use
from fedelta.pipeline.ingest import Outputs, ingest
from fedelta.pipeline.intake.sources import load_source
from fedelta.pipeline.params import Params, load_params
from fedelta.pipeline.simulator import Company, simulate, write
from fedelta.pipeline.simulator.clock import company_clock
from fedelta.pipeline.simulator.journeys import draw_outages
from fedelta.pipeline.simulator.traits import draw_traits
from fedelta.pipeline.span import span

HERE = Path(__file__).parents[1]
NOW = datetime(2026, 6, 1, tzinfo=UTC)  # no event of the data sets is later


@dataclass(frozen=True)
class Log:
    """An event log: its source, the file that must be there, and the split of the literature."""

    name: str
    source: str
    file: str
    at: datetime
    horizon_days: int


LOGS = (
    Log("CDNOW sample", "cdnow", "cdnow/CDNOW_sample.txt.gz", datetime(1997, 10, 1, tzinfo=UTC), 273),
    Log("CDNOW master", "cdnow", "cdnow/CDNOW_master.txt.gz", datetime(1997, 10, 1, tzinfo=UTC), 273),
    Log(
        "Online Retail, half",
        "online_retail",
        "online_retail/online_retail_even_customers.csv.gz",
        datetime(2011, 9, 1, tzinfo=UTC),
        100,
    ),
    Log("groceryElog", "grocery_elog", "grocery_elog/groceryElog.csv", datetime(2007, 1, 1, tzinfo=UTC), 364),
)


@contextmanager
def project(source: str, data: Path) -> Iterator[Params]:
    """Work in a temporary project of a source whose files lie in a folder; its interactions are made."""
    before = Path.cwd()
    data = data.resolve()
    with TemporaryDirectory(prefix="fedelta-quality-") as folder:
        shutil.copy(HERE / "params.yaml", folder)
        shutil.copytree(HERE / "sources", Path(folder) / "sources")
        os.chdir(folder)
        try:
            use(source, data)
            ingest(load_source(source), data, Outputs(), memory_limit="1GB", workers=2, now=NOW)
            yield load_params()
        finally:
            os.chdir(before)


def panel_of(params: Params, at: datetime, horizon_days: int) -> Panel:
    """The project's customers at training cutoffs as of ``at``, and at ``at`` itself to be measured."""
    return panel_at(cutoffs_of(params, at, horizon_days), params)


def cutoffs_of(params: Params, at: datetime, horizon_days: int) -> tuple[Cutoff, ...]:
    """The cutoffs a run would have had that pretends the data ended at ``at``."""
    first, last = span(paths.INTERACTIONS)
    return backtest_calendar(first, last, at, params.cutoffs, horizon_days=horizon_days, lead_days=params.lead_days)


@contextmanager
def log_project(log: Log, data: Path) -> Iterator[Params]:
    """Work in a temporary project of an event log; the params are those its source recommends."""
    with TemporaryDirectory(prefix="fedelta-data-") as folder:
        (_write_sample if log.name == "CDNOW sample" else shutil.copy)(data / log.file, Path(folder))
        with project(log.source, Path(folder)) as params:
            yield params


@contextmanager
def company_project(company: Company) -> Iterator[Params]:
    """Work in a temporary project of a simulated company."""
    with TemporaryDirectory(prefix="fedelta-company-") as folder:
        write(simulate(company), Path(folder) / "demo")
        with project("demo", Path(folder) / "demo") as params:
            yield params


def log_panel(log: Log, data: Path) -> tuple[Panel, Params]:
    """The customers of an event log at the split of the literature, and the params its source recommends."""
    with log_project(log, data) as params:
        return panel_of(params, log.at, log.horizon_days), params


def company_panel(company: Company) -> tuple[Panel, Params]:
    """A simulated company's customers at training cutoffs, and at the last of a known outcome, to be measured."""
    with company_project(company) as params:
        first, last = span(paths.INTERACTIONS)
        days = {"horizon_days": params.horizon_days, "lead_days": params.lead_days}
        cutoffs = [cutoff for cutoff in calendar(first, last, params.cutoffs, **days) if cutoff.role != "score"]
        return panel_at(cutoffs, params), params


def value_panel(company: Company, days: int) -> tuple[Panel, Params]:
    """Customers of a company at the cutoffs of value over ``days``, the last so long before the company's end."""
    with company_project(company) as params:
        first, last = span(paths.INTERACTIONS)
        at = midnight_after(last) - timedelta(days=days)
        ahead = {"horizon_days": params.horizon_days, "lead_days": 0}
        of_churn = backtest_calendar(first, last, at, params.cutoffs, **ahead)
        *train, present = value_calendar(first, last, params.cutoffs, of_churn, days=days)
        return panel_at((*train, replace(present, horizon_days=days)), params), params


def outages_ahead(company: Company, panel: Panel, horizon_days: int) -> int:
    """Outages in the horizon that is measured: each strikes many customers at once, and nothing before tells of it."""
    days, _ = draw_outages(company, draw_traits(company, company_clock(company)))
    at = (panel.of_role("evaluate").cutoffs[-1] - pd.Timestamp(company.start)) / pd.Timedelta(days=1)
    return int(((days >= at) & (days < at + horizon_days)).sum())


def short_panel(params: Params, days: int) -> Panel:
    """The project's customers after so many days of history, to be measured over as many days to come."""
    first, _ = span(paths.INTERACTIONS)
    midnight = first.replace(hour=0, minute=0, second=0, microsecond=0)
    return panel_of(params, midnight + timedelta(days=days), days)


def _write_sample(sample: Path, folder: Path) -> None:
    """The lines of the master file whose customers are in the published tenth."""
    with gzip.open(sample, "rt") as lines:
        wanted = {line.split()[0] for line in lines if line.strip()}
    with gzip.open(sample.with_name("CDNOW_master.txt.gz"), "rt") as lines:
        header, *rest = lines.read().splitlines()
    kept = [line for line in rest if line.strip() and line.split()[0] in wanted]
    (folder / "CDNOW_master.txt").write_text("\n".join([header, *kept]) + "\n", encoding="utf-8")
