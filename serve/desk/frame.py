"""What stands around the content of a page: who reads it, where it is, and what is to be known of the current run."""

from dataclasses import dataclass

from fedelta.serve.caller.scopes import PersonScope
from fedelta.serve.desk.words import N_
from fedelta.serve.operational.pointer import Pointer
from fedelta.serve.operational.stored_sessions import Person


@dataclass(frozen=True)
class Entry:
    """An entry of the navigation."""

    path: str
    title: str
    scope: PersonScope


NAVIGATION = (
    Entry("/desk", N_("My day"), "read:list"),
    Entry("/desk/cases", N_("Cases"), "read:list"),
    Entry("/desk/customers", N_("Customers"), "read:list"),
    Entry("/desk/changes", N_("Changes"), "read:list"),
    Entry("/desk/base", N_("The base"), "read:list"),
    Entry("/desk/campaigns", N_("Campaigns"), "manage"),
    Entry("/desk/team", N_("Team"), "manage"),
    Entry("/desk/health", N_("Model health"), "read:list"),
)


@dataclass(frozen=True)
class Frame:
    """All that the layout shows, as ``frame``: equal ones look the same."""

    root: str  # what stands before every address
    path: str  # of the page, below the root
    person: Person
    scopes: frozenset[str]
    run: Pointer | None  # the current one; None: nothing is published
    stale: bool  # whether the scores are older than the service allows
    alarms: int  # how many things the monitor found out of the ordinary
    notice: str  # what became of the form before, empty where there was none

    @property
    def navigation(self) -> list[Entry]:
        """The entries that the reader may open."""
        return [entry for entry in NAVIGATION if self.may(entry.scope)]

    def may(self, scope: PersonScope) -> bool:
        """Whether the reader has the scope."""
        return scope in self.scopes

    def here(self, path: str) -> bool:
        """Whether an entry of the navigation is the one that this page belongs to."""
        return self.path == path or (path != "/desk" and self.path.startswith(f"{path}/"))
