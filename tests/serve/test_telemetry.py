"""OpenTelemetry: one span per request, by the template of its route, below the caller's span."""

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from scoring_runs import Client, Publish, customer, full_url

from fedelta.serve.app import create_app
from fedelta.serve.caller.settings import Settings
from fedelta.serve.caller.telemetry import Spans
from fedelta.serve.operational.database import Database

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_span_names_the_route_and_no_customer(
    database: Database, key: str, publish_customers: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_customers(customer("ann-4711"))
    exporter = InMemorySpanExporter()
    spans = Spans(exporter)
    monkeypatch.setattr("fedelta.serve.app.Spans", lambda: spans)
    client = Client(create_app(full_url(database), Settings(access_log="off", telemetry="otlp")), key)
    client.get("/v1/customers/ann-4711/score", headers={"traceparent": PARENT})
    client.get("/ann-4711")
    client.close()
    client.store.close()
    spans.close()
    found, missing = exporter.get_finished_spans()
    assert found.name == "GET /v1/customers/{customer_id}/score"
    assert found.attributes is not None
    assert found.attributes["http.response.status_code"] == 200
    assert found.context is not None
    assert f"{found.context.trace_id:032x}" == PARENT.split("-")[1]
    assert missing.name == "* (none)"
    assert "4711" not in "".join(span.to_json() for span in (found, missing))
