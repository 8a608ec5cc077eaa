"""What the stages that train share: the horizon they learn, their threads, and the account of their rows."""

from fedelta.models.panel import Panel
from fedelta.pipeline.params import Params

THREADS = 2  # fixed: the number of threads must not change the model


def ahead(params: Params) -> dict[str, int]:
    """How far ahead models look, as the functions that fit them take it."""
    return {"horizon_days": params.horizon_days, "lead_days": params.lead_days}


def value_ahead(params: Params) -> dict[str, int]:
    """As `ahead`, for value, whose horizon may be its own."""
    return {**ahead(params), "horizon_days": params.value_days}


def counts_orders(panel: Panel) -> bool:
    """Whether the rows know of orders at all; a table of customers does not."""
    return not panel.outcomes["horizon_purchase_day_count"].isna().all()


def training_facts(panel: Panel, definition: str) -> list[dict[str, object]]:
    """Per training cutoff: its horizon, rows and share that churned."""
    churned, facts = panel.churned(definition), []
    for cutoff in panel.cutoffs:
        at = (panel.table["cutoff"] == cutoff).to_numpy()
        facts.append(
            {
                "cutoff": f"{cutoff:%Y-%m-%d}",
                "horizon_days": int(panel.table["horizon_days"][at].iloc[0]),
                "rows": int(at.sum()),
                "churn_rate": round(float(churned[at].mean()), 6),
            }
        )
    return facts
