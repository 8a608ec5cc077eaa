"""Notes on cases; one of a case may be pinned."""

from datetime import datetime

import sqlalchemy as sa
from pydantic import BaseModel

from fedelta.serve.acting.actor import Actor
from fedelta.serve.acting.cases import read_case
from fedelta.serve.acting.customers import must_not_be
from fedelta.serve.operational.tables import case_notes, now


class Note(BaseModel):
    """What somebody wrote."""

    model_config = {"frozen": True}

    id: int
    case_id: int
    text: str
    author: str
    created_at: datetime
    pinned: bool


_COLUMNS = tuple(case_notes.c[name] for name in Note.model_fields)


def add_note(connection: sa.Connection, actor: Actor, case_id: int, text: str, *, pinned: bool = False) -> Note:
    """Write a note; pinned, it takes the place of the one that was. Raises ``UnknownCase`` and ``WasErased``."""
    case = read_case(connection, actor.tenant, case_id)
    must_not_be(actor.erased(connection, [case.customer_id]), case.customer_id)
    if pinned:
        pin_note(connection, actor, case_id, None)
    row = {
        "tenant": actor.tenant,
        "case_id": case_id,
        "customer_id": case.customer_id,
        "text": text,
        "author": actor.name[:100],
        "created_at": now(),
        "pinned": pinned,
    }
    number = connection.execute(case_notes.insert().values(row)).inserted_primary_key
    assert number is not None
    actor.note(connection, "case.noted", case.customer_id, case_id=case_id, note_id=number[0])
    found = connection.execute(sa.select(*_COLUMNS).where(case_notes.c.id == number[0])).mappings().one()
    return Note.model_validate(dict(found))


def find_notes(connection: sa.Connection, tenant: str, text: str, most: int) -> list[tuple[str, Note]]:
    """The newest notes that hold a text in letters of either case, each with its customer."""
    which = sa.and_(case_notes.c.tenant == tenant, case_notes.c.text.icontains(text, autoescape=True))
    wanted = sa.select(case_notes.c.customer_id, *_COLUMNS).where(which).order_by(case_notes.c.id.desc())
    rows = connection.execute(wanted.limit(most)).mappings()
    return [(row["customer_id"], Note.model_validate(dict(row))) for row in rows]


def pin_note(connection: sa.Connection, actor: Actor, case_id: int, note_id: int | None) -> None:
    """Pin this note of the case alone; None: pin none."""
    of_case = sa.and_(case_notes.c.tenant == actor.tenant, case_notes.c.case_id == case_id)
    connection.execute(case_notes.update().where(of_case).values(pinned=case_notes.c.id == note_id))


def notes_of(connection: sa.Connection, tenant: str, case_id: int) -> list[Note]:
    """The notes of a case: the pinned one, then the newest first."""
    of_case = sa.select(*_COLUMNS).where(case_notes.c.tenant == tenant, case_notes.c.case_id == case_id)
    rows = connection.execute(of_case.order_by(case_notes.c.pinned.desc(), case_notes.c.id.desc())).mappings()
    return [Note.model_validate(dict(row)) for row in rows]
