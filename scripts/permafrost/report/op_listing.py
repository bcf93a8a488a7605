"""One row for each op of a graph, with its tensors as TensorFlow prints them.

TensorFlow imports the graph in a sandboxed child. An op that it does not know, or must not run, is imported as one
with outputs of the same dtypes, where the meta graph defines the op. What TensorFlow refuses altogether is listed
from the protocol buffers alone.
"""

import sys
import time
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import op_def_registry

from permafrost.graph.large_constants import value_bytes
from permafrost.graph.ops.argument_types import argument_types
from permafrost.graph.ops.variables import VARIABLE_OPS, static_shape
from permafrost.graph.protos import GraphDef, NodeDef, OpDef, OpList
from permafrost.graph.static import tensor_bytes
from permafrost.graph.tensorflow_import import import_to_look_at
from permafrost.model import Limits
from permafrost.outcome import TRANSIENT, Problem
from permafrost.report import csv_files
from permafrost.report.columns import Row
from permafrost.report.tables.ops import OPS
from permafrost.sandbox import limits, runner

_DEFAULTS = Limits()
# Large constants are emptied before the import: their values decide no shape, and would be copied several times.
_LARGE_CONSTANT = 1 << 20


_Outputs = dict[str, list[str]]  # column -> what it says of each output of a node


class Graph:
    """A graph of which the ops are to be listed. The GraphDef is used up: it must not be used afterwards.

    `stopped_by` is the limit that TensorFlow reached when it imported the graph, or the machine's fault, or None.
    Args:
      producer_ops: the meta graph's stripped_op_list (an OpList), or None.
    """

    stopped_by: Problem | None = None

    def __init__(self, graph_def: GraphDef, producer_ops: OpList | None = None):
        self.rows = [_stated(node) for node in graph_def.node]
        self.stated = _stated_outputs(graph_def, producer_ops)
        self.graph_def, self.producer_ops = graph_def, producer_ops


def list_ops(*graphs: Graph, settings: Limits = _DEFAULTS) -> list[list[Row]]:
    """For each graph a dict with the names of OPS for each of its nodes, in their order.

    `output` is str() of each output tensor; `dtypes` and `shapes` (`[2, ?]`, or `?` for an unknown rank) are those of
    the outputs; `bytes` is what a Const or a variable holds, else None. Lists are joined by `; `. Where TensorFlow
    cannot import a graph, that is said on stderr, `output` is empty, and dtypes and shapes are those that the graph
    states.
    Args:
      settings: timeout, for all graphs together, memory_mb, file_mb and processes.
    """
    listed = []
    for graph, found in zip(graphs, _import(graphs, settings, time.monotonic()), strict=True):
        outputs = graph.stated if found is None else found
        for row, tensors in zip(graph.rows, outputs, strict=True):
            row |= {column: _joined(texts) for column, texts in tensors.items()}
        listed.append([{column: row[column] for column in OPS.header} for row in graph.rows])
    return listed


def _stated_outputs(graph_def: GraphDef, producer_ops: OpList | None) -> list[_Outputs]:
    """What the graph itself says of each node's outputs, column by column; simplifies the graph for the import."""
    definitions = _definitions(graph_def, producer_ops)
    types = [_output_types(node, definitions.get(node.op)) for node in graph_def.node]
    shapes = [_output_shapes(node) for node in graph_def.node]
    _simplify(graph_def, types)
    return [
        {"output": [], "dtypes": list(map(_dtype_name, dtypes or [])), "shapes": stated}
        for dtypes, stated in zip(types, shapes, strict=True)
    ]


def _import(graphs: Any, settings: Limits, began: float) -> list[list[_Outputs] | None]:
    """What TensorFlow says of each node's outputs, graph by graph; None where it cannot import the graph."""
    try:
        return [*runner.run(_imported, graphs, returns=list, **runner.limits(limits.left(settings, began)))]
    except OSError as failure:
        error = Problem("io_error", str(failure))
        return _left_out(graphs, error, error.cause)
    except (Problem, RuntimeError) as error:
        cause = error.cause if isinstance(error, Problem) else ""
        # One that TensorFlow refuses must not take the others with it.
        if len(graphs) > 1 and cause not in TRANSIENT:
            return [_import([graph], settings, began)[0] for graph in graphs]
        return _left_out(graphs, error, cause)


def _left_out(graphs: Any, error: Exception, cause: str) -> list[list[_Outputs] | None]:
    print(f"TensorFlow cannot import the graph, so the tensors are not listed: {error}", file=sys.stderr)
    for graph in graphs:
        graph.stopped_by = error if cause in (*TRANSIENT, "memory") else None
    return [None] * len(graphs)


def _imported(graphs: Any) -> list[list[_Outputs]]:
    return [_imported_one(graph.graph_def, graph.producer_ops) for graph in graphs]


def _imported_one(graph_def: GraphDef, producer_ops: OpList | None) -> list[_Outputs]:
    """For each node what it says of its outputs, column by column. Raises as import_to_look_at does."""
    names = [node.name for node in graph_def.node]
    with tf.Graph().as_default() as graph:
        import_to_look_at(graph_def, producer_ops)
    return [_described(graph.get_operation_by_name(name).outputs) for name in names]


def _described(tensors: list[tf.Tensor]) -> _Outputs:
    """What is said of tensors without a device; `output` as Tensor.__str__ has it, which asks for each shape thrice."""
    found = [(tensor.name, tensor.shape, tensor.dtype.name) for tensor in tensors]
    return {
        "output": [
            f'Tensor("{name}"{"" if shape.rank is None else f", shape={shape}"}, dtype={dtype})'
            for name, shape, dtype in found
        ],
        "dtypes": [dtype for _, _, dtype in found],
        "shapes": ["?" if shape.rank is None else csv_files.shape(shape.as_list()) for _, shape, _ in found],
    }


def _stated(node: NodeDef) -> Row:
    """The columns that the NodeDef itself states."""
    return {
        "name": node.name,
        "type": node.op,
        "inputs": _joined(name for name in node.input if not name.startswith("^")),
        "control_inputs": _joined(name[1:] for name in node.input if name.startswith("^")),
        "device": node.device,
        "bytes": _bytes_held(node),
    }


def _bytes_held(node: NodeDef) -> int | None:
    """The bytes of a constant's value or of a variable; None where there are more than 64 bits count."""
    if node.op == "Const":
        return csv_files.integer(value_bytes(node))
    if node.op in VARIABLE_OPS:
        return csv_files.integer(tensor_bytes(static_shape(node), node.attr["dtype"].type))
    return None


def _definitions(graph_def: GraphDef, producer_ops: OpList | None) -> dict[str, OpDef]:
    """Op type -> its OpDef, TensorFlow's own before the producer's."""
    producers = {op.name: op for op in producer_ops.op} if producer_ops is not None else {}
    return {op: op_def_registry.get(op) or producers.get(op) for op in {node.op for node in graph_def.node}}


def _output_types(node: NodeDef, definition: OpDef) -> list[int] | None:
    return argument_types(node, definition, definition.output_arg) if definition is not None else None


def _output_shapes(node: NodeDef) -> list[str]:
    if "_output_shapes" not in node.attr:
        return []
    return [
        "?" if shape.unknown_rank else csv_files.shape(max(dimension.size, -1) for dimension in shape.dim)
        for shape in node.attr["_output_shapes"].list.shape
    ]


def _simplify(graph_def: GraphDef, types: list[list[int] | None]) -> None:
    """Takes from the graph what the import does not need or cannot have, in place."""
    for node, dtypes in zip(graph_def.node, types, strict=True):
        node.device = ""
        if "_class" in node.attr:
            del node.attr["_class"]
        if node.op == "Const" and node.attr["value"].tensor.ByteSize() > _LARGE_CONSTANT:
            tensor = node.attr["value"].tensor
            dtype, shape = tensor.dtype, tensor.tensor_shape.SerializeToString()
            tensor.Clear()
            tensor.dtype = dtype
            tensor.tensor_shape.ParseFromString(shape)
        if dtypes is not None and op_def_registry.get(node.op) is None:
            controls = [name for name in node.input if name.startswith("^")]
            node.attr.clear()
            node.op = "Unstage" if dtypes else "NoOp"  # Unstage has any outputs that one wants, and no inputs.
            if dtypes:
                node.attr["dtypes"].list.type.extend(dtypes)
            del node.input[:]
            node.input.extend(controls)


def _dtype_name(dtype: int) -> str:
    try:
        return str(tf.dtypes.as_dtype(dtype).name)
    except TypeError:
        return "?"


def _joined(texts: Any) -> str:
    return "; ".join(texts)
