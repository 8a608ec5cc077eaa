"""Limits count an IPv6 address by its network."""

import json
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scoring_runs import full_url, started

from fedelta.serve.app import create_app
from fedelta.serve.caller.peers import network_of
from fedelta.serve.caller.settings import Settings
from fedelta.serve.operational.database import Database


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("no:address", "no:address"),
    ],
)
def test_an_address_stands_for_its_network(address: str, network: str) -> None:
    assert network_of(address) == network


@given(st.ip_addresses(v=6), st.integers(0, 2**64 - 1))
def test_all_of_a_64_are_one_and_its_neighbours_another(address: object, host: int) -> None:
    from ipaddress import IPv6Address

    first = IPv6Address(str(address))
    if first.ipv4_mapped or first.packed[:8] == bytes(8):
        return
    other = IPv6Address(int(first) >> 64 << 64 | host)
    neighbour = IPv6Address(int(first) ^ 1 << 64)
    assert network_of(str(first)) == network_of(str(other))
    assert network_of(str(first)) != network_of(str(neighbour))


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_failures_are_counted_over_a_64(database: Database) -> None:
    import asyncio

    app = create_app(full_url(database), Settings(access_log="off", failures_per_minute=10))
    stack = app.build_middleware_stack()

    async def status(peer: str) -> int:
        sent: list[dict[str, object]] = []

        async def send(message: dict[str, object]) -> None:
            sent.append(message)

        async def receive() -> dict[str, object]:
            return {"type": "http.disconnect"}

        scope = {
            "type": "http", "method": "GET", "path": "/v1/at-risk", "headers": [], "query_string": b"", "app": app,
            "client": (peer, 1), "scheme": "http", "http_version": "1.1", "root_path": "", "state": {},
        }  # fmt: skip
        await stack(scope, receive, send)  # type: ignore[arg-type]
        code = sent[0]["status"]
        assert isinstance(code, int)
        return code

    async def asked() -> list[int]:
        return [await status(f"2001:db8::{n:x}") for n in range(12)] + [await status("2001:db8:0:1::1")]

    assert asyncio.run(asked()) == [401] * 10 + [429] * 2 + [401]
    app.state.store.close()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_who_asks_is_what_the_proxy_says_and_nothing_that_comes_behind_a_body(
    database: Database, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with started(full_url(database), options=["--trusted-proxies=127.0.0.1", f"--access-log={log}"]) as (address, _):
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), 20) as wire:
            wire.sendall(
                b"POST /v1/scores:batch HTTP/1.1\r\nX-Forwarded-For: 203.0.113.7\r\nTransfer-Encoding: chunked\r\n"
                b"Connection: close\r\n\r\n0\r\nX-Forwarded-For: 198.51.100.66\r\n\r\n"
            )
            while wire.recv(65_536):
                pass
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["peer"] for line in lines if line["method"] == "POST"] == ["203.0.113.7"]
