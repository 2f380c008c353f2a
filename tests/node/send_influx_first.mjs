// Writes points as to an InfluxDB of release 1, with npm's influx, in each of its precisions. Prints what it was told.
//   node send_influx_first.mjs URL KEY
import { FieldType, InfluxDB } from "influx";

const [url, password] = process.argv.slice(2);
const { hostname: host, port } = new URL(url);
const fields = { price: FieldType.FLOAT, items: FieldType.INTEGER, text: FieldType.STRING, ok: FieldType.BOOLEAN };
const schema = [{ measurement: "flux", fields, tags: ["precision"] }];
const client = new InfluxDB({ host, port: Number(port), database: "shop", username: "any", password, schema });
console.log((await client.getDatabaseNames()).length);
await client.createDatabase("shop");
const timestamp = new Date("2026-01-02T03:04:05.678Z");
for (const precision of ["n", "u", "ms", "s"]) {
  const tags = { precision: `a b=${precision}` };
  const values = { price: 0.5, items: 3, text: 'x "y"\\ é', ok: true };
  await client.writePoints([{ measurement: "flux", tags, fields: values, timestamp }], { precision });
}
const [pinged] = await client.ping(20_000);
console.log(pinged.online);
