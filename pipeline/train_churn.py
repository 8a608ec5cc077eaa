"""DVC stage ``train_churn``: training rows in; churn model and the baselines it must beat out."""

from typing import Any

from models.baselines import fit_hiatus, fit_logistic
from models.bundle import save_churn
from models.churn import ChurnModel, fit_churn
from models.panel import Panel
from pipeline import paths
from pipeline.panel import read_panel
from pipeline.params import Params, load_params
from pipeline.whole_files import whole

THREADS = 2  # fixed: the number of threads must not change the model


def train(panel: Panel, params: Params) -> tuple[ChurnModel, dict[str, Any]]:
    """The churn model of the training rows, and the facts kept beside it: base rates, baselines, importance."""
    model = fit_churn(
        panel, params.churn, horizon_days=params.horizon_days, lead_days=params.lead_days, threads=THREADS
    )
    definition = params.churn.definition
    gains = model.ensemble.importance()
    facts = {
        "definition": definition,
        "training": training_facts(panel, definition),
        "baselines": {
            "hiatus": fit_hiatus(panel, definition).to_dict(),
            "logistic": fit_logistic(panel, definition).to_dict(),
        },
        "importance": dict(
            sorted(zip(model.encoding.names, (gains / gains.sum()).round(6).tolist(), strict=True), key=lambda g: -g[1])
        ),
    }
    return model, facts


def training_facts(panel: Panel, definition: str) -> list[dict[str, object]]:
    """Per training cutoff: its horizon, rows, and share that churned."""
    churned = panel.churned(definition)
    facts = []
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


def main() -> None:
    """Train the project's churn model."""
    params = load_params()
    panel = read_panel(["train"]).of_role("train")
    model, facts = train(panel, params)
    with whole(paths.CHURN_BUNDLE) as folder:
        save_churn(model, folder, facts)
    rates = ", ".join(f"{fact['churn_rate']:.3f}" for fact in facts["training"])
    print(
        f"train_churn: {len(panel):,} rows at {len(panel.cutoffs)} cutoffs (churn rate {rates}); BTYD as "
        f"{model.prior}. {model.calibrator.note}"
    )
