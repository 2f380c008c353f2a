"""``python -m cube.settings collector`` prints the commented settings file of a daemon."""

from __future__ import annotations

import sys

from cube.settings.daemons import CollectorSettings, EvaluatorSettings
from cube.settings.document import commented_toml

if __name__ == "__main__":
    daemons = {cls.program: cls for cls in (CollectorSettings, EvaluatorSettings)}
    sys.stdout.write(commented_toml(daemons[sys.argv[1]]))
