"""The model of effects on disk, or why there is none."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fedelta.models.bundle import CONTRACT, named_if_bad, read_boosters, read_contract, write_model
from fedelta.models.encoding import Encoding
from fedelta.models.learning.boosting import Ensemble
from fedelta.models.rounding import PREDICTED, significant
from fedelta.models.table import AnyTable
from fedelta.models.uplift.gate import Study
from fedelta.models.uplift.learners import XLearner

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class UpliftModel:
    """Effects of contacting that passed the gate."""

    encoding: Encoding
    parts: tuple[tuple[float, Ensemble], ...]  # weights and what they weigh

    def effect(self, table: AnyTable) -> Floats:
        """By how much contacting raises each customer's probability to stay (n_customers,); below 0 it drives away.

        Raises
        ------
        MissingFeatures
            If a column that the model learned from is absent.
        """
        matrix = self.encoding.matrix(table)
        effects = np.zeros(len(table))
        for weight, part in self.parts:
            effects = effects + weight * part.raw(matrix)
        return significant(effects, PREDICTED)


def save_uplift(found: Study | None, encoding: Encoding | None, folder: Path, facts: Mapping[str, object]) -> None:
    """Write the model that passed the gate, or that none did."""
    if found is None or found.model is None or encoding is None:
        write_model(folder, {"model": "uplift", "open": False}, facts=facts)
        return
    parts = found.model.parts
    weights = dict.fromkeys(parts, 1.0)
    if isinstance(found.model, XLearner):
        share = found.model.share_treated_
        weights = {"of_held_out": share, "of_treated": 1 - share}
    contract: dict[str, Any] = {
        "model": "uplift", "open": True, "learner": found.chosen, "weights": weights, "encoding": encoding.to_dict(),
    }  # fmt: skip
    write_model(folder, contract, {name: part.to_text() for name, part in parts.items()}, facts)


@named_if_bad
def load_uplift(folder: Path) -> UpliftModel | None:
    """Read the model of effects; None where none passed the gate, or nothing was measured.

    Raises
    ------
    BadBundle
        If it is unreadable, or was trained on other features than this program computes.
    """
    if not (folder / CONTRACT).exists():
        return None
    contract = read_contract(folder)
    if not contract["open"]:
        return None
    parts = tuple(
        (float(weight), Ensemble.from_text(read_boosters(folder, name)))
        for name, weight in sorted(contract["weights"].items())
    )
    return UpliftModel(Encoding.from_dict(contract["encoding"]), parts)
