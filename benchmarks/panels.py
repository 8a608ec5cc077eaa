"""Event logs as panels, through the real source mapping, features and purchase models, in a folder thrown away."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from features.cutoffs import Cutoff, backtest_calendar
from models.panel import Panel
from pipeline import paths
from pipeline.backtest import panel_at
from pipeline.build_features import span
from pipeline.ingest import Outputs, ingest
from pipeline.params import Params, load_params
from pipeline.sources import load_source
from pipeline.use import use

HERE = Path(__file__).parents[1]
NOW = datetime(2026, 6, 1, tzinfo=UTC)  # no event of the data sets is later


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
