#!/usr/bin/env bash
# bson (PyPI) 0.5.10: a field of a type that it does not know gets the value of the field before it.
#
# One would expect of a document as a MongoDB dump has it either all of its fields, or an error that names the
# type which cannot be read.
# What happens: types that are not in its list are passed over without a word, and the last value counts once more:
# {"used": 80, "limit": MaxKey()} is read as {"used": 80, "limit": 80}; a MinKey does the same, also in an array. And an
# integer from 2**63 on is written as BSON's type 0x11, which every other reader takes for a timestamp of an oplog.
# Seen in November 2026, the documents written and read by PyMongo 4.15.5. Exits non-zero if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
pip=("$work/venv/bin/pip" install --quiet --disable-pip-version-check)
"${pip[@]}" --target "$work/mongo" pymongo==4.15.5
"${pip[@]}" --target "$work/other" bson==0.5.10 # both have a module bson, so each is alone
python() { PYTHONPATH="$work/$1" "$work/venv/bin/python" -W error::DeprecationWarning "$work/$2"; }
cat > "$work/write.py" <<'PY'
import pathlib, sys
from bson import BSON, MaxKey, MinKey
document = {"used": 80, "limit": MaxKey(), "since": MinKey(), "range": [5, MaxKey()]}
sys.stdout.buffer.write(BSON.encode(document))
PY
cat > "$work/read.py" <<'PY'
import sys
import bson
found = bson.loads(sys.stdin.buffer.read())
print(found, file=sys.stderr)
sys.stdout.buffer.write(bson.dumps({"bytes": 2**63 + 5}))
sys.exit(found != {"used": 80, "limit": 80, "since": 80, "range": [5, 5]})
PY
cat > "$work/check.py" <<'PY'
import sys
from bson import BSON, Timestamp
found = BSON(sys.stdin.buffer.read()).decode()
print(found)
sys.exit(found != {"bytes": Timestamp(2**31, 5)})
PY
python mongo write.py > "$work/document"
python other read.py < "$work/document" > "$work/answer"
python mongo check.py < "$work/answer"
