// Sends CloudEvents with the npm SDK and its HTTP transport, all modes. Prints the replies.
import { CloudEvent, emitterFor, httpTransport, HTTP, Mode } from "cloudevents";

const url = process.argv[2];
const time = "2026-01-02T03:04:05.678Z";
const event = (id, value, more = {}) =>
  new CloudEvent({ id, source: "/node", type: "com.acme.order.created", time, data: { value }, ...more });
const binary = emitterFor(httpTransport(url));
const structured = emitterFor(httpTransport(url), { mode: Mode.STRUCTURED });

console.log(JSON.stringify(await binary(event("1", 1, { subject: "é%", myext: "x" }))));
console.log(JSON.stringify(await binary(event("1", 1, { subject: "é%", myext: "x" })))); // again
console.log(JSON.stringify(await structured(event("2", 2))));
console.log(JSON.stringify(await binary(event("3", 4, { data: Uint8Array.of(0, 255), datacontenttype: "application/octet-stream" }))));
const batch = [event("4", 8), event("5", 16)].map((each) => HTTP.structured(each).body);
const reply = await fetch(url, {
  method: "POST",
  headers: { "content-type": "application/cloudevents-batch+json" },
  body: `[${batch.join(",")}]`,
});
console.log(reply.status);
