#!/bin/sh
# datadog 0.56.0 (PyPI), service checks of DogStatsD.
#
# Datadog's description of the datagram says of the message of a service check, m:, that it must be the last
# field: whatever reads to the end of the line has the message. One would expect that the client keeps to it.
#
# What happens: with a cardinality (a documented argument) that field is put
# behind the message:
#
#     _sc|app.ok|1|m:slow|card:low
#
# so for whoever believes the description the message is "slow|card:low". Metrics and events have it at the end,
# too, where no field claims the end for itself.
#
# Prints the line that is sent; exits with 1 where the behaviour is another one.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check datadog==0.56.0
"$work/venv/bin/python" - <<'EOF'
import socket, sys

from datadog.dogstatsd import DogStatsd

sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sink.bind(("127.0.0.1", 0))
sink.settimeout(20)
client = DogStatsd("127.0.0.1", sink.getsockname()[1], disable_telemetry=True, cardinality="low")
client.service_check("app.ok", client.WARNING, message="slow")
client.flush()
line = sink.recv(65536).decode().strip()
print(line)
client.close_socket()
sys.exit(line != "_sc|app.ok|1|m:slow|card:low")
EOF
