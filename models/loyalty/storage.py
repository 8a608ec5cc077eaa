"""The loyalty model and the personas on disk."""

from collections.abc import Mapping
from pathlib import Path

from fedelta.models.bundle import CONTRACT, named_if_bad, read_contract, read_json, write_model
from fedelta.models.loyalty.model import LoyaltyModel
from fedelta.models.loyalty.persona_traits import BY_COLUMN
from fedelta.models.loyalty.personas import PersonaModel


def save_loyalty(model: LoyaltyModel, folder: Path, facts: Mapping[str, object]) -> None:
    """Write what tells loyal customers from others."""
    write_model(folder, {"model": "loyalty", "loyalty": model.to_dict()}, facts=facts)


@named_if_bad
def load_loyalty(folder: Path) -> LoyaltyModel:
    """Read what tells loyal customers from others.

    Raises
    ------
    BadBundle
        If the folder holds none that can be loaded, or it is of other features than this program computes.
    """
    return LoyaltyModel.from_dict(read_contract(folder)["loyalty"])


def save_personas(model: PersonaModel, folder: Path, source: str) -> None:
    """Write the personas found in a source: what the next run remembers."""
    write_model(folder, {"model": "personas", "personas": model.to_dict(), "source": source})


@named_if_bad
def load_personas(folder: Path) -> PersonaModel:
    """Read the personas.

    Raises
    ------
    BadBundle
        If the folder holds none that can be loaded, or it is of other features than this program computes.
    """
    return PersonaModel.from_dict(read_contract(folder)["personas"])


@named_if_bad
def remembered_personas(folder: Path, source: str) -> PersonaModel | None:
    """The personas of the run before; None if there was none, or of another source or by traits we no longer know.

    Raises
    ------
    BadBundle
        If they are unreadable: without them, ids would silently go to other people.
    """
    if not (folder / CONTRACT).exists():
        return None
    contract = read_json(folder)
    known = all(scale["column"] in BY_COLUMN for scale in contract["personas"]["scales"])
    return PersonaModel.from_dict(contract["personas"]) if known and contract["source"] == source else None
