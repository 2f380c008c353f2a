"""InfluxDB's line protocol as events."""

from __future__ import annotations

import json
from typing import Any

import pytest

from collector.protocols.influx.line import lines
from collector.protocols.influx.protocol import dialect, query, refuse
from collector.protocols.shared.dialect import MAX_ITEMS, Draft, Translation
from cube.errors import CubeError, InvalidRequest, TooLarge, Unauthenticated, Unavailable
from cube.model.event import ABSENT
from tests.dialect_request import context, request

TIME = 1_767_323_045_678
WRITES = {path: endpoint for endpoint in dialect().endpoints for path in endpoint.paths}


def written(text: str, parameters: str = "precision=ms", path: str = "/write") -> Translation:
    made = request(text.encode(), target=f"{path}?{parameters}")
    return WRITES[path].translate["POST"](made, context())


def only(translation: Translation) -> Draft:
    assert not translation.rejections
    (draft,) = translation.drafts
    return draft


def test_a_point_is_an_event_with_tags_and_fields_side_by_side() -> None:
    draft = only(written(f"cpu,host=web14,zone=eu usage=0.5,cores=4i,ok=true {TIME}"))
    assert (draft.name, draft.fixed, draft.time) == ("cpu", False, TIME)
    assert draft.data == {"usage": 0.5, "cores": 4, "ok": True, "host": "web14", "zone": "eu"}
    assert type(draft.data["cores"]) is int


@pytest.mark.parametrize(
    ("text", "name", "data"),
    [
        ("m f=2", "m", {"f": 2.0}),
        ("m f=2.0,g=1e3,h=-.5,i=+1.", "m", {"f": 2.0, "g": 1000.0, "h": -0.5, "i": 1.0}),
        ("m f=1i,g=-9223372036854775808i,h=18446744073709551615u", "m", None),
        ("m a=t,b=T,c=true,d=True,e=TRUE", "m", dict.fromkeys("abcde", True)),
        ("m a=f,b=F,c=false,d=False,e=FALSE", "m", dict.fromkeys("abcde", False)),
        ("m v=nan,w=inf,x=-Inf,y=1e999,z=1", "m", {"z": 1.0}),
        (r'm f="a \"quoted\" \\ \n, = x"', "m", {"f": r'a "quoted" \ \n, = x'}),
        ('m f="two\nlines",g=""', "m", {"f": "two\nlines", "g": ""}),
        (r"my\ m\,x=\=y,t\ 1\,=a\=b\ c f\ \=1=1", "my m,x=\\=y", {"f =1": 1.0, "t 1,": "a=b c"}),
        (r"c:\x,p=\d f=1", r"c:\x", {"f": 1.0, "p": r"\d"}),
        ("m,a=1,a_1=2 a=3", "m", {"a": 3.0, "a_1": "1", "a_1_1": "2"}),
        ("m,host=é f=1\r", "m", {"f": 1.0, "host": "é"}),
        ('m"q,a="b" f=1', 'm"q', {"f": 1.0, "a": '"b"'}),
    ],
)
def test_values_and_names_are_read_as_influxdb_does(text: str, name: str, data: Any) -> None:
    draft = only(written(text))
    if data is None:
        data = {"f": 1, "g": -(2**63), "h": 2**64 - 1}
    assert (draft.name, draft.data) == (name, data)
    assert (draft.time, draft.id) == (ABSENT, ABSENT)


@pytest.mark.parametrize(
    ("timestamp", "precision"),
    [
        (TIME * 10**6 + 5, ""),
        (TIME * 10**6, "precision=n"),
        (TIME * 10**6, "precision=nanosecond"),
        (TIME * 1000, "precision=u"),
        (TIME * 1000, "precision=us"),
        (TIME, "precision=ms"),
        (TIME, "precision=millisecond"),
        (TIME, "precision=auto"),
        (TIME * 1000, "precision=auto"),
    ],
)
def test_the_precision_is_the_unit_of_timestamps(timestamp: int, precision: str) -> None:
    assert only(written(f"m f=1 {timestamp}", precision)).time == TIME


@pytest.mark.parametrize(("name", "seconds"), [("s", 1), ("second", 1), ("m", 60), ("h", 3600)])
def test_the_precision_may_be_coarse(name: str, seconds: int) -> None:
    count = TIME // 1000 // seconds
    assert only(written(f"m f=1 {count}", f"precision={name}")).time == count * seconds * 1000


def test_seconds_that_are_sent_as_nanoseconds_are_told() -> None:
    (wrong,) = written(f"m f=1 {TIME // 1000}", "precision=ns").rejections
    assert "which is 1970-01-01T00:00:01.767Z in the precision ns; accepted are" in wrong.reason
    with pytest.raises(InvalidRequest, match='Got the precision "day"'):
        written("m f=1", "precision=day")


def test_as_in_influxdb_a_point_of_the_same_series_time_and_fields_replaces_it() -> None:
    def id(text: str, parameters: str = "precision=ms&db=a") -> Any:
        return only(written(text, parameters)).id

    first = id(f"m,a=1,b=2 f=1 {TIME}")
    assert first == id(f"m,b=2,a=1 f=2 {TIME}") == id(f"m,b=2,a=1 f=2 {TIME}000", "precision=us&db=a")
    others = (
        f"m,a=1,b=2 g=1 {TIME}",
        f"m,a=1 f=1 {TIME}",
        f"n,a=1,b=2 f=1 {TIME}",
        f"m,a=1,b=2 f=1 {TIME + 1}",
    )
    assert len({first, *map(id, others), id(f"m,a=1,b=2 f=1 {TIME}", "precision=ms&bucket=b")}) == 6


def test_comments_and_blank_lines_are_nothing_and_lines_are_counted() -> None:
    text = '# a\n\n  \nm f="x\ny"\n#b\nbad\n\nm f=2\r\n # end'
    found = list(lines(text))
    assert [(line.number, line.text) for line in found] == [(4, 'm f="x\ny"'), (7, "bad"), (9, "m f=2")]
    assert [list(lines(text)) for text in ("", "\n", "# only")] == [[], [], []]


WRONG = [
    ("m", "or no fields"),
    (",a=1 f=1", "no measurement"),
    ("m,a f=1", "not name=value, or no fields"),
    ("m,a= f=1", "not name=value, or no fields"),
    ("m f", "fields that are not name=value"),
    ("m f=", "fields that are not name=value"),
    ("m f=1,", "fields that are not name=value"),
    ('m f="x', "fields that are not name=value"),
    ("m f=abc", 'Got the value "abc"'),
    ("m f=1x", 'Got the value "1x"'),
    ("m f=1 2 3", "neither a whole number nor its end"),
    ("m f=1 1.5", "neither a whole number nor its end"),
    ("m f=nan", "no field with a finite value"),
    ("m f=1 99999999999999999999", "Got the time"),
]


@pytest.mark.parametrize(("line", "reason"), WRONG)
def test_a_line_that_is_wrong_costs_only_itself(line: str, reason: str) -> None:
    translation = written(f"m f=1 {TIME}\n{line}\nm f=2 {TIME + 1}")
    assert [draft.data["f"] for draft in translation.drafts] == [1, 2]
    (rejection,) = translation.rejections
    assert reason in rejection.reason
    assert rejection.payload == line


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/write", {"error": "partial write: unable to parse 'm \\\"x\\\"': REASON dropped=2"}),
        (
            "/api/v2/write",
            {"code": "invalid", "message": "partial write: unable to parse 'm \\\"x\\\"': REASON dropped=2"},
        ),
        (
            "/api/v3/write_lp",
            {
                "error": "partial write of line protocol occurred",
                "data": [
                    {"error_message": "REASON", "line_number": 2, "original_line": 'm "x"'},
                    {"error_message": "REASON", "line_number": 3, "original_line": "m f"},
                ],
            },
        ),
    ],
)
def test_each_release_is_told_in_its_own_form(path: str, told: Any) -> None:
    translation = written('m f=1\nm "x"\nm f', path=path)
    reply = translation.reply(translation.rejections)
    reason = translation.rejections[0].reason
    assert reply.status == 400
    assert json.loads(reply.body.decode().replace(reason, "REASON")) == told
    assert translation.reply(()).status == 204


def test_all_or_nothing_is_kept_where_it_is_asked_for() -> None:
    with pytest.raises(InvalidRequest, match="The line 2 cannot be read"):
        written("m f=1\nm", "accept_partial=false", "/api/v3/write_lp")


def test_more_than_a_request_may_have_are_refused() -> None:
    with pytest.raises(TooLarge, match=str(MAX_ITEMS)):
        written("m f=1\n" * (MAX_ITEMS + 1))


def test_a_database_is_always_there() -> None:
    for made in (
        request(target="/query?q=CREATE+DATABASE+%22telegraf%22"),
        request(b"q=create+database+d", {"Content-Type": "application/x-www-form-urlencoded"}),
    ):
        reply = query(made, context()).reply(())
        assert json.loads(reply.body) == {"results": [{"statement_id": 0}]}
    shown = query(request(target="/query?q=SHOW+DATABASES&db=glances"), context()).reply(())
    (result,) = json.loads(shown.body)["results"]
    assert result["series"] == [{"name": "databases", "columns": ["name"], "values": [["glances"]]}]
    refused = query(request(target="/query?q=SELECT+1"), context())
    assert (refused.drafts, refused.rejections) == ((), ())
    assert refused.reply(()).status == 400


@pytest.mark.parametrize(
    ("path", "error", "status", "body"),
    [
        ("/write", InvalidRequest("wrong"), 400, {"error": "wrong"}),
        ("/api/v2/write", InvalidRequest("wrong"), 400, {"code": "invalid", "message": "wrong"}),
        ("/api/v2/write", Unauthenticated("wrong"), 401, {"code": "unauthorized", "message": "wrong"}),
        ("/api/v2/write", Unavailable("wrong"), 503, {"code": "unavailable", "message": "wrong"}),
        ("/api/v3/write_lp", TooLarge("wrong"), 413, {"error": "wrong"}),
    ],
)
def test_errors_are_told_in_the_form_of_the_path(path: str, error: CubeError, status: int, body: Any) -> None:
    reply = refuse(error, request(target=path))
    assert (reply.status, json.loads(reply.body)) == (status, body)


def test_the_javascript_client_is_told_milliseconds() -> None:
    """It takes Retry-After for milliseconds: a second would be sent again at once."""
    reply = refuse(Unavailable("x"), request(headers={"User-Agent": "influxdb-client-js/1.35.0"}))
    assert ("Retry-After", "1000") in reply.headers
