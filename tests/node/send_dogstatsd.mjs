// Sends every kind of line with hot-shots.
//   node send_dogstatsd.mjs HOST PORT
import { StatsD } from "hot-shots";

const [host, port] = process.argv.slice(2);
const TIME = 1656581400000;
const client = new StatsD({ host, port: Number(port), prefix: "app", globalTags: { env: "prod" } });
client.increment("hits", 3);
client.gauge("level", -5);
client.gauge("level", -7.5, { timestamp: TIME + 123 });
client.gauge("level", -8, { timestamp: new Date(TIME + 1000) });
client.distribution("d", [1, -2.5, 3], { a: "b" });
client.increment("bad", NaN);
client.gauge("big", 2 ** 70);
client.set("users", "u1");
client.event("tïtle", "text\nline 2|x", { date_happened: new Date(TIME), alert_type: "error" });
client.check("ok", client.CHECKS.WARNING, { date_happened: new Date(TIME), message: "slow" });
client.close((error) => error && console.log(error));
