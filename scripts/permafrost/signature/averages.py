"""Which checkpoint tensor holds the moving average of a variable: as its update says, and by names where none does.

Names alone are wrong where a saver swaps the keys, as that of tf.contrib.opt.MovingAverageOptimizer does: it saves the
averages under the variables' names, and the variables under those of the averages. Source of the update's form:
assign_moving_average in tensorflow/python/training/moving_averages.py.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from msgspec import UNSET

from permafrost.checkpoint.v2 import Tensor
from permafrost.graph.index import GraphIndex
from permafrost.graph.ops.variables import VARIABLE_OPS
from permafrost.graph.protos import NodeDef
from permafrost.outcome import Problem
from permafrost.records import Variable

NAME = "ExponentialMovingAverage"  # of tf.train.ExponentialMovingAverage, unless a program gives it another
_UPDATES = ("AssignSub", "AssignSubVariableOp")
_READS = ("Identity", "ReadVariableOp", "RefIdentity", "Cast")


class _Place(NamedTuple):
    """Where in the checkpoint a variable's value lies, as the fields of these names of a Variable."""

    key: str
    slice: str
    box: list[list[int]] | None
    bytes: int | None
    casts: Any


def take_averages(rows: list[Variable], index: GraphIndex, tensors: Mapping[str, Tensor]) -> int:
    """Has each row take the tensor of its variable's average, where there is one; returns how many have one.

    Args:
      rows: as importing.describe_variables gives them, changed in place.
      index: of the meta graph.
      tensors: key -> checkpoint.reader.Tensor.
    Raises Problem (bad_setting) where the graph keeps several averages of a variable, and none has the usual name.
    """
    by_name = {row.variable: row for row in rows}
    kept = _kept_averages(index, by_name)
    averages = {name for names in kept.values() for name in names}
    # What holds exactly what this graph restores was saved by this graph, so that each variable restores its own value.
    is_own = {row.key for row in rows if row.key} == set(tensors)
    places = {}
    for name, row in by_name.items():
        if row.key and name not in averages:
            own = [by_name[average] for average in kept.get(name, ())]
            places[name] = _place(row, own, is_own, tensors)
    found = {name: place for name, place in places.items() if place}
    for name, place in found.items():
        row = by_name[name]
        if place.key != row.key:
            row.restored = row.key
            row.key, row.slice, row.box, row.bytes, row.casts = place
    return len(found)


def _kept_averages(index: GraphIndex, by_name: Mapping[str, Variable]) -> dict[str, list[str]]:
    """Variable -> the variables that are averages of it: by what updates them, or by their names where nothing does."""
    kept: dict[str, list[str]] = {}
    for node in index.graph_def.node:
        if node.op in _UPDATES and (pair := _averaged(index, node)):
            average, variable = pair
            if average not in kept.setdefault(variable, []):
                kept[variable].append(average)
    for name in by_name:
        if f"{name}/{NAME}" in by_name:
            kept.setdefault(name, [f"{name}/{NAME}"])
    return kept


def _averaged(index: GraphIndex, update: NodeDef) -> tuple[str, str] | None:
    """(average, variable) where a node does average -= (average - variable) * rate; else None."""
    average = _variable(index, update, 0)
    product = index.source_of(update, 1)
    if average is None or product is None or product.op != "Mul":
        return None
    for position in (0, 1):
        difference = index.source_of(product, position)
        if difference is not None and difference.op == "Sub" and _variable(index, difference, 0) == average:
            variable = _variable(index, difference, 1)
            return (average, variable) if variable is not None and variable != average else None
    return None


def _variable(index: GraphIndex, node: NodeDef, position: int) -> str | None:
    """The variable that a node takes at `position`, itself or what was read of it."""
    source = index.source_of(node, position)
    for _ in range(len(index.nodes)):
        if source is None or source.op not in _READS:
            break
        source = index.source_of(source, 0)
    return source.name if source is not None and source.op in VARIABLE_OPS else None


def _place(row: Variable, averages: list[Variable], is_own: bool, tensors: Mapping[str, Tensor]) -> _Place | None:
    """Where the average of a row's variable lies; None where it has none."""
    restored = [average for average in averages if average.key and _is_alike(row, average)]
    usual = [average for average in restored if average.variable == f"{row.variable}/{NAME}"]
    if len(restored) > 1 and not usual:
        found = " and ".join(average.variable for average in restored)
        raise Problem("bad_setting", f"`weights: ema` does not say which average of {row.variable!r}: {found}")
    if restored:
        return _own_place((usual or restored)[0])
    names = [f"{row.key}/{NAME}", f"{row.variable}/{NAME}", *(average.variable for average in averages)]
    if row.key.endswith(f"/{NAME}") or row.key in names:
        # The average has no key of its own: this one is the average's, unless it was saved from the variable.
        return None if averages and is_own else _own_place(row)
    key = next((key for key in names if key in tensors), None)
    if key is None or list(tensors[key].shape) != row.shape or tensors[key].dtype != row.dtype_enum:
        return None
    return _Place(key, "", None, tensors[key].nbytes, UNSET)


def _own_place(row: Variable) -> _Place:
    return _Place(row.key, row.slice, row.box, row.bytes, row.casts)


def _is_alike(row: Variable, average: Variable) -> bool:
    return (average.shape, average.dtype) == (row.shape, row.dtype)
