"""The model of the next purchase on disk."""

from collections.abc import Mapping
from pathlib import Path

from fedelta.features.contract import NextStatus
from fedelta.models.bundle import named_if_bad, read_boosters, read_contract, write_model
from fedelta.models.learning.calibration import Calibrator
from fedelta.models.next_purchase.candidates import Fitted
from fedelta.models.next_purchase.model import NextModel, NextResult


def save_next(model: NextModel | None, folder: Path, reason: NextStatus | None, facts: Mapping[str, object]) -> None:
    """Write the model; where none was learned, the `reason` for it."""
    contract: dict[str, object] = {"model": "next_purchase", "learned": model is not None, "reason": reason}
    if model is None:
        write_model(folder, contract, {}, facts)
        return
    contract |= {
        "categories": list(model.categories),
        "fitted": model.fitted.to_dict(),
        "weights": dict(model.weights),
        "calibrator": model.calibrator.to_dict(),
        "horizon_days": model.horizon_days,
        "lead_days": model.lead_days,
        "selection": [result.to_dict() for result in model.selection],
        "note": model.note,
    }
    write_model(folder, contract, {"next": model.fitted.ensemble.to_text()}, facts)


@named_if_bad
def load_next(folder: Path) -> tuple[NextModel | None, NextStatus | None]:
    """The model, or the reason why there is none.

    Raises
    ------
    BadBundle
        If the folder holds none that can be loaded, or it is of other features than this program computes.
    """
    held = read_contract(folder)
    if not held["learned"]:
        return None, held["reason"]
    return NextModel(
        tuple(held["categories"]),
        Fitted.from_dict(held["fitted"], read_boosters(folder, "next")),
        held["weights"],
        Calibrator.from_dict(held["calibrator"]),
        held["horizon_days"],
        held["lead_days"],
        tuple(NextResult.from_dict(result) for result in held["selection"]),
        held["note"],
    ), None
