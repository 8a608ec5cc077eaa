"""The measured success of an action in the place of an assumed one, once it is known well enough."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import sqrt
from statistics import NormalDist
from typing import Any

from fedelta.models.incrementality.estimator import LEVEL
from fedelta.models.policy.settings import EconomicsSettings, PolicySettings

Json = Mapping[str, Any]

PRECISE = 0.05  # half-width of the 95% interval of the success at which it is known well enough,
RELATIVE = 0.5  # or as a share of the success itself
MOST_CONTAMINATED = 0.1  # of the held-out
# The actions that treatments record for each success of `policy.economics`.
ACTIONS: Mapping[str, tuple[str, ...]] = {
    "keep_success": ("keep", "offer"),
    "keep_success_without_offer": ("contact",),
    "win_back_success": ("win back",),
}


@dataclass(frozen=True)
class MeasuredSuccess:
    """Of customers who would have left, the share that the action kept; with a 95% interval."""

    action: str
    value: float
    low: float
    high: float
    treated: int
    held_out: int

    @property
    def known(self) -> bool:
        """Whether it is known well enough to plan by: to within 5 points, or within half of itself."""
        half = (self.high - self.low) / 2
        return half <= PRECISE or half <= RELATIVE * self.value


def with_measured(policy: PolicySettings, report: Json | None) -> tuple[PolicySettings, list[str]]:
    """The policy with measured successes where it asks for them, and in words what each is and why.

    Where a success is not known well enough, the assumed one stays. An action that is known not to help is not planned:
    its success becomes None. That of winning back is over all who were contacted, however long gone, and is taken for
    that of one who has just left: plans are then cautious.
    """
    words: list[str] = []
    found: dict[str, Any] = {}
    if policy.economics.success != "measured":
        return policy, words
    for name, actions in ACTIONS.items():
        assumed: float | None = getattr(policy.economics, name)
        known = [success for action in actions if (success := measured_success(report, action))]
        if known:
            best = known[0]
            found[name] = min(best.value, 1.0) if best.value > 0 else None
            words.append(
                f"{name}: {best.value:.1%} (95% interval {best.low:.1%} to {best.high:.1%}), measured of "
                f"{best.action!r} with {best.treated:,} treated and {best.held_out:,} held-out customers"
                + ("." if best.value > 0 else "; it is not above 0, so the action is not planned.")
            )
        elif assumed is not None:
            recorded = next((action for action in actions if _comparison(report, action)), actions[0])
            words.append(
                f"{name}: {assumed:.1%} is still assumed, as treatments do not show it well enough: "
                f"{why_unknown(report, recorded).rstrip('.')}."
            )
    return replace(policy, economics=replace(policy.economics, **found)), words


def assumed_by_action(economics: EconomicsSettings) -> dict[str, float]:
    """What is assumed of each action that treatments may record."""
    known = {name: getattr(economics, name) for name in ACTIONS}
    return {action: known[name] for name, actions in ACTIONS.items() if known[name] for action in actions}


def success_of(comparison: Json) -> MeasuredSuccess | None:
    """The success in a comparison: difference of the shares active over the share of the held-out that left.

    None where the comparison has no result, or nobody held out left. The interval is by the delta method.
    """
    if comparison["result"] is None:
        return None
    active = comparison["result"]["active"]
    leave = 1 - active["held_out_mean"]
    if leave <= 0:
        return None
    value = active["value"] / leave
    of_held_out = active["held_out_error"] ** 2
    # The difference and the share that left share the error of the held-out.
    variance = (active["standard_error"] ** 2 + value**2 * of_held_out - 2 * value * of_held_out) / leave**2
    half = NormalDist().inv_cdf((1 + LEVEL) / 2) * sqrt(max(variance, 0.0))
    return MeasuredSuccess(
        str(comparison["group"]), value, value - half, value + half, active["treated"], active["held_out"]
    )


def measured_success(report: Json | None, action: str) -> MeasuredSuccess | None:
    """The success of an action, where the report knows it well enough to plan by; else None.

    Well enough: the 95% interval reaches no further than 5 points, or half of the success itself, to either side; the
    arms passed their checks; and at most a tenth of the held-out were contacted.
    """
    found = _comparison(report, action)
    if found is None or found["contaminated"] > MOST_CONTAMINATED * found["entered"]["held_out"]:
        return None
    success = success_of(found)
    return success if success is not None and success.known else None


def why_unknown(report: Json | None, action: str) -> str:
    """Why the success of an action cannot be planned by, in words."""
    found = _comparison(report, action)
    if found is None:
        return f"no treatments with the action {action!r} are recorded"
    if found["withheld"]:
        return str(found["withheld"])
    success = success_of(found)
    if success is None:
        return "nobody held out left"
    if success.known:
        return f"{found['contaminated']:,} of {found['entered']['held_out']:,} held-out customers were contacted"
    return (
        f"it is {success.value:.0%} with a 95% interval from {success.low:.0%} to {success.high:.0%}, wider than "
        f"{2 * PRECISE:.0%} and than the success itself"
    )


def _comparison(report: Json | None, action: str) -> Json | None:
    held = report["comparisons"] if report else []
    return next((one for one in held if one["by"] == "action" and one["group"] == action), None)
