"""DVC stage ``measure``: treatments and what came after them in; reports/saves.json and the model of effects out."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl

from fedelta.features.contract import TREATMENTS
from fedelta.features.cutoffs import midnight_after
from fedelta.features.entries import KEYS
from fedelta.features.registry import ACTIVITY_FEATURES, FEATURES
from fedelta.models.bundle import CONTRACT
from fedelta.models.encoding import Encoding
from fedelta.models.incrementality.comparison import Design, measured, nothing_measured, of_epoch
from fedelta.models.incrementality.entries import COVARIATE, epochs_of, first_entries
from fedelta.models.incrementality.measured import assumed_by_action
from fedelta.models.loyalty.personas import PersonaModel
from fedelta.models.loyalty.storage import load_personas
from fedelta.models.panel import Panel, to_pandas
from fedelta.models.policy.actions import risk_tier
from fedelta.models.policy.holdout import held_out
from fedelta.models.uplift.gate import Study, missing, study
from fedelta.models.uplift.storage import save_uplift
from fedelta.pipeline import paths
from fedelta.pipeline.atomic_write import whole, write_json
from fedelta.pipeline.buckets.shuffle import bounded_buckets
from fedelta.pipeline.entries import Job
from fedelta.pipeline.feature_job import build, job_for
from fedelta.pipeline.intake.sources import load_source
from fedelta.pipeline.params import Params, load_params
from fedelta.pipeline.score_inputs import margin_shares
from fedelta.pipeline.span import span
from fedelta.pipeline.treatments import read_treatments

NONE = "No treatments are recorded, so nothing can be measured: docs/measuring.md says how to record them."
NO_HISTORY = "The source is a table without a history, so what came after a treatment is unknown."
NOBODY = "None of the customers in the treatments has a history in the source: are ids written as in the source?"
STUDIED = 40_000  # customers from whom effects per customer are learned, at most
_FEW = 10_000  # entries, for which starting processes takes longer than the work
_MOST_UNKNOWN = 0.1  # of the values at entry, for effects to be weighed by them


def main() -> None:
    """Measure the project's treatments; end with one line."""
    params = load_params()
    report, found, encoding = measure(params)
    write_json(paths.SAVES_REPORT, report)
    with whole(paths.UPLIFT_BUNDLE) as folder:
        save_uplift(found, encoding, folder, {})
    print(f"measure: {report['says']}")


def measure(params: Params) -> tuple[dict[str, Any], Study | None, Encoding | None]:
    """The report, and the study of effects per customer with the columns that it learned from, where there was one."""
    treatments = read_treatments()
    if treatments.is_empty():
        return nothing_measured(NONE), None, None
    if load_source(params.source).kind == "table":
        return nothing_measured(NO_HISTORY), None, None
    design = _design(params)
    if strange := sorted({*design.shares} - {*treatments["campaign"]}):
        print(f"measure: measure.held_out names {', '.join(strange)}, of which no treatments are recorded.")
    with _around(treatments.select(KEYS).unique().sort(*KEYS), params) as around:
        if around is None:
            return nothing_measured(NOBODY), None, None
        rows = _looked_at(treatments, around, params, design)
        report = measured(rows, design)
        found, encoding, says = _effects(rows, around, report, design, params.evaluate.bootstrap)
    report["uplift"] = found.as_dict() if found else {"open": False, "says": says}
    return report, found, encoding


def _looked_at(treatments: pl.DataFrame, around: pl.LazyFrame, params: Params, design: Design) -> pl.DataFrame:
    """The treatments with what was known before each and what came after it: the rows of `comparison.measured`."""
    customers, (begins, _) = pl.read_parquet(paths.CUSTOMERS, columns=["customer_id"]), span(paths.INTERACTIONS)
    personas = load_personas(paths.PERSONAS_BUNDLE) if (paths.PERSONAS_BUNDLE / CONTRACT).is_file() else PersonaModel()
    columns = around.collect_schema().names()
    outcomes = [name for name in columns if name.startswith("horizon_") and name != "horizon_days"]
    activity = "activity" if "horizon_activity_count" in outcomes else "purchase"
    covariates = {
        "silence": f"days_since_last_{activity}", "activity": f"{activity}_count", "paid": "spend",
        "tenure": "tenure_days",
    }  # fmt: skip
    named = {*outcomes, *covariates.values(), *personas.columns, "status"}
    after = around.select(*KEYS, *(pl.col(name).alias(f"at_entry_{name}") for name in sorted(named))).collect()
    rows = treatments.join(after, on=KEYS, how="left", maintain_order="left").with_columns(
        # Of an entry before the history begins nobody can tell what came after it.
        in_source=pl.col("customer_id").is_in(customers["customer_id"].implode()) & (pl.col("treated_at") >= begins),
        drawn_held_out=pl.Series(held_out(treatments["customer_id"].to_list(), params.policy.holdout)),
    )
    at_entry = rows.select(pl.col(f"at_entry_{name}").alias(name) for name in sorted(named))
    known = rows["in_source"] & (rows["treated_at"] + timedelta(days=design.horizon_days) <= design.until)
    churned = pl.Series(_churned(at_entry.select(outcomes), params))
    facts = {
        "risk": rows["churn_probability"], "value": rows["expected_value"].log1p(),
        **{name: at_entry[column].cast(pl.Float64).clip(0).log1p() for name, column in covariates.items()},
    }  # fmt: skip
    return rows.select(list(TREATMENTS)).with_columns(
        rows["in_source"],
        rows["drawn_held_out"],
        (1 - churned).set(~known, None).alias("stayed"),
        at_entry["horizon_spend"].cast(pl.Float64).fill_null(0).set(~known, None).alias("spent"),
        _tiers(rows, params),
        _personas(at_entry, personas),
        *(held.alias(f"{COVARIATE}{name}") for name, held in facts.items()),
    )


def _design(params: Params) -> Design:
    source = load_source(params.source)
    _, last = span(paths.INTERACTIONS)
    money = pl.scan_parquet(paths.INTERACTIONS / "*.parquet").select(pl.col("amount").is_not_null().any())
    shares, _ = margin_shares(paths.INTERACTIONS, midnight_after(last))
    return Design(
        horizon_days=params.horizon_days,
        until=midnight_after(last),
        money=bool(money.collect().item()),
        currency=source.currency,
        margin=params.policy.margin if shares is None else shares.level,
        share=params.policy.holdout.share,
        shares=params.measure.held_out,
        success=assumed_by_action(params.policy.economics),
    )


@contextmanager
def _around(entries: pl.DataFrame, params: Params) -> Iterator[pl.LazyFrame | None]:
    """Features before and outcomes after the entries of customers with a history, on disk; None of nobody."""
    with tempfile.TemporaryDirectory(prefix="fedelta-") as scratch:
        settings = job_for(params, (), paths.FEATURES, paths.LABELS).settings
        job = Job(entries, settings, params.horizon_days, Path(scratch))
        work, workers = bounded_buckets(paths.INTERACTIONS, params.engine.buckets), params.engine.workers
        if workers == 1 or len(entries) < _FEW:
            found = sum(job.run(bucket) for bucket in work)
        else:
            found = build(job, work, workers, "measure")
        yield pl.scan_parquet(Path(scratch) / "*.parquet") if found else None


def _churned(outcomes: pl.DataFrame, params: Params) -> npt.NDArray[np.float64]:
    """1 where the customer left in the horizon from entry; by inactivity where the company declares who left."""
    definition = "inactivity" if params.churn.definition == "declared" else params.churn.definition
    return Panel(pd.DataFrame(), to_pandas(outcomes.fill_null(0))).churned(definition)


def _tiers(rows: pl.DataFrame, params: Params) -> pl.Series:
    """The risk tier at entry, null where the risk was not recorded."""
    risk = rows["churn_probability"]
    names = risk_tier(risk.fill_null(0).to_numpy(), params.policy)
    return pl.Series("tier", names.tolist(), pl.String).set(risk.is_null(), None)


def _personas(at_entry: pl.DataFrame, model: PersonaModel) -> pl.Series:
    """The persona at entry, by the personas of the present run; null without a history."""
    names = pl.Series("persona", [None] * at_entry.height, pl.String)
    known = at_entry["status"].is_not_null()
    if not (model.personas and known.any()):
        return names
    assigned = model.assign(to_pandas(at_entry.filter(known))).tolist()
    return names.scatter(known.arg_true(), pl.Series(assigned, dtype=pl.String))


def _effects(
    rows: pl.DataFrame, around: pl.LazyFrame, report: dict[str, Any], design: Design, draws: int
) -> tuple[Study | None, Encoding | None, str]:
    """Learn effects per customer from the first entries of the present control group, if there are enough."""
    if withheld := report["comparisons"][0]["withheld"]:
        return None, None, f"Effects per customer cannot be learned: {withheld}"
    epochs = epochs_of(rows, design.share)
    entered = first_entries(of_epoch(rows, epochs)).filter(pl.col("stayed").is_not_null())
    if (lacking := missing(entered["stayed"].to_numpy(), (entered["arm"] == "treated").to_numpy())).any:
        return None, None, lacking.says()
    draw = pl.lit("one") if epochs.drawn else pl.col("campaign").fill_null("")
    is_treated = (pl.col("arm") == "treated").cast(pl.Float64)
    entered = _sampled(entered.with_columns(propensity=is_treated.mean().over(draw).clip(0.01, 0.99)))
    features = around.select(*KEYS, *(name for name in feature_names(around.collect_schema().names())))
    table = entered.select(KEYS).join(
        features.filter(pl.col("customer_id").is_in(entered["customer_id"].implode())).collect(),
        on=KEYS,
        how="left",
        maintain_order="left",
    )
    known = to_pandas(table.drop(KEYS))
    encoding = Encoding.of(known)
    value = entered["expected_value"]
    weighed = value.null_count() <= _MOST_UNKNOWN * len(value)
    found = study(
        encoding.matrix(known),
        entered["stayed"].to_numpy(),
        (entered["arm"] == "treated").to_numpy(),
        entered["propensity"].to_numpy(),
        risk=entered["churn_probability"].fill_null(np.nan).to_numpy(),
        value=value.fill_null(value.median()).to_numpy() if weighed else None,
        draws=draws,
    )
    return found, encoding, found.says


def feature_names(columns: Sequence[str]) -> list[str]:
    """Those columns of a feature table that effects are learned from."""
    known = {feature.name for feature in (*FEATURES, *ACTIVITY_FEATURES)}
    return [name for name in columns if name in known]


def _sampled(entered: pl.DataFrame) -> pl.DataFrame:
    """At most `STUDIED` customers, the same in every run; the arms lose customers at the same rate."""
    ordered = entered.sort("customer_id")
    order = np.random.default_rng(7).permutation(ordered.height)[:STUDIED]
    return ordered[np.sort(order)]
