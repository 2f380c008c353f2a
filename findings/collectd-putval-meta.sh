#!/bin/sh
# collectd 5.12.0 (Debian collectd-core 5.12.0-14), PUTVAL with meta data over its plugin unixsock.
#
# collectd-unixsock(5) documents the option meta:key=value of PUTVAL. One would expect of
#
#     PUTVAL "h/p/gauge-told" interval=10 meta:note="text" 1700000000:42
#
# either an answer "0 Success" and a value with that meta data, or an error and no value.
#
# What happens: the answer is "-1 Non-string metadata not supported yet" (it is a string: the quotes have been
# taken off before they are looked for), and the value is dispatched to all write plugins all the same. Who
# believes the answer and sends the value again has it twice. With quotes that survive, meta:note="\"text\"",
# the answer is "0 Success".
#
# Prints what was answered and what was written; exits with 1 where the behaviour is another one.
set -eu
work=$(mktemp -d)
daemon=
trap '[ -z "$daemon" ] || kill "$daemon" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT INT TERM
cd "$work"
apt-get -o APT::Sandbox::User=root download -qq collectd-core=5.12.0-14 >/dev/null
dpkg-deb -x collectd-core_*.deb tree
printf 'gauge value:GAUGE:U:U\n' > types.db
cat > collectd.conf <<EOF
Hostname "h"
FQDNLookup false
BaseDir "$work"
PIDFile "$work/pid"
PluginDir "$work/tree/usr/lib/collectd"
TypesDB "$work/types.db"
LoadPlugin unixsock
<Plugin unixsock>
  SocketFile "$work/socket"
</Plugin>
LoadPlugin csv
<Plugin csv>
  DataDir "$work/csv"
</Plugin>
EOF
tree/usr/sbin/collectd -f -C collectd.conf 2>log &
daemon=$!
python3 - "$work" <<'EOF'
import pathlib, socket, sys, time

work = pathlib.Path(sys.argv[1])
deadline = time.monotonic() + 20
while not (work / "socket").exists():
    if time.monotonic() > deadline:
        sys.exit("collectd does not start: " + (work / "log").read_text())
    time.sleep(0.05)
client = socket.socket(socket.AF_UNIX)
client.settimeout(20)
client.connect(str(work / "socket"))
stream = client.makefile("rw")
answers = {}
for name, option in (("told", 'meta:note="text"'), ("quoted", r'meta:note="\"text\""')):
    stream.write(f'PUTVAL "h/p/gauge-{name}" interval=10 {option} 1700000000:42\n')
    stream.flush()
    answers[name] = stream.readline().strip()
    print(f"{option}  answered: {answers[name]}")
written = {}
for name in answers:
    while not (found := list(work.glob(f"csv/h/p/gauge-{name}-*"))) or "42" not in found[0].read_text():
        if time.monotonic() > deadline:
            sys.exit(f"gauge-{name} was not written")
        time.sleep(0.05)
    print(f"gauge-{name}  written: {found[0].read_text().splitlines()[-1]}")
sys.exit(not (answers["told"].startswith("-1 ") and answers["quoted"].startswith("0 ")))
EOF
