"""What holds a process that runs somebody's statement: the kernel's bounds, and on Linux a filter of calls.

DuckDB is told to open no file and no connection; this is for the day when that is not enough. The process
opens nothing, starts nothing, connects nowhere and signals nobody any more, so all modules are imported and
used before. The filter is of seccomp (Linux 3.17), in the assembler of classic BPF.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import resource
import struct
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Final

FILTER: Final = "seccomp"
"""What is told of a filter of calls that holds."""

HEADROOM_BYTES: Final = 2**28
"""What Python, Arrow and the answer may take beside DuckDB's own bound."""

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS, _PR_SET_DUMPABLE = 1, 38, 4
_SIGKILL = 9
_SET_MODE_FILTER, _TSYNC = 1, 1
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_CLONE_THREAD = 0x00010000
_LOAD, _EQUAL, _AND = 0x20, 0x15, 0x54
_RETURN, _ABOVE = 0x06, 0x35
_NUMBER, _ARCH, _FIRST_ARGUMENT = 0, 4, 16

_ARCHES: Final = {"x86_64": (0xC000003E, 317, 56, 435), "aarch64": (0xC00000B7, 277, 220, 435)}
"""By machine: AUDIT_ARCH, and the numbers of seccomp, clone and clone3."""

_OPENING: Final = {"x86_64": (2, 257, 437, 85), "aarch64": (56, 437)}
"""open, openat, openat2, creat: answered as if no file were there, which libraries take for an answer."""

_REFUSED: Final[dict[str, tuple[tuple[int, ...], ...]]] = {
    "x86_64": (
        (41, 42, 43, 49, 50, 44, 46, 53, 288),
        (57, 58, 59, 322),
        (62, 200, 234, 129, 297, 424, 434, 438),
        (101, 310, 311),
        (76, 82, 264, 316, 83, 258, 84, 87, 263, 86, 265, 88, 266, 90, 268, 92, 94, 260, 133, 259),
        (165, 166, 161, 155, 272, 308),
        (321, 323, 298, 425, 250, 248, 249, 319, 302, 304, 303),
    ),
    "aarch64": (
        (198, 203, 202, 200, 201, 206, 211, 199, 242),
        (221, 281),
        (129, 130, 131, 138, 240, 424, 434, 438),
        (117, 270, 271),
        (45, 38, 276, 34, 35, 37, 36, 53, 54, 33),
        (40, 39, 51, 41, 97, 268),
        (280, 282, 241, 425, 219, 217, 218, 279, 261, 265, 264),
    ),
}
"""Calls that are refused, by machine. In each: sockets; processes; signals; other processes' memory; names of
files; mounts and namespaces; what else leads out (bpf, userfaultfd, perf_event_open, io_uring_setup, keys,
memfd_create, prlimit64, files by handle)."""


def follow_parent() -> None:
    """Have this process killed when the thread that started it ends, where the kernel can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)


def enter(memory_bytes: int, seconds: float) -> list[str]:
    """Give up what a statement does not need, for good, in all threads; return the names of what holds now.

    ``memory_bytes``: DuckDB's own bound. ``seconds``: of the processor, about, at two threads.
    """
    held = ["limits"]
    for name, bound in (
        ("RLIMIT_FSIZE", 0),
        ("RLIMIT_CORE", 0),
        ("RLIMIT_CPU", 2 * int(seconds) + 5),
        ("RLIMIT_DATA", memory_bytes + HEADROOM_BYTES + _data_bytes()),
    ):
        kind = getattr(resource, name, None)
        if kind is not None:
            _, most = resource.getrlimit(kind)
            wanted = bound if most == resource.RLIM_INFINITY else min(bound, most)
            resource.setrlimit(kind, (wanted, wanted))
    if sys.platform == "linux" and platform.machine() in _ARCHES and _filter_calls(platform.machine()):
        held.append(FILTER)
    return held


def _data_bytes() -> int:
    """Return what of `RLIMIT_DATA` is taken already, about."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    except OSError:
        return HEADROOM_BYTES


def _filter_calls(machine: str) -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    program = b"".join(_program(machine))
    code = ctypes.create_string_buffer(program)
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    _, seccomp, _, _ = _ARCHES[machine]
    return int(libc.syscall(seccomp, _SET_MODE_FILTER, _TSYNC, header)) == 0


def _program(machine: str) -> Iterator[bytes]:
    """Yield the instructions: what is named is refused, another architecture's calls end the process."""
    arch, _, clone, clone3 = _ARCHES[machine]
    yield _instruction(_LOAD, 0, 0, _ARCH)
    yield _instruction(_EQUAL, 1, 0, arch)
    yield _instruction(_RETURN, 0, 0, _KILL)
    yield _instruction(_LOAD, 0, 0, _NUMBER)
    if machine == "x86_64":  # calls of the x32 ABI have a bit of their own
        yield _instruction(_ABOVE, 0, 1, 0x40000000)
        yield _instruction(_RETURN, 0, 0, _KILL)
    refused = chain.from_iterable(_REFUSED[machine])
    for numbers, error in ((_OPENING[machine], errno.ENOENT), (refused, errno.EACCES)):
        for number in numbers:
            yield _instruction(_EQUAL, 0, 1, number)
            yield _instruction(_RETURN, 0, 0, _REFUSE | error)
    yield _instruction(_EQUAL, 0, 1, clone3)  # whose flags a filter cannot see: libc falls back to clone
    yield _instruction(_RETURN, 0, 0, _REFUSE | errno.ENOSYS)
    yield _instruction(_EQUAL, 0, 4, clone)
    yield _instruction(_LOAD, 0, 0, _FIRST_ARGUMENT)
    yield _instruction(_AND, 0, 0, _CLONE_THREAD)
    yield _instruction(_EQUAL, 1, 0, _CLONE_THREAD)
    yield _instruction(_RETURN, 0, 0, _REFUSE | errno.EACCES)
    yield _instruction(_RETURN, 0, 0, _ALLOW)


def _instruction(code: int, if_true: int, if_false: int, value: int) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)
