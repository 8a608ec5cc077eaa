"""DVC stage ``report``: scores, metrics, models and the account of the data in; one self-contained page out."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jinja2 import UndefinedError

from fedelta.features.contract import RISK_TIERS
from fedelta.models.bundle import read_contract
from fedelta.models.incrementality.comparison import nothing_measured
from fedelta.models.incrementality.measured import with_measured
from fedelta.models.policy.plan import NOT_CONTACTED, contact_curve, plan_of
from fedelta.models.policy.settings import PolicySettings
from fedelta.models.reasons.wording import leading
from fedelta.models.too_good import questioned
from fedelta.pages import charts, findings, saves_section
from fedelta.pages import experience_section as report_experience
from fedelta.pages.journey_chart import journey_chart
from fedelta.pages.page import environment
from fedelta.pages.sentences import listed
from fedelta.pipeline import paths
from fedelta.pipeline.atomic_write import whole
from fedelta.pipeline.params import load_params
from fedelta.pipeline.saves import read_saves
from fedelta.pipeline.scores import OF_PLAN, NothingToReport, economics_of, scan_scores

Json = Mapping[str, Any]

AT_RISK = ("high", "critical")
GONE = 0.5  # probability of still being here below which a customer is on the list to win back
_OF_RISK = (
    "customer_id", "risk_tier", "churn_probability", "p_here", "p_alive", "value_at_risk", "win_back_value",
    "clv_expected", "not_contacted",
)  # fmt: skip
_MOST_FEATURES = 20
_BINS = 20
_TEMPLATE = "report.html.jinja"
NOT_MEASURED = "Nothing was measured yet. Run `dvc repro measure`."


@dataclass(frozen=True)
class Inputs:
    """Everything the page tells of."""

    scores: pl.LazyFrame | pl.DataFrame  # features.contract.SCORES; read in parts
    metrics: Json
    gains: Sequence[Json]
    data: Json
    churn: Json  # the contracts of the models that were evaluated
    clv: Json
    delivered: Json  # the contract of the churn model that gives the scores
    experience: Json
    loyalty: Json
    fairness: Json
    policy: PolicySettings
    saves: Json = field(default_factory=lambda: nothing_measured(NOT_MEASURED))
    policy_words: Sequence[str] = ()  # what was measured, where the policy asks for it


@dataclass(frozen=True)
class Tier:
    """The customers of a risk tier."""

    name: str
    customers: int
    share: float
    value: float | None


@dataclass(frozen=True)
class Risk:
    """Who may leave and what is at stake."""

    scored: int
    not_scored: list[tuple[str, int]]
    tiers: list[Tier]
    at_risk: int
    value: float | None  # at risk with all scored customers
    win_back: float | None  # what those who have left would bring
    expected: float | None  # spend expected of everybody in the horizon of value
    to_keep: list[dict[str, Any]]  # who may be contacted and is probably still here, most at risk first
    to_win_back: list[dict[str, Any]]
    passed_over: dict[str, int]  # customers who would stand on the two lists, by why they must not be contacted
    spread: list[int]
    unfilled: list[str]


def main() -> None:
    """Write the report of the project's last run."""
    saves = read_saves()
    policy, words = with_measured(load_params().policy, saves)
    inputs = Inputs(
        scores=scan_scores(paths.SCORES),
        metrics=_json(paths.EVALUATION_REPORT, "evaluate"),
        gains=_json(paths.PLOTS / "gains.json", "evaluate"),
        data=_json(paths.DATA_REPORT, "ingest"),
        churn=read_contract(paths.measured_fit(paths.CHURN_BUNDLE)),
        clv=read_contract(paths.measured_fit(paths.CLV_BUNDLE)),
        delivered=read_contract(paths.CHURN_DELIVERED),
        experience=_json(
            paths.EXPERIENCE_REPORT, "experience", ("rules", "tolerance", "moments", "journeys", "channels")
        ),
        loyalty=_json(paths.LOYALTY_REPORT, "train_loyalty", ("classes", "now", "spurious", "personas")),
        fairness=_json(paths.FAIRNESS_REPORT, "fairness", ("reason", "attributes", "warnings")),
        policy=policy,
        saves=saves or nothing_measured(NOT_MEASURED),
        policy_words=words,
    )
    page = render(inputs)
    with whole(paths.REPORT) as staged:
        staged.write_text(page, encoding="utf-8", newline="\n")
    risk = risk_of(inputs.scores)
    won, rivals = findings.beaten(_compared(inputs.metrics, "churn", inputs.churn["candidate"]))
    stake = (
        f", {risk.value:,.0f} {inputs.data['currency']} at risk with those still here" if risk.value is not None else ""
    )
    print(
        f"report: {paths.REPORT}: {risk.at_risk:,} of {risk.scored:,} customers at high or critical risk{stake}; "
        f"churn model significantly better than {won} of {rivals} baselines"
    )


def render(inputs: Inputs) -> str:
    """The page: the same bytes for the same inputs.

    Raises
    ------
    NothingToReport
        If a report lacks something that the page tells.
    """
    metrics, chosen = inputs.metrics, inputs.churn["candidate"]
    churn = _compared(metrics, "churn", chosen)
    value = _compared(metrics, "clv")
    importances = findings.importances(inputs.delivered["importance"])
    risk, scores = risk_of(inputs.scores), _read(inputs.scores, (*OF_PLAN, "clv_horizon_days", "clv_expected"))
    try:
        return (
            environment()
            .get_template(_TEMPLATE)
            .render(
                inputs=inputs,
                metrics=metrics,
                data=inputs.data,
                contract=inputs.churn,
                leaves=findings.leaves,
                experience=inputs.experience,
                loyalty=inputs.loyalty,
                fairness=inputs.fairness,
                policy=inputs.policy,
                saves=inputs.saves,
                saved=saves_section,
                policy_words=inputs.policy_words,
                economics=economics_of(scores, inputs.policy),
                plan=plan_of(scores, inputs.policy),
                curve=contact_curve(scores, inputs.policy.capacity).to_dicts(),
                clv_days=scores["clv_horizon_days"].drop_nulls().head(1).sum() or metrics["clv_horizon_days"],
                tell=report_experience,
                spurious=spurious_of(scores, inputs.loyalty["spurious"]),
                journey_chart=journey_chart,
                listed=listed,
                leading=leading,
                risk=risk,
                at_risk=AT_RISK,
                as_of=scores["as_of"][0],
                version=scores["model_version"][0],
                currency=inputs.data["currency"],
                churn_metrics=findings.CHURN,
                value_metrics=findings.VALUE,
                orders_metrics=findings.ORDERS,
                next_metrics=findings.NEXT,
                churn_compared=churn,
                value_compared=value,
                churn_verdict=_verdict(metrics, "churn", findings.CHURN, chosen),
                value_verdict=_verdict(metrics, "clv", findings.VALUE) if metrics["clv"] else "",
                question=questioned(metrics["churn"], inputs.churn["importance"]),
                expected_rate=_expected_rate(metrics["deciles"]["churn"]),
                beaten=findings.beaten(churn),
                against=partial(_against, chosen=chosen),
                drift=findings.rates(inputs.churn["training"], metrics),
                short_horizons=findings.short_horizons(inputs.delivered["training"], metrics["horizon_days"]),
                untested=findings.untested(inputs.churn, inputs.clv),
                base_rates=findings.base_rates(
                    findings.learned_from(inputs.churn, inputs.delivered),
                    metrics,
                    (scores["as_of"][0], risk.scored),
                ),
                fits=findings.fits(inputs.churn, inputs.delivered, metrics, scores["as_of"][0]),
                deviance=findings.DEVIANCE,
                folds=metrics.get("cross_fitted_folds"),
                gain=findings.gain(metrics.get("bad_experience_gain")),
                a_year_before=findings.A_YEAR_BEFORE,
                name_of=findings.name_of,
                candidate=findings.candidate,
                why=findings.why,
                in_order=findings.in_order,
                importances=importances[:_MOST_FEATURES],
                themes=findings.by_theme(importances),
                charts=charts,
                deciles=_pairs,
                gains=[(point["contacted_share"], point["caught_share"]) for point in inputs.gains],
            )
        )
    except (UndefinedError, KeyError) as error:
        raise NothingToReport(
            f"A report that the page is made of lacks something ({error}). Run `dvc repro --force` to write all anew."
        ) from error


def risk_of(scores: pl.LazyFrame | pl.DataFrame) -> Risk:
    """Count all scored customers, and rank those who may be contacted; without money, by probability alone."""
    in_scope = pl.col("status") == "scored"
    scored = _read(scores.lazy().filter(in_scope).with_columns(NOT_CONTACTED), _OF_RISK)
    empty = scores.lazy().filter(in_scope).select(pl.all().is_null().all()).collect(engine="streaming")
    others = scores.lazy().filter(~in_scope).group_by("status").agg(n=pl.len()).sort("n", "status", descending=True)
    money = scored["value_at_risk"].null_count() < scored.height
    rank = ["value_at_risk", "churn_probability"] if money else ["churn_probability"]
    back = ["win_back_value", "churn_probability"] if money else ["churn_probability"]
    tiers = [_tier(name, scored, money=money) for name in reversed(RISK_TIERS)]
    risky = scored.filter(pl.col("risk_tier").is_in(AT_RISK))
    gone = pl.coalesce("p_here", "p_alive").fill_null(1.0) < GONE
    edges = np.linspace(0, 1, _BINS + 1)
    to_keep, not_kept = _most(scored.filter(~gone), rank, 20)
    to_win_back, not_won = _most(scored.filter(gone), back, 10)
    return Risk(
        scored=scored.height,
        not_scored=[(str(status), int(n)) for status, n in others.collect().rows()],
        tiers=[tier for tier in tiers if tier.customers or tier.name in AT_RISK],
        at_risk=risky.height,
        value=_sum(scored, "value_at_risk", money=money),
        win_back=_sum(scored, "win_back_value", money=money),
        expected=_sum(scored, "clv_expected", money=scored["clv_expected"].null_count() < scored.height),
        to_keep=_rows_of(scores, to_keep),
        to_win_back=_rows_of(scores, to_win_back),
        passed_over=dict(Counter(not_kept + not_won).most_common()),
        spread=np.histogram(scored["churn_probability"].to_numpy(), edges)[0].tolist(),
        unfilled=[name for name in empty.columns if name != "suppression_reason" and empty[name].item()],
    )


def spurious_of(scores: pl.DataFrame, found: Json) -> Sequence[Json]:
    """Spurious loyals who may be contacted, with the spend that the model of value expects, most first."""
    if not found["customers"]:
        return []
    of_scores = scores.select("customer_id", "clv_expected", NOT_CONTACTED).filter(pl.col("not_contacted").is_null())
    named = pl.DataFrame(found["customers"]).join(of_scores, on="customer_id")
    return (
        named.filter(pl.col("clv_expected") >= found["least_spend"])
        .sort(-pl.col("clv_expected"), "customer_id")
        .head(report_experience.LISTED)
        .to_dicts()
    )


def _most(rows: pl.DataFrame, rank: Sequence[str], most: int) -> tuple[list[str], list[str]]:
    """The first who may be contacted, and why each of those who rank before the last of them may not."""
    ordered = rows.sort(*(-pl.col(name) for name in rank), "customer_id", nulls_last=True)
    free = pl.col("not_contacted").is_null()
    first = ordered.filter(free.cum_sum() - free < most)
    return first.filter(free)["customer_id"].to_list(), first["not_contacted"].drop_nulls().to_list()


def _rows_of(scores: pl.LazyFrame | pl.DataFrame, ids: list[str]) -> list[dict[str, Any]]:
    """All that the scores tell of some customers, in their order."""
    found = scores.lazy().filter(pl.col("customer_id").is_in(ids)).collect(engine="streaming")
    wanted = pl.DataFrame({"customer_id": ids}, {"customer_id": pl.String})
    return wanted.join(found, on="customer_id", maintain_order="left").to_dicts()


def _read(scores: pl.LazyFrame | pl.DataFrame, columns: Iterable[str]) -> pl.DataFrame:
    return scores.lazy().select(*columns).collect(engine="streaming").rechunk()


def _tier(name: str, scored: pl.DataFrame, *, money: bool) -> Tier:
    rows = scored.filter(pl.col("risk_tier") == name)
    return Tier(name, rows.height, rows.height / max(scored.height, 1), _sum(rows, "value_at_risk", money=money))


def _sum(rows: pl.DataFrame, column: str, *, money: bool) -> float | None:
    return float(rows[column].sum()) if money else None


def _compared(metrics: Json, what: str, chosen: str = "") -> list[findings.Comparison]:
    return findings.comparisons(metrics[f"{what}_against"], findings.DECIDES[what], chosen)


def _verdict(metrics: Json, what: str, shown: Iterable[findings.Metric], chosen: str = "") -> str:
    decides = findings.DECIDES[what]
    others = (metric for metric in shown if metric is not decides)
    losses = findings.losses(metrics[f"{what}_against"], others, chosen)
    return f"{findings.verdict(_compared(metrics, what, chosen), decides)} {losses}".strip()


def _expected_rate(deciles: Sequence[Json]) -> float:
    rows = sum(row["rows"] for row in deciles)
    return float(sum(row["rows"] * row["mean_predicted"] for row in deciles) / rows)


def _against(metrics: Json, what: str, metric: findings.Metric, chosen: str) -> dict[str, findings.Comparison]:
    own = chosen if what == "churn" else ""  # candidates for spend have other names
    return {row.name: row for row in findings.comparisons(metrics[f"{what}_against"], metric, own)}


def _pairs(rows: Iterable[Json]) -> list[tuple[float, float]]:
    return [(row["mean_predicted"], row["mean_actual"]) for row in rows]


def _json(path: Path, stage: str, parts: Iterable[str] = ()) -> Any:
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # no JSON, or no UTF-8
        raise NothingToReport(f"{path} is missing or damaged. Run `dvc repro {stage}` first.") from None
    if missing := [name for name in parts if name not in held]:
        raise NothingToReport(f"{path} lacks {', '.join(missing)}. Run `dvc repro {stage}` to write it anew.")
    return held
