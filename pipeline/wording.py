"""What reasons call things in the project's source."""

from fedelta.models.reasons.wording import Wording
from fedelta.pipeline.intake.sources import Source
from fedelta.pipeline.params import Params


def wording_of(source: Source, params: Params) -> Wording:
    """The words of the source's attributes and of the rules of bad experiences, its time zone and its currency."""
    attributes = source.for_models(params.fairness.allow)
    return Wording(
        time_zone=source.time_zone,
        currency=source.currency,
        activity=params.churn.activity,
        event=params.churn.definition == "event",
        rules=Wording.of_rules(source.experience(params.experience).rules),
        attributes={one.column: one.says for one in attributes if one.says},
        fixed=frozenset(one.column for one in attributes if one.fixed),
    )
