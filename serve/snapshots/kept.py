"""What is made of a scoring run and asked for again, kept as long as the run is.

Nothing is taken for another run's: a tenant has files of its own, and when somebody is erased a file is replaced by
another one. So what is kept of a run shows neither another tenant's customers nor who was erased.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from fedelta.serve.snapshots.read import SnapshotFile

T = TypeVar("T")


class Kept(Generic[T]):
    """Of each run the values that were asked for last, ``most`` of them; for any thread."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: WeakKeyDictionary[SnapshotFile, OrderedDict[Hashable, T]] = WeakKeyDictionary()
        self._lock = Lock()

    def get(self, file: SnapshotFile, key: Hashable, make: Callable[[], T]) -> T:
        """The value of a key: as it was made before, else as ``make`` makes it, of this run and this key alone."""
        with self._lock:
            held = self._held.setdefault(file, OrderedDict())
            if key in held:
                held.move_to_end(key)
                return held[key]
        made = make()
        with self._lock:
            held[key] = made
            while len(held) > self._most:
                held.popitem(last=False)
        return made
