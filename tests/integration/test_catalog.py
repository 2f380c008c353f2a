"""What there is to ask about: types in detail, fields, values and expressions, on both stores."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from cube.model.environment import DEFAULT, Environment, Key, Scope, digest
from cube.web import Authenticator, KeyRing
from evaluator.api import catalog, known
from evaluator.catalog import details
from evaluator.catalog.sample import SampleLimits
from tests.evaluator_running import DAY, Running, Start, event, running, start
from tests.mongo_server import mongo_server
from tests.web_client import Answer, connection

__all__ = ["mongo_server", "start"]

MINUTE, HOUR = 60_000, 3_600_000
SECRET = "acme-Zk4Q9w7LxT2"


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bounds of time are out of the way of a loaded machine, but where a test sets its own."""
    for module, names in ((catalog, ("FIELDS", "VALUES")), (known, ("COMPLETIONS", "COMPLETED_VALUES"))):
        for name in names:
            monkeypatch.setattr(module, name, replace(getattr(module, name), seconds=20.0))
    monkeypatch.setattr(details, "EDGE_SECONDS", 20.0)


async def answer(made: Running, name: str, key: str | None = None, **parameters: Any) -> Answer:
    headers = {} if key is None else {"X-Api-Key": key}
    async with connection(made.port) as client:
        return await client.ask("GET", f"/1.0/{name}?{urlencode(parameters)}", headers=headers)


async def ask(made: Running, name: str, key: str | None = None, **parameters: Any) -> Any:
    found = await answer(made, name, key, **parameters)
    assert found.status == 200, found.body
    return found.json


def restricted() -> Authenticator:
    """Access for a customer's key alone."""
    key = Key(
        "acme",
        digest(SECRET),
        DEFAULT,
        frozenset({Scope.READ}),
        frozenset({"request"}),
        'eq(customer, "acme")',
    )
    return Authenticator((Environment(DEFAULT, "test"),), KeyRing([key]))


async def test_types_are_told_in_detail(start: Start) -> None:
    async with start(now=DAY + HOUR + 30_000) as made:
        await made.save(*(event(DAY + second * 5_000, type="request") for second in range(726)))
        await made.save(event(DAY - 7, type="old"))
        old, request = await ask(made, "types", details="true")
        assert request["counts"] == {
            "start": "2011-07-18T00:01:00.000Z",
            "step": MINUTE,
            "values": [12] * 59 + [6],
        }
        assert (request["type"], request["events"], request["rate"]) == ("request", 714, 0.2)
        assert (request["first"], request["last"]) == ("2011-07-18T00:00:00.000Z", "2011-07-18T01:00:25.000Z")
        assert (old["events"], old["rate"], set(old["counts"]["values"])) == (0, 0, {0})
        assert old["first"] == old["last"] == "2011-07-17T23:59:59.993Z"
        assert await ask(made, "types") == await ask(made, "types", details="false") == ["old", "request"]


async def test_types_that_there_is_no_time_for_are_told_by_name(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog, "DETAILS_SECONDS", 0.05)
    async with start() as made:
        await made.save(event(DAY - 1, type="a"), event(DAY - 1, type="b"))
        made.seen.gate.clear()
        assert await ask(made, "types", details="1") == [{"type": "a"}, {"type": "b"}]


FIELDS = [
    ({"ms": 5, "path": "/a", "user": {"name": "ada"}, "tags": ["x", "y"], "user-agent": None}),
    ({"ms": 5.0, "path": "/a", "items": [{"sku": "s1"}, {"sku": "s1"}, {"sku": 2}]}),
    ({"ms": "5", "path": "/b"}),
    "no object",
]


async def test_fields_have_kinds_shares_and_examples(start: Start) -> None:
    async with start() as made:
        await made.save(*(event(DAY + place, data, type="request") for place, data in enumerate(FIELDS)))
        found = await ask(made, "fields", type="request")
        fields = {each["field"]: each for each in found["fields"]}
        assert [*fields] == [
            "ms",
            "path",
            "items",
            "items.sku",
            "tags",
            "user",
            "user.name",
            '["user-agent"]',
        ]
        assert fields["ms"] == {
            "field": "ms",
            "kinds": ["number", "string"],
            "events": 3,
            "share": 0.75,
            "in_array": False,
            "examples": [5, "5"],
            "distinct": 2,
            "distinct_complete": True,
        }
        assert fields["path"]["examples"] == ["/a", "/b"]
        assert (fields["tags"]["kinds"], fields["tags"]["examples"]) == (["array"], ["x", "y"])
        assert (fields["items.sku"]["in_array"], fields["items.sku"]["events"]) == (True, 1)
        assert found["complete"] is True
        assert found["sample"] == {
            "events": 4,
            "first": "2011-07-18T00:00:00.000Z",
            "last": "2011-07-18T00:00:00.003Z",
            "whole": True,
        }


async def test_values_come_by_frequency_and_prefix(start: Start) -> None:
    async with start() as made:
        values = ["Ada", "ada", "ada", "bob", 17, True, None, "x" * 300]
        await made.save(*(event(DAY + place, {"u": {"n": value}}) for place, value in enumerate(values)))
        await made.save(event(DAY + 99, {"other": 1}))
        found = await ask(made, "values", type="test", field="u.n", limit=2)
        assert found["values"] == [{"value": "ada", "events": 2}, {"value": 17, "events": 1}]
        assert (found["distinct"], found["complete"], found["sample"]["events"]) == (7, True, 9)
        found = await ask(made, "values", type="test", field='u["n"]', prefix="AD")
        assert [each["value"] for each in found["values"]] == ["ada", "Ada"]
        found = await ask(made, "values", type="test", field="u.n", prefix="t")
        assert [each["value"] for each in found["values"]] == [True]
        assert (await ask(made, "values", type="none", field="a"))["values"] == []


async def test_a_sample_is_of_the_newest_and_ends_at_each_bound(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start() as made:
        await made.save(*(event(DAY + number, {"n": number, "text": "x" * 8000}) for number in range(600)))
        for bounds, most in ((SampleLimits(100, 10**9, 60), 100), (SampleLimits(10**6, 1000, 60), 599)):
            monkeypatch.setattr(catalog, "FIELDS", bounds)
            found = (await ask(made, "fields", type="test"))["sample"]
            assert (found["whole"], found["last"]) == (False, "2011-07-18T00:00:00.599Z")
            assert 1 <= found["events"] <= most
        monkeypatch.setattr(catalog, "FIELDS", SampleLimits(10**6, 10**9, 0.05))
        made.seen.gate.clear()
        found = await ask(made, "fields", type="test")
        assert (found["fields"], found["sample"]["whole"]) == ([], False)


async def test_fields_and_values_without_end_are_cut_and_it_is_said(start: Start) -> None:
    async with start() as made:
        await made.save(*(event(DAY + number, {"n": number, f"f{number}": 1}) for number in range(1_100)))
        found = await ask(made, "fields", type="test")
        assert (len(found["fields"]), found["complete"]) == (1_000, False)
        found = await ask(made, "values", type="test", field="n", limit=5_000)
        assert (len(found["values"]), found["distinct"], found["complete"]) == (1_000, 1_000, False)


async def test_a_key_shows_what_it_may_and_nothing_else(start: Start) -> None:
    async with start(access=restricted(), now=DAY + MINUTE) as made:
        await made.save(
            event(DAY + 1, {"customer": "acme", "path": "/mine"}, type="request"),
            event(DAY, {"customer": "other", "path": "/theirs", "secret": 1}, type="request"),
            event(DAY + 2, {"customer": "other", "path": "/theirs", "secret": 1}, type="request"),
            event(DAY, {"customer": "acme"}, type="hidden"),
        )
        (only,) = await ask(made, "types", SECRET, details="true")
        assert (only["type"], only["events"]) == ("request", 1)
        assert only["first"] == only["last"] == "2011-07-18T00:00:00.001Z"
        found = await ask(made, "fields", SECRET, type="request")
        assert [each["field"] for each in found["fields"]] == ["customer", "path"]
        assert found["sample"]["events"] == 1
        found = await ask(made, "values", SECRET, type="request", field="path")
        assert found["values"] == [{"value": "/mine", "events": 1}]
        for text, texts in (("", {"request"}), ("request(", {"customer", "path"}), ("hidden(", set())):
            found = await ask(made, "expression", SECRET, expression=text, at=len(text))
            offered = found["completions"]["items"]
            assert {each["text"] for each in offered if each["kind"] in ("type", "field")} == texts
        found = await ask(made, "expression", SECRET, expression="sum(hidden)")
        assert found["error"]["error"] == "Got the type hidden; the key accepts request."
        for name, parameters in (("fields", {}), ("values", {"field": "customer"})):
            assert (await answer(made, name, SECRET, type="hidden", **parameters)).status == 403
            assert (await answer(made, name, "wrong", type="request", **parameters)).status == 401


async def test_a_rare_customer_costs_no_scan_of_everybody(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key's filter that no event passes ends a sample and the search for the first at a bound, too."""
    monkeypatch.setattr(catalog, "FIELDS", SampleLimits(100, 10**9, 60))
    monkeypatch.setattr(details, "EDGE_EVENTS", 100)
    async with start(access=restricted(), now=DAY + MINUTE) as made:
        await made.save(
            *(event(DAY + number, {"customer": "other"}, type="request") for number in range(1_000))
        )
        found = await ask(made, "fields", SECRET, type="request")
        assert (found["fields"], found["sample"]["events"]) == ([], 0)
        (only,) = await ask(made, "types", SECRET, details="true")
        assert (only["events"], only["first"], only["last"]) == (0, None, None)


async def test_an_expression_is_told_in_words_or_its_error_placed(start: Start) -> None:
    async with start() as made:
        found = await ask(made, "expression", expression="sum( request(ms) )")
        assert found == {
            "readings": [
                {
                    "kind": "metric",
                    "expression": "sum(request(ms))",
                    "explanation": "the sum of ms over the request events",
                    "reductions": [
                        {
                            "expression": "sum(request(ms))",
                            "reduce": "sum",
                            "type": "request",
                            "value": "ms",
                            "filters": [],
                            "group": None,
                            "otherwise": None,
                            "bins": None,
                            "groups": [],
                            "ranking": None,
                            "events": "request(*)",
                        }
                    ],
                    "steps": None,
                }
            ],
            "error": None,
            "has_names": False,
            "hints": ["There are no events of the type request, nor of any other."],
        }
        both = (await ask(made, "expression", expression="sum(foo)"))["readings"]
        assert [each["kind"] for each in both] == ["metric", "event"]
        broken = (await ask(made, "expression", expression="sum(request(ms)\n.ge(status, ))"))["error"]
        assert (broken["line"], broken["column"], broken["position"]) == (2, 13, 28)
        assert broken["error"].startswith("Expected a string, a number")
        text = 'sum(a.eq(b, "(")\n.re(["re(\\"("], \'\\x28\'))'
        refused = (await ask(made, "expression", expression=text))["error"]
        assert refused["error"].startswith("Got the regular expression")
        assert (refused["line"], refused["column"], refused["position"]) == (2, 17, text.index("'\\x28'"))
        metric = await answer(made, "metric", expression=text)
        assert (metric.status, metric.json["line"], metric.json["column"]) == (400, 2, 17)


async def test_a_funnel_tells_what_its_groups_are(start: Start) -> None:
    async with start() as made:
        funnel = "funnel(user, 1h, view, cart.gt(n, 1), buy)"

        async def steps(text: str) -> Any:
            (reading,) = (await ask(made, "expression", expression=text))["readings"]
            return reading["steps"]

        found = ["view", "cart.gt(n,1)", "buy"]
        assert await steps(funnel) == await steps(f"{funnel} / shift({funnel}, 1w)") == found
        assert await steps(f"{funnel} / funnel(user, 1h, view, buy)") is None
        assert await steps("retention(user, 1d, 7, view)") is None


async def test_an_expression_tells_which_events_each_reduction_is_made_of(tmp_path: Path) -> None:
    asked = "sum(request.ge(status,500)).group(user.name)/ (2 * sum(hit).group( host)) - sum(hit).group(host)"
    async with running(tmp_path) as made:
        (reading,) = (await ask(made, "expression", expression=asked))["readings"]
    kept = ("expression", "type", "value", "filters", "group", "events")
    assert [tuple(each[name] for name in kept) for each in reading["reductions"]] == [
        (
            "sum(request.ge(status,500)).group(user.name)",
            "request",
            None,
            ["ge(status,500)"],
            "user.name",
            "request(*).ge(status,500)",
        ),
        ("sum(hit).group(host)", "hit", None, [], "host", "hit(*)"),
    ]


async def test_an_expression_tells_where_the_bins_of_its_groups_begin_and_end(tmp_path: Path) -> None:
    asked = "sum(request).group(floor(log2(ms) * 2)) / sum(request).group(host)"
    async with running(tmp_path) as made:
        (reading,) = (await ask(made, "expression", expression=asked))["readings"]
    wanted = {"value": "ms", "is_field": True, "base": 2, "step": 0.5, "width": 0.5}
    assert [(each["group"], each["bins"]) for each in reading["reductions"]] == [
        (None, wanted),
        ("host", None),
    ]


@pytest.mark.parametrize(
    ("text", "replaced", "wanted"),
    [
        ("re", (0, 2), ["retention(", "request"]),
        ("sum(req", (4, 7), ["request"]),
        ("sum(request(user.", (12, 17), ["user.name"]),
        ('request(["us', (8, 12), ['["user-agent"]']),
        ("request.g", (8, 9), ["gt(", "ge("]),
        ("sum(request).g", (13, 14), ["group("]),
        ("sum(request.eq(path,", (20, 20), ['"/a"', '"/b"']),
        ("sum(request.eq(path,'/b", (20, 23), ['"/b"']),
        ("sum(request.eq(path,/b", None, []),
        ("sum(request(sq", (12, 14), ["sqrt("]),
        ("me", (0, 2), ["mean(", "median("]),
        ("sum(request.session(user.name,30m,", (34, 34), ["length"]),
        ("sum(request.session(user.name,30m).ge(e", (38, 39), ["events", "exp("]),
        ("sum(none(", (9, 9), ["abs("]),
        ("sum(request)x", None, []),
    ],
)
async def test_completions_are_what_the_grammar_accepts_and_the_store_has(
    tmp_path: Path, text: str, replaced: tuple[int, int] | None, wanted: list[str]
) -> None:
    async with running(tmp_path) as made:
        await made.save(*(event(DAY + place, data, type="request") for place, data in enumerate(FIELDS)))
        found = (await ask(made, "expression", expression=text, at=len(text)))["completions"]
        assert (found["start"], found["stop"]) == (replaced or (None, None))
        assert [each["text"] for each in found["items"]][: max(len(wanted), 1)] == wanted


async def test_completions_while_typing_read_one_sample(tmp_path: Path) -> None:
    async with running(tmp_path) as made:
        await made.save(event(DAY, {"path": "/a", "ms": 1}, type="request"))
        for text in ("sum(request(", "sum(request(p", "sum(request(pa", "sum(request(path).eq(m"):
            await ask(made, "expression", expression=text, at=len(text))
        assert len(made.seen.scans) == 1


async def test_what_stands_after_the_place_is_replaced_too(tmp_path: Path) -> None:
    async with running(tmp_path) as made:
        found = (await ask(made, "expression", expression="meXX(request)", at=2))["completions"]
        assert (found["start"], found["stop"]) == (0, 4)
        assert [each["text"] for each in found["items"]] == ["mean", "median"]


@pytest.mark.parametrize(
    ("name", "parameters", "error"),
    [
        ("types", {"details": "maybe"}, 'Got details "maybe"; accepted are true and false, or 1 and 0.'),
        ("fields", {}, "The parameter type is missing."),
        ("fields", {"type": "A b"}, 'Got the type "A b"; accepted is [a-z_][a-zA-Z0-9_]*'),
        ("values", {"type": "a"}, "The parameter field is missing."),
        ("values", {"type": "a", "field": "*"}, 'Got the field "*"; accepted is one path of names'),
        ("values", {"type": "a", "field": "b).eq(c,1"}, "Got the field"),
        ("values", {"type": "a", "field": "b,c"}, "Got the field"),
        ("values", {"type": "a", "field": "b[0]"}, "Got the field"),
        ("values", {"type": "a", "field": "b", "limit": "0"}, 'Got the limit "0"'),
        ("expression", {"at": "0"}, "The parameter expression is missing."),
        ("expression", {"expression": "abc", "at": "4"}, 'Got the place "4"; accepted are whole numbers'),
        ("expression", {"expression": "abc", "at": "-1"}, 'Got the place "-1"'),
    ],
)
async def test_what_is_wrong_is_said_in_a_sentence(
    tmp_path: Path, name: str, parameters: dict[str, str], error: str
) -> None:
    async with running(tmp_path) as made:
        found = await answer(made, name, **parameters)
        assert found.status == 400
        assert found.json["error"].startswith(error)
