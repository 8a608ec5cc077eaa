"""The connections of one worker: how many there are, whose, which are idle, and which have taken too long."""

import asyncio
import resource
from typing import TYPE_CHECKING, Literal, Protocol

from fedelta.serve.caller.settings import Limits

if TYPE_CHECKING:
    from fedelta.serve.caller.protocol import LimitedProtocol

SWEEP_SECONDS = 0.5
_FILES_OF_OUR_OWN = 96  # databases, snapshots, logs, sockets we listen on, and those of threads


class Watcher(Protocol):
    """Counts connections, for the metrics."""

    def refused(self, reason: str) -> None:
        """A connection or request was refused, evicted or cut off."""

    def open(self, connections: int) -> None:
        """So many are open."""


class Connections:
    """Takes connections up to the limits. When they are reached, the one that has been idle longest makes room.

    One sweep over all of them twice a second replaces a timer per request: cheaper, and no state is forgotten.
    """

    def __init__(self, limits: Limits, exempt: frozenset[str] = frozenset()) -> None:
        self.limits, self._exempt = limits, exempt
        self.most = min(limits.connections, max(8, open_files() - _FILES_OF_OUR_OWN))
        self.all: dict[LimitedProtocol, None] = {}
        self.watcher: Watcher | None = None
        self._by_network: dict[str, int] = {}
        self._idle: dict[LimitedProtocol, None] = {}  # the longest idle first
        self._sweeping = False

    def admit(self, protocol: "LimitedProtocol") -> bool:
        """Whether this new connection may stay; another may have to go for it."""
        network = protocol.network
        of_network = self._by_network.get(network, 0)
        if len(self.all) >= self.most and not self._make_room(None):
            return self.count("connections")
        per_peer = min(self.limits.connections_per_peer, self.most)
        if of_network >= per_peer and protocol.peer not in self._exempt and not self._make_room(network):
            return self.count("peer_connections")
        self.all[protocol] = None
        self._by_network[network] = self._by_network.get(network, 0) + 1
        self._idle[protocol] = None
        if not self._sweeping:
            self._sweeping = True
            protocol.loop.call_later(SWEEP_SECONDS, self._sweep, protocol.loop)
        return True

    def release(self, protocol: "LimitedProtocol") -> None:
        """The connection is no more."""
        self._idle.pop(protocol, None)
        if self.all.pop(protocol, self) is self:  # it was never admitted, or is released already
            return
        left = self._by_network.get(protocol.network, 1) - 1
        if left > 0:
            self._by_network[protocol.network] = left
        else:
            self._by_network.pop(protocol.network, None)

    def busy(self, protocol: "LimitedProtocol") -> None:
        """A request has come on it."""
        self._idle.pop(protocol, None)

    def idle(self, protocol: "LimitedProtocol") -> None:
        """It waits for a request."""
        if protocol in self.all:
            self._idle[protocol] = None

    def count(self, reason: str) -> Literal[False]:
        """Count a refusal, for the metrics."""
        if self.watcher is not None:
            self.watcher.refused(reason)
        return False

    def _make_room(self, network: str | None) -> bool:
        """Close the connection that has been idle longest, of ``network`` if one is named."""
        for protocol in self._idle:
            if network is None or protocol.network == network:
                self.count("evicted")
                self.release(protocol)
                protocol.transport.abort()
                return True
        return False

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for protocol in list(self.all):
            if (reason := protocol.overdue(now)) is not None:
                self.count(reason)
        if self.watcher is not None:
            self.watcher.open(len(self.all))
        self._sweeping = bool(self.all)
        if self._sweeping:
            loop.call_later(SWEEP_SECONDS, self._sweep, loop)


def open_files() -> int:
    """How many files this process may open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 20 if soft == resource.RLIM_INFINITY else soft


def allow_more_files(most: int = 65_536) -> None:
    """Raise the soft limit of open files as far as the hard one lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = most if hard == resource.RLIM_INFINITY else min(most, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
