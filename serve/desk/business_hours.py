"""Clocks that run in business hours only: how long until somebody must have been contacted for the first time."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson
import sqlalchemy as sa

from fedelta.features.errors import FedeltaError
from fedelta.serve.operational.tables import tenant_settings

NAME = "hours"
_MOST_DAYS = 400  # that a clock is followed for


class HoursRefused(FedeltaError):
    """No such hours can be."""


@dataclass(frozen=True)
class Hours:
    """When a tenant works, and within how many such hours a new case must have its first contact; 0: no clock."""

    first_contact: float = 16.0
    opens: str = "09:00"
    closes: str = "18:00"
    days: str = "12345"  # of the week, 1 for Monday
    zone: str = "UTC"

    def __post_init__(self) -> None:
        """Refuse what cannot be. Raises ``HoursRefused``."""
        try:
            fits = time.fromisoformat(self.opens) < time.fromisoformat(self.closes)
            ZoneInfo(self.zone)
        except (TypeError, ValueError, ZoneInfoNotFoundError, OSError):
            fits = False
        if not fits or not 0 <= self.first_contact <= 1_000 or not self.days or set(self.days) - set("1234567"):
            raise HoursRefused("Hours open before they close, on a day of the week or more, in a known time zone.")

    def due(self, opened: datetime) -> datetime | None:
        """When so many business hours after ``opened`` are over; None without a clock."""
        left = timedelta(hours=self.first_contact)
        if not left:
            return None
        for begin, end in self._turns(opened):
            if end - begin >= left:
                return (begin + left).astimezone(UTC)
            left -= end - begin
        return None

    def between(self, start: datetime, end: datetime) -> timedelta:
        """The business hours from one instant to another; negative where the second comes first."""
        if end < start:
            return -self.between(end, start)
        total = timedelta()
        for begin, finish in self._turns(start):
            if begin >= end:
                break
            total += min(finish, end) - begin
        return total

    def _turns(self, after: datetime) -> Iterator[tuple[datetime, datetime]]:
        """The parts of the days on which one works that lie after an instant, each in UTC."""
        zone = ZoneInfo(self.zone)
        first: date = after.astimezone(zone).date()
        for day in (first + timedelta(days=number) for number in range(_MOST_DAYS)):
            if str(day.isoweekday()) in self.days:
                begin, end = (
                    datetime.combine(day, time.fromisoformat(text), zone).astimezone(UTC)
                    for text in (self.opens, self.closes)
                )
                if end > after:
                    yield max(begin, after), end


def read_hours(connection: sa.Connection, tenant: str) -> Hours:
    """The hours of a tenant."""
    which = sa.and_(tenant_settings.c.tenant == tenant, tenant_settings.c.name == NAME)
    found = connection.execute(sa.select(tenant_settings.c.document).where(which)).scalar_one_or_none()
    return Hours() if found is None else Hours(**orjson.loads(found))


def store_hours(connection: sa.Connection, tenant: str, hours: Hours) -> None:
    """Store the hours of a tenant."""
    which = sa.and_(tenant_settings.c.tenant == tenant, tenant_settings.c.name == NAME)
    connection.execute(tenant_settings.delete().where(which))
    row = {"tenant": tenant, "name": NAME, "document": orjson.dumps(asdict(hours)).decode()}
    connection.execute(tenant_settings.insert().values(row))
