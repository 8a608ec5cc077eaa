"""Digests: sent at the hour of one's own zone, once a day, never empty; ended by a link without signing in."""

import csv
import io
import re
import socketserver
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser

import pytest
from desk_client import Desk
from scoring_runs import full_url

from fedelta.serve.acting.erasure import main as erase
from fedelta.serve.desk.digests import DigestRefused, by_smtp, send_digests
from fedelta.serve.operational.database import Database

Visit = Callable[..., Desk]
MORNING = datetime(2024, 3, 5, 7, 30, tzinfo=UTC)  # a Tuesday, 8:30 in Rome
ADDRESS = "http://127.0.0.1:8000"


def sent(database: Database, at: datetime = MORNING) -> list[EmailMessage]:
    """What is sent at an instant."""
    found: list[EmailMessage] = []
    assert send_digests(database, found.append, ADDRESS, "desk@example.com", at) == len(found)
    return found


def subscribe(desk: Desk, query: str, **fields: str) -> None:
    """Save a view and hear of it."""
    desk.send("/desk/views", "/desk/customers", name="At risk", query=query)
    number = re.search(r'<option value="(\d+)">At risk', desk.get("/desk/digests").text)
    assert number is not None
    form = {"view_id": number[1], "kind": "digest", "hour": "8", "zone": "Europe/Rome", "weekdays": "yes"} | fields
    assert desk.send("/desk/digests", "/desk/digests", **form).status_code == 303


def test_a_view_is_sent_at_its_hour_once_a_day(visit: Visit, desk_database: Database) -> None:
    subscribe(visit("viewer"), "tier=critical")
    assert sent(desk_database, datetime(2024, 3, 5, 6, 30, tzinfo=UTC)) == []  # 7:30 in Rome
    (message,) = sent(desk_database)
    assert message["To"] == "viewer@example.com"
    assert "At risk" in message["Subject"]
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    body = message.get_body()
    assert body is not None
    assert "tier=critical" in body.get_content()
    (file,) = message.iter_attachments()
    assert file.get_content_type() == "text/csv"
    assert sent(desk_database) == []
    assert len(sent(desk_database, datetime(2024, 3, 6, 7, 30, tzinfo=UTC))) == 1
    assert sent(desk_database, datetime(2024, 3, 9, 12, tzinfo=UTC)) == []  # Saturday


def test_nothing_is_sent_when_nobody_is_in_it_or_nobody_entered(visit: Visit, desk_database: Database) -> None:
    desk = visit("agent")
    subscribe(desk, "min_clv=999999")
    subscribe(visit("manager"), "tier=critical", kind="entered")
    assert sent(desk_database) == []


def test_the_link_ends_it_without_signing_in(visit: Visit, desk_database: Database) -> None:
    subscribe(visit("viewer"), "tier=critical")
    (message,) = sent(desk_database)
    link = message["List-Unsubscribe"].strip("<>").removeprefix(ADDRESS)
    anybody = visit()
    assert anybody.get(link).status_code == 200
    assert "At risk" in visit("viewer").get("/desk/digests").text
    assert anybody.post(f"{link}0", **{"List-Unsubscribe": "One-Click"}).status_code == 404
    assert anybody.post(link, **{"List-Unsubscribe": "One-Click"}).status_code == 200
    assert sent(desk_database, datetime(2024, 3, 6, 7, 30, tzinfo=UTC)) == []


def test_who_was_erased_is_in_no_digest_from_then_on(visit: Visit, desk_database: Database) -> None:
    subscribe(visit("viewer"), "tier=critical")
    (before,) = sent(desk_database)
    name = listed(before)[0]
    erase([name], full_url(desk_database))
    (after,) = sent(desk_database, datetime(2024, 3, 6, 7, 30, tzinfo=UTC))
    assert listed(after) == [each for each in listed(before) if each != name]
    assert name.encode() not in bytes(after)


def listed(message: EmailMessage) -> list[str]:
    """The customers in the attached file."""
    (file,) = message.iter_attachments()
    text = file.get_payload(decode=True)
    assert isinstance(text, bytes)
    return [row["customer_id"] for row in csv.DictReader(io.StringIO(text.decode("utf-8-sig")))]


def test_one_message_that_is_refused_does_not_hold_up_the_others(visit: Visit, desk_database: Database) -> None:
    for role in ("viewer", "agent"):
        subscribe(visit(role), "tier=critical")
    taken: list[str] = []

    def send(message: EmailMessage) -> None:
        if message["To"] == "viewer@example.com":
            raise DigestRefused("no such mailbox")
        taken.append(message["To"])

    with pytest.raises(DigestRefused, match=r"^1 sent, 1 not.*no such mailbox"):
        send_digests(desk_database, send, ADDRESS, "desk@example.com", MORNING)
    assert taken == ["agent@example.com"]
    assert [message["To"] for message in sent(desk_database)] == ["viewer@example.com"]


class Sink(socketserver.StreamRequestHandler):
    """A mail server that keeps what it is given."""

    kept: list[EmailMessage]

    def handle(self) -> None:
        self.wfile.write(b"220 sink\r\n")
        while line := self.rfile.readline():
            word = line[:4].upper()
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                text = b""
                while (row := self.rfile.readline()) != b".\r\n":
                    text += row
                self.kept.append(BytesParser(_class=EmailMessage, policy=policy.default).parsebytes(text))
            self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")


def test_mail_goes_through_a_server(visit: Visit, desk_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    subscribe(visit("viewer"), "tier=critical")
    Sink.kept = []
    with socketserver.TCPServer(("127.0.0.1", 0), Sink) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        monkeypatch.setenv("FEDELTA_SMTP_HOST", "127.0.0.1")
        monkeypatch.setenv("FEDELTA_SMTP_PORT", str(server.server_address[1]))
        monkeypatch.setenv("FEDELTA_SMTP_TLS", "off")
        assert send_digests(desk_database, by_smtp(), ADDRESS, "desk@example.com", MORNING) == 1
        server.shutdown()
        thread.join()
    assert [message["To"] for message in Sink.kept] == ["viewer@example.com"]
    monkeypatch.delenv("FEDELTA_SMTP_HOST")
    with pytest.raises(DigestRefused, match="FEDELTA_SMTP_HOST"):
        by_smtp()
