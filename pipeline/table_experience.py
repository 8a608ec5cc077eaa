"""What a table of customers tells of their experience: how many left by how many bad experiences, and nothing more."""

import json
from collections.abc import Sequence

import polars as pl

from fedelta.features.attributes import Attribute
from fedelta.features.contract import LEVELS, PILLARS
from fedelta.features.customer_table import table_features
from fedelta.models.experience.outcome_by_count import Curve, outcome_by_count
from fedelta.models.experience.storage import save_experience
from fedelta.models.explain import says
from fedelta.models.panel import Panel, floats, to_pandas
from fedelta.pipeline import paths
from fedelta.pipeline.atomic_write import whole
from fedelta.pipeline.experience_report import Json, tidy
from fedelta.pipeline.intake.sources import Source
from fedelta.pipeline.intake.table_source import cutoff_of, read_customers
from fedelta.pipeline.params import Params

NO_HISTORY = (
    "The source is a table with one row per customer: it holds no interactions, so pillars, journeys, channels, "
    "moments of truth and tolerance are not computed."
)
NO_COUNTS = "No attribute of the source counts bad experiences (bad_experience in source.yaml)."
LEDGER = pl.Schema(  # of data/experiences.parquet; nobody has any
    {
        "customer_id": pl.String(),
        "interaction_id": pl.String(),
        "occurred_at": pl.Datetime("us", "UTC"),
        "rule": pl.String(),
    }
)


def table_experience(source: Source, params: Params) -> str:
    """Write the files of the stage `experience` for a table; return its line of figures."""
    panel = labelled_customers(source, params)
    curves = curves_of(panel, source.for_models(params.fairness.allow), params.churn.definition)
    for path, table in (
        (paths.EXPERIENCES, LEDGER.to_frame()),
        (paths.PILLARS, _no_indexes()),
    ):
        with whole(path) as staged:
            table.write_parquet(staged)
    with whole(paths.EXPERIENCE_BUNDLE) as folder:
        save_experience({}, (), folder)
    with whole(paths.EXPERIENCE_REPORT) as staged:
        staged.write_text(json.dumps(document(panel, curves), indent=1, allow_nan=False), encoding="utf-8")
    summary = " ".join(curve.says for _, curve in curves) or NO_COUNTS
    return f"no interactions: nothing is computed from a history. {summary}"


def labelled_customers(source: Source, params: Params) -> Panel:
    """The labelled rows of the project's table."""
    cutoff = cutoff_of(source, params.cutoffs, horizon_days=params.horizon_days)
    features, outcomes = table_features(
        read_customers(paths.CUSTOMERS, source), cutoff, source.for_models(params.fairness.allow)
    )
    return Panel(to_pandas(features.filter(pl.col("refit"))), to_pandas(outcomes))


def curves_of(panel: Panel, attributes: Sequence[Attribute], definition: str) -> list[tuple[Attribute, Curve]]:
    """The curve of every attribute that counts bad experiences, over the labelled customers."""
    churned = panel.churned(definition)
    return [
        (one, outcome_by_count(floats(panel.table, one.column), churned, one.says or says(one.column)))
        for one in attributes
        if one.bad_experience
    ]


def document(panel: Panel, curves: Sequence[tuple[Attribute, Curve]]) -> dict[str, Json]:
    """reports/experience.json of a table: the sections of an event log with their reason, and `counts`."""
    nothing = {"reason": NO_HISTORY}
    sections: dict[str, object] = {
        "as_of": f"{panel.cutoffs[0]:%Y-%m-%d}",
        "rules": nothing | {"interactions": 0, "customers": len(panel), "bad_experiences": 0, "by_rule": {}},
        "experience": nothing,
        "pillars": dict.fromkeys(PILLARS, nothing),
        "levels": dict.fromkeys(LEVELS, nothing),
        "segments": nothing,
        "channels": nothing | {"channels": None},
        "journeys": nothing | {"journeys": {}},
        "tolerance": nothing,
        "moments": nothing,
        "counts": {
            "reason": None if curves else NO_COUNTS,
            "customers": len(panel),
            "columns": [
                {
                    "name": one.name,
                    "says": one.says or says(one.column),
                    "pillar": one.bad_experience,
                    "unknown": curve.unknown,
                    "difference": curve.difference,
                    "low": curve.low,
                    "high": curve.high,
                    "in_words": curve.says,
                    "steps": [{"name": step.name, **vars(step)} for step in curve.steps],
                }
                for one, curve in curves
            ],
        },
    }
    return {name: tidy(section) for name, section in sections.items()}


def _no_indexes() -> pl.DataFrame:
    """The file of the pillars, of no customer: an index is null in scores where there is none."""
    names = ["experience_index", *(f"pillar_{name}" for name in PILLARS), *(f"level_{name}" for name in LEVELS)]
    return pl.DataFrame(schema={"customer_id": pl.String()} | dict.fromkeys(names, pl.Float64()))
