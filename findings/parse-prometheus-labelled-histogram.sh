#!/usr/bin/env bash
# parse-prometheus-text-format (npm) 1.1.1: of a histogram or summary with labels only the last series is left.
#
# One would expect: the text format allows labels beside `le` and `quantile`, and histograms per path or status are
# the usual ones. The README promises prom2json's structure, which has one metric for each label set, with its
# labels, sum and count.
# What happens: all series of one name are written over each other into one metric, the last one winning, and as
# soon as there are labels it has neither them nor sum and count: 2 series become buckets that nobody can place.
# One series with a label loses label, sum and count alike; counters and histograms without labels are right.
# Seen in November 2026. Exits non-zero if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund parse-prometheus-text-format@1.1.1 >/dev/null
cat >probe.cjs <<'JS'
const parse = require("parse-prometheus-text-format");

const histogram = (label, small, all) =>
  ["# TYPE took histogram", ...series("took", label, small, all), ""].join("\n");
const series = (name, label, small, all) => {
  const also = label ? `${label},` : "";
  const own = label ? `{${label}}` : "";
  return [
    `${name}_bucket{${also}le="1"} ${small}`,
    `${name}_bucket{${also}le="+Inf"} ${all}`,
    `${name}_sum${own} ${all * 2}`,
    `${name}_count${own} ${all}`,
  ];
};
const texts = {
  "no label": histogram("", 1, 2),
  "one label": histogram('path="/a"', 1, 2),
  "two paths": histogram('path="/a"', 1, 2) + series("took", 'path="/b"', 40, 50).join("\n") + "\n",
  "two in a summary":
    "# TYPE s summary\n" +
    ["a", "b"].map((p, i) => `s{p="${p}",quantile="0.5"} ${i}\ns_sum{p="${p}"} ${i}\ns_count{p="${p}"} 9\n`).join(""),
};
const seen = {};
for (const [name, text] of Object.entries(texts)) {
  seen[name] = JSON.stringify(parse(text)[0].metrics);
  console.log(`${name}: ${seen[name]}`);
}
const right =
  seen["no label"] === '[{"buckets":{"1":"1","+Inf":"2"},"count":"2","sum":"4"}]' &&
  seen["one label"] === '[{"buckets":{"1":"1","+Inf":"2"}}]' &&
  seen["two paths"] === '[{"buckets":{"1":"40","+Inf":"50"}}]' &&
  seen["two in a summary"] === '[{"quantiles":{"0.5":"1"}}]';
process.exit(right ? 0 : 1);
JS
node probe.cjs
