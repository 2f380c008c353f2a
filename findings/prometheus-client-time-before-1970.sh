#!/usr/bin/env bash
# prometheus_client (PyPI) 0.26.0: OpenMetrics times before 1970 lose their sign, or are written as no number.
#
# One would expect: OpenMetrics 1.0 gives timestamps as seconds since the epoch, a real number, and says that
# negative ones may be used. What the package's own parser reads, its own exposition writes back.
# What happens: Timestamp keeps seconds and nanoseconds apart and takes the sign from the whole seconds. "-0.5" has
# the whole seconds 0, so it is read as half a second AFTER the epoch. "-1.5" is read right, but written as
# "-1.-500000000", which no parser reads: the package's own says "could not convert string to float". Whole
# seconds are right, and so are fractions in the old text format, whose times are a plain float.
# Seen in November 2026. Exits non-zero if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check prometheus-client==0.26.0
"$work/venv/bin/python" - <<'PY'
import sys

from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as text_format


class Families:
    def __init__(self, families):
        self.families = families

    def collect(self):
        return self.families


seen = {}
for sent in ("-2", "-1.5", "-0.5", "0.5"):
    families = list(openmetrics(f"# TYPE x gauge\nx 1 {sent}\n# EOF\n"))
    registry = CollectorRegistry()
    registry.register(Families(families))
    written = generate_latest(registry).decode().splitlines()[-2].split(" ")[-1]
    seen[sent] = (float(families[0].samples[0].timestamp), written)
    print("OpenMetrics %s: read as %s, written as %s" % (sent, *seen[sent]))
old = [family.samples[0].timestamp for family in text_format("# TYPE x gauge\nx 1 -500\n")]
print("text format, -500 ms: read as", old[0])
expected = {
    "-2": (-2.0, "-2.000000000"),
    "-1.5": (-1.5, "-1.-500000000"),
    "-0.5": (0.5, "0.500000000"),
    "0.5": (0.5, "0.500000000"),
}
sys.exit(seen != expected or old != [-0.5])
PY
