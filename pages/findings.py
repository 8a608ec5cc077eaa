"""What the figures of a run say, in plain words: who is beaten and who is not, how far the past may mislead."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Literal, get_args

from fedelta.features.relationship import PURCHASES
from fedelta.models.churn.baselines import BASELINES
from fedelta.models.churn.candidates import candidates
from fedelta.models.churn.selection import MINIMUM_RELEVANT_DIFFERENCE
from fedelta.models.explain import says, theme_of
from fedelta.models.learning.season import NEAR_DAYS, YEAR_DAYS
from fedelta.pages.sentences import listed

Kind = Literal["baseline", "part"]  # a rival on the same rows, or a step on the way to the chosen model
Outcome = Literal["better", "worse", "not significant", "too small to matter", "identical", "the model itself"]

NAMES = {
    "chosen": "the model",
    "as_before": "business as before",
    "uncalibrated": "before calibration",
    "tweedie": "Tweedie trees alone",
    "hurdle": "Hurdle trees alone",
}
CANDIDATES = {  # a model is chosen from; other names are those above
    "weighted_average": "a blend of candidates by their weights",
    "pareto_gg": "Pareto/NBD with Gamma-Gamma",
    "poisson": "boosted orders",
    "count": "boosted orders with Gamma-Gamma",
    "tweedie": "Tweedie trees",
    "hurdle": "hurdle trees",
}
_PARTS = ("uncalibrated", "tweedie", "hurdle")


@dataclass(frozen=True)
class Metric:
    """A figure of merit as a reader meets it."""

    name: str
    label: str
    best: Literal["higher", "lower", "near 1", "near 0"]
    says: str
    digits: int = 3
    minimum_relevant: float = 0.0  # a smaller difference counts as none, even if significant


CHURN = (
    Metric(
        "log_loss",
        "Log loss",
        "lower",
        "surprise at what happened, given the probability; by it the model is compared with baselines",
        minimum_relevant=MINIMUM_RELEVANT_DIFFERENCE,
    ),
    Metric("brier", "Brier", "lower", "mean squared distance of the probability from what happened"),
    Metric("ece", "ECE", "lower", "calibration error: how far predicted and actual churn rates lie apart, on average"),
    Metric(
        "auc",
        "AUC",
        "higher",
        "chance that a leaver is ranked above a stayer; 0.5 is a coin",
        minimum_relevant=MINIMUM_RELEVANT_DIFFERENCE,
    ),
    Metric(
        "average_precision",
        "Average precision",
        "higher",
        "precision averaged down the list; a coin has the churn rate",
    ),
    Metric("slope", "Slope", "near 1", "of the calibration line; below 1 the probabilities are too extreme", 2),
    Metric("lift", "Top lift", "higher", "churn rate of the riskiest tenth over that of everybody", 2),
    Metric(
        "profit_at_capacity",
        "Tenth's profit",
        "higher",
        "profit per customer of contacting the riskiest tenth, at the costs of the EMPC paper",
        2,
    ),
    Metric(
        "empc",
        "EMPC",
        "higher",
        "expected maximum profit of a campaign, per customer, at the costs of its paper (Verbraken et al. 2013)",
        2,
    ),
)
VALUE = (
    Metric("rmse", "RMSE", "lower", "root mean squared error, in money; by it the model is compared with baselines", 2),
    Metric("mae", "MAE", "lower", "mean absolute error, in money; rewards predicting too little, so read it last", 2),
    Metric("r2", "R²", "higher", "share of the variance of spend explained; below 0 is worse than the mean"),
    Metric("bias", "Bias", "near 0", "predicted over actual total, minus 1: −0.1 is ten per cent too low"),
    Metric("gini", "Gini", "higher", "how well customers are ranked by what they will spend; 1 is perfect"),
    Metric("spearman", "Spearman", "higher", "rank correlation of predicted and actual spend"),
    Metric(
        "decile_error", "Decile error", "lower", "spend misplaced between the tenths of the ranking, over all spend"
    ),
    Metric("top_share", "Top share", "higher", "share of all spend that the predicted top tenth brings"),
)
ORDERS = (
    Metric("rmse", "RMSE", "lower", "root mean squared error, in days with a purchase", 3),
    *(metric for metric in VALUE if metric.name in ("r2", "bias", "gini", "spearman")),
)
NEXT = (
    Metric("hit_rate_3", "Hit rate@3", "higher", "share of buyers who bought one of their three likeliest categories"),
    Metric("ndcg_3", "NDCG@3", "higher", "how far up the three what was bought stands; 1 is perfect"),
    Metric("log_loss", "Log loss", "lower", "surprise at what was bought and not, per customer and category"),
    Metric("ece", "ECE", "lower", "calibration error of the probabilities of all customers and categories"),
)
DEVIANCE = "by it candidates of spend and of orders are compared; a few large buyers rule it less than RMSE"
DECIDES = {"churn": CHURN[0], "clv": VALUE[0]}


@dataclass(frozen=True)
class Comparison:
    """The model against another on the same resamples: the model's figure minus the other's, with its 95% interval."""

    name: str
    kind: Kind
    value: float
    low: float
    high: float
    outcome: Outcome


def comparisons(against: Mapping[str, Any], metric: Metric, chosen: str = "") -> list[Comparison]:
    """Every comparison on a metric, baselines first; models that lack it are left out.

    `chosen` is the candidate that the model was made of. Where that is a baseline, the two differ by calibration and
    rounding alone: there is nothing to win, and only a relevant loss is reported.
    """
    found = []
    for model, metrics in against.items():
        difference = metrics.get(metric.name)
        if difference is None or difference["value"] is None:
            continue
        value, low, high = difference["value"], difference["low"], difference["high"]
        kind: Kind = "part" if model in _PARTS else "baseline"
        outcome = _outcome(value, low, high, metric)
        if model == chosen and not (outcome == "worse" and metric.minimum_relevant):
            outcome = "the model itself"
        found.append(Comparison(name_of(model), kind, value, low, high, outcome))
    return sorted(found, key=lambda comparison: comparison.kind != "baseline")


def verdict(found: Sequence[Comparison], metric: Metric) -> str:
    """Which baselines the model beats on a metric, and plainly which not."""
    baselines = [comparison for comparison in found if comparison.kind == "baseline"]
    if not baselines:
        return f"No baseline could be compared on {_in_text(metric)}."
    by = {outcome: [c.name for c in baselines if c.outcome == outcome] for outcome in get_args(Outcome)}
    by["not significant"] += by["identical"]
    sentences = [f"The model is {listed(by['the model itself'])}."] if by["the model itself"] else []
    rivals = len(baselines) - len(by["the model itself"])
    absent = _absent(baselines, metric)
    if rivals and len(by["better"]) == rivals:
        count = "the one baseline" if rivals == 1 else f"{'the' if absent else 'all'} {rivals} baselines"
        compared = " that could be compared" if absent else ""
        beats = f"On {_in_text(metric)} the model beats {count}{compared}: {listed(by['better'])}."
        return " ".join([*sentences, beats, *([f"Not compared: {listed(absent)}."] if absent else [])])
    if rivals:
        sentences.append(
            f"On {_in_text(metric)} the model beats {listed(by['better']) if by['better'] else 'no baseline'}."
        )
    if by["not significant"]:
        sentences.append(
            f"It is not shown to beat {listed(by['not significant'], 'or')}: the interval includes 0, "
            "so these rows give no reason to prefer the model."
        )
    if by["too small to matter"]:
        names = listed(by["too small to matter"])
        sentences.append(f"It is as good as {names}: they differ by less than {metric.minimum_relevant:g}.")
    if by["worse"]:
        sentences.append(f"It is worse than {listed(by['worse'])}: use that instead, and look for the reason.")
    return " ".join(sentences)


def losses(against: Mapping[str, Any], metrics: Iterable[Metric], chosen: str = "") -> str:
    """On which metrics the model is significantly worse than a baseline; empty if on none."""
    sentences = []
    for metric in metrics:
        rows = comparisons(against, metric, chosen)
        if names := [row.name for row in rows if row.kind == "baseline" and row.outcome == "worse"]:
            sentences.append(f"On {_in_text(metric)} it is worse than {listed(names)}.")
    return " ".join(sentences)


def beaten(found: Iterable[Comparison]) -> tuple[int, int]:
    """How many baselines the model significantly beats, and how many there are besides itself."""
    rivals = [row for row in found if row.kind == "baseline" and row.outcome != "the model itself"]
    return sum(row.outcome == "better" for row in rivals), len(rivals)


def drift(training: Sequence[Mapping[str, Any]], rate: float, horizon_days: int) -> str:
    """How the churn rate at the evaluation cutoff compares with those learned from, over horizons of equal length."""
    rates = [float(fact["churn_rate"]) for fact in training if fact["horizon_days"] == horizon_days]
    if not rates:
        return (
            f"No training cutoff looked {horizon_days} days ahead as the evaluation cutoff does, so whether the churn "
            "rate changes with time is unknown."
        )
    text = (
        f"Training cutoffs saw churn rates of {min(rates):.1%} to {max(rates):.1%}, the evaluation cutoff {rate:.1%}."
    )
    if min(rates) <= rate <= max(rates):
        return f"{text} It lies within what was learned from."
    side = "above" if rate > max(rates) else "below"
    return (
        f"{text} It lies {side} all that was learned from: the business changes with time, so the level of the "
        "probabilities is less certain than their order."
    )


def rates(training: Sequence[Mapping[str, Any]], metrics: Mapping[str, Any]) -> str:
    """`drift`, or why it is unknown where the evaluation is no later than what was learned from."""
    if metrics.get("cross_fitted_folds"):
        return (
            "The evaluation is of the same time as what was learned from, so whether the churn rate changes is unknown."
        )
    return drift(training, metrics["churn_rate"], metrics["horizon_days"])


def gain(found: Mapping[str, Any] | None) -> str:
    """What the columns of bad experiences add to the model, in words; empty where there are none or it is not known."""
    if not found:
        return ""
    area, loss = found["auc"], found["log_loss"]
    if area["value"] is None or loss["value"] is None:
        return ""
    significant = area["low"] > 0 or loss["high"] < 0
    verdict = "The model is significantly better with" if significant else "The model is not significantly better with"
    return (
        f"{verdict} the columns of bad experiences than the same recipe without them: AUC {area['value']:+.3f} "
        f"[{area['low']:+.3f}, {area['high']:+.3f}], log loss {loss['value']:+.4f} "
        f"[{loss['low']:+.4f}, {loss['high']:+.4f}]."
    )


A_YEAR_BEFORE = (
    f"A year before: the cutoff nearest to the same day, at most {NEAR_DAYS:.0f} days off; a dash where there is none. "
    "What will come of those scored is not known yet."
)


def learned_from(evaluated: Mapping[str, Any], delivered: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The training cutoffs of both fits, oldest first, each once."""
    by_cutoff = {fact["cutoff"]: fact for contract in (evaluated, delivered) for fact in contract["training"]}
    return [by_cutoff[cutoff] for cutoff in sorted(by_cutoff)]


def fits(
    evaluated: Mapping[str, Any], delivered: Mapping[str, Any], metrics: Mapping[str, Any], as_of: date | None
) -> str:
    """What the evaluated and the delivered fit learned from, and whether the same procedure chose the same model."""
    used = f", used at {as_of:%Y-%m-%d}" if as_of else ""
    if folds := metrics.get("cross_fitted_folds"):
        return (
            f"The figures come from cross-fitting in {folds} folds: each of {metrics['rows']:,} customers at "
            f"{metrics['cutoff']} is predicted by the same procedure fitted on the customers of the other folds. "
            f"Scores come from models trained on all of them: {_trained(delivered)}{used}."
        )
    if evaluated["training"] == delivered["training"]:
        return f"Scores come from models trained on {_trained(delivered)}{used}."
    text = (
        f"The figures are those of models trained on {_trained(evaluated)} and measured at {metrics['cutoff']}. Scores "
        f"come from the same procedure fitted again on all that is known since: {_trained(delivered)}{used}."
    )
    if evaluated["candidate"] == delivered["candidate"]:
        return f"{text} Both chose {candidate(delivered['candidate'])} for churn."
    return (
        f"{text} For churn the evaluated fit chose {candidate(evaluated['candidate'])}, the delivered one "
        f"{candidate(delivered['candidate'])}."
    )


def _trained(contract: Mapping[str, Any]) -> str:
    facts = contract["training"]
    ends = [date.fromisoformat(f["cutoff"]) + timedelta(f["horizon_days"] + contract["lead_days"]) for f in facts]
    return f"the cutoffs {facts[0]['cutoff']} to {facts[-1]['cutoff']} (outcomes until {max(ends):%Y-%m-%d})"


@dataclass(frozen=True)
class BaseRate:
    """The churn rate at a cutoff and that of the same weeks a year before; null where it is not known."""

    cutoff: str
    use: Literal["learn", "measure", "score"]
    horizon_days: int
    rows: int
    churn_rate: float | None
    year_before: "BaseRate | None" = None


def base_rates(
    training: Iterable[Mapping[str, Any]], metrics: Mapping[str, Any], scored: tuple[date, int] | None
) -> list[BaseRate]:
    """Every cutoff, beside the one nearest to a year before it of as long a horizon, if that saw the same season.

    `scored` is the cutoff scored at and the number of customers: what came of them is not known yet.
    """
    days = metrics["horizon_days"]
    cross_fitted = metrics.get("cross_fitted_folds")  # then it was measured on rows learned from, fold by fold
    learned = (f for f in training if cross_fitted or f["cutoff"] != metrics["cutoff"])
    rows = [BaseRate(f["cutoff"], "learn", f["horizon_days"], f["rows"], f["churn_rate"]) for f in learned]
    if not cross_fitted:
        rows.append(BaseRate(metrics["cutoff"], "measure", days, metrics["rows"], metrics["churn_rate"]))
    rows.sort(key=lambda row: row.cutoff)
    if scored:
        rows.append(BaseRate(f"{scored[0]:%Y-%m-%d}", "score", days, scored[1], None))
    return [replace(row, year_before=_year_before(row, rows)) for row in rows]


def _year_before(row: BaseRate, rows: Iterable[BaseRate]) -> BaseRate | None:
    def off(other: BaseRate) -> float:
        return abs((date.fromisoformat(row.cutoff) - date.fromisoformat(other.cutoff)).days - YEAR_DAYS)

    near = [other for other in rows if other.horizon_days == row.horizon_days and off(other) <= NEAR_DAYS]
    return min(near, key=off, default=None)


def untested(churn: Mapping[str, Any], clv: Mapping[str, Any]) -> list[str]:
    """A note on each model whose candidates could not be compared."""
    models = (("Who leaves", churn), ("Spend", clv.get("spend")), ("Orders", clv.get("orders")))
    return [f"{what}: {held['note']}" for what, held in models if held and not held["selection"]]


def short_horizons(training: Sequence[Mapping[str, Any]], horizon_days: int) -> str | None:
    """A word of warning where the model learned from shorter horizons than it predicts."""
    shortest = min(int(fact["horizon_days"]) for fact in training)
    if shortest >= horizon_days:
        return None
    return (
        f"The history is too short to learn from whole horizons: training looked ahead as little as {shortest} days, "
        f"for a prediction over {horizon_days}. Pareto/NBD carries the answer from the one to the other."
    )


@dataclass(frozen=True)
class Importance:
    """How much a column moves the scores (mean absolute contribution to the log-odds), as a share of all."""

    name: str
    says: str
    theme: str
    share: float


def leaves(contract: Mapping[str, Any]) -> str:
    """What a customer does who leaves in the horizon, by the contract of a churn model, in words."""
    if contract["definition"] == "event":
        return "cancels"
    if contract["definition"] == "declared":
        return "leaves by the company's own account"
    activity = list(contract.get("activity", PURCHASES))
    return "buys nothing" if activity == [*PURCHASES] else f"has no {' or '.join(activity)}"


def importances(shares: Mapping[str, float]) -> list[Importance]:
    """Every column that moves the scores, the most telling first."""
    rows = [Importance(name, says(name), theme_of(name), float(share)) for name, share in shares.items() if share > 0]
    return sorted(rows, key=lambda row: (-row.share, row.name))


def by_theme(rows: Iterable[Importance]) -> list[tuple[str, float]]:
    """Total share of each theme, the largest first."""
    totals: dict[str, float] = {}
    for row in rows:
        totals[row.theme] = totals.get(row.theme, 0.0) + row.share
    return sorted(totals.items(), key=lambda item: (-item[1], item[0]))


def name_of(model: str) -> str:
    """A model's name for readers."""
    return NAMES.get(model) or _label(model) or model.replace("_", " ")


def candidate(name: str) -> str:
    """A candidate's name for readers."""
    return CANDIDATES.get(name) or name_of(name)


def _label(name: str) -> str:
    """What a candidate of the churn model calls itself; nothing of others."""
    known = candidates()
    return known[name].label if name in known else ""


def why(verdict: str) -> str:
    """What became of a candidate, with the names of the others as readers know them."""
    names = (name for name in (*candidates(), *CANDIDATES, *NAMES) if name != "chosen")  # here it is a word, not a name
    return re.sub("|".join(rf"\b{name}\b" for name in names), lambda found: candidate(found[0]), verdict)


def in_order(models: Iterable[str]) -> list[str]:
    """The chosen model, then its rivals, then its parts."""
    return sorted(models, key=lambda model: 0 if model == "chosen" else 2 if model in _PARTS else 1)


def _absent(baselines: Sequence[Comparison], metric: Metric) -> list[str]:
    """The simple baselines of churn that a comparison lacks: to beat the others is not to beat all."""
    named = {row.name for row in baselines}
    return [name_of(name) for name in BASELINES if metric in CHURN and name_of(name) not in named]


def _outcome(value: float, low: float, high: float, metric: Metric) -> Outcome:
    if low == high == 0:
        return "identical"
    if low <= 0 <= high:
        return "not significant"
    if abs(value) < metric.minimum_relevant:
        return "too small to matter"
    return "better" if (low > 0) == (metric.best == "higher") else "worse"


def _in_text(metric: Metric) -> str:
    return metric.label if metric.label.isupper() or "²" in metric.label else metric.label.lower()
