"""The types of one dialect: distinct, bounded, and told where names share one."""

from __future__ import annotations

import logging

import pytest

from collector.protocols.shared.dialect import Draft
from collector.protocols.shared.naming import TypeNames, marked
from tests.stores import MemoryNames


async def named(types: TypeNames, *names: str) -> list[str]:
    return await types.name([Draft(name) for name in names])


async def test_names_that_lose_anything_are_types_of_their_own() -> None:
    types = TypeNames("toy", MemoryNames(), 10)
    one, other = await named(types, "+1", "-1")
    assert one != other
    assert await named(types, "-1", "+1") == [other, one]
    assert await named(TypeNames("toy", MemoryNames(), 10), "-1", "+1") == [other, one]


async def test_no_name_takes_a_type_that_the_rule_itself_makes() -> None:
    types = TypeNames("toy", MemoryNames(), 10)
    assert await named(types, "cube x", "toy cube x", "toy other", "cube_" + "y" * 59) == [
        "toy_cube_x",
        marked("toy_cube_x", "toy cube x"),
        marked("toy_other", "toy other"),
        marked("toy_cube_" + "y" * 59, "cube_" + "y" * 59),
    ]


async def test_the_log_tells_once_that_names_share_a_type(caplog: pytest.LogCaptureFixture) -> None:
    types = TypeNames("toy", MemoryNames(), 2)
    with caplog.at_level(logging.WARNING):
        assert len(set(await named(types, "Item Purchased", "item-purchased", "item.purchased"))) == 1
        await named(types, "itemPurchased", "+1", "-1", "over the limit", "over-the-limit")
    assert [record.getMessage() for record in caplog.records] == [
        (
            'toy: the names "Item Purchased" and "item-purchased" are one type, item_purchased;'
            " each event keeps its own in its data"
        )
    ]
