"""What is cached of a bucket reads back as it was."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest

from cube.columns import Finals
from cube.columns.groups import Labels
from cube.expression import parse_metric
from cube.expression.nodes import Reduction
from cube.model.reduce import REDUCES, Sample
from cube.model.tier import group_key, rest_key
from evaluator.engine import states, value_codec
from evaluator.engine.bucket_values import BucketValues, scattered
from evaluator.engine.states import State

SAMPLES = [Sample(1, "a", 2.0), Sample(2, b"123456789012", 3.5), Sample(3, 7, 2.0)]


def reduction(text: str) -> Reduction:
    node = parse_metric(text)
    assert isinstance(node, Reduction)
    return node


def value_content(asked: Reduction, state: State) -> bytes:
    return BucketValues.of_states(asked, {0: state}).contents()[0]


def text_of(name: str) -> str:
    return "quantile(0.9,test(v))" if name == "quantile" else f"{name}(test(v))"


def partial(name: str) -> Any:
    samples = SAMPLES
    if name == "distinct":
        samples = [sample._replace(value=repr(sample.value).encode()) for sample in samples]
    return REDUCES[name].partial(samples)


@pytest.mark.parametrize("name", sorted(REDUCES))
def test_a_partial_reads_back(name: str) -> None:
    asked = reduction(text_of(name))
    state: State = {None: partial(name)}
    encode = value_content if REDUCES[name].exact_value else states.encode_partial
    content = encode(asked, state)
    assert content is not None
    assert states.decode_state(asked, content) == state


@pytest.mark.parametrize("name", sorted(REDUCES))
def test_partials_of_groups_read_back(name: str) -> None:
    asked = reduction(text_of(name) + ".group(g)")
    state: State = {group_key(group): partial(name) for group in (1, "1", True, 0.5, "", False)}
    encode = value_content if REDUCES[name].exact_value else states.encode_partial
    content = encode(asked, state)
    assert content is not None
    found = states.decode_state(asked, content)
    assert found == state
    assert [type(key[1]) for key in found if key] == [int, str, bool, float, str, bool]


@pytest.mark.parametrize("name", sorted(REDUCES))
def test_an_empty_bucket_reads_back(name: str) -> None:
    asked = reduction(text_of(name))
    encode = value_content if REDUCES[name].exact_value else states.encode_partial
    content = encode(asked, {})
    assert content is not None
    assert states.decode_state(asked, content) == {}
    (value,) = value_codec.decode_values([value_content(asked, {})])
    empty = REDUCES[name].empty
    assert math.isnan(value) if empty is None else value == empty


def test_values_read_back_with_no_value_between() -> None:
    asked = reduction("sum(test(v))")
    contents = [value_content(asked, {None: (high, 0.0)}) for high in (1.5, math.inf, -0.0)]
    values = value_codec.decode_values(contents)
    assert values[0] == 1.5
    assert math.isnan(values[1])
    assert values[2] == 0


def test_values_of_groups_read_back() -> None:
    asked = reduction("sum(test(v)).group(g)")
    content = value_content(asked, {group_key("a"): (1.0, 0.0), group_key(True): (math.inf, 0.0)})
    (first, second) = value_codec.decode_content(content)
    assert first == ((1, "a"), 1.0)
    assert second[0] == (2, True)
    assert math.isnan(second[1])


def test_a_large_partial_is_not_kept() -> None:
    asked = reduction("median(test(v))")
    assert states.encode_partial(asked, {None: {float(value): 1 for value in range(10_000)}}) is None


def test_groups_merge_apart() -> None:
    merged = states.merge_states(
        REDUCES["count"], [{group_key(1): 2, group_key("1"): 1}, {}, {group_key(1.0): 3, group_key(True): 1}]
    )
    assert merged == {group_key(1): 5, group_key("1"): 1, group_key(True): 1}


def made_groups() -> Finals:
    keys = [
        group_key("a"),
        group_key(1),
        group_key(2.5),
        group_key(True),
        rest_key(),
        group_key(("y", 1, True)),
    ]
    codes = np.array([0, 1, 4, 2, 5, 3, 0, 1])
    values = np.array([1.5, np.nan, 3.0, 4.0, 5.0, -0.0, 7.0, 8.0])
    return Finals(np.array([0, 0, 0, 10, 10, 30, 30, 30]), Labels(codes, keys), values)


def contents_of(found: Finals, *more: int) -> dict[int, bytes]:
    """Make the contents of groups' values, and of other buckets, which have none."""
    some = np.unique(np.concatenate([found.buckets, np.array(more, dtype=np.int64)]))
    asked = reduction("sum(test(v)).group(g)")
    return BucketValues.of_finals(asked, [found], {}, some).contents()


def test_values_of_groups_are_read_back_bucket_by_bucket() -> None:
    contents = contents_of(made_groups(), 40)
    some = {bucket: contents[bucket] for bucket in (10, 0, 40, 30)}

    values = BucketValues.decoded(some, grouped=True)
    series = scattered(np.zeros(5), [(values.buckets // 10, values)], lambda _: None)

    assert values.buckets.tolist() == [0, 10, 30, 40]
    assert {key: np.nan_to_num(each, nan=-1.0).tolist() for key, each in series.items()} == {
        group_key("a"): [1.5, 0, 0, 7, 0],
        group_key(1): [-1, 0, 0, 8, 0],
        group_key(2.5): [0, 4, 0, 0, 0],
        group_key(True): [0, 0, 0, 0, 0],
        rest_key(): [3, 0, 0, 0, 0],
        group_key(("y", 1, True)): [0, 5, 0, 0, 0],
    }
    assert value_codec.decode_content(contents[30]) == [
        (group_key(True), 0.0),
        (group_key("a"), 7.0),
        (group_key(1), 8.0),
    ]
    assert value_codec.decode_content(contents[40]) == []
    nothing = BucketValues.decoded({40: contents[40]}, grouped=True)
    assert scattered(np.zeros(1), [(np.zeros(1, dtype=np.int64), nothing)], lambda _: None) == {}
    assert contents_of(Finals()) == {}


def test_values_of_groups_are_the_same_bytes_from_arrays_and_from_states() -> None:
    found, asked = made_groups(), reduction("count(test).group(g)")
    contents = contents_of(Finals(found.buckets, found.groups, np.arange(8.0)))
    for bucket, content in contents.items():
        groups = zip(found.buckets.tolist(), found.groups, range(8), strict=True)
        state = {group: count for at, group, count in groups if at == bucket}
        assert value_content(asked, state) == content
        assert states.decode_state(asked, content) == state


def test_values_of_groups_that_an_older_version_kept_are_read_as_they_are_made_now() -> None:
    for content in contents_of(made_groups()).values():
        pairs = [
            (value_codec.written(key), None if math.isnan(value) else value)
            for key, value in value_codec.decode_content(content)
        ]
        assert value_codec.renewed(msgspec.msgpack.encode(pairs)) == content
