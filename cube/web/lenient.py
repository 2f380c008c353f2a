"""Two headers that Datacoral's client writes with a blank before the colon, put right before Tornado parses.

RFC 9112, section 5.1, has servers refuse such lines: where a proxy in front reads a header and the
server does not, or the other way round, a request can be hidden in another. So this holds for
these two names alone, of which no framing depends, and only where it leaves nothing to interpret.
"""

from __future__ import annotations

import re

_NAME = rb"^(x-api-key|x-datacoral-environment)"
_ANY = re.compile(rb"(?im)" + _NAME + rb"[ \t]*:")
# Not where the next line continues this one: how far a header goes is then a matter of opinion.
_BLANK = re.compile(rb"(?im)" + _NAME + rb"[ \t]+:(?=[^\r\n]*\r?\n(?![ \t]))")


def put_right(head: bytes) -> bytes:
    """Return a request's head without the blanks; one where a name occurs twice is left as it is."""
    if b" :" not in head and b"\t:" not in head:  # nearly every head
        return head
    names = [found.lower() for found in _ANY.findall(head)]
    if len(names) != len(set(names)):
        return head
    return _BLANK.sub(rb"\1:", head)
