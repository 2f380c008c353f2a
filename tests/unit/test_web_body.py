"""Bodies: counted and inflated as they arrive."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from tornado.httputil import HTTPHeaders

from cube.errors import InvalidRequest, Overloaded, TooLarge
from cube.web.body import MEMBERS, WIRE_BYTES, Body, BodyBudget
from cube.web.content_encoding import zstd_library
from cube.web.error_replies import UnsupportedEncoding

zstd = zstd_library()

LIMIT = 1_000


def body(headers: dict[str, str], *parts: bytes) -> bytes:
    memory = BodyBudget(10 * LIMIT)
    reading = Body(HTTPHeaders(headers), LIMIT, memory)
    for part in parts:
        reading.add(part)
    content = reading.complete()
    assert memory.held == len(content)
    reading.release()
    reading.release()
    assert memory.held == 0
    return content


@pytest.mark.parametrize("cut", [0, 1, 2, 5])
def test_gzip_is_known_by_its_first_bytes_where_that_is_asked_for(cut: int) -> None:
    packed = gzip.compress(b"content")
    for given, expected in ((packed, b"content"), (b"\x1fplain", b"\x1fplain"), (b"\x1f", b"\x1f")):
        reading = Body(HTTPHeaders({}), LIMIT, BodyBudget(10 * LIMIT), sniffed=True)
        reading.add(given[:cut])
        reading.add(given[cut:])
        assert reading.complete() == expected
    assert body({}, packed) == packed


def test_a_bomb_that_no_header_tells_of_is_never_inflated() -> None:
    reading = Body(HTTPHeaders({}), LIMIT, BodyBudget(10 * LIMIT), sniffed=True)
    with pytest.raises(TooLarge):
        reading.add(gzip.compress(bytes(10 * LIMIT)))


def gzipped(*parts: bytes) -> bytes:
    return body({"Content-Encoding": "gzip"}, *parts)


def test_parts_are_put_together() -> None:
    assert body({}) == b""
    assert body({}, b"one") == b"one"
    assert body({}, b"one", b"two") == b"onetwo"


def test_the_limit_itself_is_accepted() -> None:
    assert len(body({"Content-Length": str(LIMIT)}, b"x" * LIMIT)) == LIMIT


def test_an_announced_length_over_the_limit_is_refused_at_once() -> None:
    with pytest.raises(TooLarge):
        Body(HTTPHeaders({"Content-Length": str(LIMIT + 1)}), LIMIT, BodyBudget(LIMIT))


def test_a_body_that_grows_over_the_limit_is_refused() -> None:
    with pytest.raises(TooLarge):
        body({}, b"x" * LIMIT, b"x")


@pytest.mark.parametrize("name", ["gzip", "x-gzip", " GZip "])
def test_gzip_is_inflated(name: str) -> None:
    assert body({"Content-Encoding": name}, gzip.compress(b"hello")) == b"hello"


def test_gzip_may_arrive_byte_by_byte_and_in_several_members() -> None:
    content = gzip.compress(b"one") + gzip.compress(b"two")
    assert gzipped(*(content[place : place + 1] for place in range(len(content)))) == b"onetwo"
    assert gzipped(content) == b"onetwo"


def test_the_limit_holds_for_the_inflated_size() -> None:
    assert len(gzipped(gzip.compress(b"x" * LIMIT))) == LIMIT
    with pytest.raises(TooLarge):
        gzipped(gzip.compress(b"x" * (LIMIT + 1)))


@pytest.mark.parametrize(
    "content",
    [b"hello", gzip.compress(b"hello")[:-1], gzip.compress(b"hello")[:12], gzip.compress(b"a") + b"b"],
    ids=["no gzip", "cut at its end", "cut early", "followed by something else"],
)
def test_broken_gzip_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidRequest):
        gzipped(content)


def test_the_bytes_on_the_wire_are_bounded_as_well() -> None:
    """A gzip body that holds nothing may be as long as one likes: a long file name, or empty blocks."""
    named = gzip.compress(b"hello")
    named = named[:3] + b"\x08" + named[4:10] + b"x" * (LIMIT + WIRE_BYTES) + b"\0" + named[10:]
    with pytest.raises(TooLarge):
        gzipped(*(named[place : place + 4096] for place in range(0, len(named), 4096)))
    headers = {"Content-Encoding": "gzip", "Content-Length": str(LIMIT + WIRE_BYTES + 1)}
    with pytest.raises(TooLarge):
        Body(HTTPHeaders(headers), LIMIT, BodyBudget(LIMIT))


def test_members_are_bounded() -> None:
    empty = gzip.compress(b"")
    assert gzipped(empty * (MEMBERS - 1) + gzip.compress(b"a")) == b"a"
    with pytest.raises(InvalidRequest, match="more than 1000 members"):
        gzipped(empty * (MEMBERS + 1))


def test_many_small_parts_hold_little_more_than_their_bytes() -> None:
    """A body in chunks of one byte must not cost fifty times its length."""
    reading = Body(HTTPHeaders(), 10**6, BodyBudget(10**6))
    tracemalloc.start()
    for _ in range(30_000):
        reading.add(b"x")
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 90_000
    assert reading.complete() == b"x" * 30_000


@pytest.mark.parametrize("name", ["br", "snappy", "gzip, gzip"])
def test_another_encoding_is_refused(name: str) -> None:
    with pytest.raises(UnsupportedEncoding):
        Body(HTTPHeaders({"Content-Encoding": name}), LIMIT, BodyBudget(LIMIT))


def bare_deflate(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


def skipped(content: bytes) -> bytes:
    return b"\x50\x2a\x4d\x18" + len(content).to_bytes(4, "little") + content


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("deflate", zlib.compress(b"hello" * 50)),
        ("Deflate", bare_deflate(b"hello" * 50)),
        ("zstd", zstd.compress(b"hello" * 50)),
        ("zstd", zstd.compress(b"hello" * 20) + zstd.compress(b"") + zstd.compress(b"hello" * 30)),
        ("zstd", skipped(b"ours") + zstd.compress(b"hello" * 50)),
    ],
)
def test_deflate_and_zstd_are_inflated_in_whatever_parts_they_come(name: str, content: bytes) -> None:
    headers = {"Content-Encoding": name}
    assert body(headers, content) == b"hello" * 50
    assert body(headers, *(content[place : place + 1] for place in range(len(content)))) == b"hello" * 50
    with pytest.raises(InvalidRequest, match=f"The {name.lower()} body ends before its end"):
        body(headers, content[:-1])


@pytest.mark.parametrize("compress", [zlib.compress, bare_deflate, zstd.compress])
def test_a_bomb_is_never_inflated(compress: Callable[[bytes], bytes]) -> None:
    name = "zstd" if compress is zstd.compress else "deflate"
    assert len(body({"Content-Encoding": name}, compress(bytes(LIMIT)))) == LIMIT
    bomb = compress(bytes(32 * 2**20))
    with pytest.raises(TooLarge):
        body({"Content-Encoding": name}, bomb)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("deflate", zlib.compress(b"a") + b"b", "goes on behind its end"),
        ("deflate", b"hello", "cannot be inflated"),
        ("zstd", b"hello", "cannot be inflated"),
        ("zstd", zstd.compress(b"a") + b"hello", "cannot be inflated"),
        ("zstd", zstd.compress(b"") * (MEMBERS + 1), "more than 1000 members"),
    ],
)
def test_what_is_broken_is_refused(name: str, content: bytes, problem: str) -> None:
    with pytest.raises(InvalidRequest, match=problem):
        body({"Content-Encoding": name}, content)


def test_the_window_of_zstd_is_bounded_and_counts_until_the_body_is_complete() -> None:
    wide = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 27})
    content = wide.compress(b"hello") + wide.flush()
    with pytest.raises(InvalidRequest, match="cannot be inflated"):
        body({"Content-Encoding": "zstd"}, content)
    memory = BodyBudget(10 * LIMIT)
    reading = Body(HTTPHeaders({"Content-Encoding": "zstd"}), LIMIT, memory)
    reading.add(zstd.compress(b"x" * LIMIT))
    assert memory.held == 2 * LIMIT
    reading.complete()
    assert memory.held == LIMIT


def test_identity_is_no_encoding() -> None:
    assert body({"Content-Encoding": "identity"}, b"hello") == b"hello"


def test_all_bodies_together_hold_no_more_than_their_bound() -> None:
    memory = BodyBudget(LIMIT)
    first, second = Body(HTTPHeaders(), LIMIT, memory), Body(HTTPHeaders(), LIMIT, memory)
    first.add(b"x" * 600)
    second.add(b"x" * 400)
    with pytest.raises(Overloaded):
        second.add(b"x")
    first.release()
    second.add(b"x" * 600)
    assert memory.held == LIMIT


def test_what_a_reader_unpacks_of_a_body_counts_until_it_is_released() -> None:
    memory = BodyBudget(LIMIT)
    packed = Body(HTTPHeaders({"Content-Encoding": "snappy"}), LIMIT, memory, left=("snappy",))
    packed.add(b"packed")
    assert packed.complete() == b"packed"
    with pytest.raises(TooLarge, match=str(LIMIT)):
        packed.hold(LIMIT + 1)
    with pytest.raises(Overloaded):
        packed.hold(LIMIT)
    packed.hold(LIMIT - 6)
    assert memory.held == LIMIT
    packed.release()
    packed.hold(5)  # by a thread that has not ended with its request
    assert memory.held == 0


async def test_a_message_waits_for_its_turn() -> None:
    memory = BodyBudget(LIMIT)
    await memory.take_in_turn(600)
    waiting = asyncio.create_task(memory.take_in_turn(500))
    await asyncio.sleep(0)
    assert not waiting.done()
    memory.give_back(600)
    await asyncio.wait_for(waiting, 5)
    assert memory.held == 500


async def test_messages_wait_for_their_turn_but_not_without_bound() -> None:
    memory = BodyBudget(100)
    memory.take(80)
    first = asyncio.create_task(memory.take_in_turn(60))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded, match="60 bytes of messages wait"):
        await memory.take_in_turn(50)
    memory.give_back(80)
    await first
    assert memory.held == 60
    await memory.take_in_turn(40)
    assert memory.held == 100
