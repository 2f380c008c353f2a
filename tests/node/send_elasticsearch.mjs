// Sends documents with Elastic's npm client. Prints what it made of the answers.
//   node send_elasticsearch.mjs URL KEY
import { Client } from "@elastic/elasticsearch";

const [node, apiKey] = process.argv.slice(2);
const client = new Client({ node, auth: { apiKey } });
if (!(await client.ping())) throw new Error("It does not answer.");
const timestamp = "2026-01-02T03:04:05.678Z";
const index = "shop-2026.01.02";
const documents = [1, 2, 4, 1, 2, 4].map((price) => ({ "@timestamp": timestamp, price }));
const operations = documents.flatMap((document) => [{ index: { _index: index } }, document]);
const answer = await client.bulk({ operations: [...operations, { delete: { _index: index, _id: "x" } }] });
const statuses = answer.items.map((item) => Object.values(item)[0].status);
const wrong = statuses.filter((status) => status >= 300);
console.log(`${statuses.length - wrong.length} [${wrong.join(", ")}]`);
for (const [id, n] of [["1", 1], ["1", 5]])
  console.log((await client.index({ index: "sale", id, document: { "@timestamp": timestamp, n } })).result);
console.log((await client.create({ index: "sale", id: "2", document: { "@timestamp": timestamp, n: 7 } })).result);
