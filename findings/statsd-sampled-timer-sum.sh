#!/usr/bin/env bash
# statsd (npm) 0.9.0, Etsy's daemon: of a sampled timer the count is scaled up, the sum is not.
#
# One would expect: four timings sent at @0.1 stand for forty. Either every figure is of the four that came, or count
# and sum are both of the forty that there were; in both cases sum / count is the mean.
# What happens: count is 40, and count_ps goes by it, while sum (1000), sum_squares, mean (250), median and std, and
# what is counted below a percentile (count_90 is 4), are of the four: sum / count is 25 ms for timings of 100 to
# 400 ms. docs/metric_types.md gives the rate to the counter that each timer has, and says nothing of the sum. Who
# adds sums and counts over hosts, which is what they are for, has a mean that depends on the sampling.
# Seen in November 2026. Exits non-zero if that changes.
set -euo pipefail
work=$(mktemp -d)
daemon=
trap '[ -z "$daemon" ] || kill "$daemon" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund statsd@0.9.0 >/dev/null
cat >free.py <<'PY'
import socket

ends = [socket.socket(socket.AF_INET, kind) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM)]
for end in ends:
    end.bind(("127.0.0.1", 0))
print(*(end.getsockname()[1] for end in ends))
PY
read -r port admin < <(python3 free.py)
cat >tell.js <<'JS'
exports.init = (start, config, events) => {
  events.on("flush", (time, metrics) => {
    const took = metrics.timer_data.took;
    if (took) console.log("FLUSHED " + JSON.stringify(took));
  });
  return true;
};
JS
cat >config.js <<CONFIG
{ address: "127.0.0.1", port: $port, mgmt_address: "127.0.0.1", mgmt_port: $admin,
  flushInterval: 1000, percentThreshold: [90], backends: ["$work/tell.js"] }
CONFIG
node node_modules/statsd/stats.js config.js >log 2>&1 &
daemon=$!
python3 - "$port" "$admin" <<'PY'
import json
import pathlib
import socket
import sys
import time

port, admin = map(int, sys.argv[1:])
deadline = time.monotonic() + 30
while True:
    try:
        socket.create_connection(("127.0.0.1", admin), timeout=1).close()
        break
    except OSError:
        if time.monotonic() > deadline:
            sys.exit("statsd does not start: " + pathlib.Path("log").read_text())
        time.sleep(0.05)
lines = "".join(f"took:{ms}|ms|@0.1\n" for ms in (100, 200, 300, 400))
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(lines.encode(), ("127.0.0.1", port))
while not (found := [line for line in pathlib.Path("log").read_text().splitlines() if line.startswith("FLUSHED ")]):
    if time.monotonic() > deadline:
        sys.exit("nothing was flushed: " + pathlib.Path("log").read_text())
    time.sleep(0.05)
took = json.loads(found[0].removeprefix("FLUSHED "))
print({name: took[name] for name in ("count", "count_90", "sum", "mean", "median")})
print("sum / count:", took["sum"] / took["count"])
sys.exit((took["count"], took["count_90"], took["sum"], took["mean"]) != (40, 4, 1000, 250))
PY
