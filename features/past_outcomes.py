"""Past outcomes: how often the customer did, in earlier periods as long as the horizon, what is to be predicted."""

from fedelta.features.activity import ACTIVITY, INTERACTION
from fedelta.features.feature import Family, Feature, quotient
from fedelta.features.history import Floats, View
from fedelta.features.labels import CANCELLATION

_family = Family("rhythm")


def _past_outcome_rate(view: View) -> Floats:
    """Periods are counted back from the cutoff; they begin with the first activity, or interaction for cancellations.

    The cutoff is the end of the last period: all that lies before it is known, also where a lead time follows.
    """
    if view.definition == "event":
        periods = view.periods_since_first(INTERACTION)
        return quotient(view.periods_with(CANCELLATION, periods), periods)
    periods = view.periods_since_first(ACTIVITY)
    return quotient(periods - view.periods_with(ACTIVITY, periods), periods)


FEATURES: tuple[Feature, ...] = (
    _family.of(
        "past_outcome_rate",
        "share",
        "share of the earlier periods as long as the horizon that passed without activity, a purchase if nothing else "
        "is declared (where churn is an event: with a cancellation); null before the first such period is over",
        (ACTIVITY, CANCELLATION, INTERACTION),
        _past_outcome_rate,
    ),
)
