"""How the service stops: at SIGTERM it says that it is not ready, goes on for a while, then ends what is in flight."""

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Draining:
    """Whether the service is about to stop. A balancer sees it at /readyz and sends no new requests."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.began = False

    @contextmanager
    def on_sigterm(self) -> Iterator[None]:
        """Let SIGTERM begin the draining, and reach the server when it is over."""
        loop, before = asyncio.get_running_loop(), signal.getsignal(signal.SIGTERM)
        if threading.current_thread() is not threading.main_thread() or not callable(before):
            yield
            return

        def begin(number: int, frame: FrameType | None) -> None:
            again, self.began = self.began, True
            if again or self._seconds <= 0:
                before(number, frame)
            else:
                loop.call_soon_threadsafe(loop.call_later, self._seconds, before, number, None)

        signal.signal(signal.SIGTERM, begin)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)
