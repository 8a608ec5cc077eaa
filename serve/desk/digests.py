"""Digests: views that somebody wants to hear of, by mail or as files, at an hour of their own time zone."""

import hmac
import os
import secrets
import smtplib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from zoneinfo import ZoneInfo

import orjson
import polars as pl
import sqlalchemy as sa

from fedelta.features.errors import FedeltaError
from fedelta.serve.caller.problems import Problem
from fedelta.serve.desk.listed import Listed
from fedelta.serve.desk.words import N_, Words, words
from fedelta.serve.operational import pointer
from fedelta.serve.operational.database import Database
from fedelta.serve.operational.tables import subscriptions, tenant_settings, users, views
from fedelta.serve.snapshots import exports
from fedelta.serve.snapshots.current import run_of
from fedelta.serve.snapshots.read import SnapshotFile

KINDS = {"digest": N_("the whole list"), "entered": N_("who entered it")}
COLUMNS = ("rank", "customer_id", "churn_probability", "risk_tier", "value_at_risk", "currency", "reasons")
FIRST = 10  # customers in the text; the attached file has all
SECRET = "unsubscribe"  # noqa: S105 (the name of a setting)
PATH = "/desk/unsubscribe"
Send = Callable[[EmailMessage], None]


class DigestRefused(FedeltaError):
    """Mail cannot be sent as it is set up."""


@dataclass(frozen=True)
class Due:
    """A subscription whose hour has come."""

    subscription_id: int
    tenant: str
    kind: str
    reported_in: str | None
    email: str
    words: Words
    view: str
    query: str


def send_digests(database: Database, send: Send, address: str, sender: str, at: datetime | None = None) -> int:
    """Send what is due, once a day at most, and nothing that is empty; how many were sent.

    Parameters
    ----------
    address : of the service, without a slash at the end: what links begin with
    at : the present, if it is another

    Raises
    ------
    DigestRefused
        If a message could not be sent; the others were.
    """
    moment, sent, refused = at or datetime.now(UTC), 0, list[DigestRefused]()
    with database.engine() as engine:
        with engine.begin() as connection:
            due = list(_due(connection, moment))
        for one in due:
            with engine.begin() as connection:
                kept, its = pointer.kept(connection, one.tenant), token(connection, one.tenant, one.subscription_id)
                reported = [run for run in kept[1:] if run.snapshot_id == one.reported_in]
                files = [run_of(connection, database, run) for run in (*kept[:1], *reported)]
            if not files:
                continue
            rows = _rows(one, *files)
            if rows is not None and rows[1]:
                link = f"{address}{PATH}/{its}"
                message = _message(one, files[0], rows, kept[0].as_of, address, link, sender)
                try:
                    send(message)  # in no transaction: others write meanwhile
                except DigestRefused as error:  # it is tried again; the others need not wait for it
                    refused.append(error)
                    continue
                sent += 1
            values = {"reported_at": moment.strftime("%Y-%m-%dT%H:%M:%SZ"), "reported_in": kept[0].snapshot_id}
            which = subscriptions.c.subscription_id == one.subscription_id
            with engine.begin() as connection:
                connection.execute(subscriptions.update().where(which).values(values))
    if refused:
        raise DigestRefused(f"{sent} sent, {len(refused)} not, which are tried again next time. {refused[0]}")
    return sent


def token(connection: sa.Connection, tenant: str, subscription_id: int) -> str:
    """A signed name of a subscription: whoever has it may end it."""
    return f"{tenant}.{subscription_id}.{_signature(connection, tenant, subscription_id)}"


def unsubscribe(connection: sa.Connection, text: str) -> bool:
    """End the subscription that a token names; whether the token is ours."""
    tenant, _, rest = text.partition(".")
    number, _, signature = rest.partition(".")
    if not number.isdecimal() or len(number) > 15 or not signature.isascii():
        return False
    known = sa.select(tenant_settings.c.document).where(_is_secret(tenant))
    if connection.execute(known).first() is None:
        return False
    if not hmac.compare_digest(signature, _signature(connection, tenant, int(number))):
        return False
    which = sa.and_(subscriptions.c.tenant == tenant, subscriptions.c.subscription_id == int(number))
    connection.execute(subscriptions.delete().where(which))
    return True


def to_folder(folder: Path) -> Send:
    """Write each message to a file of its own."""
    folder.mkdir(parents=True, exist_ok=True)

    def write(message: EmailMessage) -> None:
        (folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}.eml").write_bytes(bytes(message))

    return write


def by_smtp() -> Send:
    """Send by the server of FEDELTA_SMTP_HOST: port, user and password by FEDELTA_SMTP_PORT, _USER and _PASSWORD.

    Raises
    ------
    DigestRefused
        If no server is set, or it refuses.
    """
    host, port = os.environ.get("FEDELTA_SMTP_HOST"), os.environ.get("FEDELTA_SMTP_PORT", "587")
    if not host or not port.isdecimal():
        raise DigestRefused("No mail server is set: set FEDELTA_SMTP_HOST (and _PORT), or give --file FOLDER.")
    user, password = os.environ.get("FEDELTA_SMTP_USER"), os.environ.get("FEDELTA_SMTP_PASSWORD", "")
    plain = os.environ.get("FEDELTA_SMTP_TLS", "on") == "off"

    def send(message: EmailMessage) -> None:
        try:
            with smtplib.SMTP(host, int(port), timeout=30) as server:
                if not plain:
                    server.starttls()
                if user:
                    server.login(user, password)
                server.send_message(message)
        except (OSError, smtplib.SMTPException) as error:
            raise DigestRefused(f"The mail server {host}:{port} did not take a message: {error}.") from error

    return send


def main(database_url: str | None, *, folder: Path | None, address: str, sender: str) -> None:
    """Send what is due, and report how many. Raises ``DigestRefused``, ``DatabaseError``."""
    sent = send_digests(
        Database.at(database_url), to_folder(folder) if folder else by_smtp(), address.rstrip("/"), sender
    )
    print(f"Digests: {sent:,} sent{f' to {folder}' if folder else ''}.")


def _due(connection: sa.Connection, moment: datetime) -> Iterator[Due]:
    """Those whose hour of the day has come in their own time zone, and that were not reported that day."""
    every = (
        sa.select(subscriptions, users.c.email, users.c.language, views.c.name, views.c.query)
        .join(users, users.c.user_id == subscriptions.c.user_id)
        .join(views, views.c.view_id == subscriptions.c.view_id)
        .where(users.c.disabled_at.is_(None))
        .order_by(subscriptions.c.subscription_id)
    )
    for row in connection.execute(every).all():
        here = moment.astimezone(ZoneInfo(row.time_zone))
        last = row.reported_at and datetime.fromisoformat(row.reported_at).astimezone(ZoneInfo(row.time_zone))
        if str(here.isoweekday()) in row.days and here.hour >= row.hour and (not last or last.date() < here.date()):
            yield Due(
                row.subscription_id, row.tenant, row.kind, row.reported_in, row.email, words(row.language or "en"),
                row.name, row.query,
            )  # fmt: skip


def _rows(one: Due, file: SnapshotFile, earlier: SnapshotFile | None = None) -> tuple[list[int], list[int]] | None:
    """The ranks and rows to report; None where the view cannot be shown any more."""
    try:
        listed = Listed.stored(one.query, one.words)
    except Problem:
        return None
    ranks, rows = (each.to_list() for each in listed.whole(file))
    if one.kind == "digest":
        return ranks, rows
    if earlier is None:  # there is nothing to have entered from: from the next run on
        return [], []
    were = set(_ids(earlier, listed.whole(earlier)[1].to_list()))
    new = [place for place, name in enumerate(_ids(file, rows)) if name not in were]
    return [ranks[place] for place in new], [rows[place] for place in new]


def _ids(file: SnapshotFile, rows: list[int]) -> list[str]:
    ids: list[str] = file.column("customer_id").gather(file.column("position").gather(rows)).to_list()
    return ids


def _message(
    one: Due,
    file: SnapshotFile,
    rows: tuple[list[int], list[int]],
    as_of: str | None,
    address: str,
    link: str,
    sender: str,
) -> EmailMessage:
    say, count = one.words.gettext, len(rows[1])
    title = say("%(count)s customers: %(view)s") % {"count": one.words.number(count), "view": one.view}
    filters = ", ".join(f"{name}={value}" for name, value in Listed.stored(one.query, one.words).items) or "–"
    lines = [
        f"{score['customer_id']}  {one.words.share(score['churn_probability'])}  "
        f"{one.words.money(score['value_at_risk'], score['currency'])}"
        for score in (orjson.loads(file.body(row)) for row in rows[1][:FIRST])
    ]
    text = [
        title,
        say("Shown: %(what)s. Filters: %(filters)s. Scores as of %(at)s.")
        % {"what": say(KINDS[one.kind]), "filters": filters, "at": one.words.moment(as_of)},
        "\n".join(lines),
        f"{address}/desk/customers?{one.query}",
        say("Receive this no more") + f": {link}",
    ]
    message = EmailMessage()
    message["Subject"] = " ".join(title.split())
    message["From"], message["To"] = sender, one.email
    message["List-Unsubscribe"] = f"<{link}>"  # RFC 8058
    message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message.set_content("\n\n".join(text) + "\n")
    body = b"".join(
        exports.csv(file, pl.Series(rows[0], dtype=pl.UInt32), pl.Series(rows[1], dtype=pl.UInt32), COLUMNS, bom=True)
    )
    message.add_attachment(body, maintype="text", subtype="csv", filename="customers.csv")
    return message


def _signature(connection: sa.Connection, tenant: str, subscription_id: int) -> str:
    found = connection.execute(sa.select(tenant_settings.c.document).where(_is_secret(tenant))).scalar_one_or_none()
    if found is None:
        found = orjson.dumps(secrets.token_hex(32)).decode()
        connection.execute(tenant_settings.insert().values(tenant=tenant, name=SECRET, document=found))
    return hmac.new(orjson.loads(found).encode(), f"{tenant}.{subscription_id}".encode(), "sha256").hexdigest()[:40]


def _is_secret(tenant: str) -> sa.ColumnElement[bool]:
    return sa.and_(tenant_settings.c.tenant == tenant, tenant_settings.c.name == SECRET)
