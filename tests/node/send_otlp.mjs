// Sends log records and events with OpenTelemetry's npm SDK and its OTLP/HTTP exporter (JSON).
//   node send_otlp.mjs URL COMPRESSION SERVICE [KEY [ENVIRONMENT]]
import { OTLPLogExporter } from "@opentelemetry/exporter-logs-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchLogRecordProcessor, LoggerProvider } from "@opentelemetry/sdk-logs";

const [url, compression, service, key, environment] = process.argv.slice(2);
const attributes = { "service.name": service };
if (environment) attributes["deployment.environment.name"] = environment;
const headers = key ? { "x-api-key": key } : {};
const exporter = new OTLPLogExporter({ url, headers, compression });
const provider = new LoggerProvider({
  resource: resourceFromAttributes(attributes),
  processors: [new BatchLogRecordProcessor({ exporter })],
});
const logger = provider.getLogger("shop", "1.0");
const time = [1767323045, 678901234];
for (let number = 0; number < 3; number++) {
  logger.emit({
    timestamp: [time[0], time[1] + number],
    eventName: "cart.paid",
    severityNumber: 9,
    severityText: "INFO",
    body: { items: [1, 2.5, "three"], ok: true },
    attributes: { amount: 2 ** number, "user.id": "u" },
  });
}
logger.emit({ timestamp: time, body: "a line", severityNumber: 17 });
// its clock has steps of a millisecond: the records of a burst are equal to the byte
for (let number = 0; number < 50; number++)
  logger.emit({ timestamp: time, observedTimestamp: time, eventName: "burst", attributes: { big: 2 ** 63, nan: NaN } });
await provider.forceFlush();
await provider.shutdown();
