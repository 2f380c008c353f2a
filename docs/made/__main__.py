"""Write every table of the pages anew, and say which have changed."""

from __future__ import annotations

import sys

from docs.made.daemons import both
from docs.made.pages import ROOT, renewed
from docs.made.tables import every_table

if __name__ == "__main__":
    for path, text in renewed(every_table(*both())).items():
        path.write_text(text)
        sys.stdout.write(f"{path.relative_to(ROOT)}\n")
