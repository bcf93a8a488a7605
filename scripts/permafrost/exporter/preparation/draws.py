"""Random ops: those of which it does not matter what they draw, and those that stand in the way of an export."""

from typing import Any

import numpy as np

from permafrost.exporter.preparation.conditions import View, data
from permafrost.exporter.preparation.draft import Draft
from permafrost.exporter.preparation.parts import Part, rewrite, spelled
from permafrost.exporter.prepared import Refused
from permafrost.freezer.baking.constants import hold
from permafrost.freezer.baking.values import DRAWING
from permafrost.graph.calls import CALLS, called_functions
from permafrost.graph.dtypes import dtype_name, numpy_dtype
from permafrost.graph.index import GraphIndex, TensorName, tensor_name
from permafrost.graph.ops.stateful import RANDOM
from permafrost.graph.protos import NodeDef, types_pb2

# They look at the shape of what they take, and not at its values.
_SHAPES = ("Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike")


def settle_draws(draft: Draft) -> bool:
    """Fills what random ops give with zeros, where what they draw shows nowhere; tells whether there was one.

    It does not where all that is computed from it comes to tensors that are the same whatever was drawn, such as the
    mask of a dropout that keeps all: floor(1 + u) is 1 for each u from 0 to below 1.
    """
    count = 0
    for part in draft.parts:
        if any(node.op in DRAWING for node in part.graph_def.node):
            view = View(part)
            idle = [node for node in part.graph_def.node if node.op in DRAWING and _is_idle(view, node)]
            for node in idle:
                _fill(part, node)
            count += len(idle)
    draft.count("random op whose draws show nowhere, filled with zeros", count)
    return bool(count)


def _is_idle(view: View, node: NodeDef) -> bool:
    """Whether each way from a random op leads to a tensor with one known value, or to no value at all."""
    results = {tensor_name(text) for text in view.part.results}
    waiting: list[TensorName] = [(node.name, 0)]
    seen: set[TensorName] = set()
    while waiting:
        tensor = waiting.pop()
        if tensor in seen:
            continue
        seen.add(tensor)
        known = view.known(spelled(*tensor))
        if known is not None and known.value is not None:
            continue
        if known is None or tensor in results:
            return False
        waiting += [(user.name, 0) for user, _ in view.index.uses.get(tensor, ()) if user.op not in _SHAPES]
    return True


def _fill(part: Part, node: NodeDef) -> None:
    """Zeros in the place of a NodeDef's numbers; it is named as before, and in the same round of the same loop."""
    dtype, shape = node.attr["dtype"].type, data(node)[0]
    index_type = node.attr["T"].type if node.op.startswith(("Random", "Truncated")) else node.attr["Tshape"].type
    zero = part.add(f"{node.name}/value", "Const", [])
    hold(zero, np.zeros((), numpy_dtype(dtype_name(dtype))), dtype)
    zero.input.append(f"^{tensor_name(shape)[0]}")
    rewrite(node, "Fill", [shape, zero.name], T=dtype, index_type=index_type or types_pb2.DT_INT32)


def refuse_draws(draft: Draft) -> None:
    """Raises Refused (random_op) for a random op that the outputs depend on.

    What they wait for alone, by control inputs, does not count; in functions that cannot be looked into, all does.
    """
    opaque = {function.signature.name: function for function in draft.graph_def.library.function}
    seen: set[str] = set()
    waiting = [("", node) for node in _giving(draft.main.index, draft.main.results)]
    while waiting:
        function, node = waiting.pop()
        if is_random(draft, node):
            where = f" in function {function!r}" if function else ""
            raise Refused(
                "random_op",
                f"node {node.name!r}{where} ({node.op}) draws random numbers on which the outputs depend, and which no "
                "other runtime draws",
                op=node.op,
                node=node.name,
            )
        for name in called_functions(node):
            if name not in seen:
                seen.add(name)
                part, body = draft.functions.get(name), opaque.get(name)
                nodes = _giving(part.index, part.results) if part else body.node_def if body else ()
                waiting += [(name, each) for each in nodes]


def is_random(draft: Draft, node: NodeDef) -> bool:
    """Whether a NodeDef draws random numbers, by its name or by the seeds that its op takes."""
    if RANDOM.match(node.op) or (node.op.startswith(("Stateless", "Stateful")) and node.op not in CALLS):
        return True
    definition = draft.definitions(node.op)
    return definition is not None and {"seed", "seed2"} <= {attribute.name for attribute in definition.attr}


def _giving(index: GraphIndex, results: list[str]) -> list[Any]:
    """The nodes whose values come into the results, by data alone."""
    reached: set[str] = set()
    waiting = [tensor_name(text)[0] for text in results]
    while waiting:
        name = waiting.pop()
        if name not in reached and name in index.nodes:
            reached.add(name)
            waiting += [source for source, _ in index.inputs[name]]
    return [node for name, node in index.nodes.items() if name in reached]
