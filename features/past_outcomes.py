"""Past outcomes: how often the customer did, in earlier periods as long as the horizon, what is to be predicted."""

from features.activity import INTERACTION
from features.feature import Family, Feature, quotient
from features.history import Floats, View
from features.labels import CANCELLATION
from features.purchases import PURCHASE

_family = Family("rhythm")


def _past_outcome_rate(view: View) -> Floats:
    """Periods are counted back from the cutoff; they begin with the first purchase, or interaction for cancellations.

    The cutoff is the end of the last period: all that lies before it is known, also where a lead time follows.
    """
    if view.definition == "event":
        periods = view.periods_since_first(INTERACTION)
        return quotient(view.periods_with(CANCELLATION, periods), periods)
    periods = view.periods_since_first(PURCHASE)
    return quotient(periods - view.periods_with(PURCHASE, periods), periods)


FEATURES: tuple[Feature, ...] = (
    _family.of(
        "past_outcome_rate",
        "share",
        "share of the earlier periods as long as the horizon that passed without a purchase (where churn is an event: "
        "with a cancellation); null before the first such period is over",
        (PURCHASE, CANCELLATION, INTERACTION),
        _past_outcome_rate,
    ),
)
