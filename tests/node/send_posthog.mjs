// Sends events with PostHog's npm client. Prints what went wrong.
//   node send_posthog.mjs URL KEY
import { PostHog } from "posthog-node";

const [host, key] = process.argv.slice(2);
const patience = { requestTimeout: 40000, featureFlagsRequestTimeoutMs: 40000 };
const posthog = new PostHog(key, { host, fetchRetryDelay: 100, flushInterval: 200, ...patience });
posthog.on("error", (error) => console.log(`error: ${error}`));
const timestamp = new Date("2026-01-02T03:04:05.678Z");
for (let number = 0; number < 3; number++) {
  posthog.capture({ distinctId: "u1", event: "Item Bought", properties: { price: 2 ** number, how: "node" }, timestamp });
}
posthog.identify({ distinctId: "u1", properties: { plan: "pro" } });
posthog.groupIdentify({ groupType: "company", groupKey: "acme", properties: { name: "Acme" } });
await posthog.flush();
console.log(`flag ${(await posthog.evaluateFlags("u1")).getFlag("beta")}`);
await posthog.shutdown();
