"""Personas: at most five kinds of customers, and who is of which."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fedelta.models.encoding import MissingFeatures
from fedelta.models.loyalty.persona_traits import Scale, points
from fedelta.models.table import AnyTable

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Persona:
    """A kind of customer. Id and name were given at birth and stay, as long as it is found among the same people."""

    id: str
    name: str
    centre: tuple[float, ...]


@dataclass(frozen=True)
class PersonaModel:
    """The personas of a base, largest first when found; without any, `reason` says why."""

    scales: tuple[Scale, ...] = ()
    personas: tuple[Persona, ...] = ()
    born: int = 0  # ids ever given: one is never given twice
    reason: str | None = None

    @property
    def columns(self) -> list[str]:
        """The columns of a feature table that personas are assigned by."""
        return sorted({name for scale in self.scales for name in (scale.column, scale.trait.evidence) if name})

    def assign(self, table: AnyTable) -> npt.NDArray[np.object_]:
        """Name of the nearest persona of every row of a feature table; None where there are none."""
        if not self.personas:
            return np.full(len(table), None, object)
        return np.array([persona.name for persona in self.personas], object)[self.nearest(table)]

    def nearest(self, table: AnyTable) -> npt.NDArray[np.intp]:
        """Number of the nearest persona of every row.

        Raises
        ------
        MissingFeatures
            If a column that personas are assigned by is absent.
        """
        if missing := [name for name in self.columns if name not in table]:
            raise MissingFeatures(
                f"The personas need {missing}, which the table lacks. Rebuild it with `dvc repro build_features`."
            )
        return nearest(points(table, self.scales), np.array([persona.centre for persona in self.personas]))

    def to_dict(self) -> dict[str, object]:
        """As JSON."""
        return {
            "scales": [asdict(scale) for scale in self.scales],
            "personas": [{**asdict(persona), "centre": list(persona.centre)} for persona in self.personas],
            "born": self.born,
            "reason": self.reason,
        }

    @classmethod
    def from_dict(cls, held: Mapping[str, Any]) -> "PersonaModel":
        """Back from JSON."""
        scales = tuple(Scale(**scale) for scale in held["scales"])
        personas = tuple(Persona(one["id"], one["name"], tuple(one["centre"])) for one in held["personas"])
        return cls(scales, personas, held["born"], held["reason"])


def nearest(where: Floats, centres: Floats) -> npt.NDArray[np.intp]:
    """Number of the nearest centre of every point, the first of equally near ones."""
    distance = np.stack([((where - centre) ** 2).sum(axis=1) for centre in centres], axis=1)
    return np.asarray(distance.argmin(axis=1), np.intp)
