"""What requests leave behind, written by a thread in batches, so that no request waits for a file or a database."""

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
_log = logging.getLogger("fedelta.serve")


class Batches(Generic[T]):
    """A bounded queue and the thread that empties it. Adding costs an append; when it is full, what comes is counted.

    A batch that cannot be written is tried again with the next; the bound holds for it too. ``lost`` receives the
    name and how many items were dropped in all, whenever one is.
    """

    def __init__(
        self,
        name: str,
        write: Callable[[list[T]], None],
        *,
        most: int = 50_000,
        seconds: float = 0.5,
        lost: Callable[[str, int], None] | None = None,
    ) -> None:
        self._name, self._write, self._most, self._seconds = name, write, most, seconds
        self._waiting: deque[T] = deque()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._lost = lost
        self.dropped = 0
        self._failing = False

    def add(self, item: T) -> None:
        """Leave one item to be written."""
        if len(self._waiting) >= self._most:
            self._drop(1)
            return
        self._waiting.append(item)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"fedelta-{self._name}", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Write what is left and end."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(10)
            self._thread = None
        self._flush()
        if self._waiting:
            self._drop(len(self._waiting))

    def _drop(self, count: int) -> None:
        self.dropped += count
        if self._lost is not None:
            self._lost(self._name, self.dropped)

    def _run(self) -> None:
        while not self._stop.wait(self._seconds):
            self._flush()

    def _flush(self) -> None:
        waiting = self._waiting
        while waiting:
            batch = [waiting.popleft() for _ in range(min(len(waiting), 5_000))]
            try:
                self._write(batch)
            except Exception as error:
                waiting.extendleft(reversed(batch))
                if not self._failing:
                    _log.warning("The %s cannot be written (%s): it is tried again.", self._name, type(error).__name__)
                self._failing = True
                return
            self._failing = False
