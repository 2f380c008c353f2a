"""Snowplow, translated: every kind of event, its time, id and data, and what is refused."""

from __future__ import annotations

import json
import math
from typing import Any
from urllib.parse import urlencode

import pytest

from collector.protocols.shared.dialect import Draft
from collector.protocols.snowplow.protocol import dialect
from cube.errors import InvalidEvent
from cube.model.event import ABSENT, Event
from tests.dialect_request import NOW, context
from tests.unit.snowplow_requests import (
    CONTEXTS,
    NEW_USER,
    draft_of,
    mapped,
    packed,
    posted,
    rejection_of,
    request,
    shown,
    translated,
    unstruct,
)

# Sent by snowplow-tracker 1.1.0.
STRUCT = {
    "e": "se",
    "se_ca": "shop",
    "se_ac": "add",
    "se_la": "lab",
    "se_pr": "prop",
    "se_va": "12.5",
    "p": "web",
    "uid": "user-1",
    "res": "1920x1080",
    "vp": "800x600",
    "cd": "24",
    "tz": "Europe/Stockholm",
    "lang": "en",
    "duid": "duid-1",
    "ip": "10.0.0.1",
    "ua": "UA/1",
    "tnuid": "tn-1",
    "sid": "sid-1",
    "vid": "3",
    "eid": "CC0E7856-AA3F-4E02-A179-A65FAC1F2E43",
    "dtm": "1795321459461",
    "tv": "py-1.1.0",
    "tna": "ns1",
    "aid": "app1",
    "stm": "1795321459000",
}
LINK = "iglu:com.snowplowanalytics.snowplow/link_click/jsonschema/1-0-1"


def test_a_structured_event_has_readable_names_and_numbers() -> None:
    draft = draft_of(posted(STRUCT))
    assert (draft.name, draft.fixed) == ("struct_event", True)
    assert draft.time == 1795321459461
    assert draft.id == "cc0e7856-aa3f-4e02-a179-a65fac1f2e43"
    assert draft.data == {
        "name": "struct_event",
        "struct": {"category": "shop", "action": "add", "label": "lab", "property": "prop", "value": 12.5},
        "platform": "web",
        "app": "app1",
        "tracker": {"version": "py-1.1.0", "namespace": "ns1"},
        "user": {"id": "user-1", "domain": "duid-1", "network": "tn-1"},
        "session": {"id": "sid-1", "index": 3},
        "browser": {
            "screen": [1920, 1080],
            "viewport": [800, 600],
            "color_depth": 24,
            "timezone": "Europe/Stockholm",
            "lang": "en",
        },
        "ip": "10.0.0.1",
        "user_agent": "UA/1",
        "sent": 1795321459000,
        "received": NOW,
    }


@pytest.mark.parametrize(
    ("kind", "type", "parameters", "key", "value"),
    [
        ("pv", "page_view", {"page": "Home"}, "page", {"title": "Home"}),
        (
            "pp",
            "page_ping",
            {"pp_mix": "1", "pp_max": "2", "pp_miy": "3", "pp_may": "4"},
            "ping",
            {"min_x": 1, "max_x": 2, "min_y": 3, "max_y": 4},
        ),
        ("se", "struct_event", {"se_va": "1e3"}, "struct", {"value": 1000}),
        ("ev", "struct_event", {"ev_ca": "c", "ev_va": "2"}, "struct", {"category": "c", "value": 2}),
        (
            "tr",
            "transaction",
            {"tr_id": "o1", "tr_tt": "20.5", "tr_tx": "2", "tr_sh": "3.", "tr_ci": "Oslo", "tr_cu": "NOK"},
            "transaction",
            {"id": "o1", "total": 20.5, "tax": 2, "shipping": 3.0, "city": "Oslo", "currency": "NOK"},
        ),
        (
            "ti",
            "transaction_item",
            {"ti_id": "o1", "ti_sk": "s", "ti_na": "n", "ti_ca": "c", "ti_pr": "1.25", "ti_qu": "4"},
            "item",
            {"order": "o1", "sku": "s", "name": "n", "category": "c", "price": 1.25, "quantity": 4},
        ),
        ("ad", "ad_impression", {"ad_ba": "b", "ad_uid": "u"}, "ad", {"banner": "b", "user": "u"}),
    ],
)
def test_every_kind_of_event_is_a_type(
    kind: str, type: str, parameters: dict[str, str], key: str, value: Any
) -> None:
    draft = draft_of(posted({"e": kind, **parameters}))
    assert (draft.name, draft.fixed, draft.data["name"]) == (type, True, type)
    assert draft.data[key] == value


def test_a_structured_event_may_be_named_by_its_category_and_action() -> None:
    by_path = {path: endpoint for endpoint in dialect(struct_types=True).endpoints for path in endpoint.paths}

    def sent(**parameters: str) -> Draft:
        made = request("GET", f"/i?{urlencode(parameters)}")
        return draft_of(by_path["/i"].translate["GET"](made, context()))

    named = sent(e="se", se_ca="Shop", se_ac="Add to cart")
    assert (named.name, named.fixed, named.data["name"]) == ("Shop_Add to cart", False, "Shop_Add to cart")
    assert named.data["struct"] == {"category": "Shop", "action": "Add to cart"}
    for other in (sent(e="se", se_la="x"), sent(e="pv", se_ca="Shop")):
        assert other.fixed
        assert other.name in ("struct_event", "page_view")


def test_a_self_describing_event_is_named_by_its_schema() -> None:
    sent = {"e": "ue", "ue_pr": json.dumps(unstruct(LINK, {"targetUrl": "http://a", "a-b": [1]}))}
    draft = draft_of(posted(sent))
    assert (draft.name, draft.fixed) == ("link_click", False)
    assert draft.data["schema"] == LINK
    assert draft.data["event"] == {"targetUrl": "http://a", "a-b": [1]}


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("text", ["é?>~ü", "a", "ab", "abc"])
def test_base64_may_be_padded_or_not_and_holds_unicode(padded: bool, text: str) -> None:
    sent = {"e": "ue", "ue_px": packed(unstruct(LINK, {"text": text}), padded=padded)}
    assert draft_of(shown(sent)).data["event"] == {"text": text}


def test_the_standard_alphabet_of_base64_is_read_too() -> None:
    sent = packed(unstruct(LINK, "ÿþ?>")).replace("-", "+").replace("_", "/")
    assert "/" in sent or "+" in sent
    assert mapped(e="ue", ue_px=sent)["event"] == "ÿþ?>"


def test_contexts_are_lists_by_name_plain_and_encoded() -> None:
    page = {"schema": "iglu:com.snowplowanalytics.snowplow/web_page/jsonschema/1-0-0", "data": {"id": "p"}}
    users = [{"schema": "iglu:com.acme/camelUser/jsonschema/1-0-0", "data": {"a.b": n}} for n in (1, 2)]
    data = mapped(
        e="pv",
        co=json.dumps({"schema": CONTEXTS, "data": [users[0], page]}),
        cx=packed({"schema": CONTEXTS, "data": [users[1]]}),
    )
    assert data["contexts"] == {"camel_user": [{"a.b": 1}, {"a.b": 2}], "web_page": [{"id": "p"}]}


def test_the_time_is_the_true_one_then_the_devices_then_the_arrival() -> None:
    both = draft_of(
        posted({"e": "pv", "ttm": "1767323045678.9", "dtm": "1767323045000", "stm": "1767323046000"})
    )
    assert both.time == 1767323045678
    assert both.data["created"] == 1767323045000
    assert both.data["sent"] == 1767323046000
    assert both.data["received"] == NOW
    device = draft_of(posted({"e": "pv", "dtm": "1767323045000", "stm": "7"}))
    assert (device.time, "created" in device.data) == (1767323045000, False)
    assert draft_of(posted({"e": "pv", "stm": "7"})).time is ABSENT


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("1767323045678", 1767323045678),
        (1767323045678, 1767323045678),
        ("1767323045678.25", 1767323045678),  # as Node's tracker passes on a fraction
        ("1767323045", 1767323045000),
        ("1767323045.678", 1767323045678),
        ("1767323045678901", 1767323045678),
        ("1767323045678901234", 1767323045678),
        ("-86400", -86400000),
    ],
)
def test_a_time_tells_its_unit_by_its_magnitude(text: Any, time: int) -> None:
    made = draft_of(posted({"e": "pv", "ttm": text, "dtm": text, "stm": text}))
    assert (made.time, made.data["created"], made.data["sent"]) == (time, time, time)
    assert draft_of(posted({"e": "pv", "dtm": text})).time == time


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_text_that_is_no_number_of_json_costs_its_event(number: float) -> None:
    good, bad = {"e": "se", "se_ca": 5, "se_ac": "a"}, {"e": "se", "se_ca": number, "se_ac": "a"}
    translation = posted(good, bad)
    assert [draft.data["struct"]["category"] for draft in translation.drafts[:1]] == ["5"]
    drafts, rejections = [draft.data for draft in translation.drafts[1:]], translation.rejections
    for data in drafts:
        with pytest.raises(InvalidEvent, match="accepted are finite numbers"):
            Event.parse({"type": "t", "data": data}, now=NOW)
    assert len(drafts) + len(rejections) == 1


@pytest.mark.parametrize("time", ["yesterday", "1e300", "nan", [], True])
def test_a_time_that_is_none_refuses_the_event(time: Any) -> None:
    rejection = rejection_of(posted({"e": "pv", "dtm": time}))
    assert rejection.reason.startswith("Got the dtm ")
    assert rejection_of(posted({"e": "pv", "ttm": time, "dtm": "1"})).reason.startswith("Got the ttm ")


def test_a_time_beside_the_events_own_costs_nothing() -> None:
    made = draft_of(posted({"e": "pv", "ttm": "1767323045678", "dtm": "x", "stm": "y"}))
    assert made.data["extra"] == {"dtm": "x", "stm": "y"}


def test_an_event_without_id_gets_one_from_its_content_whenever_it_is_sent() -> None:
    first = draft_of(posted({"e": "pv", "url": "http://a", "dtm": "1", "stm": "2"}))
    again = draft_of(posted({"stm": "3", "dtm": "1", "e": "pv", "url": "http://a"}))
    other = draft_of(posted({"e": "pv", "url": "http://b", "dtm": "1", "stm": "2"}))
    assert first.id == again.id != other.id


def test_equal_events_of_one_request_are_as_many_whenever_it_is_sent() -> None:
    burst = [{"e": "se", "se_ca": "a", "dtm": "1767323045678", "eid": ""}] * 3
    first, again = ([draft.id for draft in posted(*burst).drafts] for _ in range(2))
    assert first == again
    assert len(set(first)) == 3
    given = [{"e": "se", "dtm": "1767323045678", "eid": "A"}] * 2
    assert [draft.id for draft in posted(*given).drafts] == ["a", "a"]


def test_what_has_neither_id_nor_time_is_one_more_event_each_time() -> None:
    """Though its content be the same, as that of an image in a mail."""
    timeless = {"e": "pv", "page": "EMAIL", "stm": "1767323045678"}
    assert draft_of(shown(timeless)).id is ABSENT
    assert [draft.id for draft in posted(timeless, timeless).drafts] == [ABSENT, ABSENT]
    assert draft_of(shown({**timeless, "dtm": "1"})).id is not ABSENT


def test_a_pages_host_and_path_are_there_to_group_by() -> None:
    data = mapped(e="pv", url="https://Example.org:8080/a/b?utm=1#x", refr="https://r", page="T")
    assert data["page"] == {
        "url": "https://Example.org:8080/a/b?utm=1#x",
        "host": "example.org",
        "path": "/a/b",
        "referrer": "https://r",
        "title": "T",
    }
    assert mapped(e="pv", url="http://[broken")["page"] == {"url": "http://[broken"}


def test_what_a_browser_is_and_has() -> None:
    data = mapped(e="pv", cs="UTF-8", ds="780x437", cookie="1", f_pdf="1", f_fla="0")
    assert data["browser"] == {
        "charset": "UTF-8",
        "document": [780, 437],
        "cookies": True,
        "plugins": {"pdf": True, "flash": False},
    }


def test_what_is_unknown_or_not_of_its_kind_stands_under_extra() -> None:
    data = mapped(e="pv", my_own="x", res="big", vid="many", cd="", **{"a.b": 3})
    assert data["extra"] == {"my_own": "x", "res": "big", "vid": "many", "a.b": 3}
    assert "browser" not in data


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("se_va", "abc"),
        ("se_va", "NaN"),
        ("se_va", "1_0"),
        ("se_va", "1e999"),
        ("tr_tt", "1,5"),
        ("ti_qu", "1.5"),
    ],
)
def test_a_number_that_is_none_refuses_the_event_that_is_about_it(name: str, value: str) -> None:
    rejection = rejection_of(posted({"e": "se", name: value}))
    assert f'Got the {name} "{value}"; accepted is a ' in rejection.reason


def test_whole_numbers_beyond_64_bits_become_decimal_ones() -> None:
    assert mapped(e="se", se_va="9223372036854775807")["struct"]["value"] == 2**63 - 1
    assert mapped(e="se", se_va="9223372036854775808")["struct"]["value"] == float(2**63)


def test_values_that_are_no_text_are_read_as_if_they_were() -> None:
    data = mapped(e="se", se_va=12.5, vid=3, cookie=True, aid=7, uid=None)
    assert data["struct"]["value"] == 12.5
    assert data["session"] == {"index": 3}
    assert data["browser"] == {"cookies": True}
    assert data["app"] == "7"
    assert "id" not in data["user"]


def test_page_ping_offsets_that_are_left_out_are_0() -> None:
    assert mapped(e="pp", pp_may="5")["ping"] == {"min_x": 0, "max_x": 0, "min_y": 0, "max_y": 5}


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ({}, "Got no kind of event (e); accepted are ue, pv, pp, se, ev, tr, ti, ad."),
        ({"e": "xx"}, 'Got the kind of event (e) "xx"; accepted are'),
        ({"e": "ue"}, "Got a self-describing event without data.data"),
        ({"e": "ue", "ue_pr": "{"}, "The parameter ue_pr cannot be read"),
        ({"e": "ue", "ue_pr": '{"data": 3}'}, "Got a self-describing event without data.data"),
        ({"e": "ue", "ue_px": "*"}, "The parameter ue_px cannot be read: it is not base64."),
        ({"e": "ue", "ue_px": "____"}, "The parameter ue_px cannot be read: "),
        ({"e": "pv", "co": "{}"}, "Got contexts without a list of data"),
        ({"e": "pv", "co": '{"data": [3]}'}, "Got the context 3; accepted is {schema, data}."),
        ({"e": "pv", "eid": {"a": 1}}, "Got the eid an object; accepted is text."),
        (3, "Got 3 as an event; accepted is an object."),
    ],
)
def test_what_is_no_event_is_refused_alone(sent: Any, reason: str) -> None:
    translation = posted({"e": "pv"}, sent, {"e": "se"})
    assert [draft.name for draft in translation.drafts] == ["page_view", "struct_event"]
    (rejection,) = translation.rejections
    assert rejection.reason.startswith(reason)
    assert rejection.payload == sent


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "The text is not JSON that can be read"),
        (b"\xff{}", "The text is not JSON that can be read"),
        (b"[]", "Got an array as a payload; accepted is {schema, data: [event, …]}"),
        (b'{"schema": "iglu:a/b/c/1-0-0", "data": [{}]}', 'Got a payload of the schema "iglu:a/b/c/1-0-0"; '),
        (b'{"data": []}', "Got a payload without events; "),
        (b'{"data": {}}', "Got a payload without events; "),
    ],
)
def test_a_body_that_is_no_payload_is_refused_as_a_whole_and_answered_all_the_same(
    body: bytes, reason: str
) -> None:
    translation = translated(request("POST", "/tp2", body))
    assert rejection_of(translation).reason.startswith(reason)
    assert translation.reply(translation.rejections).status == 200


@pytest.mark.parametrize("version", ["1-0-0", "1-0-2", "1-0-4"])
def test_every_version_of_the_payload_is_read(version: str) -> None:
    schema = f"iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/{version}"
    body = json.dumps({"schema": schema, "data": [{"e": "pv"}]}).encode()
    assert draft_of(translated(request("POST", "/tp2", body))).name == "page_view"


def test_the_query_of_a_post_is_part_of_every_event_and_wins() -> None:
    translation = posted(
        {"e": "pv", "aid": "body"}, {"e": "se"}, target="/tp2?aid=first&aid=query&uid=u+1%20"
    )
    assert [draft.data["app"] for draft in translation.drafts] == ["query", "query"]
    assert [draft.data["user"]["id"] for draft in translation.drafts] == ["u 1 ", "u 1 "]


def test_a_query_with_too_many_parameters_is_refused() -> None:
    target = "/i?" + "&".join(f"a{n}=1" for n in range(1001))
    assert (
        rejection_of(translated(request("GET", target))).reason == "Got more than 1000 parameters in a query."
    )


@pytest.mark.parametrize("path", ["/com.snowplowanalytics.snowplow/tp2", "/tp2", "/com.acme/track"])
def test_a_post_is_answered_with_ok(path: str) -> None:
    translation = posted({"e": "pv"}, target=path)
    reply = translation.reply(())
    assert (reply.status, reply.content_type, reply.body) == (200, "text/plain", b"ok")


@pytest.mark.parametrize("path", ["/i", "/ice.png", "/com.snowplowanalytics.snowplow/tp2", "/com.acme/track"])
def test_a_pixel_is_answered_with_an_image_that_nobody_keeps(path: str) -> None:
    translation = translated(request("GET", f"{path}?e=pv&stm=1"))
    assert draft_of(translation).name == "page_view"
    reply = translation.reply(())
    assert (reply.status, reply.content_type, len(reply.body)) == (200, "image/gif", 43)
    assert reply.body.startswith(b"GIF89a\x01\x00\x01\x00")
    assert ("Cache-Control", "no-cache, no-store, must-revalidate") in reply.headers


def set_cookie(reply: Any) -> str | None:
    return dict(reply.headers).get("Set-Cookie")


def test_a_new_browser_gets_a_cookie_for_a_year() -> None:
    translation = shown({"e": "pv"})
    assert draft_of(translation).data["user"] == {"network": NEW_USER}
    assert set_cookie(translation.reply(())) == (
        f"sp={NEW_USER}; Max-Age=31536000; Path=/; HttpOnly; Secure; SameSite=None"
    )


def test_a_known_browser_keeps_its_id() -> None:
    translation = posted({"e": "pv"}, headers={"Cookie": "_sp_id.1=x; sp=abc-1; other=sp=2"})
    assert draft_of(translation).data["user"] == {"network": "abc-1"}
    assert str(set_cookie(translation.reply(()))).startswith("sp=abc-1; ")


def test_the_query_names_the_network_user_before_the_cookie_does() -> None:
    translation = posted({"e": "pv"}, target="/tp2?nuid=q-1", headers={"Cookie": "sp=abc-1"})
    assert draft_of(translation).data["user"] == {"network": "q-1"}
    assert str(set_cookie(translation.reply(()))).startswith("sp=q-1; ")
    assert draft_of(posted({"e": "pv", "nuid": "n", "tnuid": "t"})).data["user"] == {"network": "t"}


@pytest.mark.parametrize("bad", ["a;b", "a\r\nX: y", "é", "x" * 200])
def test_an_id_that_no_cookie_can_hold_is_not_put_into_one(bad: str) -> None:
    translation = shown({"e": "pv", "nuid": bad})
    assert str(set_cookie(translation.reply(()))).startswith(f"sp={NEW_USER}; ")


def test_an_anonymous_sender_leaves_neither_address_nor_cookie() -> None:
    headers = {"SP-Anonymous": "*", "Cookie": "sp=abc-1", "User-Agent": "UA/1"}
    translation = posted({"e": "pv", "nuid": "n-1", "ip": "1.2.3.4"}, headers=headers)
    data = draft_of(translation).data
    assert data["user"] == {"network": "00000000-0000-0000-0000-000000000000"}
    assert "ip" not in data
    assert "user_agent" not in data
    assert str(set_cookie(translation.reply(()))).startswith("sp=; Max-Age=0; ")
    assert set_cookie(posted({"e": "pv"}, headers={"SP-Anonymous": "*"}).reply(())) is None


def test_the_requests_address_and_browser_are_kept_where_the_event_names_none() -> None:
    data = draft_of(posted({"e": "pv"}, headers={"User-Agent": "UA/1"})).data
    assert (data["ip"], data["user_agent"]) == ("127.0.0.1", "UA/1")
