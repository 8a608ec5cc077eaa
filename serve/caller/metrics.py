"""What Prometheus reads: requests by the template of their route, times, refusals, connections, lines lost."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

MEDIA_TYPE = prometheus_client.CONTENT_TYPE_LATEST
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # set before workers start: they then share their metrics in its files
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
NOWHERE = "(none)"  # the template of a path that has no route


class Metrics:
    """The metrics of this process; read, they are those of all workers."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "fedelta_requests", "Answered requests.", ("method", "route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "fedelta_request_seconds",
            "Time from a request's headers to the end of its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._refused = Counter(
            "fedelta_refused", "Connections and requests refused or cut off.", ("reason",), registry=self._registry
        )
        self._connections = Gauge(
            "fedelta_connections", "Open connections.", registry=self._registry, multiprocess_mode="livesum"
        )
        self._dropped = Gauge(
            "fedelta_dropped", "Lines of logs and audit lost, for want of room.", ("what",),
            registry=self._registry, multiprocess_mode="sum",
        )  # fmt: skip
        self._bound: dict[tuple[str, str, int], tuple[Callable[[], None], Callable[[float], None]]] = {}

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        bound = self._bound.get((method, route, status))
        if bound is None:
            labels = self._requests.labels(method, route, str(status))
            bound = self._bound[method, route, status] = (labels.inc, self._seconds.labels(route).observe)
        bound[0]()
        bound[1](seconds)

    def refused(self, reason: str) -> None:
        """See ``connections.Watcher``."""
        self._refused.labels(reason).inc()

    def open(self, connections: int) -> None:
        """See ``connections.Watcher``."""
        self._connections.set(connections)

    def dropped(self, what: str, lines: int) -> None:
        """So many lines of a queue (audit, access log) were lost since the start."""
        self._dropped.labels(what).set(lines)

    def text(self) -> bytes:
        """What Prometheus reads."""
        folder = os.environ.get(FOLDER_VARIABLE)
        if not folder:
            return prometheus_client.generate_latest(self._registry)
        for file in Path(folder).glob("gauge_live*_*.db"):
            pid = int(file.stem.rsplit("_", 1)[1])
            if not _alive(pid):
                with suppress(OSError):  # another worker may be doing the same
                    mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]  # the package types half of itself
        registry = CollectorRegistry()
        MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]
        return prometheus_client.generate_latest(registry)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
