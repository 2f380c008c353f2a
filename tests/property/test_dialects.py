"""No request makes a translation of any dialect fail: what is not understood is refused."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tornado.httputil import HTTPHeaders

from collector.ingest.batch import BatchLimits
from collector.ingest.redaction import Redaction
from collector.protocols.influx.line import lines
from collector.protocols.registry import dialects
from collector.protocols.shared.dead_letters import dead_letters
from collector.protocols.shared.dialect import (
    Dialect,
    DialectState,
    Endpoint,
    RequestContext,
    Search,
    Translate,
)
from collector.protocols.shared.drafts import check
from collector.protocols.shared.naming import slug
from collector.protocols.statsd.reader import StatsdReader
from cube.errors import CubeError
from cube.model.environment import Caller, Environment
from cube.model.horizon import Horizon
from cube.settings import DialectSettings
from cube.web import Reply, Request
from cube.web.route import captures
from tests.tools import examples

NOW = 1_700_000_000_000
CALLER = Caller(Environment("default", "test"))
LIMITS = BatchLimits(event_bytes=2**20, events=10_000)

EXAMPLES: list[Any] = json.loads(Path(__file__).with_name("dialect_bodies.json").read_text())
"""A valid body of each protocol, shortened."""

TEXTS = st.one_of(
    st.sampled_from(
        ["", "1.0", "2026-01-02T03:04:05Z", "1700000000000", "iglu:com.a/b/jsonschema/1-0-0", "1e400", "e30="]
    ),
    st.text(max_size=8),
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.sampled_from([2**31, 2**63, 2**64, -(2**70), 10**30, 1e308, -1e308, 1.5, 1_700_000_000]),
    TEXTS,
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=8,
)


@st.composite
def changed(draw: st.DrawFn) -> Any:
    """A valid body, some parts of which are something else, or gone."""
    value = copy.deepcopy(draw(st.sampled_from(EXAMPLES)))
    for _ in range(draw(st.integers(0, 3))):
        places = list(_places(value))
        if not places:
            return draw(VALUES)
        inside, key = draw(st.sampled_from(places))
        if draw(st.booleans()):
            inside[key] = draw(VALUES)
        else:
            del inside[key]
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield value, key
        yield from _places(item)


BODIES = st.one_of(
    changed().map(lambda value: json.dumps(value).encode()),
    VALUES.map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=60),
)
HEADERS = st.dictionaries(
    st.sampled_from(
        ["Content-Type", "ce-specversion", "ce-id", "ce-type", "ce-source", "ce-time", "Cookie", "X-Context"]
    ),
    st.sampled_from(
        [
            "application/json",
            "application/x-www-form-urlencoded",
            "application/cloudevents+json",
            "application/cloudevents-batch+json",
            "application/x-protobuf",
            "multipart/form-data; boundary=x",
            "1.0",
            "a%zz%C3",
            "sp=x; tracardi-session-id=y",
            "é",
        ]
    ),
)
QUERIES = st.one_of(
    st.just(""),
    st.text(alphabet="abeipux_=&%+25C3 ", max_size=30).map(lambda text: text.replace(" ", "%20")),
    st.sampled_from(
        ["e=pv&eid=1", "e=ue&ue_px=e30", "data=e30%3D", "limit=5&offset=-1", "timestamp_after=x"]
    ),
)

SWITCHES = DialectSettings(snowplow_paths=("/com.acme/tp2",))
TRANSLATIONS = [
    pytest.param(dialect, endpoint, path, method, id=f"{dialect.name} {method} {path}")
    for dialect in dialects(SWITCHES)
    for endpoint in dialect.endpoints
    for path in endpoint.paths
    for method in (*endpoint.translate, *endpoint.reads)
]


@pytest.mark.parametrize(("dialect", "endpoint", "path", "method"), TRANSLATIONS)
@settings(max_examples=examples(50), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(body=BODIES, headers=HEADERS, query=QUERIES, part=TEXTS)
def test_whatever_comes_is_events_rejections_or_an_error_that_is_told(
    dialect: Dialect,
    endpoint: Endpoint,
    path: str,
    method: str,
    body: bytes,
    headers: dict[str, str],
    query: str,
    part: str,
) -> None:
    request = Request(method, f"{path}?{query}", HTTPHeaders(headers), "127.0.0.1")
    request.body = body
    request.captures = dict.fromkeys(captures(path), part or "x")
    try:
        if dialect.credentials is not None:
            assert all(dialect.credentials(request).keys)
        _translate(dialect, endpoint.translate.get(method), endpoint.reads.get(method), request)
    except CubeError as error:
        reply = dialect.refuse(error, request) if dialect.refuse else Reply()
        assert reply.status < 600


def _translate(dialect: Dialect, translate: Translate | None, read: Any, request: Request) -> None:
    context = RequestContext(NOW, "default", DialectState())
    if translate is None:
        assert isinstance(read(request, context), Search | Reply)
        return
    translation = translate(request, context)
    types = [draft.name if draft.fixed else slug(draft.name) for draft in translation.drafts]
    checked = check(translation.drafts, types, CALLER, LIMITS, Horizon(), total_bytes=10**9, now=NOW)
    assert all(event.type for event in checked.events)
    rejections = [*translation.rejections, *checked.rejections]
    letters = dead_letters(dialect.name, rejections, Redaction(dialect.secrets), now=NOW)
    assert len(letters) == len(rejections)
    assert isinstance(translation.reply(rejections), Reply)


STATSD = st.sampled_from(
    [
        "_e{",
        "1,1",
        "}:",
        "_sc|",
        "|m:",
        "|T",
        "|d:",
        "|#",
        "|c:",
        "|card:",
        "|@",
        "a",
        ":",
        ",",
        "|",
        "|g",
        "|c",
        "|s",
        "0",
        "-5",
        "1656581400.5",
        "1e300",
        "nan",
        "é",
        "m\\:",
    ]
)
STATSD_TEXT = st.lists(STATSD | st.sampled_from(["\n", "\ud800", "9" * 30]), max_size=12).map("".join)


@settings(max_examples=examples(200), deadline=None)
@given(
    st.one_of(
        st.binary(max_size=80),
        st.text(alphabet="ab:|cgms@#.,+-1e\n", max_size=80).map(str.encode),
        STATSD_TEXT.map(lambda text: text.encode(errors="surrogatepass")),
    )
)
def test_whatever_comes_to_statsd_is_events_or_errors(datagram: bytes) -> None:
    for flavour in ("statsd", "datadog"):
        events, errors = StatsdReader(1_000, lambda: NOW, flavour)(datagram)
        letters = len([event for event in events if event.type == "cube_rejected"])
        assert min(1, len(errors)) <= letters <= len(errors)


@settings(max_examples=examples(200), deadline=None)
@given(st.text(alphabet='mf,=" \\\n\r#1.it', max_size=60))
def test_whatever_comes_as_line_protocol_is_points_or_reasons(text: str) -> None:
    found = list(lines(text))
    numbers = [line.number for line in found]
    assert numbers == sorted(set(numbers))
    assert all((line.point is None) == bool(line.wrong) for line in found)
    assert all(line.point.fields for line in found if line.point is not None)
