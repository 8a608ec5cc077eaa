"""Where messages go: nowhere inside, whatever DNS says and whenever it says it, and never past a limit."""

import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from fedelta.serve.webhooks import targets
from fedelta.serve.webhooks.sending import Answer, send
from fedelta.serve.webhooks.targets import TargetRefused, is_public, parsed, resolved

HERE = (ipaddress.ip_network("127.0.0.0/8"),)
INSIDE = [
    "127.0.0.1", "10.0.0.1", "172.16.3.4", "192.168.1.1", "169.254.169.254", "100.100.100.200", "168.63.129.16",
    "0.0.0.0", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fd00:ec2::254", "::ffff:127.0.0.1",
    "::ffff:169.254.169.254", "64:ff9b::7f00:1", "2002:7f00:1::", "ff02::1",
    "::7f00:1", "::ffff:0:7f00:1", "64:ff9b:1::7f00:1", "fec0::1", "5f00::1", "::a00:1", "64:ff9b::a9fe:a9fe",
]  # fmt: skip
OUTSIDE = ["93.184.215.14", "1.1.1.1", "2606:4700:4700::1111", "64:ff9b::101:101", "::ffff:1.1.1.1"]


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_inside_is_refused_written_or_resolved(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_public(ipaddress.ip_address(address))
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(TargetRefused, match="private"):
        parsed(f"https://{host}/hook", ())
    answers(monkeypatch, [address])
    with pytest.raises(TargetRefused, match="private"):
        resolved(parsed("https://crm.example.org/hook", ()), ())


@pytest.mark.parametrize("address", OUTSIDE)
def test_an_address_of_the_internet_is_taken(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_public(ipaddress.ip_address(address))
    answers(monkeypatch, [address])
    assert resolved(parsed("https://crm.example.org", ()), ()) == [ipaddress.ip_address(address)]


@pytest.mark.parametrize(
    "url",
    [
        "http://crm.example.org/", "ftp://crm.example.org/", "crm.example.org", "https://", "https://user@crm.example.org",
        "https://u:p@crm.example.org", "https://crm.example.org/#x", "https://crm.example.org:0/", "https://localhost/",
        "https://a.localhost", "https://metadata.google.internal/", "https://crm.example.org:99999/", "https://[::1",
        "https://crm.example.org/\r\nX: y", "https://crm.example.org/a b", "https://crm.exämple.org/",
        "https://crm.example.org/" + "x" * 2_000,
    ],
)  # fmt: skip
def test_what_is_no_address_for_messages_is_refused_in_words(url: str) -> None:
    with pytest.raises(TargetRefused, match=r"\."):
        parsed(url, ())


def test_a_network_that_is_allowed_is_taken_without_https_too_and_no_other_is() -> None:
    target = parsed("http://127.0.0.1:8080/hook?a=b", HERE)
    assert (target.host, target.port, target.path, target.authority) == (
        "127.0.0.1",
        8080,
        "/hook?a=b",
        "127.0.0.1:8080",
    )
    assert resolved(target, HERE) == [ipaddress.ip_address("127.0.0.1")]
    for url in ("http://10.0.0.1/", "http://1.1.1.1/"):
        with pytest.raises(TargetRefused):
            parsed(url, HERE)


def test_of_several_addresses_only_those_that_are_allowed_are_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, ["10.0.0.1", "1.1.1.1", "::1"])
    assert resolved(parsed("https://crm.example.org", ()), ()) == [ipaddress.ip_address("1.1.1.1")]


def test_dns_is_asked_once_and_what_it_said_then_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(lambda wire: wire.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")) as port:
        target = parsed(f"http://crm.example.org:{port}/hook", HERE)
        answers(monkeypatch, ["127.0.0.1"])
        addresses = resolved(target, HERE)
        monkeypatch.setattr(targets.socket, "getaddrinfo", asked_again)
        answer = send(target, addresses, {}, b"{}", time.monotonic() + 5)
    assert answer == Answer(204)


def test_a_redirect_is_an_answer_and_not_followed() -> None:
    asked = []

    def redirect(wire: socket.socket) -> None:
        asked.append(1)
        wire.sendall(b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1/\r\n\r\n")

    assert sent_to(redirect).status == 307
    assert asked == [1]


def test_an_answer_without_end_is_cut() -> None:
    def endless(wire: socket.socket) -> None:
        with suppress(OSError):
            wire.sendall(b"HTTP/1.1 200 OK\r\n")
            while True:
                wire.sendall(b"X-More: " + b"x" * 1_000 + b"\r\n")

    answer = sent_to(endless)
    assert (answer.status, answer.accepted) == (None, False)
    assert answer.error is not None


def test_an_answer_that_drips_is_late() -> None:
    def drip(wire: socket.socket) -> None:
        with suppress(OSError):
            for letter in b"HTTP/1.1 200 OK\r\n" * 100:
                wire.sendall(bytes([letter]))
                time.sleep(0.05)

    assert sent_to(drip, seconds=1).error == "no answer in time"


def test_a_body_is_not_waited_for() -> None:
    def long(wire: socket.socket) -> None:
        wire.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        time.sleep(2)

    assert sent_to(long, seconds=1) == Answer(200)


@pytest.mark.parametrize("text", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 abc\r\n\r\n"])
def test_what_does_not_speak_http_is_an_error_in_words(text: bytes) -> None:
    answer = sent_to(lambda wire: wire.sendall(text))
    assert answer.status is None
    assert answer.error


def test_when_to_come_again_is_read_from_the_answer() -> None:
    answer = sent_to(lambda wire: wire.sendall(b"HTTP/1.1 429 Slow\r\nRetry-After: 30\r\n\r\n"))
    assert (answer.status, answer.retry_after) == (429, 30.0)


def test_nothing_listening_is_an_error() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        target = parsed(f"http://127.0.0.1:{free.getsockname()[1]}/", HERE)
        answer = send(target, resolved(target, HERE), {}, b"{}", time.monotonic() + 5)
    assert answer.error is not None
    assert "no connection" in answer.error


def answers(monkeypatch: pytest.MonkeyPatch, addresses: list[str]) -> None:
    """Let DNS answer with these addresses."""
    monkeypatch.setattr(
        targets.socket,
        "getaddrinfo",
        lambda *_, **__: [
            (socket.AF_INET6 if ":" in one else socket.AF_INET, 1, 6, "", (one, 443)) for one in addresses
        ],
    )


def asked_again(host: str, port: int, *_: object, **__: object) -> list[object]:
    """DNS as it is after a rebinding: any name is elsewhere; an address written as such is itself."""
    if host != "127.0.0.1":
        raise AssertionError("DNS was asked again")
    return [(socket.AF_INET, 1, 6, "", (host, port))]


def sent_to(answer: Callable[[socket.socket], None], seconds: float = 5) -> Answer:
    """What comes of a message to a server that answers so."""
    with serving(answer) as port:
        target = parsed(f"http://127.0.0.1:{port}/hook", HERE)
        return send(target, resolved(target, HERE), {"webhook-id": "evt_1"}, b"{}", time.monotonic() + seconds)


@contextmanager
def serving(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server of one connection; its port."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()

        def serve() -> None:
            wire, _ = listening.accept()
            with wire:
                wire.recv(65_536)
                answer(wire)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        thread.join()
