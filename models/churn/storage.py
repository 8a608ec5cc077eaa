"""The churn model on disk."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from fedelta.models.bundle import named_if_bad, read_boosters, read_contract, write_model
from fedelta.models.churn.candidates import component_from_dict
from fedelta.models.churn.model import ChurnModel
from fedelta.models.churn.selection import ChurnResult
from fedelta.models.learning.calibration import Calibrator
from fedelta.models.learning.season import Season
from fedelta.models.peers import Peers


def save_churn(model: ChurnModel, folder: Path, facts: Mapping[str, object]) -> None:
    """Write a churn model; `facts` (cutoffs, base rates, metrics) are kept beside its contract."""
    parts = [{"weight": weight, "kind": part.kind, **part.to_dict()} for weight, part in model.components]
    contract = {
        "model": "churn",
        "candidate": model.name,
        "horizon_days": model.horizon_days,
        "lead_days": model.lead_days,
        "prior": model.prior,
        "calibrator": model.calibrator.to_dict(),
        "season": model.season.to_dict(),
        "components": parts,
        "selection": [result.to_dict() for result in model.selection],
        "note": model.note,
        "peers": [group.to_dict() for group in model.peers],
    }
    texts = {f"churn-{i}": part.texts() for i, (_, part) in enumerate(model.components)}
    write_model(folder, contract, texts, facts)


@named_if_bad
def load_churn(folder: Path) -> ChurnModel:
    """Read a churn model.

    Raises
    ------
    BadBundle
        If the folder holds none that can be loaded, or it is of other features than this program computes.
    """
    contract = read_contract(folder)
    parts = tuple(
        (float(held["weight"]), component_from_dict(held, partial(read_boosters, folder, f"churn-{i}")))
        for i, held in enumerate(contract["components"])
    )
    return ChurnModel(
        contract["candidate"],
        parts,
        Calibrator.from_dict(contract["calibrator"]),
        int(contract["horizon_days"]),
        int(contract["lead_days"]),
        tuple(ChurnResult.from_dict(held) for held in contract["selection"]),
        contract["note"],
        Season.from_dict(contract["season"]),
        tuple(Peers.from_dict(held) for held in contract.get("peers", ())),
    )
