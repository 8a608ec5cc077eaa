"""How good the recommendations are on rows after everything they learned from, beside each candidate."""

from typing import Any

from fedelta.models.metrics.bootstrap import Replicates, Resampling
from fedelta.models.next_purchase.measures import calibration_error, hit_rate, loss, mean_of_customers, ndcg
from fedelta.models.next_purchase.model import NextModel
from fedelta.models.next_purchase.rows import Rows

FIGURES = ("hit_rate_3", "ndcg_3", "log_loss")


def evaluate_next(model: NextModel, rows: Rows, resampling: Resampling) -> dict[str, Any]:
    """``{"next": {MODEL: {metric: interval}}, "next_against": {MODEL: {metric: difference}}, "next_rows": …}``.

    `hit_rate_3`: the share of those who bought anything in the horizon who bought one of their three likeliest
    categories; `ndcg_3` of the same customers; `log_loss` and `ece` of all customers and categories. Differences are
    the model minus each candidate, on the same resamples of the customers.
    """
    predicted, customer, bought = model.forecasts(rows), rows.table["customer_id"].to_numpy(str), rows.bought
    figures = {
        "hit_rate_3": {name: hit_rate(held.score, bought) for name, held in predicted.items()},
        "ndcg_3": {name: ndcg(held.score, bought) for name, held in predicted.items()},
        "log_loss": {name: loss(held.probability, bought) for name, held in predicted.items()},
    }
    drawn: dict[str, Replicates] = {
        metric: mean_of_customers(held, customer, metric, resampling) for metric, held in figures.items()
    }
    return {
        "next": {
            name: {
                **{metric: drawn[metric].interval(name, metric).as_dict() for metric in FIGURES},
                "ece": calibration_error(held.probability, bought, customer, resampling)
                .interval("model", "ece")
                .as_dict(),
            }
            for name, held in predicted.items()
        },
        "next_against": {
            name: {metric: drawn[metric].difference(metric, "chosen", name).as_dict() for metric in FIGURES}
            for name in predicted
            if name != "chosen"
        },
        "next_rows": {
            "customers": len(rows),
            "buyers": int(rows.buyers.sum()),
            "categories": len(model.categories),
            "horizon_days": model.horizon_days,
            "note": model.note,
        },
    }
