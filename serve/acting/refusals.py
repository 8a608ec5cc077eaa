"""Why something is refused: each with the kind of the problem that it is over HTTP."""

from fedelta.features.errors import FedeltaError


class ActingRefused(FedeltaError):
    """It cannot be done; the message says why and what to do. Nothing was changed."""

    kind = "invalid"


class NotAllowed(ActingRefused):
    """The values do not go together."""


class UnknownCustomer(ActingRefused):
    """The current scoring run does not know the customer."""

    kind = "unknown-customer"


class InControlGroup(ActingRefused):
    """The customer is held out: never contacted, so that it can be measured what contacting achieves."""

    kind = "control-group"


class OptedOut(ActingRefused):
    """The customer does not want to be contacted."""

    kind = "opted-out"


class WasErased(ActingRefused):
    """The customer was erased: nothing about them is kept."""

    kind = "erased"


class UnknownCase(ActingRefused):
    """There is no such case."""

    kind = "unknown-case"


class UnknownCampaign(ActingRefused):
    """There is no such campaign."""

    kind = "unknown-campaign"


class AlreadyOpen(ActingRefused):
    """There is a case of this customer and reason that is not done."""

    kind = "case-open"


class ChangedMeanwhile(ActingRefused):
    """Somebody else changed it since it was read."""

    kind = "changed-meanwhile"
