"""How often a caller may ask: the generic cell rate algorithm (ITU-T I.371) over a small file that workers share."""

import fcntl
import mmap
import os
import struct
import time
from pathlib import Path
from typing import NamedTuple

_SLOTS = 8_192
_PROBES = 8
_SLOT = struct.Struct("<8sq")  # identity, theoretical arrival time in ns of this machine's monotonic clock
_EMPTY = bytes(8)


class Verdict(NamedTuple):
    """Whether a request may pass, how many more may at once, and when: seconds."""

    allowed: bool
    remaining: int
    full_after: float  # until as many may pass at once as ever
    retry_after: float  # 0 if it may pass


class Rates:
    """One clock per identity: when its last request would have ended, had requests come evenly.

    A slot is read and written under a lock of its own bytes, which the system takes back from a process that dies.
    When all slots an identity could have are of callers who asked lately, it takes the one that is free soonest.
    """

    def __init__(self, file: Path | None = None, *, shared: bool = False) -> None:
        self._lock = shared
        self._file = -1
        size = _SLOTS * _SLOT.size
        if file is None:
            self._slots = mmap.mmap(-1, size)
            return
        self._file = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        os.ftruncate(self._file, size)
        self._slots = mmap.mmap(self._file, size)

    def take(self, identity: bytes, per_second: float, burst: int) -> Verdict:
        """Count one request of an identity (8 bytes, not all zero) if it may pass."""
        return self._ask(identity, per_second, burst, take=True)

    def look(self, identity: bytes, per_second: float, burst: int) -> Verdict:
        """What ``take`` would say, without counting."""
        return self._ask(identity, per_second, burst, take=False)

    def close(self) -> None:
        """Let go of the file."""
        self._slots.close()
        if self._file >= 0:
            os.close(self._file)

    def _ask(self, identity: bytes, per_second: float, burst: int, *, take: bool) -> Verdict:
        interval = int(1e9 / per_second)
        tolerance = interval * (burst - 1)
        home = int.from_bytes(identity, "little") % (_SLOTS - _PROBES)
        if self._lock:
            fcntl.lockf(self._file, fcntl.LOCK_EX, _PROBES * _SLOT.size, home * _SLOT.size)
        try:
            now = time.monotonic_ns()
            place, arrival = self._find(identity, home, now)
            early = arrival - now
            allowed = early <= tolerance
            if allowed and take:
                arrival += interval
                early += interval
                _SLOT.pack_into(self._slots, place, identity, arrival)
        finally:
            if self._lock:
                fcntl.lockf(self._file, fcntl.LOCK_UN, _PROBES * _SLOT.size, home * _SLOT.size)
        remaining = max(0, (tolerance + interval - early) // interval)
        return Verdict(allowed, remaining, max(0.0, early / 1e9), 0.0 if allowed else (early - tolerance) / 1e9)

    def _find(self, identity: bytes, home: int, now: int) -> tuple[int, int]:
        """Where the identity's slot is (or will be), and its arrival time, now at the earliest."""
        soonest, free = 0, None
        for place in range(home * _SLOT.size, (home + _PROBES) * _SLOT.size, _SLOT.size):
            holder, arrival = _SLOT.unpack_from(self._slots, place)
            if holder == identity:
                return place, max(arrival, now)
            if holder == _EMPTY:
                return (place if free is None or soonest > now else free), now
            if free is None or arrival < soonest:
                soonest, free = arrival, place
        return (free if free is not None else home * _SLOT.size), now
