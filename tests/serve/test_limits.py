"""Limits of connections, over raw sockets: what is too large, too slow or too much ends, and others are answered."""

import json
import random
import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest
from scoring_runs import customer, full_url, many, running, started, write

from fedelta.serve.caller.keys import create_key
from fedelta.serve.operational.database import Database
from fedelta.serve.snapshots.publish import publish

QUICK = (
    "--limit-header-seconds=1", "--limit-body-seconds=1", "--limit-idle-seconds=1.5", "--limit-write-seconds=1.5",
    "--limit-connections=40", "--limit-connections-per-peer=30",
)  # fmt: skip


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The address of a server with short limits, and a key."""
    folder = tmp_path_factory.mktemp("limits")
    database = Database.at(f"sqlite:///{folder}/fedelta.db")
    many(20_000, "m1").write_parquet(folder / "run.parquet")
    publish(folder / "run.parquet", database)
    key = create_key(database, "crm", ["read:score", "read:list", "read:metrics"])[0]
    with running(full_url(database), options=QUICK) as address:
        yield address, key


def wire(address: str, timeout: float = 20) -> socket.socket:
    host, port = address.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=timeout)


def send(address: str, *pieces: bytes) -> bytes:
    """All that a server answers to these bytes before it closes."""
    with wire(address) as connection:
        with suppress(ConnectionError):
            for piece in pieces:
                connection.sendall(piece)
        return everything(connection)


def everything(connection: socket.socket) -> bytes:
    answer = b""
    with suppress(ConnectionError):
        while piece := connection.recv(65_536):
            answer += piece
    return answer


def problem(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head, answer[:300]
    assert b"connection: close" in head
    document = json.loads(body)
    assert document["status"] == int(head.split()[1])
    return document["status"], document["type"].rsplit(":", 1)[1]


def answers(served: tuple[str, str]) -> None:
    """Somebody else is answered."""
    address, key = served
    answer = httpx.get(f"{address}/v1/customers/c000001/score", headers={"X-API-Key": key}, timeout=20)
    assert answer.status_code == 200


def refusals(served: tuple[str, str]) -> dict[str, int]:
    """What was refused or cut off so far, by reason, as the metrics have it."""
    text = httpx.get(f"{served[0]}/metrics", headers={"X-API-Key": served[1]}, timeout=20).text
    found = re.findall(r'^fedelta_refused_total{reason="([\w-]+)"} (\d+)', text, re.MULTILINE)
    return {reason: int(count) for reason, count in found}


START = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        ([START, b"X-Large: " + b"a" * 40_000], 431),
        ([START, b"X-Large: " + b"a" * 33_000 + b"\r\n\r\n"], 431),
        ([START, *[b"X-Some: " + b"a" * 1_000 + b"\r\n"] * 40, b"\r\n"], 431),
        ([START, *[b"A: b\r\n"] * 101, b"\r\n"], 431),
        ([b"GET /", b"a" * 9_000, b" HTTP/1.1\r\n\r\n"], 414),
        ([b"POST /v1/scores:batch HTTP/1.1\r\nContent-Length: 1000001\r\n\r\n"], 413),
        ([b"POST /v1/scores:batch HTTP/1.1\r\nContent-Length: " + b"9" * 30 + b"\r\n\r\n"], 400),
        ([b"POST /v1/scores:batch HTTP/1.1\r\nContent-Length: -5\r\n\r\n"], 400),
        ([b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"], 400),
        ([b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 this is TLS"], 400),
        ([b"\r\n" * 20_000], 431),
        ([START + b"No colon\r\n\r\n"], 400),
        ([START + b"\xff\xfe: a\r\n\r\n"], 400),
        ([b"CONNECT example.org:443 HTTP/1.1\r\n\r\n"], 400),
    ],
)
def test_what_breaks_a_limit_is_answered_and_closed(served: tuple[str, str], pieces: list[bytes], status: int) -> None:
    assert problem(send(served[0], *pieces))[0] == status
    answers(served)


def test_headers_up_to_the_limit_are_read(served: tuple[str, str]) -> None:
    answer = send(served[0], START + b"X-Large: " + b"a" * 31_000 + b"\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("declared", [START + b"X-Large: ", START])
def test_a_hundred_megabytes_of_header_are_not_even_read(served: tuple[str, str], declared: bytes) -> None:
    piece, sent = b"a" * 1_000_000 if declared.endswith(b" ") else b"A: b\r\n" * 160_000, 0
    with wire(served[0]) as connection:
        connection.sendall(declared)
        with suppress(ConnectionError):
            for _ in range(100):
                connection.sendall(piece)
                sent += len(piece)
                if sent % 10_000_000 == 0:
                    answers(served)
    assert sent < 100_000_000 or declared == START
    answers(served)


CHUNKED = (
    b"POST /v1/scores:batch HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\nX-API-Key: %b\r\n\r\n"
    b'14\r\n{"customer_ids":[]} \r\n'
)


@pytest.mark.parametrize("trailer", [b"X-API-Key: another", b"Authorization: Bearer another"])
def test_what_comes_behind_a_body_is_no_header(served: tuple[str, str], trailer: bytes) -> None:
    answer = send(served[0], CHUNKED % served[1].encode() + b"0\r\n" + trailer + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("begun", "endless"),
    [(b"0\r\n", b"A: b\r\n"), (b"0\r\nA: ", b"a"), (b"5;a=", b"a"), (b"5", b";a=b"), (b"0\r\nA", b"a")],
)
def test_what_is_neither_header_nor_body_has_an_end(served: tuple[str, str], begun: bytes, endless: bytes) -> None:
    before = refusals(served).get("headers-too-large", 0)
    answer = send(served[0], CHUNKED % served[1].encode() + begun, endless * 10_000, endless * 100_000)
    assert b"HTTP/1.1 2" not in answer
    assert refusals(served)["headers-too-large"] == before + 1
    answers(served)


def answered_with_500(served: tuple[str, str]) -> list[str]:
    text = httpx.get(f"{served[0]}/metrics", headers={"X-API-Key": served[1]}, timeout=20).text
    return re.findall(r'fedelta_requests_total{.*status="500".*', text)


@pytest.mark.parametrize("path", ["/v1/scores:batch", "/v1/scores:compute", "/desk/sign-in"])
def test_a_client_that_leaves_midway_is_no_error_of_ours(served: tuple[str, str], path: str) -> None:
    with wire(served[0]) as connection:
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nX-API-Key: {served[1]}\r\n"
        form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 90\r\n\r\na=b"
        connection.sendall((head + form).encode())
        time.sleep(0.2)
    answers(served)
    time.sleep(0.2)
    assert answered_with_500(served) == []


def test_a_body_may_come_in_small_pieces(served: tuple[str, str]) -> None:
    head, _, _ = (CHUNKED % served[1].encode()).partition(b"14\r\n")
    body = b'{"customer_ids":["%b"]}' % (b"a" * 20_000)
    answer = send(served[0], head, b"".join(b"1;x=y\r\n%c\r\n" % byte for byte in body), b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")


def test_a_header_that_comes_all_at_once_is_refused_once(served: tuple[str, str]) -> None:
    before = refusals(served)
    assert problem(send(served[0], b"GET /healthz HTTP/1.1\r\nX-Large: " + b"x" * 2_000_000))[0] == 431
    after = refusals(served)
    assert sum(after.values()) - sum(before.values()) == 1


def test_a_request_that_comes_byte_by_byte_is_ended(served: tuple[str, str]) -> None:
    with wire(served[0]) as connection:
        with suppress(ConnectionError):
            for byte in START * 1000:
                connection.sendall(bytes([byte]))
                time.sleep(0.05)
                connection.settimeout(0.001)
                with suppress(TimeoutError):
                    if answer := connection.recv(1000):
                        break
                connection.settimeout(20)
        assert problem(answer) == (408, "too-slow")


def test_a_body_that_does_not_come_is_ended(served: tuple[str, str]) -> None:
    head = b"POST /v1/scores:batch HTTP/1.1\r\nContent-Length: 100\r\nX-API-Key: %b\r\n\r\n"
    assert problem(send(served[0], head % served[1].encode(), b"{")) == (408, "too-slow")


def test_a_connection_without_a_request_is_closed_without_a_word(served: tuple[str, str]) -> None:
    assert send(served[0]) == b""
    assert send(served[0], START + b"\r\n").count(b"HTTP/1.1") == 1


def test_a_reader_that_takes_nothing_is_cut_off(served: tuple[str, str]) -> None:
    address, key = served
    with wire(address) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(f"GET /v1/at-risk?format=csv HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\n\r\n".encode())
        until = time.monotonic() + 20
        while "write_deadline" not in (counted := refusals(served)) and time.monotonic() < until:
            time.sleep(0.2)
    assert counted["write_deadline"] == 1
    answers(served)


def test_idle_connections_make_room_for_those_who_ask(served: tuple[str, str]) -> None:
    with ExitStack() as held:
        for _ in range(120):
            held.enter_context(wire(served[0]))
        answers(served)
        for _ in range(120):
            held.enter_context(wire(served[0])).sendall(START)
        answers(served)


def test_who_holds_more_connections_than_the_limit_in_use_is_told_so(served: tuple[str, str]) -> None:
    address, key = served
    head = f"POST /v1/scores:batch HTTP/1.1\r\nX-API-Key: {key}\r\nContent-Length: 100\r\n\r\n".encode()
    with ExitStack() as held:
        for _ in range(30):
            held.enter_context(wire(address)).sendall(head)
        time.sleep(0.3)
        refused = send(address)
    assert problem(refused) == (503, "too-many-connections")
    assert b"retry-after" in refused
    answers(served)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_150_idle_connections_shut_nobody_out_at_128_files(database: Database, tmp_path: Path) -> None:
    publish(write(tmp_path / "s.parquet", customer("c000001")), database)
    key = create_key(database, "crm", ["read:score"])[0]
    with (
        started(full_url(database), options=["--access-log=off"], files=128) as (address, _),
        ExitStack() as held,
    ):
        for _ in range(150):
            held.enter_context(wire(address))
        answers((address, key))


def test_pipelined_requests_are_answered_in_order_and_their_number_is_limited(served: tuple[str, str]) -> None:
    address, key = served
    one = f"GET /v1/customers/c%06d/score HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\n\r\n".encode()
    with wire(address) as connection:
        connection.sendall(b"".join(one % number for number in range(20)))
        answer = b""
        while answer.count(b'"customer_id"') < 20:
            answer += connection.recv(65_536)
    places = [answer.index(b'"customer_id":"c%06d"' % number) for number in range(20)]
    assert places == sorted(places)
    send(address, (START + b"\r\n") * 5_000)
    answers(served)


HEADERS = [
    b"", b"X: %b\r\n", b"If-None-Match: %b\r\n", b"Authorization: Bearer %b\r\n", b"Accept: %b\r\n",
    b"X-Request-Id: %b\r\n", b"Content-Type: %b\r\n", b"Content-Length: 7\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Expect: 100-continue\r\n", b"Upgrade: h2c\r\nConnection: upgrade\r\n", b"Content-Length: 7\r\nExpect: %b\r\n",
]  # fmt: skip


def test_noise_is_no_reason_for_an_error_of_ours_and_slows_nobody(served: tuple[str, str]) -> None:
    address, key = served
    noise = random.Random(16)
    methods = [b"GET", b"POST", b"PUT", b"DELETE", b"HEAD", b"OPTIONS", b"PATCH", b"TRACE", b"\x00", b"get"]
    paths = [b"/v1/customers/%b/score", b"/v1/at-risk?%b", b"/%b", b"/v1/scores:batch%b", b"http://h/%b", b"*%b", b"%b"]
    for _ in range(300):
        junk = bytes(noise.randrange(256) for _ in range(noise.randrange(60)))
        quoted = b"".join(b"%%%02x" % byte for byte in junk)
        path = noise.choice(paths) % noise.choice([junk, quoted, b"", b"a" * 300, b"%", b"%zz", b"../.."])
        headers = noise.choice(HEADERS)
        if b"%" in headers:
            headers %= junk
        body = noise.choice([b"", junk, b"{}", b"5\r\nhello\r\n0\r\n\r\n", b'{"customer_ids":["\\ud800"]}'])
        request = b"%b %b HTTP/1.1\r\nHost: x\r\nX-API-Key: %b\r\nConnection: close\r\n%b\r\n%b" % (
            noise.choice(methods), path, key.encode(), headers, body,
        )  # fmt: skip
        with wire(address) as connection:
            with suppress(ConnectionError):
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
            answer = everything(connection)
        assert not answer.startswith(b"HTTP/1.1 5"), (request, answer)
    answers(served)
