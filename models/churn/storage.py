"""The churn model on disk."""

from collections.abc import Mapping
from pathlib import Path

from fedelta.models.bundle import read_boosters, read_contract, write_model
from fedelta.models.churn.candidates import Trees, component_from_dict, component_to_dict
from fedelta.models.churn.model import ChurnModel
from fedelta.models.churn.selection import Standing
from fedelta.models.learning.boosting import Ensemble
from fedelta.models.learning.calibration import Calibrator
from fedelta.models.learning.season import Season
from fedelta.models.peers import Peers


def save_churn(model: ChurnModel, folder: Path, facts: Mapping[str, object]) -> None:
    """Write a churn model; `facts` (cutoffs, base rates, metrics) are kept beside its contract."""
    parts = [{"weight": weight, **component_to_dict(part)} for weight, part in model.components]
    contract = {
        "model": "churn",
        "candidate": model.name,
        "horizon_days": model.horizon_days,
        "lead_days": model.lead_days,
        "prior": model.prior,
        "calibrator": model.calibrator.to_dict(),
        "season": model.season.to_dict(),
        "components": parts,
        "selection": [standing.to_dict() for standing in model.selection],
        "note": model.note,
        "peers": [group.to_dict() for group in model.peers],
    }
    trees = {
        f"churn-{i}": part.ensemble.to_text() for i, (_, part) in enumerate(model.components) if isinstance(part, Trees)
    }
    write_model(folder, contract, trees, facts)


def load_churn(folder: Path) -> ChurnModel:
    """Read a churn model.

    Raises
    ------
    BadBundle
        If the folder holds none, or it was trained on other features than this program computes.
    """
    contract = read_contract(folder)
    parts = tuple(
        (
            float(held["weight"]),
            component_from_dict(
                held, Ensemble.from_text(read_boosters(folder, f"churn-{i}")) if held["kind"] == "lightgbm" else None
            ),
        )
        for i, held in enumerate(contract["components"])
    )
    return ChurnModel(
        contract["candidate"],
        parts,
        Calibrator.from_dict(contract["calibrator"]),
        contract["horizon_days"],
        contract["lead_days"],
        tuple(Standing.from_dict(held) for held in contract["selection"]),
        contract["note"],
        Season.from_dict(contract["season"]),
        tuple(Peers.from_dict(held) for held in contract.get("peers", ())),
    )
