"""How `make docs` makes a site of these pages: Sphinx, Markdown by MyST, the command by sphinx-click."""

from importlib.metadata import version as version_of

project = "Cube"
project_copyright = "Cube's authors"
version = release = version_of("cube-events")

extensions = ["myst_parser", "sphinx_click"]
source_suffix = {".md": "markdown"}
myst_heading_anchors = 4
smartquotes = False  # --flag is no dash
# Blocks that tests find by words of their own, and programs in quotes within a shell's.
suppress_warnings = ["misc.highlighting_failure"]

html_theme = "furo"
html_title = f"Cube {version}"
html_copy_source = False
html_show_sphinx = False
