"""Events as numpy columns: what filters, values and reduces mean, over whole blocks at once.

The plain definitions, one event at a time, are in `matching`, `values` and `cube.model.reduce`; the rest does
the same to whole columns and is tested against them.
"""

from cube.columns.block import Block
from cube.columns.buckets import Buckets, Cuts
from cube.columns.evaluation import mask
from cube.columns.finals import Finals, finals, finished, with_argument
from cube.columns.joining import joined, taken
from cube.columns.packed import PackedBlock
from cube.columns.partials import grouped_partials, partials, states
from cube.columns.selection import (
    check,
    has_patterns,
    needed,
    paths,
    project,
    reductions,
    selected,
    sequences,
)

SEMANTICS = 2
"""The version of the rules in this package and in `cube.model.reduce`, part of every cache key.

To be raised with every change that may change a number, so that no number of the old rules is used.
"""
