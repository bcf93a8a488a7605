"""What the floats are that a graph takes: rows that tell one of several, states of a cell, what a dropout keeps.

The ops that take them tell, and else their names.
"""

import re
from collections.abc import Callable, Iterable
from typing import Literal

from permafrost.graph.index import GraphIndex, TensorName, Use
from permafrost.graph.ops.variables import VARIABLE_OPS
from permafrost.graph.protos import NodeDef
from permafrost.graph.static import constant
from permafrost.input_kinds import Shape

_DROPOUT = {"Add", "AddV2", "Sub", "GreaterEqual", "Less"}  # by which dropout decides on what it draws
_KEEP = re.compile(r"keep|(?<!no)dropout_(input|output|prob)|(^|_)kp(_|$)", re.IGNORECASE)
_RATE = re.compile(r"rate|drop", re.IGNORECASE)
_ONE_HOT = re.compile(r"one_?hot", re.IGNORECASE)
_EMBEDDING = re.compile(r"embed", re.IGNORECASE)
_STATE = re.compile(
    r"(init|zero|rnn|lstm|gru|hidden|cell)[a-z]*_?state|state_?in(put)?$|^[ch]_?in(it)?$|h_?prev", re.IGNORECASE
)
_READS = {"Identity", "ReadVariableOp", "Enter", "RefEnter", "Switch", "RefSwitch"}

Takers = Callable[[TensorName], list[Use]]


def switch(index: GraphIndex, takers: Takers, tensor: TensorName, leaf: str) -> tuple[float, str] | None:
    """The value, and why, of a scalar that says how much a training drops or learns; None for another.

    Args:
      takers: gives the (NodeDef, position) that take a tensor.
      leaf: the last part of the input's name.
    """
    used_as = _in_dropout(index, takers, tensor)
    if used_as is not None or _KEEP.search(leaf):
        return 0.0 if used_as == "rate" else 1.0, "dropout: nothing is dropped"
    return (0.0, "a rate: 0") if _RATE.search(leaf) else None


def are_one_hot(index: GraphIndex, uses: Iterable[Use], takers: Takers, name: str, shape: Shape) -> bool:
    """Whether each row of an input tells one of several, as labels, tokens and actions do.

    Args:
      uses: (NodeDef, position) of the input's values, the nearest first.
    """
    if len(shape) < 2 or shape[-1] is None or shape[-1] < 2:
        return False
    return bool(_ONE_HOT.search(name)) or any(
        _takes_one_hot(index, takers, node, position, len(shape)) for node, position in uses
    )


def is_state(index: GraphIndex, uses: Iterable[Use], leaf: str, shape: Shape) -> bool:
    """Whether an input is what a recurrent cell begins with; `uses` is as in are_one_hot."""
    if len(shape) < 2:
        return False
    return bool(_STATE.search(leaf)) or any(_begins_loop(index, node) for node, _ in uses)


def _takes_one_hot(index: GraphIndex, takers: Takers, node: NodeDef, position: int, rank: int) -> bool:
    if node.op == "SoftmaxCrossEntropyWithLogits":
        return position == 1
    if node.op == "ArgMax":
        return position == 0 and _axes(index, node) in ([rank - 1], [-1])
    if node.op == "MatMul" and position == 0:
        weight = _weight(index, node, 1)
        return bool(weight and _EMBEDDING.search(weight))
    if node.op != "Mul" or _weight(index, node, 1 - position):
        return False
    # A product with a row of zeros and a one, summed, takes one value out of the other factor.
    sources = [source for source, _ in index.inputs_of(node)]
    sums = [taker for taker, at in takers((node.name, 0)) if taker.op == "Sum" and at == 0]
    return len({*sources}) == 2 and any(_axes(index, taker) in ([rank - 1], [-1]) for taker in sums)


def _axes(index: GraphIndex, node: NodeDef) -> list[int]:
    value = constant(index.source_of(node, 1))
    return [] if value is None or value.dtype.kind not in "iu" else [int(axis) for axis in value.reshape(-1)]


def _weight(index: GraphIndex, node: NodeDef, position: int) -> str:
    """The variable or constant that a node takes at a position; empty where it takes something else."""
    inputs = index.inputs_of(node)
    (name, _), _ = index.upstream(inputs[position], _READS) if position < len(inputs) else (("", 0), [])
    return name if index.ops.get(name) in (*VARIABLE_OPS, "Const") else ""


def _begins_loop(index: GraphIndex, node: NodeDef) -> bool:
    """Whether a node is an Enter whose value the loop changes."""
    if node.op not in ("Enter", "RefEnter") or node.attr["is_constant"].b:
        return False
    merges = [taker for taker, _ in index.uses.get((node.name, 0), ()) if taker.op in ("Merge", "RefMerge")]
    sources = [index.source_of(merge, 1) for merge in merges]
    return any(source is not None and source.op in ("NextIteration", "RefNextIteration") for source in sources)


def _in_dropout(
    index: GraphIndex, takers: Takers, tensor: TensorName, is_rest: bool = False
) -> Literal["keep", "rate"] | None:
    """Whether a scalar is the share that a dropout keeps, or that which it drops; None where it goes into none.

    Dropout takes floor(keep + uniform) or uniform < keep, and uniform >= rate (nn_ops.py in tensorflow/python/ops).
    is_rest: whether it is what the scalar leaves of 1.
    """
    for node, position in takers(tensor):
        sources = [source for source, _ in index.inputs_of(node)]
        others = [source for at, source in enumerate(sources) if at != position]
        if node.op in _DROPOUT and any(_comes_from_uniform(index, source) for source in others):
            is_rate = (node.op, position) in (("GreaterEqual", 1), ("Less", 0))
            return "rate" if is_rate != is_rest else "keep"
        one = constant(index.nodes.get(others[0])) if node.op == "Sub" and position == 1 else None
        if one is not None and one.size == 1 and one.item() == 1 and not is_rest:
            used_as = _in_dropout(index, takers, (node.name, 0), is_rest=True)
            if used_as is not None:
                return used_as
    return None


def _comes_from_uniform(index: GraphIndex, name: str, depth: int = 5) -> bool:
    node = index.nodes.get(name)
    if node is None or depth == 0 or node.op not in ("RandomUniform", "Mul", "Add", "AddV2", "Sub", "Identity"):
        return False
    return node.op == "RandomUniform" or any(
        _comes_from_uniform(index, source, depth - 1) for source, _ in index.inputs_of(node)
    )
