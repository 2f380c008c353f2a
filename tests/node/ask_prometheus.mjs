// Asks with the npm client of Prometheus' API. Prints what it made of the answers, as JSON.
//   node ask_prometheus.mjs URL GET|POST START END
import { PrometheusDriver } from "prometheus-query";

const [endpoint, method, start, end] = process.argv.slice(2);
const driver = new PrometheusDriver({ endpoint, baseURL: "/api/v1", preferPost: method === "POST" });
const shown = (series) => series.map((one) => [one.metric.name ?? null, one.metric.labels, one.values ?? one.value]);
const at = new Date(Number(end));
const range = await driver.rangeQuery("sum(request(ms)).group(host)", new Date(Number(start)), at, 60);
console.log(
  JSON.stringify({
    instant: shown((await driver.instantQuery('request{host="a",status="500"}', at)).result),
    range: shown(range.result),
    names: await driver.labelNames([], new Date(Number(start)), at),
    values: await driver.labelValues("host"),
    series: (await driver.series(['{__name__="request",host!=""}'], new Date(Number(start)), at)).map(
      (metric) => metric.labels,
    ),
    error: await driver.instantQuery("sum(", at).catch((error) => JSON.stringify(error)),
  }),
);
