"""What a candidate of the churn model is: its name, words and settings, when it competes, how it is fitted and kept."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt

from fedelta.models.churn.settings import ChurnSettings
from fedelta.models.encoding import Encoding
from fedelta.models.learning.settings import Prior
from fedelta.models.panel import Panel
from fedelta.models.table import AnyTable

Floats = npt.NDArray[np.float64]
Values = Mapping[str, float | int]


class Component(Protocol):
    """A fitted model that a churn model adds up: log-odds of churn, what each column adds to them, its saved form.

    A table is pandas' or `models.panel.Table`: `Encoding.matrix` and `models.panel.floats` read both.
    """

    kind: ClassVar[str]  # of component, by which a saved one is recognised

    def log_odds(self, table: AnyTable) -> Floats:
        """Log-odds of churn within each row's horizon (n_rows,)."""
        ...

    def contributions(self, table: AnyTable) -> Mapping[str, Floats]:
        """What each column adds in every row (n_rows,), and `base`; they sum to the log-odds."""
        ...

    @property
    def reads(self) -> Encoding:
        """The columns read, and the categories of those that are text."""
        ...

    def to_dict(self) -> dict[str, object]:
        """As JSON, but for its `texts`."""
        ...

    def texts(self) -> Sequence[str]:
        """What is kept in text files beside the JSON, such as boosters; none of most."""
        ...

    @classmethod
    def from_dict(cls, document: Mapping[str, Any], texts: Callable[[], Sequence[str]]) -> Self:
        """Back from JSON; `texts()` reads what `texts` gave."""
        ...


@dataclass(frozen=True)
class Range:
    """The values a setting may take in a search; of whole numbers if ``low`` is one."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class Tuning:
    """The settings of a candidate that ``fedelta tune`` searches: where they stand, and how they are read and changed.

    ``section`` is the one of params.yaml, such as ``churn``.
    """

    section: str
    space: Mapping[str, Range]
    read: Callable[[ChurnSettings], Any]  # the settings in use, with an attribute of each name in `space`
    change: Callable[[ChurnSettings, Values], ChurnSettings]


def always(_panel: Panel, _settings: ChurnSettings, _horizon_days: int) -> bool:
    """Of a candidate that any rows allow."""
    return True


def whole_horizons(panel: Panel, _settings: ChurnSettings, horizon_days: int) -> bool:
    """Whether every row looks as far ahead as is scored."""
    return not (panel.table["horizon_days"] < horizon_days).any()


@dataclass(frozen=True)
class Candidate:
    """A model that competes for `churn`. A module of ``candidate_models`` declares those it knows in ``CANDIDATES``.

    One that is fitted has ``component`` and ``fit``: (panel, settings, how BTYD enters, threads) -> component. One that
    averages the log-odds of others names them in ``averages`` instead.
    """

    name: str  # in params.yaml and bundles
    label: str  # for readers of the report
    place: int  # simplest first: a tie goes to the lower place
    component: type[Component] | None = None
    fit: Callable[[Panel, ChurnSettings, Prior, int], Component] | None = None
    averages: tuple[str, ...] = ()
    competes: Callable[[Panel, ChurnSettings, int], bool] = always  # (training panel, settings, horizon to be scored)
    needs: str = ""  # what `competes` asks for, in words
    purchases_only: bool = False  # whether it predicts the absence of purchases, and no cancellations
    settings: type[Any] | None = None  # dataclass of its section churn.candidate_settings.NAME, if it has one
    tuning: Tuning | None = None

    def __post_init__(self) -> None:
        """Refuse one that is both fitted and an average, or neither."""
        assert (self.fit is None) == bool(self.averages), f"{self.name} needs either fit or averages"
        assert (self.fit is None) == (self.component is None), f"{self.name} needs both fit and component, or neither"


def own_settings(churn: ChurnSettings, candidate: str, kind: type[Any]) -> Any:
    """The settings of a candidate's own section, ``churn.candidate_settings.NAME``: an instance of the dataclass."""
    return kind(**churn.candidate_settings.get(candidate, {}))


def own_tuning(candidate: str, kind: type[Any], space: Mapping[str, Range]) -> Tuning:
    """The tuning of a candidate whose settings stand in a section of its own."""

    def change(churn: ChurnSettings, values: Values) -> ChurnSettings:
        own = {**churn.candidate_settings.get(candidate, {}), **values}
        return replace(churn, candidate_settings={**churn.candidate_settings, candidate: own})

    return Tuning(
        f"churn.candidate_settings.{candidate}", space, lambda churn: own_settings(churn, candidate, kind), change
    )
