#!/usr/bin/env bash
# aio-statsd (PyPI) 0.2.9: sampling is upside down; a rate of 0.1 sends nine lines of ten, each as if it were ten.
#
# One would expect: a counter with sample_rate=0.1 is sent about once in ten calls, with "|@0.1", so that the server,
# which divides by the rate, has about what was counted; StatsD's and Datadog's documents say it so.
# What happens: the line is sent when the random number is ABOVE the rate. 500 calls at 0.1 are some 450 lines, which
# the server takes for 4500; 500 at 0.9 are some 50 lines, taken for 56; at 0.5 all seems well. StatsdClient and
# DogStatsdClient are alike in this, but not in increment(): a counter ("hits:1|c") from DogStatsdClient, a change of
# a gauge ("hits:+1|g") from StatsdClient, where counter() counts.
# Seen in November 2026. Exits non-zero if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check aio-statsd==0.2.9
"$work/venv/bin/python" - <<'PY'
import asyncio
import random
import sys

import aio_statsd

CALLS = 500


class Sink(asyncio.DatagramProtocol):
    def __init__(self):
        self.lines = []

    def datagram_received(self, data, address):
        self.lines.extend(data.decode().splitlines())


async def lines(kind, calls):
    """What a client of that kind sends: all there is when nothing has come for half a second."""
    transport, sink = await asyncio.get_running_loop().create_datagram_endpoint(Sink, ("127.0.0.1", 0))
    client = kind(host="127.0.0.1", port=transport.get_extra_info("sockname")[1])
    await client.connect()
    for number, (name, *arguments) in enumerate(calls):
        getattr(client, name)(*arguments)
        if number % 20 == 19:
            await asyncio.sleep(0.01)
    seen = -1
    while len(sink.lines) > seen:
        seen = len(sink.lines)
        await asyncio.sleep(0.5)
    await client.close()
    transport.close()
    return sink.lines


async def main():
    random.seed(1)
    changed = []
    for kind, name in ((aio_statsd.StatsdClient, "counter"), (aio_statsd.DogStatsdClient, "increment")):
        for rate in (0.1, 0.5, 0.9):
            found = await lines(kind, [(name, "hits", 1, rate)] * CALLS)
            print(f"{kind.__name__}, {CALLS} calls at {rate}: {len(found)} lines {found[0]},", end=" ")
            print("counted as", round(len(found) / rate))
            changed.append(abs(len(found) - CALLS * (1 - rate)) > CALLS / 8 or found[0] != f"hits:1|c|@{rate}")
    for kind, expected in ((aio_statsd.StatsdClient, "hits:+1|g"), (aio_statsd.DogStatsdClient, "hits:1|c")):
        found = await lines(kind, [("increment", "hits", 1)])
        print(f"{kind.__name__}, increment(): {', '.join(found)}")
        changed.append(found != [expected])
    return any(changed)


sys.exit(asyncio.run(main()))
PY
