"""Spans, where OpenTelemetry is installed (voxfleet[otel]) and an endpoint is set; otherwise nothing, at no cost."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from voxfleet.errors import SettingsError
from voxfleet.settings import TelemetrySettings

SERVICE = "voxfleet"


class Tracing:
    """Makes spans of calls. Attributes are counts, names and seconds, never speech."""

    def __init__(self, tracer: Any = None) -> None:
        self._tracer = tracer

    @contextmanager
    def span(self, name: str, **attributes: str | int | float) -> Iterator[None]:
        """One span around a block; errors that leave the block are recorded by name."""
        if self._tracer is None:
            yield
            return
        with self._tracer.start_as_current_span(name, attributes=attributes):
            yield


def configured(settings: TelemetrySettings) -> Tracing:
    """Tracing to the endpoint of the settings. Raises SettingsError where the extra it needs is missing."""
    if not settings.otlp_endpoint:
        return Tracing()
    try:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise SettingsError("telemetry.otlp_endpoint needs OpenTelemetry: pip install 'voxfleet[otel]'") from None
    provider = TracerProvider(resource=Resource.create({"service.name": SERVICE}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=settings.otlp_endpoint)))
    return Tracing(provider.get_tracer(SERVICE))
