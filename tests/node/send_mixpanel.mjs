// Sends events with Mixpanel's npm client. Prints what went wrong.
//   node send_mixpanel.mjs URL TOKEN
import { promisify } from "node:util";
import Mixpanel from "mixpanel";

const [url, token] = process.argv.slice(2);
const { hostname, port } = new URL(url);
const time = new Date("2026-01-02T03:04:05.678Z");
for (const verbose of [false, true]) {
  const mixpanel = Mixpanel.init(token, { protocol: "http", host: hostname, port, verbose, key: token });
  const how = verbose ? "npm verbose" : "npm";
  const track = promisify(mixpanel.track);
  for (let number = 0; number < 3; number++) {
    await track("Item Bought", { distinct_id: "u1", price: 2 ** number, how, time, $insert_id: `${how}-${number}` });
  }
  const event = { event: "Item Bought", properties: { distinct_id: "u1", price: 8, how, time } };
  await promisify(mixpanel.track_batch)([event]);
  await promisify(mixpanel.import)("Item Bought", time, { distinct_id: "u1", price: 16, how });
  await promisify(mixpanel.people.set.bind(mixpanel.people))("u1", { plan: "pro" });
}
