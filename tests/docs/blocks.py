"""Every block of code in the README and in the documents."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_FENCE = re.compile(r"^( *)(`{3,})(.*)\n((?:.*\n)*?)\1\2$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: its page, its language, "" where it names none, and its text."""

    page: str
    language: str
    text: str

    @property
    def begin(self) -> str:
        """The first line of the text."""
        return self.text.partition("\n")[0]


def blocks() -> Iterator[Block]:
    for page in PAGES:
        for found in _FENCE.finditer(page.read_text()):
            yield Block(str(page.relative_to(ROOT)), found[3], found[4])


BLOCKS = tuple(blocks())


def of(page: str, *languages: str) -> list[Block]:
    """Return the blocks of one page in these languages, in their order."""
    return [block for block in BLOCKS if block.page == page and block.language in languages]


def unfenced(page: Path) -> list[str]:
    """Return the lines of a page that Markdown takes for code because of their indentation alone."""
    lines = _FENCE.sub("", page.read_text()).split("\n")
    return [
        line for before, line in zip(["", *lines], lines, strict=False) if line[:4] == "    " and not before
    ]
