"""DVC stage ``train_churn``: training rows in; churn models, evaluated and delivered, and the baselines to beat out."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pandas as pd

from fedelta.features.cutoffs import Fit
from fedelta.models.churn.baselines import BASE, fit_baselines
from fedelta.models.churn.candidates import contributions
from fedelta.models.churn.model import ChurnModel, fit_churn
from fedelta.models.churn.storage import save_churn
from fedelta.models.learning.cross_fitting import copies_as_one
from fedelta.models.monitoring.input_drift import profile_of
from fedelta.models.panel import Panel
from fedelta.models.peers import fit_peers
from fedelta.pipeline import paths
from fedelta.pipeline.atomic_write import whole
from fedelta.pipeline.panel import read_training, sample_note
from fedelta.pipeline.params import Params, load_params
from fedelta.pipeline.training import THREADS, ahead, training_facts

_ASKED = 500  # rows whose contributions give the importance


def train(panel: Panel, params: Params) -> tuple[ChurnModel, dict[str, Any]]:
    """The churn model of the training rows, and the facts kept beside it: base rates, baselines, importance."""
    model = fit_churn(copies_as_one(panel), params.churn, **ahead(params), threads=THREADS)
    model = replace(model, peers=fit_peers(panel.table, model.encoding))
    definition = params.churn.definition
    facts = {
        "definition": definition,
        "activity": list(params.churn.activity),
        "training": training_facts(panel, definition),
        "baselines": {name: baseline.to_dict() for name, baseline in fit_baselines(panel, definition).items()},
        "importance": importance(model, panel.table),
        "inputs": profile_of(panel.table, model.encoding),
    }
    return model, facts


def importance(model: ChurnModel, table: pd.DataFrame) -> dict[str, float]:
    """Each column's share of what moves the scores: mean absolute contribution to the log-odds, largest first."""
    asked = table.iloc[np.linspace(0, len(table) - 1, min(_ASKED, len(table))).astype(int)]
    parts = pd.DataFrame(contributions(model.components, asked)).drop(columns=BASE)
    moved = (parts - parts.mean()).abs().mean()
    shares = (moved / (moved.sum() or 1.0)).round(6)
    return dict(sorted(((str(n), float(v)) for n, v in shares.items()), key=lambda item: (-item[1], item[0])))


def main() -> None:
    """Train the project's churn model twice, by the same procedure (``features.cutoffs``)."""
    params = load_params()
    with whole(paths.CHURN_BUNDLE) as folder:
        for fit in get_args(Fit):
            panel = read_training(fit, most=params.engine.learn_customers)
            if len(panel):
                model, facts = train(panel, params)
                model = replace(model, note=model.note + sample_note(params.engine.learn_customers))
                save_churn(model, folder / fit, facts)
                print(f"train_churn: {fit}: {in_words(model, facts, panel)}")


def in_words(model: ChurnModel, facts: Mapping[str, Any], panel: Panel) -> str:
    """What was learned from and what was chosen, in one line."""
    rates = ", ".join(f"{fact['churn_rate']:.3f}" for fact in facts["training"])
    why = "; ".join(f"{s.candidate}, {s.verdict}" for s in model.selection if s.weight)
    return (
        f"{len(panel):,} rows at {len(panel.cutoffs)} cutoffs (churn rate {rates}); {why or model.name}. "
        f"{model.note} {model.calibrator.note} {model.season.note}"
    )
