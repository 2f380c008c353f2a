"""``python -m cube.process.parent_watch MODULE …`` runs a module that ends when its parent does.

Standard input is a pipe whose other end only the parent holds and never writes to. However the
parent ends, SIGKILL included, the kernel closes that end; then this process stops as by SIGTERM.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading

_STANDARD_INPUT = 0


def main() -> None:
    """Run the module that the first argument names, with the others as its arguments."""
    threading.Thread(target=_stop_with_parent, name="tether", daemon=True).start()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _stop_with_parent() -> None:
    while os.read(_STANDARD_INPUT, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
