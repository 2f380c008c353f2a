"""MongoDB's wire protocol, as far as a proxy must read and rewrite it.

OP_MSG, and the OP_QUERY and OP_REPLY of a driver's first handshake, as
https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/ has them.
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass, replace
from typing import Any

import bson
from bson.codec_options import CodecOptions, DatetimeConversion

Document = dict[str, Any]

OP_REPLY, OP_QUERY, OP_MSG = 1, 2004, 2013
MORE_TO_COME, EXHAUST_ALLOWED = 1 << 1, 1 << 16
_HEADER = struct.Struct("<iiii")  # length, request id, response to, opcode
_FLAGS = struct.Struct("<I")
_SIZE = struct.Struct("<i")
_SEQUENCE_HEAD = 1 + _SIZE.size  # of a section of kind 1: the kind and its size; its name follows
_REPLY_HEAD = 20  # of OP_REPLY: flags, cursor, first, count
_OPTIONS: CodecOptions[Document] = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_MS)


@dataclass(slots=True)
class Message:
    """One message; ``body``: its command or answer. ``rest``: its other sections, as they are."""

    request: int
    response_to: int
    opcode: int
    head: bytes
    body: Document
    rest: bytes = b""

    @property
    def name(self) -> str:
        """The command's name."""
        return next(iter(self.body), "")

    @property
    def collection(self) -> str:
        """The collection that it is about, if it is about one."""
        named = self.body.get("collection" if self.name == "getMore" else self.name)
        return named if isinstance(named, str) else ""

    @property
    def database(self) -> str:
        return str(self.body.get("$db", ""))

    def statements(self) -> list[bytes]:
        """Return what a write consists of, each as BSON; drivers send them as one sequence of documents."""
        start = self.rest.index(b"\0", _SEQUENCE_HEAD) + 1
        found = []
        while start < len(self.rest):
            stop = start + _SIZE.unpack_from(self.rest, start)[0]
            found.append(self.rest[start:stop])
            start = stop
        return found

    def with_statements(self, statements: list[bytes]) -> Message:
        """Return the same write of other statements."""
        name = self.rest[_SEQUENCE_HEAD : self.rest.index(b"\0", _SEQUENCE_HEAD) + 1]
        content = name + b"".join(statements)
        return replace(self, rest=b"\1" + _SIZE.pack(_SIZE.size + len(content)) + content)

    def encode(self) -> bytes:
        content = self.head + bson.encode(self.body, codec_options=_OPTIONS) + self.rest
        return (
            _HEADER.pack(_HEADER.size + len(content), self.request, self.response_to, self.opcode) + content
        )

    def answer(self, body: Document) -> Message:
        """Return the answer to this command."""
        return Message(0, self.request, OP_MSG, bytes(_FLAGS.size) + b"\0", body)


async def read(stream: asyncio.StreamReader) -> Message:
    """Read one message; raises `asyncio.IncompleteReadError` at the end."""
    length, request, response_to, opcode = _HEADER.unpack(await stream.readexactly(_HEADER.size))
    content = await stream.readexactly(length - _HEADER.size)
    decode = {OP_MSG: _message, OP_QUERY: _query, OP_REPLY: _reply}[opcode]
    head, body, rest = decode(content)
    return Message(request, response_to, opcode, head, body, rest)


def _message(content: bytes) -> tuple[bytes, Document, bytes]:
    (flags,) = _FLAGS.unpack_from(content)
    place, body, rest = _FLAGS.size, b"", b""
    while place < len(content):
        kind, size = content[place], _SIZE.unpack_from(content, place + 1)[0]
        section = content[place : place + 1 + size]
        if kind == 0:
            body = section[1:]
        else:
            rest += section
        place += 1 + size
    flags &= ~EXHAUST_ALLOWED  # every command gets one answer
    return _FLAGS.pack(flags) + b"\0", bson.decode(body, _OPTIONS), rest


def _query(content: bytes) -> tuple[bytes, Document, bytes]:
    name_end = content.index(b"\0", 4) + 1
    start = name_end + 8  # skip and limit
    return content[:start], bson.decode(content[start:], _OPTIONS), b""


def _reply(content: bytes) -> tuple[bytes, Document, bytes]:
    return content[:_REPLY_HEAD], bson.decode(content[_REPLY_HEAD:], _OPTIONS), b""
