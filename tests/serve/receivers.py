"""Real HTTP servers of the tests: an endpoint of webhooks that keeps what it is sent, and one that answers in JSON."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook


@dataclass
class Message:
    """One request as it came."""

    headers: dict[str, str]
    body: bytes

    @property
    def event_id(self) -> str:
        return self.headers["webhook-id"]

    def verified(self, secret: str) -> Any:
        """The content, once its signature was found right by the field's own library."""
        return Webhook(secret).verify(self.body, self.headers)


@dataclass
class Receiver:
    """What came, and with which statuses it is answered: the first ones, then 204."""

    url: str
    answers: list[int] = field(default_factory=list)
    seconds: float = 0.0
    messages: list[Message] = field(default_factory=list)
    location: str | None = None

    def types(self) -> list[str]:
        return [json.loads(one.body)["type"] for one in self.messages]

    def times(self) -> Counter[str]:
        """How often each event came."""
        return Counter(one.event_id for one in self.messages)

    def until(self, enough: Callable[["Receiver"], bool]) -> None:
        """Wait until enough came."""
        end = time.monotonic() + 60
        while not enough(self):
            assert time.monotonic() < end, f"only {len(self.messages)} messages came"
            time.sleep(0.02)


def answering(answer: Callable[[BaseHTTPRequestHandler], object]) -> HTTPServer:
    """A server on a free port of this machine that answers every request in JSON, in a thread of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(answer(self)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        receiver: Receiver = self.server.receiver  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        status = receiver.answers.pop(0) if receiver.answers else 204
        receiver.messages.append(Message(headers, body))
        time.sleep(receiver.seconds)
        self.send_response(status)
        if receiver.location:
            self.send_header("location", receiver.location)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on a free port of this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.receiver = Receiver(f"http://127.0.0.1:{server.server_port}/hook?from=fedelta")  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.receiver  # type: ignore[attr-defined]
        finally:
            server.shutdown()
            thread.join()
