"""The hazard of leaving on disk."""

from collections.abc import Mapping
from pathlib import Path

from fedelta.models.bundle import named_if_bad, read_boosters, read_contract, write_model
from fedelta.models.encoding import Encoding
from fedelta.models.learning.boosting import Ensemble
from fedelta.models.leaving.model import LeavingModel

_NAME = "leaving"


def save_leaving(model: LeavingModel | None, folder: Path, facts: Mapping[str, object] | None = None) -> None:
    """Write the model and `facts`; None (too little to learn from, or leaving is seen) is written as such."""
    contract = {"model": _NAME, "learned": model is not None, "encoding": model and model.encoding.to_dict()}
    write_model(folder, contract, {_NAME: model.ensemble.to_text()} if model else {}, facts)


@named_if_bad
def load_leaving(folder: Path) -> LeavingModel | None:
    """Read the model; None where none was learned.

    Raises
    ------
    BadBundle
        If the folder holds none that can be loaded, or it is of other features than this program computes.
    """
    contract = read_contract(folder)
    if not contract["learned"]:
        return None
    return LeavingModel(Ensemble.from_text(read_boosters(folder, _NAME)), Encoding.from_dict(contract["encoding"]))
