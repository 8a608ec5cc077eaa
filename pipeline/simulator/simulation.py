"""A simulated company: its files as its systems export them, and the truth behind them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import polars as pl

from fedelta.pipeline.simulator import campaigns
from fedelta.pipeline.simulator.company import BAD_KINDS, Company
from fedelta.pipeline.simulator.dirt import Soiled, soil
from fedelta.pipeline.simulator.life import Life, live
from fedelta.pipeline.simulator.raw import company_files, customer_id, moment
from fedelta.pipeline.simulator.tastes import CATEGORIES
from fedelta.pipeline.simulator.truth import HORIZONS, cutoffs_of, true_churn

Json = Mapping[str, object]
OTHER_TABLES = ("members", "treatments")  # files that hold no interactions

# Which interactions are the planted bad experiences.
PLANTED_RULES = {
    "late_delivery": "kind = 'delivery' AND delay_hours > 24",
    "faulty_return": "kind = 'return' AND topic = 'faulty'",
    "unresolved_contact": "kind IN ('contact', 'complaint') AND NOT resolved",
    "error": "kind = 'error'",
    "outage": "kind = 'outage'",
}


@dataclass(frozen=True)
class Simulation:
    """What ``fedelta simulate`` writes, in memory.

    Attributes
    ----------
    files : the company's files by name, with their dirt.
    customers : true rates, one row per customer; ``left_at`` and ``left_because`` are null for those who stay.
    churn : customer_id, cutoff, horizon_days, alive, churn_probability.
    experiences : every bad experience a customer went through, with its chance of leaving and whether it was the last.
    tastes : each customer's taste for each category: the chance of it where the purchase before decides nothing.
    treatments : what a contact does to each customer drawn into a campaign (``campaigns.treatments_of``).
    effects, dirt : what was planted, and the outcome ingest should find per file.
    """

    company: Company
    files: Mapping[str, Soiled]
    customers: pl.DataFrame
    churn: pl.DataFrame
    experiences: pl.DataFrame
    tastes: pl.DataFrame
    treatments: pl.DataFrame
    effects: Json
    dirt: Mapping[str, Mapping[str, int]]
    life: Life

    @property
    def interactions(self) -> int:
        """Valid interactions in all files."""
        return sum(outcome["valid"] for name, outcome in self.dirt.items() if name not in OTHER_TABLES)

    def churn_at(self, cutoffs: Sequence[float], horizons: Sequence[int] = HORIZONS) -> pl.DataFrame:
        """The true chance of no purchase at further cutoffs (days since the start), in the form of ``churn``."""
        return _dated(self.company, true_churn(self.life, cutoffs, horizons))


def simulate(company: Company) -> Simulation:
    """Make a company. The same settings give the same tables, bit by bit."""
    life = live(company)
    files = {name: soil(company, name, table) for name, table in company_files(life).items()}
    return Simulation(
        company=company,
        files=files,
        customers=_customers(life),
        churn=_dated(company, true_churn(life, cutoffs_of(life))),
        experiences=_experiences(life),
        tastes=_tastes(life),
        treatments=_treatments(life),
        effects=_effects(company),
        dirt=_dirt(files),
        life=life,
    )


def _dated(company: Company, churn: pl.DataFrame) -> pl.DataFrame:
    return churn.select(
        customer_id().alias("customer_id"), moment(company, "cutoff"), "horizon_days", "alive", "churn_probability"
    )


def _customers(life: Life) -> pl.DataFrame:
    left_at = np.where(np.isfinite(life.left_at), life.left_at, np.nan)
    table = life.traits.with_columns(left_at=pl.Series(left_at).fill_nan(None), left_because=life.left_because)
    rates = ("purchase_rate", "visit_rate", "contact_rate", "hazard")
    return table.select(
        customer_id().alias("customer_id"),
        moment(life.company, "signed_up").alias("signed_up_at"),
        moment(life.company, "left_at"),
        "left_because",
        pl.col(*rates).name.suffix("_per_day"),
        "rhythm",
        "spend_mean",
        "late_share",
        "engagement",
        "member",
    )


def _tastes(life: Life) -> pl.DataFrame:
    ids = life.traits.select(customer_id().alias("customer_id"))
    return ids.hstack(pl.DataFrame(life.tastes, schema=list(CATEGORIES)))


def _treatments(life: Life) -> pl.DataFrame:
    who = life.treatments["customer"].to_numpy()
    return life.treatments.select(
        customer_id().alias("customer_id"),
        pl.format("stay with us {}", pl.col("campaign") + 1).alias("campaign"),
        moment(life.company, "at").alias("entered_at"),
        pl.when("treated").then(pl.lit("treated")).otherwise(pl.lit("held_out")).alias("arm"),
        "reached",
        "type",
        "leaves_if_held_out",
        "leaves_if_treated",
        "effect",
        pl.Series("shield", life.campaigns.shield[who]),
        pl.Series("reactance", life.campaigns.reactance[who]),
    )


def _experiences(life: Life) -> pl.DataFrame:
    """Bad experiences decided on while still a customer; ``number`` counts them from 1 over the customer's life."""
    mine = life.experiences.filter(
        (pl.col("decided") <= life.left_at[life.experiences["customer"].to_numpy()])
        & (pl.col("decided") < life.company.days)
    )
    return mine.select(
        customer_id().alias("customer_id"),
        moment(life.company, "at"),
        moment(life.company, "decided").alias("decided_at"),
        "kind",
        pl.int_range(1, pl.len() + 1).over("customer").alias("number"),
        "recent",
        "recovered",
        pl.col("chance").alias("chance_of_leaving"),
        "left",
    )


def _effects(company: Company) -> Json:
    effects = company.effects
    return {
        "chance_of_leaving": {
            "by_number_of_recent_bad_experiences": list(effects.chance_of_leaving),
            "memory_days": effects.memory_days,
            "weights": dict(zip(BAD_KINDS, effects.weights, strict=True)),
            "recovery_share": effects.recovery_share,
        },
        "spend": {
            "drop": effects.spend_drop,
            "days": effects.spend_drop_days,
            "recovery_share": effects.recovery_share,
        },
        "rules": PLANTED_RULES,
        "categories": {name: asdict(category) for name, category in CATEGORIES.items()},
        "campaigns": {
            "effect_days": campaigns.EFFECT_DAYS,
            "share_of_causes_of_leaving_averted": campaigns.SHIELD,
            "chance_of_leaving_because_of_contact": campaigns.REACTANCE,
        },
        "company": asdict(company) | {"start": company.start.isoformat()},
    }


def _dirt(files: Mapping[str, Soiled]) -> dict[str, dict[str, int]]:
    """Outcomes in interactions, where a message with a reaction is two; those of ``members`` in customers."""
    outcomes = {name: dict(soiled.outcome) for name, soiled in files.items()}
    campaigns = files["campaigns"]
    reacted = campaigns.table["reacted_at"].is_not_null()
    true_rows = campaigns.outcome["valid"]
    outcomes["campaigns"]["valid"] += int(reacted[:true_rows].sum())
    outcomes["campaigns"]["duplicate"] += int(reacted[true_rows:].sum())
    return outcomes
