"""How many of our modules a request passes; ``python -m tests.walks`` prints them."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.walks import BOUNDS, in_loop, walks


def test_a_request_passes_few_modules(tmp_path: Path) -> None:
    found = {name: in_loop(modules) for name, modules in asyncio.run(walks(tmp_path)).items()}
    for name, modules in found.items():
        assert "cube.web.service" in modules
        assert any(module.startswith("cube.store.sqlite.") for module in modules)
        assert len(modules) <= BOUNDS[name], f"{name} passes {len(modules)}: {', '.join(modules)}"
