"""The settings of a made-up company: its size, its regime, and the effects planted in it."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal, get_args
from zlib import crc32

import numpy as np
import numpy.typing as npt

from fedelta.features.errors import FedeltaError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

Regime = Literal["sparse", "dense", "seasonal", "drifting"]
BadKind = Literal["late_delivery", "faulty_return", "unresolved_contact", "error", "outage"]
BAD_KINDS: tuple[BadKind, ...] = get_args(BadKind)


class CompanyError(FedeltaError, ValueError):
    """A company that cannot be simulated, with the setting to change."""


@dataclass(frozen=True)
class Climate:
    """What a regime means in numbers.

    ``yearly`` and ``quarterly`` are amplitudes of demand around 1; drifts are changes per year: of demand in log
    terms, of the share of late parcels as a multiple of the share at the start.
    """

    purchases_per_year: float
    yearly: float
    quarterly: float
    demand_drift: float = 0.0
    late_drift: float = 0.0


CLIMATES: dict[Regime, Climate] = {
    "sparse": Climate(purchases_per_year=2.5, yearly=0.05, quarterly=0.25),
    "dense": Climate(purchases_per_year=11, yearly=0.05, quarterly=0.25),
    "seasonal": Climate(purchases_per_year=11, yearly=0.6, quarterly=0.1),
    "drifting": Climate(purchases_per_year=11, yearly=0.05, quarterly=0.25, demand_drift=-0.35, late_drift=0.6),
}


@dataclass(frozen=True)
class Effects:
    """What a bad experience does: the planted truth.

    A customer who meets a bad experience leaves at once with the chance of its number among the bad experiences of
    the last ``memory_days`` (the last entry holds from there on), times the weight of its kind, times
    ``1 - recovery_share`` if it was put right. Who stays spends ``spend_drop`` less per order for ``spend_drop_days``.
    """

    chance_of_leaving: tuple[float, ...] = (1 / 6, 0.24, 0.34, 0.45)
    memory_days: float = 180.0
    recovery_share: float = 0.6
    weights: tuple[float, ...] = (1.0, 1.0, 1.0, 0.5, 0.5)  # in the order of BAD_KINDS
    spend_drop: float = 0.25
    spend_drop_days: float = 60.0

    def weight_of(self, kind: BadKind) -> float:
        """The weight of a kind of bad experience."""
        return self.weights[BAD_KINDS.index(kind)]

    def chance(self, number: Ints, weight: Floats | float, recovered: Bools | bool = False) -> Floats:
        """Chance of leaving at a bad experience that is the ``number``-th (from 1) recent one."""
        by_number = np.asarray(self.chance_of_leaving)
        base = by_number[np.minimum(number, len(by_number)) - 1]
        return np.asarray(base * weight * np.where(recovered, 1 - self.recovery_share, 1.0))


@dataclass(frozen=True)
class Company:
    """One company to simulate; equal settings give bit-identical files.

    Parameters
    ----------
    customers : int
        Everyone who ever signs up, a third of them before ``start``.
    start, days
        The first day (UTC) of the data and the length of the span.
    regime
        ``sparse`` and ``dense`` histories, ``seasonal`` demand, or ``drifting`` demand and service.
    bad_effect, spend_effect : float in [0, 2]
        Scale of the planted effects on leaving and on spend; 0 plants none.
    exposure_only : bool
        Bad experiences merely follow heavy buying, heavy buyers stay longest, and no bad experience has an effect.
    campaigns : bool
        Whether the company contacts customers at random to keep them; without, there is no treatment.
    contact_effect : float in [0, 2]
        Scale of what contact does to them; with 0 it does nothing.
    """

    customers: int = 20_000
    seed: int = 7
    start: date = date(2023, 1, 1)
    days: int = 730
    regime: Regime = "dense"
    bad_effect: float = 1.0
    spend_effect: float = 1.0
    exposure_only: bool = False
    campaigns: bool = True
    contact_effect: float = 1.0

    def __post_init__(self) -> None:
        if self.customers < 1:
            raise CompanyError(f"A company needs at least 1 customer, not {self.customers}.")
        if self.seed < 0:
            raise CompanyError(f"A seed is 0 or more, not {self.seed}.")
        if self.days < 30:
            raise CompanyError(f"A company needs a history of at least 30 days, not {self.days}.")
        if self.regime not in CLIMATES:
            raise CompanyError(f"No regime is called {self.regime!r}. Choose one of {', '.join(CLIMATES)}.")
        for name in ("bad_effect", "spend_effect", "contact_effect"):
            if not 0 <= getattr(self, name) <= 2:
                raise CompanyError(f"{name} scales the planted effect and lies in 0 to 2, not {getattr(self, name)}.")

    @property
    def end(self) -> date:
        """The day after the last one: the latest cutoff."""
        return self.start + timedelta(days=self.days)

    @property
    def start_us(self) -> int:
        """Midnight UTC of the first day, in microseconds since 1970."""
        since = datetime(self.start.year, self.start.month, self.start.day, tzinfo=UTC) - datetime(
            1970, 1, 1, tzinfo=UTC
        )
        return since // timedelta(microseconds=1)

    @property
    def climate(self) -> Climate:
        return CLIMATES[self.regime]

    @property
    def effects(self) -> Effects:
        """The planted effects at this company's scale."""
        plain = Effects()
        scale = 0.0 if self.exposure_only else self.bad_effect
        return Effects(
            chance_of_leaving=tuple(chance * scale for chance in plain.chance_of_leaving),
            spend_drop=plain.spend_drop * (0.0 if self.exposure_only else self.spend_effect),
        )

    def rng(self, name: str) -> np.random.Generator:
        """A stream of chance of its own for each part: a change of one part leaves the draws of the others alone."""
        return np.random.default_rng([self.seed, crc32(name.encode())])
