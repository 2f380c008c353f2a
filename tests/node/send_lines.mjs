// Logs with winston's HTTP transport: an object a request, or arrays of them. Prints what went wrong.
//   node send_lines.mjs URL one|batch
import winston from "winston";

const [url, how] = process.argv.slice(2);
const { hostname: host, port } = new URL(url);
const http = new winston.transports.Http({
  host,
  port,
  path: `/1.0/lines/winston_${how}`,
  batch: how === "batch",
  batchInterval: 100,
});
http.on("warn", (error) => console.log(`warn ${error.message}`));
const logger = winston.createLogger({ format: winston.format.json(), transports: [http] });
const timestamp = "2026-01-02T03:04:05.678Z";
for (let number = 0; number < 3; number++) {
  logger.info("bought", { price: 2 ** number, timestamp });
}
