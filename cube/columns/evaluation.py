"""Values and filters over whole blocks, as `cube.columns.definition` defines them for one event.

What is computed is a column like those that are read: numbers as one array, texts as codes into a table, on
which functions of texts work, each different text once.
"""

from __future__ import annotations

import operator as operators
from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import TypeVar, assert_never

import numpy as np
import numpy.typing as npt

from cube.columns.block import Block
from cube.columns.column import Booleans, Column, Keys, Rows, finite, searched, stored
from cube.columns.combining import combined
from cube.columns.masks import compared, existing
from cube.columns.packed_column import NO_NUMBER, Codes, Kept, PackedColumn, Texts
from cube.columns.relations import related
from cube.columns.tables import made_of
from cube.columns.values import OPERATIONS, Floats, Kind, canonical, canonical_texts
from cube.expression.functions import FUNCTIONS, Form, OfNumbers, OfOne
from cube.expression.nodes import (
    FILTERS,
    And,
    Call,
    Comparison,
    Exists,
    Field,
    Filter,
    Negation,
    Not,
    Number,
    Or,
    Product,
    Relation,
    Sum,
    Text,
    Value,
)
from cube.expression.operators import OPERATORS
from cube.expression.printer import print_expression

T = TypeVar("T")

_NOTHING_KEPT = Kept(np.zeros(0, dtype=np.intp), ())
_SCALARS = (Kind.NUMBER, Kind.STRING, Kind.BOOL)
_CANONICAL = Keys(canonical, canonical_texts)


def mask(filters: Sequence[Filter], block: Block) -> Booleans:
    """Tell which rows pass all filters: booleans, shape (n,).

    Raises `InvalidQuery` for a pattern that RE2 refuses.
    """
    if not filters:
        return np.ones(len(block), dtype=np.bool_)
    return reduce(operators.and_, (_mask(each, block) for each in filters))


def numbers(value: Value | None, block: Block) -> Floats:
    """Evaluate a value for every row, as `definition.compute` defines it; NaN for nothing, shape (n,)."""
    if value is None:
        return np.ones(len(block))
    if isinstance(value, Field):
        return stored(block, value.path).numbers
    with np.errstate(all="ignore"):
        return _once(block, "numbers", value, lambda: _numbers(value, block))


def evaluated(value: Value, block: Block) -> Column:
    """Return the column of a value: of a field what is stored, else what `definition.evaluate` returns."""
    match value:
        case Field(path):
            return stored(block, path)
        case Text(text):
            every = np.zeros(len(block), dtype=np.int32)
            return _column(np.full(len(block), Kind.STRING, dtype=np.uint8), None, every, Texts((text,)))
        case Comparison() | Relation() | Exists() | Or() | And() | Not():
            passed = _mask(value, block)
            return _column(np.full(len(block), Kind.BOOL, dtype=np.uint8), passed.astype(np.float64))
        case Call(name, arguments):
            with np.errstate(all="ignore"):
                return _once(block, "column", value, lambda: _called(name, arguments, block))
        case Number() | Negation() | Sum() | Product():
            return _of_numbers(numbers(value, block))
        case _:
            assert_never(value)


def present(value: Value | None, block: Block) -> Booleans:
    """Tell which rows have what "count" and "distinct" take: what is there and not null.

    Without a value every row has.
    """
    if value is None:
        return np.ones(len(block), dtype=np.bool_)
    kinds = evaluated(value, block).kinds
    there: Booleans = (kinds != Kind.MISSING) & (kinds != Kind.NULL)
    return there


def keys(value: Value | None, block: Block, rows: Rows) -> tuple[npt.NDArray[np.int64], list[bytes]]:
    """Return the canonical keys of what "distinct" takes of some rows: codes, and the key of each code."""
    column = _of_numbers(np.ones(len(block))) if value is None else evaluated(value, block)
    return column.factorised(rows, _CANONICAL)


def _once(block: Block, form: str, value: Value, make: Callable[[], T]) -> T:
    """Compute what is asked for several times in one piece of work once, where the block has room for it."""
    if block.computed is None:
        return make()
    key = (form, print_expression(value))
    found: T | None = block.computed.get(key)
    if found is None:
        found = block.computed[key] = make()
    return found


def _mask(filter: Filter, block: Block) -> Booleans:
    match filter:
        case Comparison(operator, value, literal):
            column = searched(block, value.path) if isinstance(value, Field) else evaluated(value, block)
            return compared(column, OPERATORS[operator], literal)
        case Relation(operator, value, other):
            return related(evaluated(value, block), evaluated(other, block), OPERATORS[operator])
        case Exists(Field(path)):
            return existing(searched(block, path))
        case Exists(value):
            return existing(evaluated(value, block))
        case Or(filters):
            return reduce(operators.or_, (_mask(each, block) for each in filters))
        case And(filters):
            return mask(filters, block)
        case Not(inner):
            return ~_mask(inner, block)
        case _:
            assert_never(filter)


def _numbers(value: Value, block: Block) -> Floats:
    match value:
        case Field(path):
            return stored(block, path).numbers
        case Number(constant):
            return np.full(len(block), float(constant))
        case Call(function, arguments):
            return _called_number(function, arguments, block)
        case Negation(operand):
            return -_numbers(operand, block)
        case Sum(parts) | Product(parts):
            total = _numbers(parts[0][1], block)
            for sign, part in parts[1:]:
                total = finite(OPERATIONS[sign](total, _numbers(part, block)))
            return total
        case Text() | Comparison() | Relation() | Exists() | Or() | And() | Not():
            return evaluated(value, block).numbers
        case _:
            assert_never(value)


def _called_number(name: str, arguments: Sequence[Value], block: Block) -> Floats:
    function = FUNCTIONS[name]
    match function.work:
        case OfOne() if not arguments:  # time()
            return block.times.astype(np.float64)
        case OfNumbers(columns):
            taken = (_numbers(each, block) for each in arguments[: function.taken(arguments)])
            return finite(columns(*taken, *function.constants(arguments)))
        case Form.IF:
            condition, *choices = (arguments[0], *(_numbers(each, block) for each in arguments[1:]))
            otherwise = choices[1] if len(choices) > 1 else NO_NUMBER
            return np.where(_truths(condition, block), choices[0], otherwise)
        case _:
            return evaluated(Call(name, tuple(arguments)), block).numbers


def _truths(condition: Value, block: Block) -> Booleans:
    if isinstance(condition, FILTERS):
        return _mask(condition, block)
    column = evaluated(condition, block)
    truths: Booleans = (column.kinds == Kind.BOOL) & (column.numbers == 1)
    return truths


def _called(name: str, arguments: Sequence[Value], block: Block) -> Column:
    function = FUNCTIONS[name]
    match function.work:
        case OfOne() if arguments:
            key = (name, tuple(arguments[1:]))
            column = evaluated(arguments[0], block)
            return _made_of_one(function.work, column, key, function.constants(arguments))
        case Form.IF:
            chosen = _scalars(evaluated(arguments[1], block))
            otherwise = _scalars(evaluated(arguments[2], block)) if len(arguments) > 2 else None
            return _chosen(_truths(arguments[0], block), chosen, otherwise)
        case Form.COALESCE:
            found = _scalars(evaluated(arguments[0], block))
            for each in arguments[1:]:
                is_there = found.kinds != Kind.MISSING
                if is_there.all():
                    break
                found = _chosen(is_there, found, _scalars(evaluated(each, block)))
            return found
        case Form.COMBINE:
            return combined([_scalars(evaluated(each, block)) for each in arguments])
        case _:
            return _of_numbers(_called_number(name, arguments, block))


def _made_of_one(
    work: OfOne, column: Column, key: tuple[str, tuple[Value, ...]], constants: Sequence[object]
) -> PackedColumn:
    kinds = column.kinds
    made = np.full(len(kinds), np.nan)
    codes, texts = None, Texts()
    rows = np.flatnonzero(kinds == Kind.STRING)
    if len(rows):
        places, different = column.text_codes(rows)
        table = made_of(different, places, key, partial(_of_texts, work, constants))
        made[rows] = table[0][places]
        if table[1] is not None:
            codes, texts = np.full(len(kinds), -1, dtype=np.int32), table[2]
            codes[rows] = table[1][places]
    if work.of_numbers is not None:
        numeric = kinds == Kind.NUMBER
        if work.of_truths:
            numeric |= kinds == Kind.BOOL
        with np.errstate(all="ignore"):
            made = np.where(numeric, work.of_numbers(column.numbers, *constants), made)
    if work.of_others is not None:
        others = np.flatnonzero((kinds == Kind.ARRAY) | (kinds == Kind.DATE))
        made[others] = [work.of_others(each, *constants) for each in column.at(others)]
    return _of_numbers(finite(made), codes, texts)


def _of_texts(work: OfOne, constants: Sequence[object], texts: Sequence[str]) -> Sequence[float | str | None]:
    """Return what a function makes of each of some texts."""
    if work.of_many is None:
        return [work.of_text(text, *constants) for text in texts]
    found = work.of_many(texts)
    known: list[float | str | None] = list(found.tolist())
    for place in np.flatnonzero(np.isnan(found)).tolist():
        known[place] = work.of_text(texts[place], *constants)
    return known


def _of_numbers(floats: Floats, codes: Codes | None = None, texts: Texts | None = None) -> PackedColumn:
    """Return the column of numbers, where there is one, and of texts where there is a code."""
    kinds = np.where(np.isnan(floats), np.uint8(Kind.MISSING), np.uint8(Kind.NUMBER))
    if codes is not None:
        kinds[codes >= 0] = Kind.STRING
    return _column(kinds, floats, codes, texts)


def _column(
    kinds: npt.NDArray[np.uint8],
    floats: Floats | None = None,
    codes: Codes | None = None,
    texts: Texts | None = None,
) -> PackedColumn:
    known = np.broadcast_to(NO_NUMBER, kinds.shape) if floats is None else floats
    told = Texts() if texts is None else texts
    return PackedColumn(kinds, known, codes, told, _NOTHING_KEPT, _NOTHING_KEPT, (), whole=True)


def _scalars(column: Column) -> PackedColumn:
    """Return a column with the numbers, texts and truths of one, and nothing else: see `values.scalar`."""
    is_scalar = np.isin(column.kinds, _SCALARS) & ~((column.kinds == Kind.NUMBER) & np.isnan(column.numbers))
    kinds = np.where(is_scalar, column.kinds, np.uint8(Kind.MISSING))
    if isinstance(column, PackedColumn):
        return _column(kinds, column.numbers, column.codes, column.texts)
    rows = np.flatnonzero(kinds == Kind.STRING)
    codes = np.full(len(kinds), -1, dtype=np.int32)
    codes[rows], texts = column.text_codes(rows)
    return _column(kinds, column.numbers, codes, Texts(texts))


def _chosen(passed: Booleans, column: PackedColumn, otherwise: PackedColumn | None) -> PackedColumn:
    """Return the rows of one column where they passed, of another where they did not."""
    if otherwise is None:
        return _column(
            np.where(passed, column.kinds, np.uint8(Kind.MISSING)), column.numbers, column.codes, column.texts
        )
    kinds = np.where(passed, column.kinds, otherwise.kinds)
    floats = np.where(passed, column.numbers, otherwise.numbers)
    codes, texts = _chosen_texts(passed, column, otherwise)
    return _column(kinds, floats, codes, texts)


def _chosen_texts(
    passed: Booleans, column: PackedColumn, otherwise: PackedColumn
) -> tuple[Codes | None, Texts]:
    if column.codes is None or otherwise.codes is None:
        known = otherwise if column.codes is None else column
        return known.codes, known.texts
    places = {text: code for code, text in enumerate(column.texts)}
    table = [places.setdefault(text, len(places)) for text in otherwise.texts]
    theirs = np.array([*table, -1], dtype=np.int32)[otherwise.codes]
    return np.where(passed, column.codes, theirs), Texts(places)
