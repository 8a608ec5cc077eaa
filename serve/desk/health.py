"""``/desk/health``: whether the model, and the data it was fed with, can be relied on."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from markupsafe import Markup

from fedelta.pages.charts import Frame
from fedelta.serve.caller.auth import needs
from fedelta.serve.caller.scopes import Caller
from fedelta.serve.desk.base_charts import shares
from fedelta.serve.desk.page import open_page
from fedelta.serve.desk.reports import about, command_of, report
from fedelta.serve.desk.words import N_, Words

Json = Mapping[str, Any]

CHECKS = {
    "features": N_("Have the features changed that the model heeds?"),
    "scores": N_("Have the scores changed?"),
    "single feature": N_("Has a feature changed as it never did?"),
    "data": N_("Do data come in as usual?"),
    "new kinds": N_("Is there a kind or channel never met before?"),
    "feeds": N_("Does every kind still come in, and is each customer written in one way?"),
    "performance": N_("Does the model do as well as expected?"),
}
METRICS = (
    ("auc", N_("AUC"), N_("how well leavers are ranked above stayers: 0.5 is a coin's, 1 perfect"), 3),
    ("log_loss", N_("Log loss"), N_("how wrong the probabilities are, lower is better"), 4),
    ("ece", N_("Calibration error"), N_("mean distance of predicted and actual rates, lower is better"), 4),
    ("lift", N_("Lift of the top tenth"), N_("leavers among the riskiest tenth, as a multiple of the mean"), 2),
)  # fmt: skip
MODELS = {
    "chosen": N_("the model"),
    "uncalibrated": N_("before calibration"),
    "constant": N_("everybody at the mean"),
    "hiatus": N_("days since the last purchase"),
    "logistic": N_("logistic regression"),
    "days_since_last_activity": N_("days since the last activity"),
}
EQUATION = {
    "valid": N_("valid"),
    "duplicate": N_("repeated"),
    "out_of_scope": N_("out of scope"),
    "quarantined": N_("set aside"),
}

router = APIRouter()


@router.get("/desk/health", include_in_schema=False)
async def show_health(request: Request, caller: Annotated[Caller, Depends(needs("read:list"))]) -> Response:
    """Show the current bundle, how good it is, how it does now, and the data of the last run."""
    page = await open_page(request, caller)
    run = about(page.snapshot.about)
    found: dict[str, Any] = {
        name: await report(page, name) for name in ("drift", "data", "backtest", "promotions", "fairness")
    }
    metrics = run["metrics"] or {}
    tenths = metrics.get("deciles", {}).get("churn", [])
    return await page.show(
        "health.html.jinja",
        run=run,
        metrics=metrics,
        shown=METRICS,
        models=MODELS,
        tenths=tenths,
        calibration_chart=_calibration(page.words, tenths) if tenths else None,
        gains_chart=_gains(page.words, tenths, metrics["churn_rate"]) if tenths else None,
        checks=CHECKS,
        equation=EQUATION,
        command_of=command_of,
        drift=found["drift"],
        data=found["data"],
        backtest=found["backtest"],
        promotions=found["promotions"],
        fairness=found["fairness"],
    )


def _calibration(words: Words, tenths: list[Json]) -> Markup:
    """Predicted against actual churn rate, a dot for each tenth; on the diagonal they agree."""
    pairs = [(row["mean_predicted"], row["mean_actual"]) for row in tenths]
    frame = Frame(shares(words, words.gettext("predicted")), shares(words, words.gettext("left")), 320)
    return frame.svg(
        words.gettext("Calibration: predicted risk against the share that left, by tenth of the customers"),
        frame.line([(0, 0), (1, 1)], "guide"),
        frame.line(sorted(pairs), "series thin"),
        *(frame.dot(*pair) for pair in pairs),
    )


def _gains(words: Words, tenths: list[Json], churn_rate: float) -> Markup:
    """Share of the leavers among the riskiest customers, between the best possible order and a coin's."""
    customers = sum(row["rows"] for row in tenths)
    contacted, curve = 0, [(0.0, 0.0)]
    for row in tenths:
        contacted += row["rows"]
        curve.append((contacted / customers, row["cumulative_share"]))
    x = shares(words, words.gettext("customers, riskiest first"))
    frame = Frame(x, shares(words, words.gettext("leavers among them")), 320)
    return frame.svg(
        words.gettext("Gains: share of all leavers among the riskiest share of customers"),
        frame.line([(0, 0), (1, 1)], "guide"),
        frame.line([(0, 0), (min(max(churn_rate, 1e-9), 1), 1), (1, 1)], "guide"),
        frame.line(curve, "series"),
        frame.words(0.62, 0.52, words.gettext("at random"), "note"),
    )
