#!/usr/bin/env bash
# mtail 3.0.0-rc50 (Debian mtail 3.0.0~rc50-1+b6), -statsd_hostport: each push sends the whole of a counter once more.
#
# One would expect: StatsD's `c` is an increase; servers add up what they get (statsd/docs/metric_types.md). So after
# three lines of a log all that is pushed adds up to 3, however often it is pushed.
# What happens: the total goes out as `name:3|c` at each -metric_push_interval, a minute unless told, whether or not
# the log has grown: an hour after three lines a server has counted 180. A gauge is right. A histogram goes out without
# a kind, as `name:6.75|`, which is no line of StatsD.
# Seen in November 2026, three pushes into a socket. Exits non-zero if that changes.
set -euo pipefail
work=$(mktemp -d)
daemon=
trap '[ -z "$daemon" ] || kill "$daemon" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
apt-get -o APT::Sandbox::User=root download -qq mtail=3.0.0~rc50-1+b6 >/dev/null
dpkg-deb -x mtail_*.deb tree
cat > shop.mtail <<'PROGRAM'
counter sold
gauge last
histogram took buckets 1, 10, 100
/sold in (?P<ms>\d+\.\d+) ms/ {
  sold++
  last = $ms
  took = $ms
}
PROGRAM
cat > listen.py <<'PY'
import pathlib
import socket
import sys

server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 0))
server.settimeout(30)
pathlib.Path("port").write_text(str(server.getsockname()[1]))
seen = []
while seen.count("shop.mtail.last:3.25|g") < 3:
    seen += server.recv(65536).decode().splitlines()
    pathlib.Path("pushes").touch()
print(*(line for line in seen if ":0|" not in line), sep="\n")
sold = sum(int(line.split(":")[1].removesuffix("|c")) for line in seen if line.startswith("shop.mtail.sold:"))
print("three were sold; what was pushed adds up to", sold)
sys.exit(sold < 6 or "shop.mtail.took:6.75|" not in seen)
PY
: > shop.log
python3 listen.py &
listener=$!
until [ -s port ]; do sleep 0.05; done
tree/usr/bin/mtail --progs shop.mtail --logs "$work/shop.log" --address 127.0.0.1 --port 0 \
    --statsd_hostport "127.0.0.1:$(cat port)" --metric_push_interval 1s --log_dir "$work" 2>mtail.log &
daemon=$!
until [ -e pushes ] || ! kill -0 "$listener" 2>/dev/null; do sleep 0.05; done
printf 'sold in %s ms\n' 1.25 2.25 3.25 >> shop.log
wait "$listener"
