"""Hostile inputs, from a seed: valid ones, and what random changes make of them."""

from __future__ import annotations

import base64
import copy
import gzip
import json
import random
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

TYPES = ("fuzz_a", "fuzz_b")  # few, for each is two tables
EXPRESSIONS = (
    "sum(fuzz_a)",
    "sum(fuzz_a(x).eq(y, 'z').group(z)",
    "median(fuzz_a(x))",
    "quantile(0.9, fuzz_a(x + 1))",
    "100 * sum(fuzz_a.ge(x, 5)) / count(fuzz_b(x))",
    "fuzz_a(x, y.z[0]).in(x, [1, 'a', null]).re(y, '(a+)+$')",
    "fuzz_a(*).or(eq(x, 1), not(exists(y)))",
    "max(fuzz_b(-x * ln(x))).group(g)",
    "distinct(fuzz_a(x))",
)
_ODD: Sequence[Any] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    2**53,
    2**63 - 1,
    2**63,
    -(2**63) - 1,
    10**400,
    1e308,
    5e-324,
    -0.0,
    "",
    " ",
    "\x00",
    "\ud800",
    "é",
    "𝒳" * 30,
    "a" * 600,
    "$where",
    "$gt",
    "__proto__",
    "constructor",
    "../../etc/passwd",
    "' OR 1=1 --",
    "'; DROP TABLE types; --",
    "{{7*7}}",
    "${7*7}",
    "<script>alert(1)</script>",
    "%00",
    "%s%n",
    "1; sleep(9)",
    "2026-02-30",
    "9999-12-31T23:59:60Z",
    "0000-00-00",
    "-292275055-05-16T16:47:04Z",
    "NaN",
    "Infinity",
    [],
    {},
    [[]],
    {"$gt": ""},
    {"$where": "sleep(9000)"},
    {"$ne": None},
    {"a.b": 1},
    {"": 1},
    {"_id": {"$ne": 1}},
    {"$regex": "(a+)+$"},
    [{"$set": {"x": 1}}],
    {"$oid": "5" * 24},
    {"$date": 0},
)
_BYTES = (
    b"\x00",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b'"',
    b"{",
    b"}",
    b"[" * 80,
    b"]",
    b",",
    b":",
    b"\\u",
    b"1e999",
    b"//",
)


class Inputs:
    """Makes inputs; the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def value(self, depth: int = 4) -> Any:
        """Return a JSON value, odd ones among them."""
        kind = self.random.randrange(8)
        if depth and kind == 0:
            return [self.value(depth - 1) for _ in range(self.random.randrange(4))]
        if depth and kind == 1:
            return {self.name(): self.value(depth - 1) for _ in range(self.random.randrange(4))}
        if kind == 2:
            deep: Any = 1
            for _ in range(self.random.choice((10, 49, 50, 51, 200))):
                deep = [deep] if self.random.random() < 0.5 else {"a": deep}
            return deep
        return copy.deepcopy(self.random.choice(_ODD))

    def name(self) -> str:
        """Return a property name, odd ones among them."""
        return str(self.random.choice(("x", "y", "z", "g", "_id", "a$", *map(str, _ODD))))

    def event(self) -> Any:
        """Return an event, half of them with something wrong."""
        made = {"type": self.random.choice(TYPES), "time": self.random.randrange(10**12, 2 * 10**12)}
        if self.random.random() < 0.5:
            made["id"] = self.random.randrange(1000)
        made["data"] = {"x": self.random.random(), "y": {"z": [1, "a"]}, "g": self.random.choice("abc")}
        for _ in range(self.random.choice((0, 0, 1, 1, 2))):
            key = self.random.choice(("type", "time", "id", "data", "extra"))
            made[key] = "fuzz_a" if key == "type" and self.random.random() < 0.5 else self.value()
            if key == "type" and isinstance(made[key], str) and made[key].isidentifier():
                made[key] = "fuzz_b"
        return self.value() if self.random.random() < 0.05 else made

    def body(self) -> bytes:
        """Return a body of events, some of it broken."""
        events = [self.event() for _ in range(self.random.choice((0, 1, 1, 2, 5)))]
        raw = events if self.random.random() < 0.7 else {"events": events, "ack": self.value(1)}
        text = to_json(raw if self.random.random() < 0.7 or not events else events[0])
        return self.broken(text) if self.random.random() < 0.3 else text

    def broken(self, text: bytes) -> bytes:
        """Return a text with some of its bytes cut, doubled or replaced."""
        made = bytearray(text)
        for _ in range(self.random.randrange(1, 4)):
            place = self.random.randrange(len(made) + 1)
            match self.random.randrange(4):
                case 0:
                    del made[place : place + self.random.randrange(1, 10)]
                case 1:
                    made[place:place] = self.random.choice(_BYTES)
                case 2:
                    made[place:place] = made[: self.random.randrange(20)]
                case _:
                    made[place : place + 1] = self.random.randbytes(1)
        return bytes(made)

    def expression(self) -> str:
        """Return an expression, most of them broken."""
        text = self.random.choice(EXPRESSIONS)
        match self.random.randrange(6):
            case 0:
                return text
            case 1:
                return text.replace("x", json.dumps(str(self.random.choice(_ODD)))[:200])
            case 2:
                return "(" * self.random.choice((49, 50, 51, 5000)) + text
            case 3:
                return " + ".join([text] * self.random.choice((2, 40, 400)))
            case _:
                return self.broken(text.encode()).decode("utf-8", "replace")

    def question(self) -> dict[str, Any]:
        """Return the parameters of a query; spans are short, so that each costs little."""
        start = self.random.randrange(10**9, 2 * 10**9) * 1000
        made: dict[str, Any] = {
            "expression": self.expression(),
            "start": start,
            "stop": start + self.random.choice((0, 1, 10_000, 3_600_000)),
            "step": self.random.choice((1e3, 1e4, 6e4, "6e4", 3.6e6, 8.64e7)),
            "limit": self.random.choice((1, 10, 100)),
        }
        for _ in range(self.random.choice((0, 0, 1, 2))):
            key = self.random.choice(("start", "stop", "step", "limit", "delay", "late", "id", "cancel"))
            made[key] = self.value(1)
        return made

    def query(self) -> str:
        """Return a query string, percent-encoded or not."""
        parts = []
        for name, value in self.question().items():
            text = value if isinstance(value, str) else to_json(value).decode("latin-1")
            parts.append(f"{name}={quote(text, errors='replace')}")
        if self.random.random() < 0.2:
            parts.append(
                self.random.choice(("start=1", "%", "=", "&&&", "a=%ff", "api_key=x", "expression=sum(x)"))
            )
        return "&".join(parts)

    def headers(self) -> dict[str, str]:
        """Return headers of a request, odd ones among them; without line breaks, which would end it."""
        odd = self.random.choice(
            ("", "x" * 300, "é", "Bearer", "Basic ?", "null", "*", "gzip, gzip", "bytes=0-", "\t")
        )
        names = (
            "Origin",
            "X-Request-Id",
            "Content-Type",
            "Content-Encoding",
            "Accept",
            "Authorization",
            "X-Api-Key",
            "Cookie",
            "Range",
            "If-None-Match",
            "X-HTTP-Method-Override",
            "SP-Anonymous",
            "ce-id",
        )
        made = {}
        for _ in range(self.random.choice((0, 0, 1, 2))):
            made[self.random.choice(names)] = odd
        return made

    def encoded(self, body: bytes) -> tuple[bytes, dict[str, str]]:
        """Return a body as it goes over the wire, now and then compressed, or said to be."""
        match self.random.randrange(12):
            case 0:
                return gzip.compress(body), {"Content-Encoding": "gzip"}
            case 1:
                return self.broken(gzip.compress(body)), {"Content-Encoding": "gzip"}
            case 2:
                return body, {"Content-Encoding": self.random.choice(("gzip", "br", "deflate", "x"))}
            case 3:
                return base64.b64encode(body), {}
            case _:
                return body, {}


def to_json(value: Any) -> bytes:
    """Write JSON, lone surrogates and infinities included, as only a hostile client would."""
    return json.dumps(value).encode("utf-8", "surrogatepass")
