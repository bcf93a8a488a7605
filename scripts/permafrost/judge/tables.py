"""What lookup tables hold on both sides, where the frozen graph has constants for what a file or a saver fills in."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from permafrost.flow.body import PASSING
from permafrost.graph.index import GraphIndex
from permafrost.graph.pruning import DENSE_TABLES
from permafrost.judge.sessions import Side
from permafrost.outcome import Problem

Row = tuple[Any, ...]
_LONGEST = 60  # characters of an entry that a message shows
_DTYPES = (("Tkey", "Tval"), ("Tin", "Tout"))


def compare(before: GraphIndex, after: GraphIndex, original: Side, frozen: Side) -> int:
    """Compares all entries of each such table, byte for byte, and returns the number of tables.

    Args:
      before, after: of the meta graph and of the frozen graph.
      original, frozen: the two sides, which run their initializers.
    Raises Problem: weights_differ naming the first entry that is another one, and as Side.export does.
    """
    names = [name for name in after.nodes if _is_filled_otherwise(name, before, after)]
    for name in names:
        dtypes = next(
            (node.attr[key].type, node.attr[value].type)
            for node in [after.nodes[name]]
            for key, value in _DTYPES
            if key in node.attr
        )
        table = "{}:{}".format(*after.inputs[name][0])
        sides = [side.export(table, *dtypes) for side in (original, frozen)]
        expected, found = (_entries(*each) for each in sides)
        if expected != found:
            raise Problem("weights_differ", f"the table that {name!r} fills {_difference(expected, found)}")
        if _is_dense(name, after) and [*map(_rows, sides[0])] != [*map(_rows, sides[1])]:
            raise Problem("weights_differ", f"the table that {name!r} fills has its entries in other places")
    return len(names)


def _is_filled_otherwise(name: str, before: GraphIndex, after: GraphIndex) -> bool:
    is_filling = after.nodes[name].op.startswith(("InitializeTable", "LookupTableImport"))
    same = before.ops.get(name) == after.ops[name] and before.inputs[name] == after.inputs[name]
    return is_filling and "FromTextFile" not in after.ops[name] and not same


def _is_dense(name: str, index: GraphIndex) -> bool:
    """Whether a node fills a table that is exported as it lies in memory, so that what is looked up goes by it."""
    (table, _), _ = index.upstream(index.inputs[name][0], PASSING)
    return index.ops.get(table) in DENSE_TABLES


def _entries(keys: NDArray[Any], values: NDArray[Any]) -> dict[Row, Row]:
    return dict(zip(_rows(keys), _rows(values), strict=True))


def _rows(array: NDArray[Any]) -> list[Row]:
    """The rows of a tensor, as what is equal only where all bits are."""
    rows = array.reshape(len(array), -1)
    if array.dtype == object:
        return [tuple(row) for row in rows.tolist()]
    return [(row.tobytes(),) for row in np.ascontiguousarray(rows)]


def _difference(expected: dict[Row, Row], found: dict[Row, Row]) -> str:
    other = next((key for key in expected if found.get(key) != expected[key]), None)
    if other is None:
        more = next(key for key in found if key not in expected)
        return f"has the key {_shown(more)}, which TensorFlow does not put there"
    return (
        f"has {_shown(found.get(other))} for the key {_shown(other)}, where TensorFlow puts {_shown(expected[other])}"
    )


def _shown(row: Row | None) -> str:
    return "nothing" if row is None else repr(row[0] if len(row) == 1 else row)[:_LONGEST]
