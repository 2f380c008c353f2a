// Sends messages with Segment's npm client. Prints what went wrong.
//   node send_segment.mjs URL WRITE_KEY
import { Analytics } from "@segment/analytics-node";

const [host, writeKey] = process.argv.slice(2);
const analytics = new Analytics({ writeKey, host, maxRetries: 3 });
analytics.on("error", (error) => console.log(`error ${error.code}: ${JSON.stringify(error.reason?.message ?? error.reason)}`));
const timestamp = new Date("2026-01-02T03:04:05.678Z");
for (let number = 0; number < 3; number++) {
  const properties = { price: 2 ** number };
  analytics.track({ userId: "u1", event: "Item Purchased", properties, timestamp, messageId: `node-track-${number}` });
}
analytics.identify({ userId: "u1", traits: { plan: "pro" }, timestamp });
analytics.page({ userId: "u1", name: "Home", category: "Docs", timestamp });
analytics.screen({ anonymousId: "a1", name: "Home", timestamp });
analytics.group({ userId: "u1", groupId: "g1", traits: { name: "Acme" }, timestamp });
analytics.alias({ userId: "u1", previousId: "old" });
await analytics.closeAndFlush();
