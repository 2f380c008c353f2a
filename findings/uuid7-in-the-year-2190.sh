#!/usr/bin/env bash
# uuid7 (PyPI) 0.1.0 and uuid (npm) 14.0.3: two "version 7" ids of one moment, 164 years apart.
#
# One would expect: both say version 7, variant 10. RFC 9562 (5.7) has milliseconds since 1970 in the first 48 bits,
# so ids of several producers sort by time together and the time of an event can be read from its id.
# What happens: the PyPI package of that name keeps to a draft of 2021 (its README says so): 36 bits of seconds, then
# the fraction. Read by the RFC an id of 14 November 2023 is one of August 2190, it sorts behind every id of the
# RFC's for as long, and a second between two ids is 4.096 seconds: spans are wrong, too. Nothing in the id tells
# them apart. A store that takes times or partitions from ids has events in a future that never gets old.
# Seen in November 2026. Exits non-zero if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check uuid7==0.1.0 uuid6==2025.0.1
npm install --silent --no-audit --no-fund uuid@14.0.3 >/dev/null
cat >probe.mjs <<'JS'
import { v7 } from "uuid";
console.log(v7({ msecs: 1700000000000 }));
JS
node probe.mjs >npm-id
venv/bin/python - <<'PY'
import datetime
import pathlib
import sys
import uuid

import uuid6
import uuid_extensions

UTC = datetime.timezone.utc
START = 1_700_000_000_000_000_000  # nanoseconds, 2023-11-14T22:13:20Z


def by_the_rfc(one):
    return datetime.datetime.fromtimestamp(uuid6.UUID(int=one.int).time / 1000, UTC)


npm = uuid.UUID(pathlib.Path("npm-id").read_text().strip())
pypi = uuid_extensions.uuid7(START)
later = uuid_extensions.uuid7(START + 1_000_000_000)
for name, one in (("uuid (npm)", npm), ("uuid7 (PyPI)", pypi)):
    print(f"{name}: {one}, version {one.version}, by RFC 9562 of {by_the_rfc(one):%Y-%m-%d %H:%M:%S}")
second = (by_the_rfc(later) - by_the_rfc(pypi)).total_seconds()
print("two of uuid7 (PyPI) a second apart are, by RFC 9562, %.3f s apart" % second)
right = (npm.version, pypi.version) == (7, 7) and by_the_rfc(npm).year == 2023
sys.exit(not right or by_the_rfc(pypi).year != 2190 or second != 4.096 or not npm < pypi)
PY
