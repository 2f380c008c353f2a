"""What dialects remember is bounded."""

from __future__ import annotations

from collector.protocols.shared.dialect import DialectState


def test_what_was_put_last_is_remembered_by_kind_and_key() -> None:
    memory = DialectState()
    memory.put("series", "a", 1)
    memory.put("series", "a", 2)
    memory.put("session", "a", 3)
    assert [memory.get("series", "a"), memory.get("session", "a"), memory.get("series", "b")] == [2, 3, None]


def test_the_least_recently_used_goes_first() -> None:
    memory = DialectState(capacity=3)
    for key in "abc":
        memory.put("series", key, key)
    memory.get("series", "a")
    memory.put("series", "d", "d")
    assert [memory.get("series", key) for key in "abcd"] == ["a", None, "c", "d"]


def test_long_keys_take_no_more_room_and_stay_apart() -> None:
    memory = DialectState()
    memory.put("series", "x" * 10_000, 1)
    memory.put("series", "x" * 10_001, 2)
    memory.put("series", "\ud800" * 100, 3)
    found = [memory.get("series", key) for key in ("x" * 10_000, "x" * 10_001, "\ud800" * 100)]
    assert found == [1, 2, 3]
    assert max(len(key) for _, key in memory._entries) < 100
