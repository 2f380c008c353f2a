"""Columns read from raw BSON are those that decoded documents give, whatever the documents hold."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import bson
import pytest
from bson import Decimal128, Int64, ObjectId
from bson.datetime_ms import DatetimeMS
from hypothesis import given
from hypothesis import strategies as st

from cube.columns import PackedBlock
from cube.columns.block import Block
from cube.model.event import ABSENT
from cube.store.mongo import column_decoder
from cube.store.mongo.column_decoder import ColumnDecoder
from cube.store.mongo.documents import DocumentDecoder

NAMES = ["a", "name of twenty bytes", "é", "b"]
PLAIN = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.integers(0, 3).map(Int64)
    | st.floats(allow_nan=True)
    | st.text(max_size=9)
    | st.sampled_from(["x", "x\0", "x" * 300, 2**53 + 1, -0.0])
)
ODD = st.sampled_from(
    [[], ["x", 1], {}, {"a": 1}, {"$ref": "x", "$id": 1}, b"x", ObjectId(b"1" * 12), Decimal128("1.5")]
) | st.just(datetime(2020, 1, 1))
SHAPES = st.lists(st.sampled_from(NAMES), unique=True, max_size=4)
TIMES = st.integers(-(2**40), 2**40).map(DatetimeMS)


@st.composite
def documents(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Documents of few shapes, some with other kinds of values, and some of other forms."""
    made: list[dict[str, Any]] = []
    for _ in range(draw(st.integers(1, 3))):
        shape, odd = draw(SHAPES), draw(st.integers(0, 3))
        for number in range(draw(st.sampled_from([1, 3, 20]))):
            values = PLAIN if odd == 0 or number % (4 * odd) else PLAIN | ODD
            made.append({"t": draw(TIMES), "d": {name: draw(values) for name in shape}})
    others = [
        {},
        {"d": None},
        {"d": "x"},
        {"d": {"a%2Eb": 1}, "escaped": True},
        {"d": {"a": 1}, "escaped": True},
    ]
    for other in draw(st.lists(st.sampled_from([*others, {"d": [{"a": 1}]}, {"d": [1]}]), max_size=4)):
        made.insert(draw(st.integers(0, len(made))), {"t": draw(TIMES), **other})
    return made


def _same(found: Block, plain: Block, names: list[str]) -> None:
    assert found.times.tolist() == plain.times.tolist()
    for name in names:
        column = found.named(name)
        values = [data.get(name, ABSENT) if isinstance(data, dict) else ABSENT for data in plain.data]
        if column is None:  # some data are arrays: they came as documents
            assert repr(found.data) == repr(plain.data)
        else:
            assert list(map(repr, column)) == list(map(repr, values))
            assert list(map(type, column)) == list(map(type, values))
    packed, wanted = [PackedBlock.of(block, [(name,) for name in names]) for block in (found, plain)]
    for key, column in wanted.packed.items():
        assert repr(list(packed.packed[key].values)) == repr(list(column.values))
    projected = [
        {name: data[name] for name in names if name in data} if isinstance(data, dict) else data
        for data in plain.data
    ]
    if found.named(names[0]) is not None:
        assert [_sorted(data) for data in found.data] == [_sorted(data) for data in projected]


def _sorted(data: Any) -> str:
    return repr(sorted(data.items()) if isinstance(data, dict) else data)


@given(documents(), st.integers(0, 3))
def test_columns_are_those_of_decoded_documents(made: list[dict[str, Any]], start: int) -> None:
    batch = b"".join(map(bson.encode, made))
    found, plain = ColumnDecoder(NAMES).block(batch), DocumentDecoder(ids=False).block(batch)
    _same(found, plain, NAMES)
    _same(found.rows(start, start + 7), plain.rows(start, start + 7), NAMES)


class Refusing(DocumentDecoder):
    """Decodes no document."""

    def block(self, batch: bytes) -> Block:
        raise AssertionError("a document was decoded")


@pytest.mark.parametrize("data", [{"a": 1, "b": "x"}, {"b": 1.5, "é": True, "a": None}, {}, None])
def test_documents_that_are_alike_are_not_decoded_one_by_one(
    data: dict[str, Any] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [{"t": DatetimeMS(n), **({} if data is None else {"d": data})} for n in range(500)]
    batch = b"".join(map(bson.encode, made))
    plain = DocumentDecoder(ids=False).block(batch)
    monkeypatch.setattr(column_decoder, "DocumentDecoder", Refusing)
    found = ColumnDecoder(NAMES).block(batch)
    assert found.data == plain.data
    assert found.size == len(batch)


def test_a_document_whose_time_is_an_array_is_left_out() -> None:
    made: list[dict[str, Any]] = [{"t": DatetimeMS(n), "d": {"a": n}} for n in range(50)]
    made[20]["t"] = [DatetimeMS(1), DatetimeMS(2)]
    block = ColumnDecoder(["a"]).block(b"".join(map(bson.encode, made)))
    assert [data["a"] for data in block.data] == [*range(20), *range(21, 50)]
