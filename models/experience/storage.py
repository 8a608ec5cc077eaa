"""The shrinkage priors of experience on disk."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from fedelta.models.bundle import named_if_bad, read_contract, write_model
from fedelta.models.experience.shrinkage import Prior


def save_experience(base: Mapping[str, Prior], rules: Sequence[str], folder: Path) -> None:
    """Write what is expected of a customer nobody knows, by pillar and level, and the rules that the data break.

    The indexes of another population are shrunk to it (`load_experience`), so that they mean the same.
    """
    held = {name: {"mean": prior.mean, "strength": prior.strength} for name, prior in base.items()}
    write_model(folder, {"model": "experience", "priors": held, "rules": list(rules)})


@named_if_bad
def load_experience(folder: Path) -> tuple[dict[str, Prior], tuple[str, ...]]:
    """Read them.

    Raises
    ------
    BadBundle
        If the folder holds none that can be loaded, or it is of other features than this program computes.
    """
    contract = read_contract(folder)
    return {name: Prior(**held) for name, held in contract["priors"].items()}, tuple(contract["rules"])
