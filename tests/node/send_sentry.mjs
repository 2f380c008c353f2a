// Reports with Sentry's npm SDK. Prints what went wrong.
//   node send_sentry.mjs URL KEY
import * as Sentry from "@sentry/node";

const [url, key] = process.argv.slice(2);
Sentry.init({ dsn: `${url.replace("://", `://${key}@`)}/43`, tracesSampleRate: 1, enableLogs: true, environment: "test" });
Sentry.startSpan({ name: "checkout", op: "task", attributes: { price: 4 } }, () => {
  Sentry.captureException(new Error("shelf is empty"));
});
Sentry.captureMessage("two\nlines, é", "warning");
Sentry.logger.warn("bought", { price: 4 });
Sentry.metrics?.count("orders", 1, { attributes: { shop: "books" } });
console.log(await Sentry.close(40000) ? "" : "not all was sent");
