"""Blocks made of JSON text."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cube.columns import Block
from cube.model.event import ABSENT

TEXTS = ['{"a":1,"b":[1,{"c":2}],"class":"x"}', None, '{"b":null}', "{}"]


def test_a_block_holds_the_decoded_data() -> None:
    block = Block.from_json([1, 2, 3, 4], TEXTS, ["i", "j", "k", "l"])
    assert list(block.data) == [{"a": 1, "b": [1, {"c": 2}], "class": "x"}, ABSENT, {"b": None}, {}]
    assert block.times.tolist() == [1, 2, 3, 4]
    assert block.ids == ["i", "j", "k", "l"]
    assert len(block) == 4


def test_named_fields_are_all_that_is_decoded() -> None:
    block = Block.from_json([1, 2, 3, 4], TEXTS, fields=["b", "class", "b"])
    assert list(block.data) == [{"b": [1, {"c": 2}], "class": "x"}, ABSENT, {"b": None}, {}]
    assert block.named("b") == [[1, {"c": 2}], ABSENT, None, ABSENT]
    assert block.named("a") == [ABSENT] * 4


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4) | st.text(
    '"\\\0\n.$u0é価', min_size=1, max_size=3
)


@given(st.lists(st.dictionaries(NAMES, st.integers(0, 9)), max_size=4), st.lists(NAMES, max_size=3))
def test_any_name_may_be_asked_for(rows: list[dict[str, int]], names: list[str]) -> None:
    names += [name for row in rows for name in row][:4]
    texts = [msgspec.json.encode(row).decode() for row in rows]
    block = Block.from_json(range(len(rows)), texts, fields=names)
    for name in names:
        named = block.named(name) or [row.get(name, ABSENT) for row in block.data]
        assert named == [row.get(name, ABSENT) for row in rows]


@pytest.mark.parametrize("fields", [None, ["a"], ['"'], ["class", "\0"]])
def test_a_block_knows_what_it_was_decoded_from(fields: list[str] | None) -> None:
    assert Block.from_json([1, 2, 3, 4], TEXTS, fields=fields).size == sum(len(text or "") for text in TEXTS)


def test_no_fields_are_no_data() -> None:
    assert list(Block.from_json([1, 2, 3, 4], TEXTS, fields=[]).data) == [ABSENT] * 4


@pytest.mark.parametrize("odd", [[{"a": 1}], 5, "text", True, None])
def test_data_that_are_no_objects_are_kept_whole(odd: Any) -> None:
    block = Block.from_json([1, 2], [msgspec.json.encode(odd).decode(), '{"a":1}'], fields=["a"])
    assert list(block.data) == [odd, {"a": 1}]


def test_an_empty_block_has_no_rows() -> None:
    assert list(Block.from_json([], [], fields=["a"]).data) == []


def test_integers_beyond_64_bits_do_no_harm() -> None:
    block = Block.from_json([1], ['{"a":123456789012345678901234567890}'], fields=["a"])
    assert block.named("a") == [123456789012345678901234567890]


@pytest.mark.parametrize("fields", [None, ["a"], []])
@pytest.mark.parametrize("arrays", [[], [[]], [[{"a": 1}], [{"b": 2}, {"a": "x"}]], [[{"a": 1}], [7, None]]])
def test_arrays_one_behind_the_other_are_a_block(arrays: list[list[Any]], fields: list[str] | None) -> None:
    rows = [row for array in arrays for row in array]
    texts = [msgspec.json.encode(array).decode() for array in arrays]

    block = Block.from_arrays(np.arange(len(rows)), texts, fields=fields)

    known = Block.from_joined(
        np.arange(len(rows)), ",".join(each[1:-1] for each in texts if each != "[]"), fields=fields
    )
    assert list(block.data) == list(known.data)
    assert block.size == sum(map(len, texts))
