// Writes points with InfluxDB's npm client. Prints what went wrong.
//   node send_influx.mjs URL TOKEN
import { InfluxDB, Point } from "@influxdata/influxdb-client";

const [url, token] = process.argv.slice(2);
let stored;
const isStored = new Promise((resolve) => { stored = resolve; });
const writeOptions = { maxRetries: 3, minRetryDelay: 100, gzipThreshold: 50, writeSuccess: stored, writeFailed: () => {} };
const writer = new InfluxDB({ url, token, writeOptions }).getWriteApi("o g", "b/u", "ms", writeOptions);
for (let number = 0; number < 3; number++) {
  const point = new Point("cart").tag("how", "node").timestamp(new Date("2026-01-02T03:04:05.678Z"));
  writer.writePoint(point.tag("host", `web ${number}`).floatField("price", 2 ** number).intField("items", number));
}
writer.flush().catch(() => {}); // of the first try; others follow
await isStored;
await writer.close();
