"""Sends spans and metrics with the PyPI SDK of OpenTelemetry and its OTLP/HTTP exporters.

python send_otlp_signals.py URL SERVICE
"""

from __future__ import annotations

import sys

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode

START_NS = 1_767_323_045_678_901_234
MS = 10**6


def spans(url: str, resource: Resource) -> None:
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{url}/v1/traces")))
    tracer = provider.get_tracer("shop", "1.0")
    with tracer.start_as_current_span(
        "GET /cart", kind=SpanKind.SERVER, start_time=START_NS, end_on_exit=False
    ) as root:
        root.set_attribute("http.route", "/cart")
        inner = tracer.start_span("query", kind=SpanKind.CLIENT, start_time=START_NS + MS)
        inner.record_exception(ValueError("no rows"))
        inner.set_status(StatusCode.ERROR, "no rows")
        inner.end(START_NS + 3 * MS)
    root.end(START_NS + 12 * MS)
    print(provider.force_flush())
    provider.shutdown()


def metrics(url: str, resource: Resource) -> None:
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(f"{url}/v1/metrics"), float("inf"))
    provider = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
    meter = provider.get_meter("shop", "1.0")
    sold, cart = meter.create_counter("sold", "1"), meter.create_up_down_counter("cart")
    latency, level = meter.create_histogram("latency", "ms"), meter.create_gauge("level")
    for count in (3, 4):
        sold.add(count, {"sku": "a"})
        cart.add(-1.5)
        latency.record(10 * count)
        level.set(0.5 * count)
        provider.force_flush()
    provider.shutdown()


def main(url: str, service: str) -> None:
    resource = Resource({"service.name": service})
    spans(url, resource)
    metrics(url, resource)


main(*sys.argv[1:])
