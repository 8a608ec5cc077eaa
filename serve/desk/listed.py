"""A list of customers as an address of the desk asks for it: the parameters of ``/v1/at-risk`` and a few more."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Literal, get_args, get_origin
from urllib.parse import parse_qsl, urlencode

import polars as pl
from fastapi import Request
from pydantic import Field, ValidationError, model_validator
from starlette.datastructures import QueryParams

from fedelta.serve.caller.problems import Problem
from fedelta.serve.desk.words import N_, Words
from fedelta.serve.routes.at_risk import AtRiskQuery
from fedelta.serve.snapshots.listing import Aside, AtRisk
from fedelta.serve.snapshots.pages import count, kept_or_new, whole
from fedelta.serve.snapshots.read import SnapshotFile

Items = tuple[tuple[str, str], ...]
Column = Literal[
    "risk", "value", "clv", "reasons", "bad", "action", "case", "next", "journey", "persona", "loyalty", "spent", "team"
]
Tab = Literal["probably_here", "probably_gone", "all"]
TABS: dict[Tab, str] = {
    "probably_here": N_("Still here"),
    "probably_gone": N_("Probably gone"),
    "all": N_("All"),
}
COLUMNS: dict[Column, str] = {
    "risk": N_("Risk"),
    "value": N_("At stake"),
    "reasons": N_("Why"),
    "bad": N_("Last bad experience"),
    "action": N_("Suggested action"),
    "case": N_("Case"),
    "clv": N_("Expected spend"),
    "spent": N_("Spent so far"),
    "next": N_("Next purchase"),
    "journey": N_("Journey"),
    "persona": N_("Persona"),
    "loyalty": N_("Loyalty"),
    "team": N_("Team"),
}
DEFAULT_COLUMNS: tuple[Column, ...] = ("risk", "value", "reasons", "bad", "action", "case")
ROWS = 50


class ListQuery(AtRiskQuery):
    """The parameters of a list. Customers of the control group are in it, and marked."""

    holdout: Aside = "include"
    shown: Tab = "probably_here"
    q: str | None = Field(None, max_length=200)
    col: list[Column] = Field(list(DEFAULT_COLUMNS))

    @model_validator(mode="after")
    def _gone_by_profit(self) -> "ListQuery":
        """Who is gone has little at stake: they come by the profit of a contact, unless another order is asked for."""
        if self.shown == "probably_gone" and "sort" not in self.model_fields_set:
            self.sort = "expected_profit"
        return self

    def of_tab(self, tab: Tab) -> AtRisk:
        """See ``AtRiskQuery.wanted``; under a tab, whichever is shown."""
        query = self if tab == "all" else self.model_copy(update={"presence": tab})
        return query.wanted()


_SEVERAL = {name for name, each in ListQuery.model_fields.items() if get_origin(each.annotation) is list}
_OF_A_PAGE = {"cursor", "limit", "format", "bom"}


@dataclass(frozen=True)
class Listed:
    """A list that was understood; ``items`` are its parameters as they came, without those of one page of it.

    Lists of the same items are equal: they differ in the page that is asked for alone.
    """

    query: ListQuery = field(compare=False)
    items: Items

    @classmethod
    def of(cls, parameters: Iterable[tuple[str, str]], language: Words) -> "Listed":
        """The list that parameters ask for; empty ones, which forms send, are none.

        Raises
        ------
        Problem
            422 if one cannot be.
        """
        try:
            return _understood(tuple(item for item in parameters if item[1].strip()))
        except ValidationError as error:
            fault = error.errors()[0]
            where = ".".join(map(str, fault["loc"]))
            message = language.gettext("The list cannot be filtered so: %(where)s has a value that it cannot have.")
            raise Problem(422, "invalid", message % {"where": where}) from None

    @classmethod
    def asked(cls, request: Request, language: Words) -> "Listed":
        """The list that a request asks for. Raises as ``of``."""
        return cls.of(request.query_params.multi_items(), language)

    @classmethod
    def stored(cls, text: str, language: Words) -> "Listed":
        """The list that a query string asks for. Raises as ``of``."""
        return cls.of(parse_qsl(text), language)

    @cached_property
    def text(self) -> str:
        """Its query string."""
        return urlencode(self.items)

    @cached_property
    def noted(self) -> dict[str, object]:
        """It, for the audit: an id that was searched for stands by itself, so that erasure finds it."""
        return {"query": self.but(q=None), "q": self.query.q}

    def but(self, **changed: str | Sequence[str] | None) -> str:
        """Its query string with other values; None takes a parameter away."""
        kept = [item for item in self.items if item[0] not in changed]
        added = [
            (name, each)
            for name, value in changed.items()
            if value is not None
            for each in ([value] if isinstance(value, str) else value)
        ]
        return urlencode([*kept, *added])

    def without(self, name: str, value: str) -> str:
        """Its query string without one value of a parameter."""
        return urlencode([item for item in self.items if item != (name, value)])

    def narrowed(self, file: SnapshotFile) -> pl.Series | None:
        """A bit for each customer of the columns: whether the id holds what is searched for. None: nothing is."""
        return None if self.query.q is None else file.column("customer_id").str.contains(self.query.q, literal=True)

    def page(self, file: SnapshotFile, after: int, limit: int) -> tuple[list[tuple[int, int]], int]:
        """See ``serve.snapshots.pages.page``."""
        return kept_or_new(file, self.wanted, after, limit, self.narrowed(file))

    def whole(self, file: SnapshotFile, *, to_contact: bool = False) -> tuple[pl.Series, pl.Series]:
        """The ranks and rows of all its customers; ``to_contact``: of those who may be contacted."""
        narrowed = self.narrowed(file)
        if to_contact:
            may = ~(file.column("held_out") | file.column("suppressed"))
            narrowed = may if narrowed is None else narrowed & may
        return whole(file, self.wanted, 0, None, narrowed)

    def count(self, file: SnapshotFile) -> int:
        """How many customers it has."""
        return self.counts(file, [self.query.shown])[self.query.shown]

    def counts(self, file: SnapshotFile, tabs: Iterable[Tab] = TABS) -> dict[Tab, int]:
        """How many customers it has under each tab."""
        narrowed = self.narrowed(file)
        return {tab: count(file, self._of_tabs[tab].filters, narrowed) for tab in tabs}

    @property
    def wanted(self) -> AtRisk:
        """The customers, and their order."""
        return self._of_tabs[self.query.shown]

    @cached_property
    def _of_tabs(self) -> dict[Tab, AtRisk]:
        return {tab: self.query.of_tab(tab) for tab in TABS}

    @property
    def columns(self) -> list[Column]:
        """The columns that it shows, in our order."""
        return [name for name in COLUMNS if name in self.query.col]


@lru_cache(1_000)
def _understood(items: Items) -> Listed:
    """The list of these parameters; kept, since pages and saved views ask for the same again."""
    given = QueryParams(list(items))
    values = {name: given.getlist(name) if name in _SEVERAL else given[name] for name in given}
    query = ListQuery.model_validate(values)
    return Listed(query, tuple(item for item in items if item[0] not in _OF_A_PAGE))


assert set(get_args(Column)) == set(COLUMNS)
