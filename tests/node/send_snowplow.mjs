// Sends events of every kind with Snowplow's npm tracker. Prints what was lost.
//   node send_snowplow.mjs URL post|get [KEY]
import {
  buildAdImpression, buildEcommerceTransaction, buildEcommerceTransactionItem, buildLinkClick, buildPagePing, buildPageView,
  buildScreenView, buildSelfDescribingEvent, buildStructEvent, newTracker,
} from "@snowplow/node-tracker";

const [endpoint, eventMethod, key] = process.argv.slice(2);
let left = 10;
const tracker = newTracker(
  { namespace: `node-${eventMethod}`, appId: "shop" },
  {
    endpoint,
    eventMethod,
    customHeaders: key === undefined ? {} : { "X-Api-Key": key },
    onRequestSuccess: (batch) => (left -= batch.length),
    onRequestFailure: (failure) => failure.willRetry || console.log(`lost ${failure.events.length}: ${failure.status}`),
  },
);
const at = { type: "ttm", value: Date.parse("2026-01-02T03:04:05.678Z") };
const context = [{ schema: "iglu:com.acme/user_type/jsonschema/1-0-0", data: { type: "trial", "naïve": "é" } }];
const own = { schema: "iglu:com.acme/saved-game/jsonschema/1-0-0", data: { level: 3, "by name": "é?>" } };
const page = { pageUrl: "https://shop.example/a?b=1", pageTitle: "A é", referrer: "https://r.example" };
const order = { orderId: "o1", total: 26, tax: 2.5, currency: "EUR" };
const shop = { category: "shop", action: "add", label: "label", property: "property" };
tracker.setUserId("u1");
tracker.setScreenResolution(1920, 1080);
for (const [payload, contexts] of [
  [buildPageView(page), context],
  [buildPagePing({ ...page, minXOffset: 0, maxXOffset: 10, minYOffset: 0, maxYOffset: 250 })],
  [buildStructEvent({ ...shop, value: 1 })],
  [buildStructEvent({ ...shop, value: 2.5 })],
  [buildSelfDescribingEvent({ event: own })],
  [buildScreenView({ id: "s1", name: "Home" })],
  [buildLinkClick({ targetUrl: "https://example.org", elementId: "e1" })],
  [buildAdImpression({ impressionId: "i1", cost: 0.5 })],
  [buildEcommerceTransaction(order)],
  [buildEcommerceTransactionItem({ orderId: "o1", sku: "a", price: 10.5, quantity: 2 })],
]) {
  tracker.track(payload, contexts, at);
}
// A failed request is sent again with the next flush; nothing else asks for it.
for (const deadline = Date.now() + 20_000; left > 0 && Date.now() < deadline; ) {
  await tracker.flush();
  await new Promise((resolve) => setTimeout(resolve, 20));
}
if (left > 0) console.log(`lost ${left}`);
