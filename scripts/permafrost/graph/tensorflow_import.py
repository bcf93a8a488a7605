"""The one door by which graphs enter TensorFlow, which runs some of their ops on the way in.

To find out shapes, TensorFlow evaluates what hangs on constants alone while it imports a graph, in the bodies of the
functions that it calls too, whether a run reaches it or not (EvaluateConstantTensor in
tensorflow/core/common_runtime/eval_const_tensor.cc, InferShapesForFunction in shape_refiner.cc of the same directory).
It never evaluates an op with state, nor one that takes a reference, which only an op with state gives.
"""

from functools import cache
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import op_def_registry

from permafrost.graph.dtypes import REFERENCE
from permafrost.graph.ops.argument_types import argument_types
from permafrost.graph.ops.unsafe import is_unsafe, unsafe_nodes
from permafrost.graph.protos import GraphDef, OpList, node_def_pb2
from permafrost.outcome import Problem


def import_to_run(graph_def: GraphDef, allowed: set[str], producer_ops: OpList | None = None) -> None:
    """Imports a graph of which nodes will be run into the default graph, under the names that they have.

    Args:
      allowed: op types that may run though they are unsafe (graph.ops.unsafe).
      producer_ops: the OpList of the TensorFlow that wrote the graph, or None.
    Raises Problem (unsafe_op) before TensorFlow sees anything, and what tf.import_graph_def raises.
    """
    refuse(evaluated_unsafe(graph_def, allowed))
    tf.import_graph_def(graph_def, name="", producer_op_list=producer_ops)


def import_to_look_at(graph_def: GraphDef, producer_ops: OpList | None = None) -> None:
    """Imports a graph that will not be run into the default graph; its unsafe ops are not evaluated.

    What they take comes through an op with state, of the same dtypes and shapes. The graph must not be run.
    Args:
      graph_def: gets further nodes; those that it has keep their names, ops and order.
      producer_ops: as for import_to_run.
    Raises what tf.import_graph_def raises, and ValueError for an unsafe op that does not state its dtypes.
    """
    _hide_constants(graph_def.node, ())
    for function in graph_def.library.function:
        _hide_constants(function.node_def, [argument.name for argument in function.signature.input_arg], ":output:0")
    tf.import_graph_def(graph_def, name="", producer_op_list=producer_ops)


def evaluated_unsafe(graph_def: GraphDef, allowed: set[str]) -> list[tuple[str, str, str]]:
    """As unsafe.unsafe_nodes, for all that TensorFlow may evaluate while it imports the graph."""
    found = unsafe_nodes(graph_def, (node.name for node in graph_def.node), allowed)
    return [row for row in found if _may_be_evaluated(row[1])]


@cache
def _may_be_evaluated(op: str) -> bool:
    definition = op_def_registry.get(op)
    if definition is None or definition.is_stateful:
        return False
    return not any(argument.is_ref for argument in definition.input_arg)


def refuse(unsafe: list[tuple[str, str, str]]) -> None:
    """Raises Problem (unsafe_op) for the first of the nodes that unsafe.unsafe_nodes has found."""
    for name, op, reason in unsafe:
        raise Problem("unsafe_op", f"node {name!r} ({op}) {reason}; it was not run")


def _hide_constants(nodes: Any, arguments: Any, output: str = "") -> None:
    """Has each input of each unsafe op without state come from a Print, which has state.

    Args:
      nodes: the NodeDefs of a graph or of a function's body; gets those of the Prints.
      arguments: names that are taken as well.
      output: what follows a node's name where its first output is meant.
    """
    taken = {node.name for node in nodes} | set(arguments)
    for node in list(nodes):
        if not _may_be_evaluated(node.op) or not is_unsafe(node):
            continue
        definition = op_def_registry.get(node.op)
        positions = [position for position, text in enumerate(node.input) if not text.startswith("^")]
        types = argument_types(node, definition, definition.input_arg)
        if types is None or len(types) != len(positions):
            raise ValueError(f"node {node.name!r} ({node.op}) has other inputs than its op")
        for position, dtype in zip(positions, types, strict=True):
            if dtype < REFERENCE:  # A reference comes from a node with state as it is.
                printed = _printed(_unused(f"{node.name}/hidden_{position}", taken), node.input[position], dtype)
                nodes.append(printed)
                node.input[position] = printed.name + output


def _printed(name: str, source: str, dtype: int) -> Any:
    node = node_def_pb2.NodeDef(name=name, op="Print", input=[source])
    node.attr["T"].type = dtype
    node.attr["U"].list.SetInParent()
    return node


def _unused(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name
