// Sends spans and metrics with OpenTelemetry's npm SDK and its OTLP/HTTP exporters (JSON).
//   node send_otlp_signals.mjs URL SERVICE
import { SpanKind, SpanStatusCode, context, trace } from "@opentelemetry/api";
import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-http";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";

const [url, service] = process.argv.slice(2);
const resource = resourceFromAttributes({ "service.name": service });
const START_MS = 1767323045678;

const tracers = new BasicTracerProvider({
  resource,
  spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter({ url: `${url}/v1/traces` }))],
});
const tracer = tracers.getTracer("shop", "1.0");
const root = tracer.startSpan("GET /cart", { kind: SpanKind.SERVER, startTime: START_MS });
root.setAttribute("http.route", "/cart");
const within = trace.setSpan(context.active(), root);
const inner = tracer.startSpan("query", { kind: SpanKind.CLIENT, startTime: START_MS + 1 }, within);
inner.recordException(new Error("no rows"), START_MS + 2);
inner.setStatus({ code: SpanStatusCode.ERROR, message: "no rows" });
inner.end(START_MS + 3);
root.end(START_MS + 12);
await tracers.forceFlush();
await tracers.shutdown();

const exporter = new OTLPMetricExporter({ url: `${url}/v1/metrics` });
const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
const meters = new MeterProvider({ resource, readers: [reader] });
const meter = meters.getMeter("shop", "1.0");
const sold = meter.createCounter("sold", { unit: "1" });
const cart = meter.createUpDownCounter("cart");
const latency = meter.createHistogram("latency", { unit: "ms" });
const level = meter.createGauge("level");
for (const count of [3, 4]) {
  sold.add(count, { sku: "a" });
  cart.add(-1.5);
  latency.record(10 * count);
  level.record(0.5 * count);
  await meters.forceFlush();
}
await meters.shutdown();
