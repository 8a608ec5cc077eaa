"""OpenTelemetry, off by default: a span per request by the template of its route, from the extra ``otel``."""

from typing import Any

from fedelta.features.errors import FedeltaError


class NoTelemetry(FedeltaError):
    """The extra is not installed."""


class Spans:
    """Ends one span per request. It takes the parent that came in ``traceparent`` (W3C Trace Context)."""

    def __init__(self, exporter: Any = None) -> None:
        """Send spans to ``exporter``, else to where the variables ``OTEL_EXPORTER_OTLP_…`` say.

        Raises
        ------
        NoTelemetry
            If the packages are missing.
        """
        try:
            from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 (an extra)
            from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
            from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
            from opentelemetry.trace import SpanKind  # noqa: PLC0415
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

            if exporter is None:
                from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

                exporter = OTLPSpanExporter()
        except ImportError:
            raise NoTelemetry(
                "OpenTelemetry is switched on and not installed: install the extra `otel`, or leave "
                "FEDELTA_SERVE_TELEMETRY out."
            ) from None
        self._provider = TracerProvider(resource=Resource.create({"service.name": "fedelta"}))
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("fedelta.serve")
        self._parents, self._kind = TraceContextTextMapPropagator(), SpanKind.SERVER

    def ended(
        self, headers: dict[bytes, bytes], method: str, route: str, status: int, began: float, ended: float
    ) -> None:
        """Note one request; times are seconds since 1970. No path, no query, no caller."""
        sent = {b"traceparent": "traceparent", b"tracestate": "tracestate"}
        parents = self._parents.extract(
            {name: headers[key].decode("latin-1") for key, name in sent.items() if key in headers}
        )
        span = self._tracer.start_span(
            f"{method} {route}",
            context=parents,
            kind=self._kind,
            start_time=int(began * 1e9),
            attributes={"http.request.method": method, "http.route": route, "http.response.status_code": status},
        )
        span.end(int(ended * 1e9))

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()
