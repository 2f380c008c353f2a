"""Sends documents with Elastic's PyPI client. Prints what it made of the answers.

python send_elasticsearch.py URL KEY
"""

from __future__ import annotations

import sys

from elasticsearch import Elasticsearch, helpers

TIME = "2026-01-02T03:04:05.678Z"


def main(url: str, key: str) -> None:
    client = Elasticsearch(url, api_key=key, http_compress=True)
    assert client.ping()
    assert client.info()["tagline"] == "You Know, for Search"
    actions = [{"_index": "shop-2026.01.02", "@timestamp": TIME, "price": 2**n} for n in range(3)]
    wrong = {"_op_type": "delete", "_index": "shop-2026.01.02", "_id": "x"}
    stored, errors = helpers.bulk(client, [*actions, wrong, *actions], raise_on_error=False)
    print(stored, [error["delete"]["status"] for error in errors])
    print(client.index(index="sale", id="1", document={"@timestamp": TIME, "n": 1})["result"])
    print(client.index(index="sale", id="1", document={"@timestamp": TIME, "n": 5})["result"])
    print(client.create(index="sale", id="2", document={"@timestamp": TIME, "n": 7})["result"])


main(*sys.argv[1:])
