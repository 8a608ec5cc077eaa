"""Times as requests name them."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime


def _in_a_year_of_utc(at: datetime) -> datetime:
    try:
        at.astimezone(UTC)
    except OverflowError:
        raise ValueError("a time of the years 1 to 9999 in UTC was expected") from None
    return at


Moment = Annotated[AwareDatetime, AfterValidator(_in_a_year_of_utc)]  # a time with its zone
