"""What may be known about a running system, and what may not."""

import io
import json
from contextlib import redirect_stderr

import pytest
import structlog

from voxfleet.errors import SettingsError
from voxfleet.settings import TelemetrySettings
from voxfleet.telemetry import logs, tracing
from voxfleet.telemetry.metrics import GatewayMetrics, Recent


def test_a_line_that_carries_speech_loses_it() -> None:
    captured = io.StringIO()
    with redirect_stderr(captured):
        logs.configure(TelemetrySettings(log_format="json"), "gateway")
        structlog.get_logger().info("heard", text="my account number is", words=["my"], code="x")
    structlog.reset_defaults()
    line = json.loads(captured.getvalue())
    assert (line["text"], line["words"], line["code"], line["process"]) == ("removed", "removed", "x", "gateway")
    assert "account" not in captured.getvalue()


def test_percentiles_are_of_the_last_minute() -> None:
    recent = Recent()
    assert recent.percentiles(0.0).p50 is None
    recent.add(1_000.0, now=0.0)
    for value in range(101):
        recent.add(float(value), now=61.0)
    found = recent.percentiles(62.0)
    assert (found.p50, found.p95, found.count) == (50.0, 95.0, 101)


def test_totals_kept_elsewhere_become_counters() -> None:
    metrics = GatewayMetrics()
    metrics.count_to(metrics.frames, 5)
    metrics.count_to(metrics.frames, 8)
    assert b"voxfleet_frames_received_total 8.0" in metrics.text()


def test_spans_are_made_where_a_tracer_is() -> None:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    traced = tracing.Tracing(provider.get_tracer("test"))
    with pytest.raises(ValueError, match="inside"), traced.span("call", channels=2):
        raise ValueError("inside")
    (span,) = exporter.get_finished_spans()
    assert (span.name, dict(span.attributes or {})) == ("call", {"channels": 2})
    with tracing.Tracing().span("nothing"):
        pass


def test_an_endpoint_without_the_extra_is_a_clear_error() -> None:
    assert isinstance(tracing.configured(TelemetrySettings()), tracing.Tracing)
    try:
        import opentelemetry.exporter.otlp.proto.grpc  # noqa: F401
    except ImportError:
        with pytest.raises(SettingsError, match=r"voxfleet\[otel\]"):
            tracing.configured(TelemetrySettings(otlp_endpoint="http://127.0.0.1:4317"))
