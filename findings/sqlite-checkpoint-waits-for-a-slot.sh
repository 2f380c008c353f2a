#!/usr/bin/env bash
# apsw (PyPI) 3.54.1.0, with SQLite 3.54.1: a checkpoint that restarts the log waits in vain for readers it need not wait for.
#
# One would expect: while one connection checkpoints with TRUNCATE (or RESTART, or FULL), it writes, so nothing is added
# to the log. It waits for a reader whose snapshot is older than the log's last commit; readers that begin later see
# all of the log and are not in its way. So it ends soon after that one reader did, though others read all the while.
# What happens: it waits for the old reader's slot, not for its snapshot. The next reader that begins when the slot is
# free takes it, others share it, and the checkpoint goes on waiting for it as long as their reads overlap: until its busy
# timeout is over, and with it every writer. It then says busy, with nothing copied that the last commit wrote. Called
# again at once, beside the same readers, it is done within milliseconds, for it looks at the slots anew.
# Debian's SQLite 3.40.1 does the same. Seen in November 2026. Exits non-zero if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check apsw==3.54.1.0
"$work/venv/bin/python" - "$work/base" <<'PY'
import sys
import threading
import time

import apsw


def opened():
    made = apsw.Connection(sys.argv[1])
    made.pragma("journal_mode", "wal")
    return made


def read(connection):
    connection.execute("begin")
    connection.execute("select count(*) from t").fetchall()


def checkpoint(milliseconds):
    writer.set_busy_timeout(milliseconds)
    began = time.monotonic()
    try:
        writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        outcomes.append("done")
    except apsw.BusyError:
        outcomes.append("busy")
    print("a checkpoint with a timeout of %d ms: %s after %.1f s" % (milliseconds, outcomes[-1], time.monotonic() - began))


def beside_readers(work, one, other):
    """Run something while at least one of two connections reads, each begun long after the last commit."""
    thread = threading.Thread(target=work)
    thread.start()
    while thread.is_alive():
        read(other)
        one.execute("rollback")
        one, other = other, one
        time.sleep(0.001)
    return one, other


outcomes = []
writer, old, one, other = (opened() for _ in range(4))
writer.execute("create table t (x); insert into t values (1)")
read(old)
writer.execute("begin")
writer.executemany("insert into t values (?)", [("x" * 1000,)] * 1000)
writer.execute("commit")


def replace_the_old_reader():
    time.sleep(0.5)
    old.execute("rollback")
    read(one)


hand_over = threading.Thread(target=replace_the_old_reader)
waits = threading.Thread(target=checkpoint, args=(3000,))
waits.start()
hand_over.start()
hand_over.join()
one, other = beside_readers(waits.join, one, other)
one, other = beside_readers(lambda: checkpoint(3000), one, other)
sys.exit(outcomes != ["busy", "done"])
PY
