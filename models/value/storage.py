"""The models of spend and orders on disk."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fedelta.models.bundle import named_if_bad, read_boosters, read_contract, write_model
from fedelta.models.encoding import Encoding
from fedelta.models.learning.bias_correction import BiasCorrection
from fedelta.models.learning.boosting import Ensemble
from fedelta.models.learning.conformal import Intervals
from fedelta.models.learning.season import Season
from fedelta.models.value.model import ClvModel, OrdersModel, ValueModel
from fedelta.models.value.value_selection import ValueResult
from fedelta.models.value.value_trees import ValueTrees


def save_clv(
    model: ClvModel | None, folder: Path, facts: Mapping[str, object], orders: OrdersModel | None = None
) -> None:
    """Write a lifetime-value model, that of orders, and `facts`; None (no money in the source) is written as such."""
    boosters: dict[str, list[str]] = {}
    contract: dict[str, object] = {"model": "clv", "learned": model is not None}
    for what, held in (("spend", model), ("orders", orders)):
        contract[what] = held and _value_contract(held)
        boosters |= {f"{what}.{part}": grown.to_text() for part, grown in held.trees.ensembles.items()} if held else {}
    if model:
        contract |= {"scale": model.bias.scale, "intervals": model.intervals and model.intervals.to_dict()}
    write_model(folder, contract, boosters, facts)


@named_if_bad
def load_clv(folder: Path) -> ClvModel | None:
    """Read a lifetime-value model; None where none could be learned.

    Raises
    ------
    BadBundle
        If the folder holds none that can be loaded, or it is of other features than this program computes.
    """
    contract = read_contract(folder)
    if not contract["learned"]:
        return None
    held = contract["intervals"]
    return ClvModel(*_value_parts(contract["spend"], "spend", folder), held and Intervals.from_dict(held))


@named_if_bad
def load_orders(folder: Path) -> OrdersModel | None:
    """Read the model of orders that was saved with that of lifetime value; None where there is none.

    Raises
    ------
    BadBundle
        If the folder holds none that can be loaded, or it is of other features than this program computes.
    """
    held = read_contract(folder)["orders"]
    return held and OrdersModel(*_value_parts(held, "orders", folder))


def _value_contract(model: ValueModel) -> dict[str, object]:
    return {
        "candidate": model.chosen,
        "parts": list(model.trees.ensembles),
        "prior": model.trees.prior,
        "encoding": model.trees.encoding.to_dict(),
        "bias": asdict(model.bias),
        "season": model.season.to_dict(),
        "horizon_days": model.horizon_days,
        "lead_days": model.lead_days,
        "selection": [result.to_dict() for result in model.results],
        "note": model.note,
    }


def _value_parts(
    held: Mapping[str, Any], what: str, folder: Path
) -> tuple[Any, ValueTrees, BiasCorrection, int, int, tuple[ValueResult, ...], str, Season]:
    ensembles = {part: Ensemble.from_text(read_boosters(folder, f"{what}.{part}")) for part in held["parts"]}
    return (
        held["candidate"],
        ValueTrees(ensembles, Encoding.from_dict(held["encoding"]), held["prior"]),
        BiasCorrection(**held["bias"]),
        held["horizon_days"],
        held["lead_days"],
        tuple(ValueResult.from_dict(result) for result in held["selection"]),
        held["note"],
        Season.from_dict(held["season"]),
    )
