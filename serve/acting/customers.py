"""What acting needs to know of a customer, from the current run; and who must not be contacted."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated

import orjson
from pydantic import AfterValidator, Field

from fedelta.serve.acting.refusals import ActingRefused, InControlGroup, OptedOut, UnknownCustomer, WasErased
from fedelta.serve.operational.statements import in_parts
from fedelta.serve.snapshots.read import SnapshotFile


def _storable(text: str) -> str:
    if not storable(text):
        raise ValueError("it holds what no database can store: NUL, or half of a surrogate pair")
    return text


Text = Annotated[str, AfterValidator(_storable), Field(pattern=r"^[^\x00]*$")]
CustomerId = Annotated[Text, Field(min_length=1, max_length=200, description="as in the source")]


@dataclass(frozen=True, slots=True)
class Facts:
    """A customer as the current run has them; what it does not know is None."""

    customer_id: str
    held_out: bool
    opted_out: bool
    churn_probability: float | None
    expected_value: float | None  # clv_expected
    value_at_risk: float
    risk_tier: str | None
    last_bad_experience_at: str | None
    bought: float | None  # so far, whatever was given back
    action: str | None
    contact_on: str | None
    main_reason: str | None  # the code of the first reason that raises the risk

    @property
    def contactable(self) -> bool:
        """Whether the customer may be contacted at all."""
        return not (self.held_out or self.opted_out)


def facts_of(file: SnapshotFile, customer_ids: Iterable[str]) -> dict[str, Facts]:
    """The facts of those customers whom the run knows. For worker threads."""
    return {customer_id: facts_in(document) for customer_id, document in documents(file, customer_ids)}


def documents(file: SnapshotFile, customer_ids: Iterable[str]) -> Iterator[tuple[str, memoryview]]:
    """The score documents of those customers whom the run knows and a database can store."""
    for some in in_parts([one for one in customer_ids if storable(one)]):
        yield from file.views(some).items()


def storable(text: str) -> bool:
    """Whether both databases can store it."""
    return not any(character == "\0" or "\ud800" <= character <= "\udfff" for character in text)


def must_be_contactable(customer_id: str, known: Mapping[str, Facts]) -> Facts:
    """The facts of a customer who may be contacted.

    Raises
    ------
    UnknownCustomer, InControlGroup, OptedOut
    """
    if (facts := known.get(customer_id)) is None:
        raise UnknownCustomer(
            f"The current run does not know {shown(customer_id)}: new customers appear after the next scoring run."
        )
    if (refused := refusal(facts)) is not None:
        raise refused
    return facts


def must_not_be(erased: Collection[str], customer_id: str) -> None:
    """Raise ``WasErased`` for somebody of whom nothing may be kept."""
    if customer_id in erased:
        raise WasErased("The customer was erased: nothing about them is kept. Send no more of them.")


def refusal(facts: Facts) -> ActingRefused | None:
    """Why a customer must not be contacted; None: they may be."""
    if facts.held_out:
        return InControlGroup(
            f"{shown(facts.customer_id)} is in the control group, which is never contacted: what contacting achieves "
            "is measured against it. If the contact has already been made, record it with happened: true."
        )
    if facts.opted_out:
        return OptedOut(
            f"{shown(facts.customer_id)} has opted out of being contacted. If the contact has already been made, "
            "record it with happened: true."
        )
    return None


def shown(customer_id: str) -> str:
    """An id as messages show it."""
    return repr(customer_id if len(customer_id) <= 80 else f"{customer_id[:80]}…")


def facts_in(score: bytes | memoryview) -> Facts:
    """The facts in a score document."""
    document: Mapping[str, object] = orjson.loads(score)

    def number(name: str) -> float | None:
        value = document[name]
        return value if isinstance(value, int | float) else None

    def text(name: str) -> str | None:
        value = document[name]
        return value if isinstance(value, str) else None

    reasons = document["reasons"]
    codes = [
        str(one["code"])
        for one in (reasons if isinstance(reasons, list) else ())
        if one["code"] not in (None, "rest") and one["direction"] == "raises"
    ]
    return Facts(
        str(document["customer_id"]),
        document["held_out"] is True,
        document["suppression_reason"] == "opted out",
        number("churn_probability"),
        number("clv_expected"),
        number("value_at_risk") or 0.0,
        text("risk_tier"),
        text("last_bad_experience_at"),
        number("historic_value_gross"),
        text("action"),
        text("contact_on"),
        codes[0] if codes else None,
    )
