"""What is cached of a bucket reads back as it was."""

from __future__ import annotations

import math
from typing import Any

import pytest

from cube.expression import parse_metric
from cube.expression.nodes import Reduction
from cube.model.reduce import REDUCES, Sample
from cube.model.tier import group_key
from evaluator.engine import group_codec, series, states
from evaluator.engine.states import State

SAMPLES = [Sample(1, "a", 2.0), Sample(2, b"123456789012", 3.5), Sample(3, 7, 2.0)]


def reduction(text: str) -> Reduction:
    node = parse_metric(text)
    assert isinstance(node, Reduction)
    return node


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
    encode = states.encode_value if REDUCES[name].exact_value else states.encode_partial
    content = encode(asked, state)
    assert content is not None
    assert states.decode_state(asked, content) == state


@pytest.mark.parametrize("name", sorted(REDUCES))
def test_partials_of_groups_read_back(name: str) -> None:
    asked = reduction(text_of(name) + ".group(g)")
    state: State = {group_key(group): partial(name) for group in (1, "1", True, 0.5, "", False)}
    encode = states.encode_value if REDUCES[name].exact_value else states.encode_partial
    content = encode(asked, state)
    assert content is not None
    found = states.decode_state(asked, content)
    assert found == state
    assert [type(key[1]) for key in found if key] == [int, str, bool, float, str, bool]


@pytest.mark.parametrize("name", sorted(REDUCES))
def test_an_empty_bucket_reads_back(name: str) -> None:
    asked = reduction(text_of(name))
    encode = states.encode_value if REDUCES[name].exact_value else states.encode_partial
    content = encode(asked, {})
    assert content is not None
    assert states.decode_state(asked, content) == {}
    (value,) = series.decode_values([states.encode_value(asked, {})])
    empty = REDUCES[name].empty
    assert math.isnan(value) if empty is None else value == empty


def test_values_read_back_with_no_value_between() -> None:
    asked = reduction("sum(test(v))")
    contents = [states.encode_value(asked, {None: (high, 0.0)}) for high in (1.5, math.inf, -0.0)]
    values = series.decode_values(contents)
    assert values[0] == 1.5
    assert math.isnan(values[1])
    assert values[2] == 0


def test_values_of_groups_read_back() -> None:
    asked = reduction("sum(test(v)).group(g)")
    content = states.encode_value(asked, {group_key("a"): (1.0, 0.0), group_key(True): (math.inf, 0.0)})
    (first, second) = group_codec.decode_groups(content)
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
