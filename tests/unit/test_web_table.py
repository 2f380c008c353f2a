"""Which route answers a path."""

from __future__ import annotations

import pytest

from cube.errors import InvalidSettings
from cube.web import Route
from cube.web.route import RouteTable, captures

TABLE = RouteTable(
    Route(path) for path in ("/collect/{event_type}/{source_id}", "/collect/{name}", "/collect/all", "/a/")
)


@pytest.mark.parametrize(
    ("path", "route", "parts"),
    [
        ("/collect/all", "/collect/all", {}),
        ("/collect/page-view", "/collect/{name}", {"name": "page-view"}),
        (
            "/collect/a%20b/%C3%A9",
            "/collect/{event_type}/{source_id}",
            {"event_type": "a b", "source_id": "é"},
        ),
        ("/collect/a%2Fb", "/collect/{name}", {"name": "a/b"}),
        ("/collect/%FF", "/collect/{name}", {"name": "\ufffd"}),
        ("/a/", "/a/", {}),
        ("/a", "/a/", {}),
        ("//a", "/a/", {}),
        ("/collect/all/", "/collect/all", {}),
        ("//collect///x//", "/collect/{name}", {"name": "x"}),
        ("/collect/a/b/", "/collect/{event_type}/{source_id}", {"event_type": "a", "source_id": "b"}),
    ],
)
def test_a_path_finds_its_route_and_what_the_braces_matched(
    path: str, route: str, parts: dict[str, str]
) -> None:
    found, matched = TABLE.find(path)
    assert found is not None
    assert (found.path, matched) == (route, parts)


@pytest.mark.parametrize("path", ["/collect/", "/collect//", "", "//", "a", "/A/", "/collect/a/b/c", "/a%2F"])
def test_another_path_finds_nothing(path: str) -> None:
    assert TABLE.find(path) == (None, {})


def test_an_exact_path_comes_before_one_with_a_slash_more() -> None:
    table = RouteTable([Route("/b/"), Route("/b")])
    assert [found.path for path in ("/b", "/b/") if (found := table.find(path)[0])] == ["/b", "/b/"]


def test_the_names_in_braces_are_known_in_order() -> None:
    assert captures("/collect/{event_type}/{source_id}") == ["event_type", "source_id"]


def test_two_routes_of_one_path_are_refused() -> None:
    with pytest.raises(InvalidSettings, match="Got the path /a for two things"):
        RouteTable([Route("/a"), Route("/b"), Route("/a")])
