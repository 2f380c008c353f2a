"""Which heads are put right, and which are left for Tornado to refuse."""

from __future__ import annotations

import pytest

from cube.web.http1 import put_right

START = b"POST /tp2 HTTP/1.1\r\n"
END = b"Content-Length: 2\r\n\r\n"


@pytest.mark.parametrize(
    ("line", "right"),
    [
        (b"X-Api-Key : KEY : 1\r\n", b"X-Api-Key: KEY : 1\r\n"),
        (b"x-api-key \t:KEY\r\n", b"x-api-key:KEY\r\n"),
        (b"X-Datacoral-Environment\t: dev\r\n", b"X-Datacoral-Environment: dev\r\n"),
        (b"X-Api-Key : a\nx-datacoral-environment : b\n", b"X-Api-Key: a\nx-datacoral-environment: b\n"),
    ],
)
def test_a_blank_before_the_colon_of_two_names_goes(line: bytes, right: bytes) -> None:
    assert put_right(START + line + END) == START + right + END


@pytest.mark.parametrize(
    "lines",
    [
        b"X-Api-Key: KEY : 1\r\n",
        b"Content-Length : 2\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Host : a\r\n",
        b"X-Api-Keys : KEY\r\n",
        b"Y-X-Api-Key : KEY\r\n",
        b" X-Api-Key : KEY\r\n",
        b"X-Api-Key : a\r\nX-API-Key : b\r\n",
        b"X-Api-Key: a\r\nx-api-key : b\r\n",
        b"X-Api-Key :\r\n Content-Length: 5\r\n",
        b"X-Api-Key : a\r\n\tb\r\n",
        b"X-Api-Key : a\rContent-Length: 5\r\n",
        b"A: b\rX-Api-Key : a\r\n",
    ],
)
def test_everything_else_stays_as_it_is(lines: bytes) -> None:
    assert put_right(START + lines + END) == START + lines + END
