"""collectd's JSON becomes events: bodies as Debian's daemon sends them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tornado.httputil import HTTPHeaders

from collector.protocols.collectd.protocol import dialect
from collector.protocols.shared.dialect import DialectState, RequestContext, Translation
from cube.errors import InvalidRequest
from cube.model.event import ABSENT
from cube.web import Request

NOW = 1_795_321_720_000


class Collectd:
    """A translation and what it remembers."""

    def __init__(self, *, differences: bool = False) -> None:
        self._endpoint = dialect(differences=differences).endpoints[0]
        self._context = RequestContext(NOW, "default", DialectState())

    def send(self, *items: Any) -> Translation:
        return self.send_text(json.dumps(items, separators=(",", ":")).encode())

    def send_text(self, body: bytes) -> Translation:
        request = Request("POST", "/collectd", HTTPHeaders(), "127.0.0.1")
        request.body = body
        return self._endpoint.translate["POST"](request, self._context)

    def data(self, *items: Any) -> list[Any]:
        return [draft.data for draft in self.send(*items).drafts]


def item(
    values: list[Any],
    kind: str = "gauge",
    names: tuple[str, ...] = ("value",),
    time: float = 1_795_321_715.198,
    plugin: str = "memory",
    type: str = "memory",
    plugin_instance: str = "",
    type_instance: str = "",
) -> dict[str, Any]:
    return {
        "values": values,
        "dstypes": [kind] * len(values),
        "dsnames": list(names),
        "time": time,
        "interval": 1.0,
        "host": "web14",
        "plugin": plugin,
        "plugin_instance": plugin_instance,
        "type": type,
        "type_instance": type_instance,
    }


def octets(time: float, rx: Any, tx: Any, kind: str = "derive") -> dict[str, Any]:
    return item([rx, tx], kind, ("rx", "tx"), time, "interface", "if_octets", plugin_instance="lo")


@pytest.mark.parametrize(
    ("sent", "data"),
    [
        (
            item([0.75, 1.125, 0.5], names=("shortterm", "midterm", "longterm"), plugin="load", type="load"),
            {"host": "web14", "load": {"shortterm": 0.75, "midterm": 1.125, "longterm": 0.5}},
        ),
        (item([269443072], type_instance="used"), {"host": "web14", "memory": 269443072, "type": "used"}),
        (
            item([12630552576], plugin="df", type="df_complex", plugin_instance="dev", type_instance="free"),
            {"host": "web14", "df": {"df_complex": 12630552576}, "plugin": "dev", "type": "free"},
        ),
        (item([5], "absolute"), {"host": "web14", "memory": 5}),
        (item([2**64 - 1]), {"host": "web14", "memory": float(2**64 - 1)}),
        (item([1], plugin="host", type="x-y"), {"host": "web14", "host_2": {"x-y": 1}}),
        (
            item([1, None], names=("a-b", "c"), plugin="load", type="load"),
            {"host": "web14", "load": {"a-b": 1}},
        ),
    ],
)
def test_values_stand_under_plugin_and_type(sent: Any, data: Any) -> None:
    assert Collectd().data(sent) == [data]


def test_values_that_are_all_null_are_no_event_and_no_error() -> None:
    translation = Collectd().send(item([None]))
    assert (translation.drafts, translation.rejections) == ([], [])


def test_the_time_is_that_of_the_second_and_the_id_is_exact() -> None:
    (draft,) = Collectd().send(item([1], time=1_795_321_715.5, type_instance="used")).drafts
    assert (draft.time, draft.id) == (1_795_321_716_000, "web14/memory/memory-used/1795321715500")


@pytest.mark.parametrize("time", [1_795_321_715.9, 1_795_321_715_900, 1_795_321_715_900_000])
def test_a_time_tells_its_unit_by_its_magnitude(time: float) -> None:
    (draft,) = Collectd().send(item([1], time=time)).drafts
    assert (draft.time, draft.id) == (1_795_321_716_000, "web14/memory/memory/1795321715900")


def test_notifications_without_a_time_are_not_merged() -> None:
    timeless = {name: value for name, value in NOTIFICATION.items() if name != "startsAt"}
    drafts = Collectd().send(timeless, timeless).drafts
    assert [(draft.time, draft.id) for draft in drafts] == [(ABSENT, ABSENT)] * 2


def test_times_in_units_of_two_to_the_minus_thirty_seconds_are_understood() -> None:
    (draft,) = Collectd().send(item([1], time=int(1_795_321_715.25 * 2**30))).drafts
    assert draft.time == 1_795_321_715_000


@pytest.mark.parametrize("kind", ["derive", "counter"])
def test_counts_become_rates_per_second(kind: str) -> None:
    sent = Collectd().data(octets(100, 1000, 10, kind), octets(110, 1500, 10, kind))
    assert sent == [{"host": "web14", "interface": {"if_octets": {"rx": 50.0, "tx": 0.0}}, "plugin": "lo"}]


def test_a_rate_is_over_the_time_that_passed_not_the_interval_that_was_meant() -> None:
    assert Collectd().data(octets(100, 0, 0), octets(100.5, 100, 50)) == [
        {"host": "web14", "interface": {"if_octets": {"rx": 200.0, "tx": 100.0}}, "plugin": "lo"}
    ]


def test_a_reset_has_no_rate_and_the_next_reading_has_one() -> None:
    sent = Collectd().data(octets(100, 1000, 1000), octets(110, 5, 7), octets(120, 25, 7))
    assert [data["interface"]["if_octets"] for data in sent] == [{"rx": 2.0, "tx": 0.0}]


@pytest.mark.parametrize(
    ("before", "after", "rate"),
    [
        (2**32 - 100, 100, 20.0),
        (2**64 - 100, 100, 20.0),
        (1_000_000, 5, None),
        (2**40, 5, None),
    ],
)
def test_a_counter_that_goes_back_wrapped_or_was_reset(before: int, after: int, rate: float | None) -> None:
    sent = Collectd().data(
        item([before], "counter", time=100, plugin="x"), item([after], "counter", time=110, plugin="x")
    )
    assert [data["x"]["memory"] for data in sent] == ([] if rate is None else [rate])


def test_series_do_not_disturb_each_other() -> None:
    first = [item([n], "derive", time=100, type_instance=name) for n, name in ((5, "a"), (50, "b"))]
    second = [item([n], "derive", time=101, type_instance=name) for n, name in ((6, "a"), (60, "b"))]
    assert [data["memory"] for data in Collectd().data(*first, *second)] == [1.0, 10.0]


def test_a_reading_sent_again_is_the_same_event_and_the_series_does_not_move() -> None:
    collectd = Collectd()
    collectd.send(octets(100, 0, 0))
    (first,) = collectd.send(octets(110, 100, 100)).drafts
    assert list(collectd.send(octets(100, 0, 0), octets(110, 100, 100)).drafts) == [first]
    (later,) = collectd.send(octets(120, 300, 100)).drafts
    assert later.data["interface"]["if_octets"] == {"rx": 20.0, "tx": 0.0}


def test_an_older_reading_does_not_take_the_rates_of_what_is_stored() -> None:
    collectd = Collectd()
    mixed = [
        {**octets(time, count, 5), "dstypes": ["derive", "gauge"]} for time, count in ((100, 0), (110, 50))
    ]
    assert [draft.data["interface"]["if_octets"] for draft in collectd.send(*mixed).drafts] == [
        {"tx": 5},
        {"rx": 5.0, "tx": 5},
    ]
    collectd.send({**octets(120, 50, 5), "dstypes": ["derive", "gauge"]})
    assert collectd.send(*mixed).drafts == []
    assert len(collectd.send(item([1], time=120), item([1], time=110)).drafts) == 2


def test_squares_differences_are_there_for_those_who_ask() -> None:
    collectd = Collectd(differences=True)
    sent = collectd.data(octets(100, 1000, 10), octets(110, 5512, 5), octets(120, 5512, 6))
    assert [data["interface"]["if_octets"] for data in sent] == [
        {"rx": 0, "tx": 0},
        {"rx": 4512, "tx": -5},
        {"rx": 0, "tx": 1},
    ]
    assert collectd.data(item([7], "counter", time=100), item([9], "counter", time=101)) == [
        {"host": "web14", "memory": 7},
        {"host": "web14", "memory": 9},
    ]


NOTIFICATION = {
    "labels": {
        "alertname": "collectd_memory",
        "instance": "web14",
        "severity": "WARNING",
        "service": "collectd",
        "memory": "used",
    },
    "annotations": {"summary": "Host web14: too much", "CurrentValue": "2.7e+08"},
    "startsAt": "2026-11-22T04:35:36.464710233Z",
}


def test_a_notification_is_an_event_of_its_own_type() -> None:
    (draft,) = Collectd().send(NOTIFICATION).drafts
    assert (draft.name, draft.fixed, draft.time) == (
        "collectd_notification",
        True,
        1_795_322_136_464,
    )
    assert draft.data == {
        "host": "web14",
        "name": "collectd_memory",
        "severity": "WARNING",
        "summary": "Host web14: too much",
        "labels": NOTIFICATION["labels"],
        "annotations": NOTIFICATION["annotations"],
    }
    assert Collectd().send(NOTIFICATION).drafts[0].id == draft.id


@pytest.mark.parametrize(
    "bad",
    [
        3,
        {},
        {**item([1]), "values": "x"},
        {**item([1]), "values": ["1"]},
        {**item([1]), "values": []},
        {**item([1]), "dsnames": []},
        {**item([1]), "time": None},
        {**item([1]), "time": 1e308},
        {**item([1]), "time": 10**400},
        {**item([1]), "time": 10**30},
        {**item([10**30])},
        {**item([1]), "host": ""},
        {**item([1]), "plugin": 5},
        {"labels": 5},
        {**NOTIFICATION, "startsAt": "yesterday"},
        {**NOTIFICATION, "startsAt": None},
    ],
)
def test_a_bad_item_is_refused_and_the_others_stand(bad: Any) -> None:
    translation = Collectd().send(bad, item([1]))
    assert len(translation.drafts) == 1
    assert [rejection.payload for rejection in translation.rejections] == [bad]
    assert translation.rejections[0].reason.endswith(".")


@pytest.mark.parametrize(
    "meta",
    [
        b"",  # of a PUTVAL with meta:note="text", which the daemon itself refuses
        b'{"n":nan}',  # of its Python plugin
        b'{"s":"x","n":-inf}',
        b'{"a"b":"v"}',
        b'{"note":"text, \\"meta\\":} and {\\"values\\":["}',
    ],
)
def test_meta_data_that_are_no_json_cost_nothing(meta: bytes) -> None:
    series = 'f{},"meta":},{"values":['  # what names a series may have any character
    lists = [item([number], type_instance=series, plugin=f"p{number}") for number in (1, 2, 3)]
    texts = [json.dumps(one, separators=(",", ":")).encode() for one in lists]
    texts[1] = texts[1][:-1] + b',"meta":' + meta + b"}"
    translation = Collectd().send_text(b"[" + b",".join(texts) + b"]")
    assert not translation.rejections
    assert [draft.data for draft in translation.drafts] == [
        {"host": "web14", f"p{number}": {"memory": number}, "type": series} for number in (1, 2, 3)
    ]


def test_a_value_list_that_is_no_json_costs_no_other() -> None:
    texts = [json.dumps(item([number], plugin=f"p{number}"), separators=(",", ":")) for number in (1, 2, 3)]
    texts[1] = texts[1].replace('"p2"', "p2")
    translation = Collectd().send_text(f"[{','.join(texts)}]".encode())
    assert [draft.data for draft in translation.drafts] == [
        {"host": "web14", f"p{number}": {"memory": number}} for number in (1, 3)
    ]
    (rejection,) = translation.rejections
    assert '"plugin":p2' in rejection.payload


@pytest.mark.parametrize(
    "body", [b"PUTVAL", b"", b'[{"values":[1', b'{"values":[1],}', b"[1", b'x[{"values":[1]}]']
)
def test_a_body_that_is_no_json_is_an_error(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        Collectd().send_text(body)
