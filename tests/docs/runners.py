"""Which test runs which blocks of the documents."""

from __future__ import annotations

from fnmatch import fnmatch

from tests.docs.blocks import BLOCKS, Block

TESTED = (
    ("README.md", "console", "tests/docs/test_readme.py"),
    ("docs/guide.md", "console", "tests/docs/test_readme.py"),
    ("docs/coming-from/*.md", "console", "tests/docs/test_coming_from.py"),
    ("docs/import.md", "console", "tests/docs/test_import.py"),
    ("docs/client.md", "python text", "tests/docs/test_client.py"),
    ("docs/extending.md", "python", "tests/docs/test_extending.py"),
    ("docs/sql.md", "json sql csv", "tests/docs/test_sql.py"),
    ("docs/sql.md", "sh text", "tests/docs/test_sql_commands.py"),
    ("docs/functions/*.md", "script", "tests/golden/test_scripts.py"),
    ("docs/language.md", " named", "tests/unit/test_expression_documentation.py"),
    ("docs/operations.md", "nginx", "tests/docs/test_proxy.py"),
    ("docs/operations.md", "text", "tests/docs/test_shell_blocks.py"),
    ("docs/install.md", "console", "tests/integration/test_installed.py"),
    ("docs/prometheus.md", "yaml", "tests/docs/test_shell_blocks.py"),
    ("docs/cubism.md", "sh js", "tests/browser/test_cubism.py"),
    ("docs/dialects/eye.md", "json", "tests/docs/test_shell_blocks.py"),
    ("docs/dialects/*.md", "expression", "tests/docs/test_blocks.py"),
    ("docs/dialects/*.md", "python js html", "tests/docs/test_client_blocks.py"),
    ("docs/dialects/collectd.md", "apache", "tests/docs/test_shell_blocks.py"),
    ("docs/architecture.md", "", "tests/docs/test_architecture.py"),
    ("docs/performance.md", "console", "tests/benchmark/test_commands.py"),
    ("docs/*.md", "toml", "tests/docs/test_blocks.py"),
    ("docs/*.md", "console sh", "tests/docs/test_shell_blocks.py"),
    ("docs/*.md", "{*", "Makefile"),  # what Sphinx makes of them: `make docs`
)
"""Pages, the languages of their blocks, and what runs these; the first that fits counts."""

APART = {
    "$ (umask 077; sqlite3 data/cube_development.events.db \"VACUUM INTO '/backup/events.db'\")": (
        "tests/docs/test_operations.py"
    ),
    "$ docker compose -f config/docker/compose.yaml up --detach": "tests/docs/test_image.py",
    "# useradd --system --home-dir /var/lib/cube cube": "tests/docs/test_systemd.py",
    "$ systemctl start cube-collector@b && systemctl stop cube-collector@a": "tests/docs/test_systemd.py",
}
"""Blocks, by their first line, that another file runs than the rest of their page."""


def runner(block: Block) -> str | None:
    """Return the file that runs a block."""
    if block.begin in APART:
        return APART[block.begin]
    for page, languages, file in TESTED:
        if fnmatch(block.page, page) and any(fnmatch(block.language, each) for each in languages.split(" ")):
            return file
    return None


def run_by(name: str) -> list[Block]:
    """Return the blocks that a test file of this folder has to run, by its `__file__`."""
    return [block for block in BLOCKS if (runner(block) or "").endswith(f"/{name.rpartition('/')[2]}")]
