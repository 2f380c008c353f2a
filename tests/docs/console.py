"""The console blocks of a Markdown file: commands, and what they are said to print."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Command:
    """One command: its text, without prompts, and its expected output, line by line."""

    text: str
    output: tuple[str, ...]


def commands(markdown: str) -> Iterator[Command]:
    """Yield the commands of all console blocks in their order.

    A line of a command begins with ``$ ``, its continuations with ``> ``; all else is output.
    """
    for block in _BLOCK.findall(markdown):
        text: list[str] = []
        output: list[str] = []
        for line in block.splitlines():
            if line.startswith("$ "):
                if text:
                    yield Command("\n".join(text), tuple(output))
                text, output = [line[2:]], []
            elif line == ">" or line.startswith("> "):
                text.append(line[2:])
            else:
                output.append(line)
        yield Command("\n".join(text), tuple(output))
