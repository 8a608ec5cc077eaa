"""Buy-till-you-die models as candidates: they know of purchases alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np

from fedelta.models.churn.baselines import BASE
from fedelta.models.churn.candidate import Candidate, Floats
from fedelta.models.churn.settings import ChurnSettings
from fedelta.models.encoding import Encoding
from fedelta.models.learning.log_odds import btyd_log_odds
from fedelta.models.panel import Panel
from fedelta.models.table import AnyTable


@dataclass(frozen=True)
class Btyd:
    """A buy-till-you-die model's own answer at the row's horizon: ``model`` is pareto or bg."""

    kind: ClassVar[str] = "btyd"
    model: Literal["pareto", "bg"]

    def log_odds(self, table: AnyTable) -> Floats:
        """Log-odds of no purchase (n_rows,)."""
        return btyd_log_odds(table, self.model)

    def contributions(self, table: AnyTable) -> dict[str, Floats]:
        """All of it is the one column's."""
        return {BASE: np.zeros(len(table)), self._column: self.log_odds(table)}

    @property
    def reads(self) -> Encoding:
        """The chance of any purchase."""
        return Encoding((self._column,), {})

    def to_dict(self) -> dict[str, object]:
        """As JSON."""
        return {"model": self.model}

    def texts(self) -> tuple[str, ...]:
        """None."""
        return ()

    @classmethod
    def from_dict(cls, document: Mapping[str, Any], texts: Callable[[], Sequence[str]]) -> Self:
        """Back from JSON."""
        return cls(document["model"])

    @property
    def _column(self) -> str:
        return f"{self.model}_p_any"


def _competes(panel: Panel, settings: ChurnSettings, _horizon_days: int) -> bool:
    return settings.definition == "inactivity" and not panel.table["pareto_p_any"].isna().any()


def _candidate(name: str, label: str, place: int, model: Literal["pareto", "bg"]) -> Candidate:
    return Candidate(
        name, label, place, Btyd, lambda *_: Btyd(model), competes=_competes,
        needs="a purchase of every customer, as it predicts purchases, not cancellations", purchases_only=True,
    )  # fmt: skip


CANDIDATES = (
    _candidate("pareto_nbd", "Pareto/NBD", 60, "pareto"),
    _candidate("bg_nbd", "BG/NBD", 70, "bg"),
)
