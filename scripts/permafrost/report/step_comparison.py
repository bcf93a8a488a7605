"""Compares two steps of a series: which tensors of their checkpoints changed, and by how much.

Whether two numbers are the same is asked of their bits; differences are those of doubles, complex numbers by their
absolute value.
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from permafrost.checkpoint.reader import OBJECT_GRAPH, Checkpoint, Tensor, open_checkpoint
from permafrost.graph.dtypes import ITEM_SIZES, dtype_name, numpy_dtype
from permafrost.outcome import Problem
from permafrost.report import csv_files
from permafrost.report.tables.steps import CHANGED, GONE, NEW, OTHER_SHAPE, SAME, UNREAD

Row = dict[str, Any]

_AT_ONCE = 1 << 18  # elements that are doubles at a time
_GRAVE = (UNREAD, OTHER_SHAPE, NEW, GONE, CHANGED, SAME)


def compare(before: str, after: str, since: str, frozen: Iterable[str]) -> list[Row]:
    """Rows of STEPS.

    Args:
      before, after: the prefixes of the two checkpoints.
      since: the model that is the step before.
      frozen: the tensors that are in the frozen graph of the step after.
    Raises Problem where a checkpoint cannot be opened.
    """
    own = set(frozen)
    with open_checkpoint(before) as old, open_checkpoint(after) as new:
        names = [name for name in {**new.tensors, **old.tensors} if name != OBJECT_GRAPH]
        rows = [_row(old, new, name) for name in names]
    for row in rows:
        row |= {"since": since, "frozen": "yes" if row["tensor"] in own else "no"}
    return sorted(rows, key=_order)


def _order(row: Row) -> tuple[Any, ...]:
    share: float | None = row.get("relative_change")
    size = math.inf if share is None or math.isnan(share) else share
    return row["frozen"] == "no", _GRAVE.index(row["change"]), -size, row["tensor"]


def _row(old: Checkpoint, new: Checkpoint, name: str) -> Row:
    one, other = old.tensors.get(name), new.tensors.get(name)
    tensor: Any = other or one
    told = {"tensor": name, "dtype": dtype_name(tensor.dtype), "shape": csv_files.shape(tensor.shape)}
    told["elements"] = math.prod(tensor.shape)
    if one is None or other is None:
        return told | {"change": NEW if one is None else GONE}
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return told | {"change": OTHER_SHAPE}
    try:
        return told | _difference(old, new, other)
    except Problem:
        return told | {"change": UNREAD}


def _difference(old: Checkpoint, new: Checkpoint, tensor: Tensor) -> Row:
    """How a tensor that both have, with the same dtype and shape, differs. Raises Problem where one cannot be read."""
    if tensor.dtype not in ITEM_SIZES:
        pairs = zip(old.read_strings(tensor.name), new.read_strings(tensor.name), strict=True)
        count = sum(one != other for one, other in pairs)
        return {"change": CHANGED if count else SAME, "changed_elements": count}
    contents = [checkpoint.read(tensor.name) for checkpoint in (old, new)]
    bits = [np.frombuffer(content, np.dtype((np.void, ITEM_SIZES[tensor.dtype]))) for content in contents]
    count = int(np.count_nonzero(bits[0] != bits[1]))
    if not count:
        return {"change": SAME, "changed_elements": 0, "relative_change": 0.0, "max_abs_change": 0.0}
    return {"change": CHANGED, "changed_elements": count, **_size_of_change(contents, dtype_name(tensor.dtype))}


def _size_of_change(contents: list[bytes], dtype: str) -> Row:
    """The norm of the difference as a share of the norm before, and the largest difference."""
    before, after = (np.frombuffer(content, numpy_dtype(dtype)) for content in contents)
    norm = squares = most = 0.0
    with np.errstate(all="ignore"):
        for first in range(0, before.size, _AT_ONCE):
            one, other = (_doubles(values[first : first + _AT_ONCE]) for values in (before, after))
            difference = np.abs(other - one)
            norm += float(np.sum(np.abs(one) ** 2))
            squares += float(np.sum(difference**2))
            most = max(most, float(difference.max()))
    share = math.sqrt(squares / norm) if norm and squares == squares else None
    return {"relative_change": share, "max_abs_change": most}


def _doubles(values: NDArray[Any]) -> NDArray[Any]:
    return values.astype(np.complex128 if values.dtype.kind == "c" else np.float64)
