"""Datacoral's variant, translated: keys, environments, its own names, and events passed through."""

from __future__ import annotations

import json
from typing import Any

import pytest

from collector.protocols.datacoral import credentials, plain_key
from cube.model.environment import Credentials
from cube.model.event import ABSENT
from tests.unit.snowplow_requests import DIALECT, draft_of, packed, rejection_of, request, shown, translated

# What datacoral-tracker-py 0.0.12 sends, used as its README has it.
BODY = (
    b'{"schema":"iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-2","data":[{"e":"ue",'
    b'"ue_px":"eyJzY2hlbWEiOiAiaWdsdTpjb20uc25vd3Bsb3dhbmFseXRpY3Muc25vd3Bsb3cvdW5zdHJ1Y3RfZXZlbnQvanNvbnNj'
    b"aGVtYS8xLTAtMCIsICJkYXRhIjogeyJzY2hlbWEiOiAidGVzdCIsICJkYXRhIjogeyJmb28iOiAiYmFyIiwgIm1ldGFkYXRhIjog"
    b'eyJzdWIiOiAiZGF0YSJ9fX19","eid":"22880d02-9645-45b8-b192-682e14e24e03","dtm":"1795321588709",'
    b'"tv":"py-0.0.12","tna":"ns","aid":"app","p":"pc","x_api_key":"[\'KEY1\']",'
    b'"x_datacoral_environment":"dev"}]}'
)


def test_the_clients_event_is_named_by_a_schema_that_is_no_uri() -> None:
    draft = draft_of(translated(request("POST", "/tp2", BODY)))
    assert (draft.name, draft.fixed, draft.time) == ("test", False, 1795321588709)
    assert draft.id == "22880d02-9645-45b8-b192-682e14e24e03"
    assert draft.data["schema"] == "test"
    assert draft.data["event"] == {"foo": "bar", "metadata": {"sub": "data"}}


def test_no_key_is_stored_or_shown() -> None:
    draft = draft_of(translated(request("POST", "/tp2", BODY)))
    assert "KEY1" not in json.dumps([draft.data, draft.source])
    refused = rejection_of(shown({"e": "xx", "apiKey": "KEY1"}))
    assert set(refused.payload) & DIALECT.secrets == {"apiKey"}


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("KEY1", "KEY1"),
        ("['KEY1']", "KEY1"),
        ("[u'KEY1']", "KEY1"),
        ('["it\'s"]', "it's"),
        (" ['KEY1'] ", "KEY1"),
        ("['KEY1\"]", "['KEY1\"]"),
    ],
)
def test_a_key_may_be_written_as_a_list(text: str, key: str) -> None:
    assert plain_key(text) == key


def found(keys: set[str], environments: set[str]) -> Credentials:
    return Credentials(frozenset(keys), frozenset(environments))


def test_keys_and_environments_are_found_in_headers_query_and_body() -> None:
    headers = {"X-Datacoral-Environment": "stage"}
    made = request("POST", "/tp2?x_api_key=KEY2&env=prod", BODY, headers)
    assert credentials(made) == found({"KEY1", "KEY2"}, {"dev", "stage", "prod"})
    assert credentials(request("POST", "/tp2", BODY)) == found({"KEY1"}, {"dev"})
    assert credentials(request("GET", "/i?&env=dev&apiKey=KEY1")) == found({"KEY1"}, {"dev"})
    assert credentials(request("GET", "/i?e=pv")) == Credentials()


@pytest.mark.parametrize("body", [b'{"x_', b'"x_"', b'{"data": ["x_", {"x_api_key": 3}]}'])
def test_a_body_that_holds_no_credentials_has_none(body: bytes) -> None:
    assert credentials(request("POST", "/tp2", body)) == Credentials()


def test_the_pixel_is_named_by_its_name() -> None:
    event = packed({"data": {"name": "test event", "data": {"a": 1}}})
    target = f"/i?&env=dev&apiKey=KEY1&e=ue&ue_px={event}&aid=app&p=web&tv=no-js-0.1.0"
    draft = draft_of(translated(request("GET", target)))
    assert (draft.name, draft.data["name"], draft.data["event"]) == ("test event", "test event", {"a": 1})
    assert "schema" not in draft.data
    assert "extra" not in draft.data


def test_an_event_without_schema_and_name_is_unstruct() -> None:
    assert draft_of(shown({"e": "ue", "ue_px": packed({"data": {"data": 1}})})).name == "unstruct"


def passed(body: Any) -> Any:
    headers = {"x-datacoral-passthrough": "true"}
    return translated(request("POST", "/tp2", json.dumps(body).encode(), headers))


def test_events_of_no_protocol_pass_through() -> None:
    more = {"data": 5, "time": 1767323045}
    translation = passed([{"data": {"a b": 1}}, {"data": [2]}, {"other": 3}, 4, more])
    assert [draft.data for draft in translation.drafts] == [{"a b": 1}, [2], {"other": 3}, 4, more]
    assert {(draft.name, draft.fixed, draft.time, draft.id) for draft in translation.drafts} == {
        ("passthrough", True, ABSENT, ABSENT)
    }
    assert translation.reply(()).body == b"ok"


def test_what_passes_through_is_an_array() -> None:
    assert rejection_of(passed({"data": 1})).reason == "Got an object; accepted is an array of {data}."
