"""One message over HTTP: to an address that was checked, without redirects, within limits of time and size."""

import http.client
import io
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass

from fedelta.serve.webhooks.targets import Address, Target, TargetRefused

_MOST_BYTES = 32_768  # of an answer: status and headers; its body is not read


@dataclass(frozen=True)
class Answer:
    """What came of sending: the status of the answer, or why there was none."""

    status: int | None = None
    error: str | None = None
    retry_after: float | None = None  # seconds

    @property
    def accepted(self) -> bool:
        """Whether the message was taken."""
        return self.status is not None and 200 <= self.status < 300


class _Watched(io.RawIOBase):
    """What a socket receives, until a deadline and up to a number of bytes."""

    def __init__(self, wire: socket.socket, deadline: float) -> None:
        self._wire, self._deadline, self._left = wire, deadline, _MOST_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        _wait_until(self._wire, self._deadline)
        if self._left <= 0:
            raise http.client.LineTooLong("answer")
        count = self._wire.recv_into(memoryview(buffer)[: self._left])
        self._left -= count
        return count

    def makefile(self, _mode: str) -> io.BufferedReader:
        """As ``http.client`` asks a socket for it."""
        return io.BufferedReader(self, 4_096)


def send(target: Target, addresses: list[Address], headers: Mapping[str, str], body: bytes, deadline: float) -> Answer:
    """Post a message to the first of the addresses that takes a connection.

    Parameters
    ----------
    deadline : of ``time.monotonic``; the answer's status and headers must have come by then
    """
    try:
        with _connected(target, addresses, deadline) as wire:
            lines = [f"POST {target.path} HTTP/1.1", f"Host: {target.authority}", f"Content-Length: {len(body)}"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            _wait_until(wire, deadline)
            wire.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode() + body)
            answer = http.client.HTTPResponse(_Watched(wire, deadline), method="POST")  # type: ignore[arg-type]
            answer.begin()
            return Answer(answer.status, None, _seconds(answer.headers.get("retry-after")))
    except TimeoutError:
        return Answer(error="no answer in time")
    except ssl.SSLCertVerificationError as error:
        return Answer(error=f"certificate refused: {error.verify_message}")
    except (http.client.HTTPException, ssl.SSLError) as error:
        return Answer(error=f"no answer of HTTP ({type(error).__name__})")
    except TargetRefused as error:
        return Answer(error=str(error))
    except OSError as error:
        return Answer(error=f"no connection ({error.strerror or type(error).__name__})")


def _connected(target: Target, addresses: list[Address], deadline: float) -> socket.socket:
    fault: OSError = ConnectionError("no address")
    for address in addresses:
        try:
            wire = socket.create_connection((str(address), target.port), timeout=_left(deadline))
        except OSError as error:
            fault = error
            continue
        if target.scheme == "http":
            return wire
        try:
            return ssl.create_default_context().wrap_socket(wire, server_hostname=target.host)
        except BaseException:
            wire.close()
            raise
    raise fault


def _wait_until(wire: socket.socket, deadline: float) -> None:
    wire.settimeout(_left(deadline))


def _left(deadline: float) -> float:
    if (left := deadline - time.monotonic()) <= 0:
        raise TimeoutError
    return left


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 8 else None
