"""The names of the code: one idea has one, and one name is one idea."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_no_class_name_is_defined_twice() -> None:
    defined = defaultdict(list)
    files = [path for name in ("cube", "collector", "evaluator") for path in (ROOT / name).rglob("*.py")]
    for path in files:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                defined[node.name].append(str(path.relative_to(ROOT)))
    assert len(defined) > 100
    assert {name: paths for name, paths in defined.items() if len(paths) > 1} == {}
