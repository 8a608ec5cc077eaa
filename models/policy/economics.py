"""What keeping customers costs and brings, in the company's own numbers: break-even, profit, the classic ratio."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fedelta.models.policy.settings import EconomicsSettings, PolicySettings

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Economics:
    """What is at stake in a base and what a contact with an offer would have to achieve; None where `unknown` says why.

    `keeping_*` is the cost of one customer kept: everyone contacted costs, only leavers can be kept, and only some are.
    """

    customers: int
    expected_leavers: float  # of those still here
    expected_gone: float
    value_at_risk: float | None  # in all
    win_back_value: float | None
    cost_of_contact: float | None  # of one, with its offer
    break_even_everyone: float | None  # chance saved at which contacting everyone pays
    break_even_best: float | None  # of the customer with most at risk
    worth_contacting: int | None  # customers whose break-even chance is below the success at keeping
    expected_profit: float | None  # of contacting those to keep them
    keeping_everyone: float | None  # cost of one customer kept, if all were contacted
    keeping_worth_contacting: float | None  # the same, if only those worth contacting were
    keeping_over_winning: float | None  # cost of one kept among those worth contacting over the acquisition cost
    keeping_everyone_over_winning: float | None
    unknown: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def cost_of_contact(settings: EconomicsSettings) -> float | None:
    """Cost of one contact and its offer; None unless both are known."""
    if settings.contact_cost is None or settings.offer_cost is None:
        return None
    return settings.contact_cost + settings.offer_cost


def break_even_chance(at_risk: Floats, cost: float) -> Floats:
    """Chance of saving a leaver at which contacting a customer pays for itself: cost over value at risk, (n,).

    Above 1 it never does; infinite where nothing is at risk.
    """
    with np.errstate(divide="ignore", over="ignore"):
        return np.where(at_risk > 0, cost / at_risk, np.inf)


def cost_of_keeping(cost: float, leaving_share: float, success: float) -> float | None:
    """Cost of one customer kept: contacts needed, 1 / (share about to leave × chance saved), times a contact's cost.

    None where nobody can be kept.
    """
    saved = leaving_share * success
    return _finite(cost / saved) if saved > 0 else None


def economics(
    leaving: Floats, here: Floats, at_risk: Floats | None, policy: PolicySettings, win_back: Floats | None = None
) -> Economics:
    """The economics of keeping the customers of a base.

    Parameters
    ----------
    leaving : ndarray of shape (n_customers,)
        Probability of being still here and leaving in the horizon.
    here : ndarray of shape (n_customers,)
        Probability of being still here.
    at_risk, win_back : ndarray of shape (n_customers,), or None
        Value at risk, and of those who have left; None where the source holds no money.
    """
    own = policy.economics
    cost, success = cost_of_contact(own), own.keep_success
    best = worth = profit = kept = everyone = None
    if cost is not None and at_risk is not None and at_risk.size:
        best = _finite(float(break_even_chance(at_risk, cost).min()))
    if cost is not None and success is not None and leaving.size:
        everyone = cost_of_keeping(cost, float(leaving.mean()), success)
        if at_risk is not None:
            chosen = at_risk * success > cost
            worth, profit = int(chosen.sum()), float((at_risk[chosen] * success - cost).sum())
            kept = cost_of_keeping(cost, float(leaving[chosen].mean()), success) if worth else None
    total = None if at_risk is None else float(at_risk.sum())
    return Economics(
        customers=leaving.size,
        expected_leavers=float(leaving.sum()),
        expected_gone=float((1 - here).sum()),
        value_at_risk=total,
        win_back_value=None if win_back is None else float(win_back.sum()),
        cost_of_contact=cost,
        break_even_everyone=cost * leaving.size / total if cost is not None and total else None,
        break_even_best=best,
        worth_contacting=worth,
        expected_profit=profit,
        keeping_everyone=everyone,
        keeping_worth_contacting=kept,
        keeping_over_winning=_over(kept, own.acquisition_cost),
        keeping_everyone_over_winning=_over(everyone, own.acquisition_cost),
        unknown=_unknown(own, money=at_risk is not None, nobody=not leaving.size, worth=worth),
    )


def _over(keeping: float | None, winning: float | None) -> float | None:
    return None if keeping is None or not winning else keeping / winning


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _unknown(own: EconomicsSettings, *, money: bool, nobody: bool, worth: int | None) -> dict[str, str]:
    """What is unknown, by its cause, in words."""
    lacks = {
        "acquisition_cost": "keeping cannot be set against winning",
        "contact_cost": "no break-even, profit or cost of keeping",
        "offer_cost": "no break-even, profit or cost of keeping",
        "keep_success": "no profit or cost of keeping",
        "win_back_success": "who has left gets no contact to win them back",
    }
    unknown = {
        name: f"policy.economics.{name} is not given in params.yaml: {what}."
        for name, what in lacks.items()
        if getattr(own, name) is None
    }
    if own.acquisition_cost == 0:
        unknown["acquisition_cost"] = "policy.economics.acquisition_cost is 0: keeping cannot be set against winning."
    if not money:
        unknown["money"] = "The source holds no amounts: no value at risk, break-even or profit."
    if nobody:
        unknown["customers"] = "Nobody was scored."
    elif worth == 0:
        unknown["worth_contacting"] = "At these costs and this success nobody is worth a contact with an offer."
    return unknown
