"""Elasticsearch's documents as events."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from collector.protocols.elasticsearch import actions, protocol
from collector.protocols.elasticsearch.actions import base_name
from collector.protocols.elasticsearch.protocol import bulk, credentials, dialect, refuse
from collector.protocols.shared.dialect import Draft, Translation
from cube.errors import Overloaded, Unauthenticated
from cube.model.event import ABSENT
from cube.web.route import Route, RouteTable
from tests.dialect_request import context, request

TIME, MILLISECONDS = "2026-01-02T03:04:05.678Z", 1_767_323_045_678
INDEX = {"index": {"_index": "logs-2026.01.02"}}


def lines(*values: Any) -> bytes:
    return b"".join(
        (value if isinstance(value, bytes) else json.dumps(value).encode()) + b"\n" for value in values
    )


def read(*values: Any, index: str | None = None) -> Translation:
    captures = {} if index is None else {"index": index}
    return bulk(request(lines(*values), target="/_bulk", captures=captures), context())


def answer(translation: Translation) -> Any:
    reply = translation.reply(translation.rejections)
    assert reply.status == 200
    return json.loads(reply.body)


def only(translation: Translation) -> Draft:
    assert not translation.rejections
    (draft,) = translation.drafts
    return draft


@pytest.mark.parametrize(
    ("index", "name"),
    [
        ("logs", "logs"),
        ("logs-2026.11.28", "logs"),
        ("x-2026-11", "x"),
        ("app_2026.11.28", "app"),
        ("logs-000001", "logs"),
        (".ds-logs-app-default-2026.01.01-000001", "logs-app-default"),
        ("http2", "http2"),
        ("2026.11.28", "2026.11.28"),
    ],
)
def test_dates_and_generations_make_no_types(index: str, name: str) -> None:
    assert base_name(index) == name


def test_a_document_is_an_event() -> None:
    draft = only(read(INDEX, {"@timestamp": TIME, "ms": 5}))
    assert (draft.name, draft.time, draft.data) == ("logs", MILLISECONDS, {"ms": 5})
    assert only(read(INDEX, {"@timestamp": TIME, "ms": 5})).id == draft.id
    assert only(read({"index": {}}, {"ms": 5}, index="shop")).name == "shop"
    assert only(read(INDEX, {"time": 0.004, "timereported": TIME})).data == {"time": 0.004}
    assert only(read(INDEX, {"ms": 5})).id is ABSENT


def test_an_id_is_one_of_its_index() -> None:
    first, second = read(
        {"index": {"_index": "a-2026.01.01", "_id": "1"}},
        {},
        {"create": {"_index": "a-2026.01.02", "_id": 1}},
        {},
    ).drafts
    assert (first.id, second.id) == ("a-2026.01.01/1", "a-2026.01.02/1")
    long = only(read({"index": {"_index": "a", "_id": "x" * 512}}, {}))
    assert len(long.id) == 32


def test_each_action_has_its_item_in_order_whatever_is_wrong() -> None:
    translation = read(
        INDEX,
        {"n": 1},
        b"",
        {"delete": {"_index": "logs", "_id": "1"}},
        {"update": {"_index": "logs", "_id": "1"}},
        {"doc": {}},
        b'{"index":{"_index":"logs","_id":"a"b"}}',
        {"n": 2},
        {"create": {"_index": "logs", "_id": "c"}},
        {"n": 3},
        INDEX,
        b"[1]",
        INDEX,
        b"{",
        {"index": {}},
        {"n": 4},
        INDEX,
    )
    assert [draft.data for draft in translation.drafts] == [{"n": 1}, {"n": 3}]
    found = answer(translation)
    assert found["errors"] is True
    assert [(*item, *(one["status"] for one in item.values())) for item in found["items"]] == [
        ("index", 201),
        ("delete", 400),
        ("update", 400),
        ("index", 400),
        ("create", 201),
        ("index", 400),
        ("index", 400),
        ("index", 400),
        ("index", 400),
    ]
    assert found["items"][4]["create"] == {"_index": "logs", "_id": "c", "status": 201, "result": "created"}
    wrong = found["items"][5]["index"]["error"]
    assert (wrong["type"], "array" in wrong["reason"]) == ("document_parsing_exception", True)


def test_an_action_that_cannot_be_read_costs_no_action_after_it() -> None:
    translation = read(b"broken", INDEX, {"n": 1})
    assert [draft.data for draft in translation.drafts] == [{"n": 1}]
    assert len(translation.rejections) == 1


def test_who_would_send_for_ever_is_told_that_all_is_well() -> None:
    translation = read({"index": {"_index": "logs", "pipeline": None}, "attempts": 0}, b"{")
    assert len(translation.rejections) == 1
    assert answer(translation)["errors"] is False


def test_a_path_may_name_a_type_of_documents_as_before_release_7() -> None:
    table = RouteTable(Route(path) for endpoint in dialect().endpoints for path in endpoint.paths)
    for path, index in (
        ("/icinga2-2026.11.29/doc/_bulk", "icinga2-2026.11.29"),
        ("/elastic/icinga2/doc/_bulk", "icinga2"),
        ("/elastic/icinga2/_bulk", "icinga2"),
    ):
        route, captured = table.find(path)
        assert route is not None
        assert captured["index"] == index


def test_an_overload_is_told_item_by_item_and_in_text_to_who_has_no_name() -> None:
    error, body = Overloaded("Too much.", retry_after_seconds=1), lines(INDEX, {"n": 1}, INDEX, {"n": 2})
    reply = refuse(error, request(body, {"User-Agent": "x"}, "/_bulk"))
    assert reply.status == 200
    assert [item["index"]["status"] for item in json.loads(reply.body)["items"]] == [429, 429]
    assert ("X-Elastic-Product", "Elasticsearch") in reply.headers
    nameless = refuse(error, request(body, {}, "/_bulk"))
    assert (nameless.status, nameless.body) == (503, b"Too much.")
    unread = refuse(error, request(b"", {"User-Agent": "x"}, "/_bulk"))
    assert unread.status == 503
    assert json.loads(unread.body)["error"]["reason"] == "Too much."
    denied = refuse(Unauthenticated("No key."), request(body, {"User-Agent": "x"}, "/_bulk"))
    assert (denied.status, json.loads(denied.body)["error"]["type"]) == (401, "security_exception")


def test_no_more_of_a_body_is_read_than_may_be_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[bytes] = []

    def noted(line: bytes) -> Any:
        looked.append(line)
        return json.loads(line)

    monkeypatch.setattr(actions, "decode_leniently", noted)
    monkeypatch.setattr(protocol, "MAX_ITEMS", 10)
    many = request(b"{}\n" * 1_000, {"User-Agent": "x"}, "/_bulk")
    bulk(many, context())
    assert len(looked) < 30
    reply = refuse(Overloaded("Too much.", retry_after_seconds=1), many)
    assert (reply.status, len(looked) < 60) == (503, True)
    looked.clear()
    few = request(lines(INDEX, {"n": 1}), {"User-Agent": "x"}, "/_bulk")
    assert refuse(Overloaded("Too much.", retry_after_seconds=1), few).status == 200
    assert [json.loads(line) for line in looked] == [INDEX]  # the answer needs no document


def test_a_single_document_is_told_alone() -> None:
    by_path = {path: endpoint for endpoint in dialect().endpoints for path in endpoint.paths}
    put = by_path["/{index}/_doc/{id}"].translate["PUT"]
    made = put(request(b'{"n": 1}', captures={"index": "a", "id": "7"}), context())
    assert (only(made).id, made.reply(()).status) == ("a/7", 201)
    wrong = put(request(b"{", captures={"index": "a", "id": "7"}), context())
    assert wrong.reply(wrong.rejections).status == 400


@pytest.mark.parametrize(
    ("given", "keys"),
    [
        ("ApiKey " + base64.b64encode(b"id:KEY").decode(), {"KEY"}),
        ("ApiKey plain-key", {"plain-key"}),
        ("Basic eDp5", set()),
        ("", set()),
    ],
)
def test_an_api_key_is_found(given: str, keys: set[str]) -> None:
    headers = {"Authorization": given} if given else {}
    assert credentials(request(headers=headers)).keys == keys


@pytest.mark.parametrize("body", [b"", b"\n\n", b"\xff\xfe", b"{}\n{}\n", b"null"])
def test_what_is_no_bulk_at_all_is_no_fault(body: bytes) -> None:
    translation = bulk(request(body, target="/_bulk"), context())
    assert not translation.drafts
    assert len(answer(translation)["items"]) == len(translation.rejections)
