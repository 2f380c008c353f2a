#!/usr/bin/env bash
# cloudevents (npm) 10.0.0: a number or a boolean as data cannot be sent in binary mode.
#
# One would expect: CloudEvents' data may be any JSON value; `new CloudEvent({…, data: 5})` is valid, and
# `emitterFor(httpTransport(url))`, whose default is binary mode, sends the body `5` as application/json.
# What happens: `HTTP.binary` leaves numbers and booleans as they are (text and objects become text), and
# the SDK's own transport gives them to node:http, which throws ERR_INVALID_ARG_TYPE. null becomes "null".
# Structured mode sends the same event. Exits non-zero if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund cloudevents@10.0.0 >/dev/null
cat >probe.mjs <<'JS'
import http from "node:http";
import { CloudEvent, HTTP, Mode, emitterFor, httpTransport } from "cloudevents";

const server = http.createServer((request, response) => {
  let body = "";
  request.on("data", (part) => (body += part));
  request.on("end", () => (console.log("  received:", body.slice(0, 60)), response.end()));
});
await new Promise((done) => server.listen(0, "127.0.0.1", done));
const transport = httpTransport(`http://127.0.0.1:${server.address().port}/`);
const event = (data) => new CloudEvent({ source: "/s", type: "t", id: "1", data });
const failed = [];
for (const data of ["text", { a: 1 }, null, 5, true]) {
  console.log(`data ${JSON.stringify(data)}: the body is of type ${typeof HTTP.binary(event(data)).body}`);
  await emitterFor(transport)(event(data)).catch((error) => {
    console.log("  binary mode:", error.code);
    failed.push(`${data} ${error.code}`);
  });
}
await emitterFor(transport, { mode: Mode.STRUCTURED })(event(5));
server.close();
process.exit(failed.join() === "5 ERR_INVALID_ARG_TYPE,true ERR_INVALID_ARG_TYPE" ? 0 : 1);
JS
node probe.mjs
