"""``fedelta explain``: why one customer has the score they have, and what it would be had things gone better."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from fedelta.features.contract import STATUS_REASON
from fedelta.features.cutoffs import Cutoff
from fedelta.features.errors import FedeltaError
from fedelta.features.experience_rules import Language
from fedelta.models.btyd.purchase_prior import PurchasePrior, at_horizon
from fedelta.models.btyd.storage import load_prior
from fedelta.models.churn.model import ChurnModel
from fedelta.models.churn.storage import load_churn
from fedelta.models.explain import reasons, theme_contributions
from fedelta.models.panel import ORDER, texts, to_pandas
from fedelta.models.reasons.wording import Wording, in_language
from fedelta.models.table import AnyTable, Table
from fedelta.models.value.model import ClvModel
from fedelta.models.value.storage import load_clv
from fedelta.models.what_if import CAUTION, Change, How, NothingToChange, changed
from fedelta.pipeline import paths
from fedelta.pipeline.buckets.customer_hash import customer_hashes
from fedelta.pipeline.buckets.shuffle import Bucket
from fedelta.pipeline.feature_job import Job, job_for
from fedelta.pipeline.intake.sources import load_source
from fedelta.pipeline.params import load_params
from fedelta.pipeline.wording import wording_of
from fedelta.scoring.histories import rows_of, seen

SAME = 1e-9  # two computations of one probability differ by less


class NoScore(FedeltaError):
    """The customer has no score that could be explained."""


class OutOfDate(FedeltaError):
    """The scores on disk are not what the interactions, params.yaml and the model yield now."""


@dataclass(frozen=True)
class Prediction:
    """What the models predict from one history, and why."""

    churn_probability: float
    log_odds: float  # of churn, before calibration and season
    themes: Mapping[str, float]  # what each adds; they sum to log_odds
    calibration: float  # what it adds to the log-odds
    season: float  # the same; with it they are those of churn_probability
    reasons: tuple[Mapping[str, Any], ...]  # `features.contract.REASON`, in the order of the scores
    clv_expected: float | None  # null where the source knows no money
    last_bad_experience: str | None  # rule it broke; null where there was none


@dataclass(frozen=True)
class Explanation:
    """Why a customer's score is what it is, and perhaps what it would be with one experience changed."""

    customer_id: str
    as_of: datetime
    horizon_days: int
    currency: str | None
    suppression_reason: str | None  # why the customer must not be contacted
    season: str  # what the model knows of the time of the year, in words
    now: Prediction
    change: Change | None = None
    then: Prediction | None = None
    caution: str = CAUTION

    def as_json(self) -> dict[str, Any]:
        """As JSON; times are ISO 8601."""
        out = asdict(self)
        out["as_of"] = self.as_of.isoformat()
        for prediction in (out["now"], out["then"]):
            for reason in prediction["reasons"] if prediction else ():
                reason["date"] = reason["date"] and reason["date"].isoformat()
        if self.change is not None:
            out["change"]["occurred_at"] = self.change.occurred_at.isoformat()
        return out


def explain(customer_id: str, how: How | None = None) -> Explanation:
    """Explain a score of the project; with `how`, beside the score had the last bad experience been otherwise.

    Raises
    ------
    NoScore
        If the customer is unknown, out of scope, or would be in the changed history.
    OutOfDate
        If the score on disk is not what the project yields now.
    NothingToChange
        If no bad experience can be changed as asked.
    """
    scored = _score_of(customer_id)
    if load_source(load_params().source).kind == "table":
        return _of_a_table(customer_id, scored, how)
    scorer = _Scorer.of(scored["as_of"], int(scored["horizon_days"]))
    events = _events_of(customer_id)
    now = scorer.predict(events)
    moved = abs(now.churn_probability - scored["churn_probability"]) > SAME
    if moved or now.last_bad_experience != scored["last_bad_experience"]:
        raise OutOfDate(
            f"{paths.SCORES} gives {customer_id} a churn probability of {scored['churn_probability']:.6f} and the last "
            f"bad experience {scored['last_bad_experience']}, the project now yields {now.churn_probability:.6f} and "
            f"{now.last_bad_experience}: data, params.yaml or code changed since. Run `dvc repro`."
        )
    found = Explanation(
        customer_id,
        scored["as_of"],
        int(scored["horizon_days"]),
        scored["currency"],
        scored["suppression_reason"],
        scorer.churn.season.note,
        now,
    )
    if how is None:
        return found
    history, change = changed(events, scored["as_of"], scorer.job.settings.experience, how)
    return Explanation(**{**vars(found), "change": change, "then": scorer.predict(history)})


def _of_a_table(customer_id: str, scored: Mapping[str, Any], how: How | None) -> Explanation:
    """Explain a score from the customer's row of a table: there is no history to change.

    Who has a label is scored by a model that did not learn from them; what is explained is the model of everybody.
    """
    if how is not None:
        raise NothingToChange(
            f"The source is a table without a history: {customer_id} has no experience that could be changed."
        )
    params = load_params()
    features = pl.scan_parquet(paths.FEATURES / "*.parquet").filter(
        pl.col("role") == "score", pl.col("customer_id") == customer_id
    )
    row = to_pandas(features.join(pl.scan_parquet(paths.PRIOR), on=ORDER, how="left").collect())
    if row.empty or row["cutoff"].iloc[0] != scored["as_of"].replace(tzinfo=None):
        raise OutOfDate(
            f"{paths.FEATURES} holds no row of {customer_id} at {scored['as_of']:%Y-%m-%d}. Run `dvc repro`."
        )
    churn = load_churn(paths.CHURN_DELIVERED)
    wording = wording_of(load_source(params.source), params)
    clv = load_clv(paths.CLV_DELIVERED)
    now = prediction_of(row, churn, clv, None, wording, published=scored["churn_probability"])
    caution = CAUTION
    if abs(now.churn_probability - scored["churn_probability"]) > SAME:
        caution = (
            f"The score is {scored['churn_probability']:.2%}, by a model that did not learn from this customer; "
            f"explained is the model of all labelled customers. {CAUTION}"
        )
    return Explanation(
        customer_id,
        scored["as_of"],
        int(scored["horizon_days"]),
        scored["currency"],
        scored["suppression_reason"],
        churn.season.note,
        now,
        caution=caution,
    )


def main(
    customer_id: str,
    *,
    without: str | None = None,
    resolved: str | None = None,
    language: Language = "en",
    as_json: bool = False,
) -> None:
    """Print the explanation of a customer's score, as text or JSON; reasons in a language."""
    found = explain(customer_id, "without" if without else "resolved" if resolved else None)
    print(json.dumps(found.as_json(), indent=1, allow_nan=False) if as_json else text_of(found, language))


def text_of(found: Explanation, language: Language = "en") -> str:
    """An explanation to read in a terminal."""
    now, then = found.now, found.then
    lines = [f"{found.customer_id} as of {found.as_of:%Y-%m-%d}, over the next {found.horizon_days} days"]
    if found.suppression_reason is not None:
        lines.append(f"Must not be contacted: {found.suppression_reason}.")
    if found.change is not None:
        c = found.change
        what = {"without": "Had it not happened", "resolved": "Had it been settled"}[c.how]
        lines.append(f"{what}: {c.rule} ({c.kind} {c.interaction_id} of {c.occurred_at:%Y-%m-%d}; {c.done})")
    lines += ["", f"{'':<24}{'now':>12}" + (f"{'then':>12}{'change':>12}" if then else "")]
    lines.append(_row("churn probability", now.churn_probability, then.churn_probability if then else None, ".2%"))
    if now.clv_expected is not None:
        spend = then.clv_expected if then else None
        lines.append(_row(f"expected spend, {found.currency}", now.clv_expected, spend, ",.2f"))
    if then is None:
        lines += ["", "Why (what each adds to the log-odds of churn)"]
        lines += [f"  {one['contribution']:>+z8.3f}  {in_language(one, language)}" for one in now.reasons]
    lines += ["", "Log-odds of churn by theme"]
    for theme, value in sorted(now.themes.items(), key=lambda item: -abs(item[1])):
        lines.append(_row(f"  {theme}", value, then.themes[theme] if then else None, ".3f", "+"))
    after = _steps(then) if then else {}
    for name, value in _steps(now).items():
        lines.append(_row(f"  {name}", value, after.get(name), ".3f", "+"))
    return "\n".join([*lines, "", *([found.season] if found.season else []), found.caution])


def _steps(prediction: Prediction) -> dict[str, float]:
    """From the sum of the themes to the log-odds of the printed probability."""
    return {
        "themes together": prediction.log_odds,
        "calibration": prediction.calibration,
        "season": prediction.season,
        "of the probability": prediction.log_odds + prediction.calibration + prediction.season,
    }


def _row(name: str, now: float, then: float | None, form: str, sign: str = "") -> str:
    figures = f"{name:<24}{now:>{sign}z12{form}}"
    return figures if then is None else f"{figures}{then:>{sign}z12{form}}{then - now:>+z12{form}}"


@dataclass(frozen=True)
class _Scorer:
    """The project's features and models at the scoring cutoff."""

    job: Job
    prior: PurchasePrior | None  # None where nobody was ever active
    churn: ChurnModel
    clv: ClvModel | None
    wording: Wording

    @classmethod
    def of(cls, as_of: datetime, horizon_days: int) -> "_Scorer":
        churn = load_churn(paths.CHURN_DELIVERED)
        cutoff = Cutoff(as_of, horizon_days, churn.lead_days, "score")
        params = load_params()
        job = job_for(params, (cutoff,), paths.FEATURES, paths.LABELS)
        prior = load_prior(paths.BTYD_BUNDLE, as_of)
        if prior is None and load_prior(paths.BTYD_BUNDLE, None) is not None:
            raise OutOfDate(f"{paths.BTYD_BUNDLE} holds no model of purchases at {as_of:%Y-%m-%d}. Run `dvc repro`.")
        wording = wording_of(load_source(params.source), params)
        return cls(job, prior, churn, load_clv(paths.CLV_DELIVERED), wording)

    def predict(self, events: pl.DataFrame) -> Prediction:
        """The prediction from one customer's history."""
        return prediction_of(self._row(events), self.churn, self.clv, self.prior, self.wording)

    def _row(self, events: pl.DataFrame) -> Table:
        job, (cutoff,) = self.job, self.job.cutoffs
        mine = pl.col("customer_id").is_in(events["customer_id"].unique().implode())
        known = pl.scan_parquet(job.customers).filter(mine).collect() if job.customers is not None else None
        seen_events = seen(events, cutoff.at)
        rows = rows_of(seen_events, known, cutoff, job.settings, tuple(job.attributes), self.prior)
        if (why := rows["status"].item() if len(rows) else "no_history") != "scored":
            raise NoScore(f"Such a history has no score: {why}. There is nothing to compare.")
        return rows


def prediction_of(
    table: AnyTable,
    churn: ChurnModel,
    clv: ClvModel | None,
    prior: PurchasePrior | None,
    wording: Wording,
    *,
    published: float | None = None,
) -> Prediction:
    """What the models predict of the one row of a table of features, and why.

    Reasons sum to the published probability, where that is given: of a table's customer it is another model's.
    """
    contributions = theme_contributions(churn, table).iloc[0]
    (calibration,), (season,) = churn.shifts(table)
    probability = None if published is None else np.array([published])
    why = reasons(churn, table, wording, probability=probability).to_list()[0]
    expected = float(clv.expected_spend(at_horizon(table, prior, clv.horizon_days))[0]) if clv else None
    return Prediction(
        churn_probability=float(churn.churn_probability(table)[0]),
        log_odds=float(churn.log_odds(table)[0]),
        themes={str(theme): float(value) for theme, value in contributions.items()},
        calibration=float(calibration),
        season=float(season),
        reasons=tuple(why),
        clv_expected=expected,
        last_bad_experience=texts(table, "last_bad_experience")[0],
    )


def _score_of(customer_id: str) -> dict[str, Any]:
    """The customer's row of data/scores.parquet."""
    scores = pl.scan_parquet(paths.SCORES)
    columns = [
        "as_of",
        "horizon_days",
        "churn_probability",
        "currency",
        "last_bad_experience",
        "status",
        "suppression_reason",
    ]
    if missing := [name for name in columns if name not in scores.collect_schema()]:
        raise OutOfDate(f"{paths.SCORES} lacks {', '.join(missing)}. Run `dvc repro score` to write it anew.")
    found = scores.filter(pl.col("customer_id") == customer_id).select(columns).collect()
    if found.is_empty():
        raise NoScore(f"There is no customer {customer_id!r} in {paths.SCORES}. Ids are written as in the source.")
    row = found.row(0, named=True)
    if row["status"] != "scored":
        raise NoScore(f"Customer {customer_id!r} has no score. {STATUS_REASON[row['status']]}")
    if row["churn_probability"] is None:
        raise OutOfDate(f"{paths.SCORES} calls {customer_id} scored and gives no churn probability: run `dvc repro`.")
    return row


def _events_of(customer_id: str) -> pl.DataFrame:
    """The customer's interactions, sorted by time and id; only the row groups of the customer's hash are read."""
    hashed = int(customer_hashes(pl.Series([customer_id]))[0])
    return Bucket(0, hashed, hashed, paths.INTERACTIONS).read().filter(pl.col("customer_id") == customer_id)
