"""Without keys a page of a stranger neither reads nor writes: by no route, no dialect, no WebSocket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.daemon import Daemon, daemon
from tests.web_client import HANDSHAKE, Answer, ask

FOREIGN = "https://evil.example"
NEAR = "http://localhost:3000"
EVENT = json.dumps({"type": "a", "time": "2020-01-01T12:00Z"}).encode()
COUNT = f"/1.0/metric?expression={quote('count(a)')}&step=86400000&start=2020-01-01&stop=2020-01-02"
PIXEL = "/i?e=pv&p=web&aid=a"


@pytest.fixture(scope="module")
def daemons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Daemon, Daemon]]:
    """A collector and an evaluator as anybody starts them: on the loopback, with no keys."""
    directory = tmp_path_factory.mktemp("pages")
    store, named = f"sqlite:{directory}", ("--allowed-hosts", "cube.example")
    with (
        daemon("collector", store, directory, *named) as collector,
        daemon("evaluator", store, directory, *named) as evaluator,
    ):
        yield collector, evaluator


def asked(
    running: Daemon,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    return asyncio.run(ask(running.port, method, path, body, headers))


def types(evaluator: Daemon) -> list[str]:
    found: list[str] = asked(evaluator, "GET", "/1.0/types").json
    return found


def operations(running: Daemon) -> list[tuple[str, str]]:
    """Return every method and path of a daemon, parts in braces filled in, and its WebSockets."""
    paths = asked(running, "GET", "/openapi.json").json["paths"]
    named = ("get", "head", "post", "put")
    return [
        (method.upper(), path.replace("{", "").replace("}", ""))
        for path, item in paths.items()
        for method in ("options", *(name for name in named if name in item))
    ]


@pytest.mark.parametrize("place", [0, 1], ids=["collector", "evaluator"])
@pytest.mark.parametrize(
    "headers", [{"Origin": FOREIGN}, {"Origin": "null"}, {"Host": "evil.example:1080"}], ids=str
)
def test_every_route_refuses_a_foreign_page_and_a_foreign_host(
    daemons: tuple[Daemon, Daemon], place: int, headers: dict[str, str]
) -> None:
    running, known = daemons[place], types(daemons[1])
    every = operations(running)
    assert len(every) > 15
    for method, path in every:
        body = EVENT if method in ("POST", "PUT") else None
        answer = asked(running, method, path, body, headers)
        # As their protocols refuse: The Eye's clients know 401 alone, Segment's pixel is one whatever comes.
        assert answer.status in (401, 403) or answer.headers["content-type"] == "image/gif", (method, path)
        assert not [name for name in answer.headers if name.startswith("access-control-")]
        answer = asked(running, method, path, body, {"Origin": NEAR})
        assert answer.headers["access-control-allow-origin"] == NEAR
    assert set(types(daemons[1])) >= set(known)


def test_nothing_of_a_foreign_page_is_stored_and_the_refusal_names_the_setting(
    daemons: tuple[Daemon, Daemon],
) -> None:
    collector, evaluator = daemons
    known = types(evaluator)
    secret = EVENT.replace(b'"a"', b'"foreign"')
    for path in ("/1.0/event", "/1.0/event/put"):
        page = asked(collector, "POST", path, secret, {"Origin": FOREIGN, "Content-Type": "text/plain"})
        assert (
            "accepted are pages of the loopback, and of the origins that the setting origins"
            in page.json["error"]
        )
        rebound = asked(
            collector, "POST", path, secret, {"Host": "evil.example", "Origin": "http://evil.example"}
        )
        assert rebound.json["error"] == (
            'Got the Host "evil.example" without a key; accepted are names and addresses of the loopback, and'
            " those of the setting allowed_hosts."
        )
    image = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    assert asked(collector, "GET", PIXEL, None, image).status == 403
    assert types(evaluator) == known
    assert asked(collector, "GET", PIXEL, None, image | {"Referer": f"{NEAR}/"}).status == 200


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1080", "[::1]:1080", "a.localhost", "cube.example"])
def test_pages_of_this_machine_and_clients_that_are_none_go_on_working(
    daemons: tuple[Daemon, Daemon], host: str
) -> None:
    collector, evaluator = daemons
    before = asked(evaluator, "GET", COUNT).json[0].get("value") or 0
    for headers in (
        {"Host": host},
        {"Host": host, "Origin": NEAR},
        {"Host": host, "Origin": f"http://{host}"},
    ):
        stored = asked(collector, "POST", "/1.0/event", EVENT, headers)
        assert stored.status == 200
        assert stored.headers.get("access-control-allow-origin") == headers.get("Origin")
    assert asked(evaluator, "GET", COUNT, None, {"Host": host, "Origin": NEAR}).json[0]["value"] == before + 3


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 101),
        ({"Origin": NEAR}, 101),
        ({"Origin": FOREIGN}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "evil.example"}, 403),
        ({"Host": "evil.example", "Origin": "http://evil.example"}, 403),
        ({"Host": "cube.example:1080", "Origin": "http://cube.example:1080"}, 101),
    ],
    ids=str,
)
def test_sockets_follow_the_same_rule(
    daemons: tuple[Daemon, Daemon], headers: dict[str, str], status: int
) -> None:
    for running, path in zip(daemons, ("/1.0/event/put", "/1.0/metric/get"), strict=True):
        assert asked(running, "GET", path, None, HANDSHAKE | headers).status == status


def test_a_preflight_is_granted_to_pages_that_may_call_alone(daemons: tuple[Daemon, Daemon]) -> None:
    asking = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    for path in ("/1.0/event", "/v1/logs", "/com.snowplowanalytics.snowplow/tp2"):
        near = asked(daemons[0], "OPTIONS", path, None, asking | {"Origin": NEAR})
        assert (near.status, near.headers["access-control-allow-origin"]) == (204, NEAR)
        assert near.headers["vary"] == "Origin"
        far = asked(daemons[0], "OPTIONS", path, None, asking | {"Origin": FOREIGN})
        assert (far.status, far.headers.get("access-control-allow-origin")) == (403, None)
        assert far.headers["vary"] == "Origin"


def test_configured_origins_hold_for_http_too_with_keys_and_without(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('origins = ["https://shop.example"]\n')
    with daemon("collector", f"sqlite:{tmp_path}", tmp_path, "--config", str(file)) as running:
        for origin, status in (("https://shop.example", 200), (FOREIGN, 403), (NEAR, 403)):
            answer = asked(running, "POST", "/1.0/event", EVENT, {"Origin": origin})
            assert answer.status == status
            assert (
                status == 200
                or "accepted are pages of the origins that the setting origins" in answer.json["error"]
            )
        assert "loopback" not in asked(running, "GET", "/healthz", None, {"Origin": FOREIGN}).json["error"]
        image = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
        assert asked(running, "GET", PIXEL, None, image).status == 200  # a pixel tells no origin


def test_with_a_key_a_page_may_come_from_anywhere_and_call_any_host(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('[environments.a]\n[[environments.a.keys]]\nname = "k"\nkey = "a-key-of-some-length"\n')
    with daemon("collector", f"sqlite:{tmp_path}", tmp_path, "--config", str(file)) as running:
        page = {"Origin": FOREIGN, "Host": "collect.example", "X-Api-Key": "a-key-of-some-length"}
        answer = asked(running, "POST", "/1.0/event", EVENT, page)
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, FOREIGN)
        assert "access-control-allow-credentials" not in answer.headers
