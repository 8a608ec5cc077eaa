"""Personas in words: what sets each apart, what it does, praises and complains about, and what it is worth."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fedelta.features.contract import CHANNELS
from fedelta.models.loyalty.persona_traits import effects, points, raw_mean
from fedelta.models.loyalty.personas import PersonaModel
from fedelta.models.panel import floats

Floats = npt.NDArray[np.float64]

_NOTABLE = 0.25  # standard deviations from the base that are worth a line
_LINES = 5
DONE = {
    "purchase": "purchases", "visit": "visits", "delivery": "deliveries", "contact": "contacts", "return": "returns",
    "review": "reviews", "referral": "referrals",
}  # fmt: skip
_FEWEST_VOICES = 20  # of a persona, before its praise or complaints are shown


@dataclass(frozen=True)
class Card:
    """One persona, in words with their numbers."""

    id: str
    name: str
    customers: int
    share: float
    apart: tuple[str, ...]  # from the base, the largest difference first
    does: tuple[str, ...]
    praises: tuple[str, ...]
    complains: tuple[str, ...]
    value: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def cards(model: PersonaModel, table: pd.DataFrame, praise: pd.DataFrame, complaints: pd.DataFrame) -> list[Card]:
    """A card for every persona, in their order; a persona nobody is of any more has none.

    Parameters
    ----------
    table : DataFrame
        Features and prior columns of all customers of one cutoff.
    praise, complaints : DataFrame with `customer_id` and `what`
        One row per thing praised, or experienced badly, in the year before the cutoff.
    """
    if not model.personas or table.empty:
        return []
    label, where = model.nearest(table), points(table, model.scales)
    present = np.unique(label)
    apart = effects(where, np.searchsorted(present, label), len(present))
    topics = []
    for at, number in enumerate(present):
        mine = table[label == number]
        persona = model.personas[number]
        topics.append(
            Card(
                persona.id,
                persona.name,
                len(mine),
                len(mine) / len(table),
                _apart(model, apart[at], mine, table),
                _does(mine),
                _voices(praise, mine, table),
                _voices(complaints, mine, table),
                _value(mine, table),
            )
        )
    return topics


def _apart(model: PersonaModel, effect: Floats, mine: pd.DataFrame, table: pd.DataFrame) -> tuple[str, ...]:
    lines = []
    for at in np.argsort(-np.abs(effect), kind="stable")[:_LINES]:
        if abs(effect[at]) >= _NOTABLE:
            trait = model.scales[at].trait
            own, base = raw_mean(mine, trait), raw_mean(table, trait)
            lines.append(f"{trait.says} {own:,.3g}, of all {base:,.3g} ({effect[at]:+.1f} standard deviations)")
    return tuple(lines) or ("nothing: like everybody",)


def _does(mine: pd.DataFrame) -> tuple[str, ...]:
    means = {label: _mean(mine, f"{kind}_count_365d") for kind, label in DONE.items()}
    done = ", ".join(f"{mean:.2g} {label}" for label, mean in means.items() if mean >= 0.05)
    gaps = floats(mine, "mean_purchase_gap_days")
    gaps = gaps[~np.isnan(gaps)]
    shares = {name: _mean(mine, f"{name}_share_365d") for name in CHANNELS}
    used = sorted((name for name, share in shares.items() if share > 0), key=lambda name: -shares[name])[:3]
    channels = ", ".join(f"{name.replace('_', ' ')} {shares[name]:.0%}" for name in used)
    return tuple(
        line
        for line in (
            f"in a year: {done}" if done else "",
            f"buys every {np.median(gaps):.0f} days (median of who came back)" if gaps.size else "",
            f"through {channels}" if channels else "",
        )
        if line
    )


def _voices(held: pd.DataFrame, mine: pd.DataFrame, table: pd.DataFrame) -> tuple[str, ...]:
    """The three commonest things of a persona, per 100 customers, beside those of all."""
    own = held["what"][held["customer_id"].isin(mine["customer_id"])].value_counts()
    if own.sum() < _FEWEST_VOICES:
        return ()
    base = held["what"][held["customer_id"].isin(table["customer_id"])].value_counts()
    commonest = sorted(own.index, key=lambda what: (-own[what], what))[:3]
    return tuple(
        f"{what}: {100 * own[what] / len(mine):.1f} per 100 customers, of all {100 * base[what] / len(table):.1f}"
        for what in commonest
    )


def _value(mine: pd.DataFrame, table: pd.DataFrame) -> dict[str, float]:
    own, base = floats(mine, "spend_365d").sum(), floats(table, "spend_365d").sum()
    return {
        "spend_365d": float(own / len(mine)),
        "share_of_spend_365d": float(own / base) if base > 0 else 0.0,
        "expected_spend": float(np.nan_to_num(floats(mine, "pareto_expected_spend")).mean()),
    }


def _mean(table: pd.DataFrame, column: str) -> float:
    values = floats(table, column)
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else 0.0
