#!/usr/bin/env bash
# Linux of August 2026 (commit 5d39580f68e6) and later: a process without CAP_NET_ADMIN may attach no filter to its TCP socket.
#
# One would expect: SO_ATTACH_FILTER with a classic BPF program needs no privilege, as it did not for many
# years; so a server may drop SYNs on a listening socket that it is about to close.
# What happens: on TCP sockets it is EPERM; on UDP and Unix sockets it works, and so does a bound on hops (IP_MINTTL) on
# TCP. Whoever tests as root does not see it.
# Seen in November 2026. Exits non-zero if that changes. Run as root it gives up its capabilities first.
set -euo pipefail
drop=()
[ "$(id -u)" != 0 ] || drop=(setpriv --bounding-set=-all --inh-caps=-all)
"${drop[@]}" python3 - <<'PY'
import ctypes
import platform
import socket
import struct

held = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0xFFFFFFFF))  # take everything
program = struct.pack("HP", 1, ctypes.addressof(held))


def attached(kind):
    with socket.socket(socket.AF_INET, kind) as own:
        try:
            own.setsockopt(socket.SOL_SOCKET, 26, program)
        except OSError as error:
            return error.strerror
    return "attached"


seen = {"TCP": attached(socket.SOCK_STREAM), "UDP": attached(socket.SOCK_DGRAM)}
with socket.socket() as own:
    own.setsockopt(socket.IPPROTO_IP, 21, 255)
print(f"Linux {platform.release()}: {seen}; a bound on hops is set")
assert seen == {"TCP": "Operation not permitted", "UDP": "attached"}
PY
