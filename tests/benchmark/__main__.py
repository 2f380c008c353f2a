"""Run all benchmarks, or those named."""

from __future__ import annotations

import sys

from tests.benchmark import collecting, evaluating, memory

BENCHMARKS = {
    name: function
    for module in (collecting, evaluating, memory)
    for name, function in vars(module).items()
    if name.startswith("bench_")
}


def main(names: list[str]) -> int:
    """Run the benchmarks whose names contain one of `names`; all without any."""
    chosen = [name for name in BENCHMARKS if not names or any(part in name for part in names)]
    if not chosen:
        print(f"No benchmark is called {' or '.join(names)}; there are {', '.join(BENCHMARKS)}.")
        return 2
    for name in chosen:
        print(f"\n{name}: {(BENCHMARKS[name].__doc__ or '').strip()}", flush=True)
        BENCHMARKS[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
