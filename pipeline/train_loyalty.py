"""DVC stage ``train_loyalty``: training rows in; what tells loyal customers from others, and personas, out."""

from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl

from fedelta.features.experience_rules import ExperienceSettings
from fedelta.models.loyalty.columns import COLUMNS
from fedelta.models.loyalty.evidence import attitude_adds, spurious_of_value, what_they_did
from fedelta.models.loyalty.model import CLASSES, LoyaltyModel, fit_loyalty
from fedelta.models.loyalty.persona_cards import cards
from fedelta.models.loyalty.persona_search import Search, find_personas
from fedelta.models.loyalty.personas import PersonaModel
from fedelta.models.loyalty.storage import remembered_personas, save_loyalty, save_personas
from fedelta.models.metrics.bootstrap import Resampling
from fedelta.models.panel import Panel, floats, horizon_end
from fedelta.pipeline import paths
from fedelta.pipeline.atomic_write import whole, write_json
from fedelta.pipeline.intake.sources import load_source
from fedelta.pipeline.panel import read_panel, sampled_customers
from fedelta.pipeline.params import Params, load_params

Document = dict[str, Any]
YEAR = timedelta(days=365)
PRAISED = 0.8  # the least rating that is praise
NO_HISTORY = "The source is a table without a history: loyalty and personas need to know what customers did."


def train(panel: Panel, params: Params, before: PersonaModel | None) -> tuple[LoyaltyModel, Search, Document]:
    """Loyalty learned on all known outcomes, personas of the customers to be scored, and the evidence on loyalty.

    Parameters
    ----------
    panel : Panel
        Rows of all roles.
    before : PersonaModel, optional
        The personas of the run before, of the same source.
    """
    learned, scored = panel.training("delivered"), panel.of_role("score").table
    if learned.table["interaction_count"].isna().all():
        return _of_a_table(scored, params, before)
    model = fit_loyalty(learned, params.loyalty)
    found = find_personas(scored, params.personas, before)
    return model, found, {**evidence(model, panel, params), **_spurious(model, learned, scored, params)}


def _of_a_table(
    scored: pd.DataFrame, params: Params, before: PersonaModel | None
) -> tuple[LoyaltyModel, Search, Document]:
    """No loyalty and no personas, with the reason: both need to know what customers did, which a table lacks."""
    born = before.born if before else 0
    return (
        LoyaltyModel({}, params.loyalty.least_signals, reason=NO_HISTORY),
        Search(PersonaModel(born=born, reason=NO_HISTORY), {}, kept=False),
        {
            "cutoff": f"{scored['cutoff'].iloc[0]:%Y-%m-%d}",
            "horizon_days": params.horizon_days,
            "reason": NO_HISTORY,
            "attitude": None,
            "classes": [],
            "referred": None,
            "attitude_adds": {"verdict": NO_HISTORY},
            "now": {},
            "spurious": {"least_spend": 0.0, "customers": []},
        },
    )


def evidence(model: LoyaltyModel, panel: Panel, params: Params) -> Document:
    """What the classes did after the evaluated cutoff, and whether attitude adds to behaviour.

    There the classes are those of a model that learned from the evaluated fit's rows alone. Where there is no such
    cutoff nothing is known of what they did.
    """
    train, later, definition = panel.training("evaluated"), panel.of_role("evaluate"), params.churn.definition
    resampling = Resampling(params.evaluate.bootstrap, seed=params.evaluate.seed)
    attitude = {"base": model.base, "credibility": model.credibility, "weights": dict(model.weights)}
    always = {"horizon_days": params.horizon_days, "reason": model.reason, "attitude": attitude}
    if not len(later):
        silent = {"customers": 0, "bought": None, "spend": None, "left": None, "referred": None}
        return always | {
            "cutoff": None,
            "classes": [{"class": name or "silent", **silent} for name in (*CLASSES, None)],
            "referred": None,
            "attitude_adds": {"verdict": "Not tested: the history is too short for an evaluation cutoff."},
        }
    earlier, referred = fit_loyalty(train, params.loyalty), referred_in_horizon(panel, later.table)
    return always | {
        "cutoff": f"{later.cutoffs[0]:%Y-%m-%d}",
        "classes": what_they_did(later, earlier, definition, resampling, referred=referred),
        "referred": None if referred is not None else "No cutoff ends the horizon, so referrals in it are not counted.",
        "attitude_adds": attitude_adds(train, later, earlier, definition, resampling).as_dict(),
    }


def referred_in_horizon(panel: Panel, table: pd.DataFrame) -> npt.NDArray[np.float64] | None:
    """Referrals that each row's customer made from its cutoff to the end of its horizon (lead time included).

    They are counted by the features at a later cutoff which is that end; None if there is none.
    """
    everyone = panel.table
    then = everyone[everyone["cutoff"] == horizon_end(table).iloc[0]].set_index("customer_id")["referral_count"]
    if then.empty:
        return None
    now = table.set_index("customer_id")["referral_count"]
    return np.asarray(then.reindex(now.index) - now, np.float64)


def _spurious(model: LoyaltyModel, learned: Panel, scored: pd.DataFrame, params: Params) -> Document:
    least = float(np.quantile(np.nan_to_num(floats(learned.table, "pareto_expected_spend")), params.loyalty.of_value))
    held, _ = model.classify(scored)
    listed = spurious_of_value(scored, model, least_spend=least)
    return {
        "now": {str(name or "silent"): int(np.sum([one == name for one in held])) for name in (*CLASSES, None)},
        "spurious": {"least_spend": least, "customers": [vars(customer) for customer in listed]},
    }


def persona_report(found: Search, scored: pd.DataFrame, experience: ExperienceSettings) -> Document:
    """The personas in words, and the numbers of personas that were tried."""
    cutoff = scored["cutoff"].iloc[0]
    described = cards(found.model, scored, _praise(cutoff), _complaints(cutoff, experience))
    tried = [
        {"personas": k, "stability": g.stability, "silhouette": g.silhouette, "gap": g.gap}
        for k, g in found.tried.items()
    ]
    return {
        "cutoff": f"{cutoff:%Y-%m-%d}",
        "reason": found.model.reason,
        "tried": tried,
        "cards": [card.as_dict() for card in described],
    }


def _praise(cutoff: pd.Timestamp) -> pd.DataFrame:
    """What customers rated high in the year before the cutoff: the kind, and the topic where there is one."""
    rated = pl.scan_parquet(paths.INTERACTIONS / "*.parquet").filter(pl.col("rating") >= PRAISED, _in_year(cutoff))
    what = pl.concat_str(pl.col("kind").cast(pl.String), pl.col("topic"), separator=" on ", ignore_nulls=True)
    return rated.select(pl.col("customer_id").cast(pl.String), what=what).collect().to_pandas()


def _complaints(cutoff: pd.Timestamp, experience: ExperienceSettings) -> pd.DataFrame:
    """Bad experiences in the year before the cutoff: the rule and its pillar."""
    pillars = {name: f"{name} ({rule.pillar})".replace("_", " ") for name, rule in experience.rules.items()}
    bad = pl.scan_parquet(paths.EXPERIENCES).filter(_in_year(cutoff))
    what = pl.col("rule").cast(pl.String).replace(pillars)
    return bad.select(pl.col("customer_id").cast(pl.String), what=what).collect().to_pandas()


def _in_year(cutoff: pd.Timestamp) -> pl.Expr:
    at = cutoff.to_pydatetime()
    when = pl.col("occurred_at").dt.replace_time_zone(None)
    return (when >= at - YEAR) & (when < at)


def main() -> None:
    """Learn loyalty and find personas of the project's customers."""
    params = load_params()
    roles = ["train", "refit", "evaluate", "score"]
    sample = sampled_customers(params.engine.sample_customers)
    panel = read_panel(roles, among=sample, whole=["score"], columns=COLUMNS)
    model, found, report = train(panel, params, remembered_personas(paths.PERSONAS_BUNDLE, params.source))
    experience = load_source(params.source).experience(params.experience)
    report["learned_customers"] = None if sample is None else len(sample)  # a sample; None: everybody
    report["personas"] = persona_report(found, panel.of_role("score").table, experience)
    with whole(paths.LOYALTY_BUNDLE) as folder:
        save_loyalty(model, folder, {})
    with whole(paths.PERSONAS_BUNDLE) as folder:
        save_personas(found.model, folder, params.source)
    write_json(paths.LOYALTY_REPORT, report)
    classes = ", ".join(f"{count:,} {name}" for name, count in report["now"].items())
    if model.reason == found.model.reason is not None:
        print(f"train_loyalty: {model.reason}")
        return
    loyalty = model.reason or f"{classes}. {report['attitude_adds']['verdict']}"
    names = "; ".join(persona.name for persona in found.model.personas)
    print(f"train_loyalty: {loyalty} {found.model.reason or f'Personas: {names}'}")
