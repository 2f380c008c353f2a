#!/usr/bin/env bash
# aioinflux (PyPI) 0.9.0: a time without a zone is written an hour early, but only while the machine has summer time.
#
# One would expect: times without a zone are taken for UTC, as its source says that they are, so 12:00 is 12:00
# UTC, in January and in July, on any machine.
# What happens: it has the machine's zone taken away by `time.timezone`, which is the offset of winter. On a machine
# in Berlin 12:00 in January is written as 12:00 UTC, and in July as 11:00 UTC; in Sydney it is January that is wrong. Texts
# without a zone are read the same way. Nothing is raised: half of a year's points lie an hour beside the other half.
# Seen in November 2026, with the client writing to a server of its own. Exits non-zero if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check aioinflux==0.9.0 aiohttp==3.14.5 ciso8601==2.4.1
cat > "$work/write.py" <<'PY'
import asyncio
import datetime
import sys

from aiohttp import web
from aioinflux import InfluxDBClient

written = []


async def write(request):
    written.append(int((await request.text()).split()[-1]) / 1e9)
    return web.Response(status=204)


async def main():
    application = web.Application()
    application.router.add_post("/write", write)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    async with InfluxDBClient("127.0.0.1", port, db="any") as client:
        for month in (1, 7):
            noon = datetime.datetime(2026, month, 15, 12, 0)
            for time in (noon, noon.isoformat(), noon.replace(tzinfo=datetime.timezone.utc)):
                await client.write({"measurement": "m", "time": time, "fields": {"v": 1.0}})
    await runner.cleanup()


asyncio.run(main())
hours = [datetime.datetime.fromtimestamp(time, datetime.timezone.utc).strftime("%b %H:%M") for time in written]
print(", ".join(hours))
sys.exit(hours != sys.argv[1].split(","))
PY
in_zone() {
    echo "On a machine in $1; 12:00 without a zone, the same as text, with UTC as its zone:"
    TZ=$2 "$work/venv/bin/python" -W ignore "$work/write.py" "$3"
}
in_zone Berlin CET-1CEST,M3.5.0,M10.5.0/3 "Jan 12:00,Jan 12:00,Jan 12:00,Jul 11:00,Jul 11:00,Jul 12:00"
in_zone Sydney AEST-10AEDT,M10.1.0,M4.1.0/3 "Jan 11:00,Jan 11:00,Jan 12:00,Jul 12:00,Jul 12:00,Jul 12:00"
in_zone UTC UTC0 "Jan 12:00,Jan 12:00,Jan 12:00,Jul 12:00,Jul 12:00,Jul 12:00"
