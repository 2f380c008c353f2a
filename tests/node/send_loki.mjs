// Logs with winston-loki, in snappy or JSON. Prints what went wrong.
//   node send_loki.mjs URL KEY snappy|json
import { createLogger, format } from "winston";
import LokiTransport from "winston-loki";

const [url, key, how] = process.argv.slice(2);
const transport = new LokiTransport({
  host: url,
  basicAuth: `tenant:${key}`,
  labels: { app: "shop", how },
  json: how === "json",
  replaceTimestamp: false,
  interval: 0.1,
  format: format.json(),
  onConnectionError: (error) => console.log(`error: ${error}`),
});
const logger = createLogger({ transports: [transport] });
const timestamp = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
for (let number = 0; number < 3; number++) logger.info("bought", { price: 2 ** number, timestamp });
await transport.flush();
process.exit();
