"""One customer's row, as reasons read it: numbers, days in the source's time zone, what is usual among peers."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isnan
from zoneinfo import ZoneInfo

from fedelta.features.history import DAY_US
from fedelta.models.panel import activity_in, cutoff_in
from fedelta.models.peers import Peers
from fedelta.models.reasons.wording import Day, Usual, Wording
from fedelta.models.table import AnyTable, Table

UTC = ZoneInfo("UTC")


@dataclass(frozen=True)
class Rows:
    """Columns of a table of features at one cutoff: a customer is a place in them."""

    columns: Table
    as_of: datetime  # UTC, without a zone
    activity: str  # `models.panel.activity_in`
    wording: Wording
    zone: ZoneInfo

    @classmethod
    def of(cls, table: AnyTable, wording: Wording) -> "Rows":
        """The rows of a table, its times in UTC without a zone."""
        held = Table.of(table)
        return cls(held, cutoff_in(held), activity_in(held), wording, ZoneInfo(wording.time_zone))


@dataclass(frozen=True)
class Customer:
    """A row of `Rows` and the peers of its customer."""

    rows: Rows
    place: int
    peers: Peers | None

    @property
    def what(self) -> str:
        """What the customer does: purchase, another kind that is declared as activity, or activity of several kinds."""
        if self.rows.activity == "purchase":
            return "purchase"
        kinds = self.rows.wording.activity
        return kinds[0] if len(kinds) == 1 else "activity"

    def has(self, name: str) -> bool:
        """Whether the table has the column."""
        return name in self.rows.columns

    def number(self, name: str) -> float | None:
        """A numeric column; None where it is null or absent."""
        value = self.rows.columns[name].item(self.place) if name in self.rows.columns else None
        return None if not isinstance(value, int | float) or isnan(value) else float(value)

    def text(self, name: str) -> str | None:
        """A text column; None where it is null or absent."""
        value = self.rows.columns[name].item(self.place) if name in self.rows.columns else None
        return value if isinstance(value, str) else None

    def usual(self, name: str) -> Usual | None:
        """What is usual among the peers; None where nobody knows."""
        if self.peers is None or name not in self.peers.usual:
            return None
        return Usual(self.peers.usual[name], self.peers.similar)

    def day(self, days_since: float | None) -> Day | None:
        """The day of something that happened so many days before the cutoff."""
        if days_since is None:
            return None
        at = self.rows.as_of - timedelta(microseconds=round(days_since * DAY_US))
        local = at.replace(tzinfo=UTC).astimezone(self.rows.zone).date()
        return Day(local, max((self.rows.as_of.date() - local).days, 0))
