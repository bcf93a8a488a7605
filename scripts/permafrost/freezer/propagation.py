"""What follows from a variable's becoming a constant, along the edges of one body of nodes.

As in tensorflow/python/framework/convert_to_constants.py: readers become plain ops (freezer.readers), passing ops
take the variable's dtype and lose `_output_shapes`, and calls go to copies of their functions that take the value.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from permafrost.flow.body import PASSING, Body, controls
from permafrost.flow.branches import Branches
from permafrost.freezer.readers import READERS, convert_reader
from permafrost.graph.calls import CALLS
from permafrost.graph.index import Use
from permafrost.graph.ops.generators import GENERATORS
from permafrost.graph.ops.variables import REF_SCATTERS, VARIABLE_OPS
from permafrost.graph.protos import NodeDef, tensor_shape_pb2
from permafrost.outcome import Problem
from permafrost.records import Repair

_LOOPS = ("While", "StatelessWhile")
# What takes a reference or a handle as it is when it comes here: other variables, and what was repaired before.
_CONVERTED = (
    "Add", "AddV2", "Sub", "Const", "IdentityN", "NoOp", "Shape", "GatherV2", "GatherNd", *VARIABLE_OPS,
    *REF_SCATTERS.values(),
)  # fmt: skip


@dataclass(frozen=True)
class Value:
    """What stands where a variable stood: DataType, shape, and whether it was a handle rather than a reference."""

    dtype: int
    shape: tuple[int, ...]
    handle: bool


class Propagation:
    """The changes to one body: the main graph, or a function that gets variables as arguments.

    Args:
      functions: a freezer.functions.Functions, which gives the converted copies of what the body calls.
      repairs: gets each change that TensorFlow does not make.
      acts: tells which nodes do something beside what they give (graph.ops.effects).
    """

    def __init__(self, body: Body, functions: Any, repairs: list[Repair], acts: Callable[[Any], bool]):
        self._body = body
        self._functions = functions
        self._repairs = repairs
        self._calls: dict[str, dict[int, Value]] = {}
        self._branches = Branches(body, acts)

    def follow(self, source: str, value: Value) -> None:
        """Changes, in place, what takes `value` in place of the variable or argument `source`; that itself stays.

        Raises Problem (unsupported_op) for a node that needs the handle of a variable and not its value.
        """
        waiting, seen = list(self._body.consumers[source]), set()
        while waiting:
            node, position = waiting.pop()
            if (node.name, position) in seen:
                continue
            seen.add((node.name, position))
            if node.op in PASSING:
                if position == 0:
                    node.attr["T"].type = value.dtype
                    node.attr.pop("_output_shapes", None)
                    waiting.extend(self._body.consumers[node.name])
            elif node.op == "Merge" and value.handle and node.attr["T"].type != value.dtype:
                node.attr["T"].type = value.dtype
                node.attr.pop("_output_shapes", None)
                self._note(node, "Merge of variables")
                waiting.extend(self._body.consumers[node.name])
            elif node.op in READERS:
                self._convert_reader(node, value)
            elif node.op in CALLS and (value.handle or node.op != "StatelessCase"):
                first = CALLS[node.op][0]
                if position >= first:
                    self._calls.setdefault(node.name, {})[position - first] = value
                if node.op in _LOOPS and value.handle:
                    waiting.extend(self._consumers_of_output(node.name, position))
            elif value.handle and node.op not in _CONVERTED:
                raise _needs_handle(node, source)

    def _convert_reader(self, node: NodeDef, value: Value) -> None:
        _, same_in_graph, same_in_function = READERS[node.op]
        before, had = node.op, len(self._body.container)
        odd = node.attr["batch_dims"].i if "batch_dims" in node.attr else 0
        convert_reader(self._body, self._branches, node, value.dtype)
        odd = odd or controls(node) or any(added.input for added in self._body.container[had:])
        if odd or not (same_in_graph if self._body.function is None else same_in_function):
            self._note(node, f"{before} -> {node.op}")

    def _consumers_of_output(self, name: str, output: int) -> list[Use]:
        return [
            (node, position)
            for node, position in self._body.consumers[name]
            if (node.input[position].rpartition(":")[2] if ":" in node.input[position] else "0") == str(output)
        ]

    def _note(self, node: NodeDef, repair: str) -> None:
        self._repairs.append(Repair(repair, self._body.place(node)))

    def finish(self) -> None:
        """Has what was followed into a call go on in the functions called. Raises Problem (unsupported_op)."""
        for name, values in self._calls.items():
            node = self._body.nodes[name]
            _, types, attributes = CALLS[node.op]
            for attribute in attributes:
                value = node.attr[attribute]
                for function in [value.func] if value.HasField("func") else value.list.func:
                    function.name = self._functions.converted(function.name, values, is_loop=attribute == "body")
            for index, value in values.items():
                node.attr[types].list.type[index] = value.dtype
            if node.op in _LOOPS:
                self._reshape_loop(node, values)

    def _reshape_loop(self, node: NodeDef, values: dict[int, Value]) -> None:
        shapes = node.attr["output_shapes"].list.shape
        for index, value in values.items() if shapes else ():
            dimensions = [tensor_shape_pb2.TensorShapeProto.Dim(size=size) for size in value.shape]
            shapes[index].CopyFrom(tensor_shape_pb2.TensorShapeProto(dim=dimensions))
        if "_output_shapes" in node.attr and any(value.handle for value in values.values()):
            del node.attr["_output_shapes"]
            self._note(node, "stale _output_shapes dropped")


def _needs_handle(node: NodeDef, source: str) -> Problem:
    """The Problem with a node that takes the handle of a variable, or of the argument, `source`."""
    if node.op not in GENERATORS:
        return Problem("unsupported_op", f"node {node.name!r} ({node.op}) needs the handle of variable {source!r}")
    return Problem(
        "unsupported_op",
        f"node {node.name!r} ({node.op}) draws from a random generator that keeps its state in a variable "
        f"({source!r}), and a frozen graph has no variable to move on with each draw",
        "choose `outputs:` that do not depend on this node, or export the model without it, or with the ops of "
        "`tf.random.stateless_*` in its place",
    )
