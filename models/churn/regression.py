"""A logistic regression as a component of the churn model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from fedelta.models.churn.baselines import Floats, Logistic
from fedelta.models.encoding import Encoding
from fedelta.models.table import AnyTable


@dataclass(frozen=True)
class Regression:
    """A logistic regression as a component."""

    kind: ClassVar[str] = "logistic"
    logistic: Logistic

    def log_odds(self, table: AnyTable) -> Floats:
        """Log-odds of churn (n_rows,)."""
        return self.logistic.log_odds(table)

    def contributions(self, table: AnyTable) -> dict[str, Floats]:
        """Coefficient times the distance from the mean."""
        return self.logistic.contributions(table)

    @property
    def reads(self) -> Encoding:
        """The columns of its terms."""
        terms = self.logistic.terms
        levels = {t.column: tuple(o.level for o in terms if o.column == t.column) for t in terms if t.how == "is"}
        return Encoding(tuple(dict.fromkeys(column for term in terms for column in term.columns)), levels)

    def to_dict(self) -> dict[str, object]:
        """As JSON."""
        return self.logistic.to_dict()

    def texts(self) -> tuple[str, ...]:
        """None."""
        return ()

    @classmethod
    def from_dict(cls, document: Mapping[str, Any], texts: Callable[[], Sequence[str]]) -> Self:
        """Back from JSON."""
        return cls(Logistic.from_dict(document))
