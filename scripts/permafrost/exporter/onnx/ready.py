"""A prepared graph as tf2onnx takes it: large weights are inputs for as long as that works on it."""

from collections.abc import Iterable
from typing import Any

from permafrost.export_records import Endpoint, Signature
from permafrost.exporter.onnx import constant_strings
from permafrost.exporter.onnx.checks import nodes
from permafrost.exporter.prepared import Prepared, Refused
from permafrost.graph.index import GraphIndex, tensor_name
from permafrost.graph.protos import GraphDef, NodeDef, graph_pb2
from permafrost.graph.pruning import PLACEHOLDERS, extract
from permafrost.input_kinds import Shape

_UNLIKELY = 7919  # elements: what no dimension has by itself


def graph(prepared: Prepared, signature: Signature, tables: Iterable[str]) -> GraphDef:
    """A copy of the graph of what the signature's outputs need, and of its inputs, with a placeholder for each weight.

    A weight whose value is apart has its own shape and dtype; an input has the signature's.
    Args:
      tables: the nodes of those tables of which it is known what they hold.
    """
    index = GraphIndex(prepared.graph_def)
    ends = [tensor_name(end.tensor)[0] for end in (*signature.outputs, *signature.hidden)]
    inputs = {tensor_name(end.tensor)[0]: end for end in signature.inputs}
    copy = graph_pb2.GraphDef()
    copy.CopyFrom(extract(index, index.reach([*ends, *inputs, *tables])))
    for node in copy.node:
        if node.name in prepared.weights:
            _stand_in(node)
        elif node.name in inputs and node.op in PLACEHOLDERS:
            _shape_input(node, inputs[node.name].shape)
    folded = constant_strings.fold(copy)
    return extract(GraphIndex(folded), GraphIndex(folded).reach([*ends, *inputs, *tables]))


def _stand_in(node: NodeDef) -> None:
    """Makes a Const a Placeholder of its shape."""
    tensor = node.attr["value"].tensor
    node.op = "Placeholder"
    node.attr["shape"].shape.CopyFrom(tensor.tensor_shape)
    del node.attr["value"]
    del node.input[:]


def _shape_input(node: NodeDef, shape: Shape | None) -> None:
    node.op = "Placeholder"  # One with a default that is fed all the same.
    del node.input[:]
    written = node.attr["shape"].shape
    written.Clear()
    if shape is None:
        written.unknown_rank = True
    for size in shape or ():
        written.dim.add(size=-1 if size is None else size)


def weight_tensors(graph_def: GraphDef, prepared: Prepared) -> dict[str, str]:
    """Tensor of a weight whose value is apart -> its node, in the order of the graph."""
    return {f"{node.name}:0": node.name for node in graph_def.node if node.name in prepared.weights}


def take_weights(model: Any, weights: Iterable[str]) -> list[str]:
    """Takes weights out of a ModelProto's inputs; returns those that the model needs."""
    own = set(weights)
    others = [value for value in model.graph.input if value.name not in own]
    del model.graph.input[:]
    model.graph.input.extend(others)
    needed = {name for node in nodes(model.graph) for name in node.input}
    needed |= {value.name for value in model.graph.output}
    return [name for name in weights if name in needed]


def batched(graph_def: GraphDef, signature: Signature) -> set[str]:
    """The names of the outputs whose first dimension is the inputs' batch, as TensorFlow's shapes tell.

    Imports the graph with an unlikely number there, and looks where the number comes out.
    """
    import tensorflow as tf

    from permafrost.graph.tensorflow_import import import_to_look_at

    found = {tensor_name(end.tensor)[0]: end.batch_axis for end in signature.inputs}
    axes = {node: axis for node, axis in found.items() if axis is not None}
    if not axes:
        return set()
    copy = graph_pb2.GraphDef()
    copy.CopyFrom(graph_def)
    for node in copy.node:
        if node.name in axes:
            node.attr["shape"].shape.dim[axes[node.name]].size = _UNLIKELY
    with tf.Graph().as_default() as imported:
        try:
            import_to_look_at(copy)
        except ValueError:  # Shapes that do not fit together, as where another dimension is to be the same.
            return set()
        return {end.name for end in signature.outputs if _leads(imported, end)}


def _leads(imported: Any, end: Endpoint) -> bool:
    shape = imported.get_tensor_by_name(end.tensor).shape
    return bool(shape.rank) and shape[0] == _UNLIKELY


def refuse_random(graph_def: GraphDef) -> None:
    """Raises Refused (random_op) for a node that draws numbers: what tf2onnx makes of some of these draws none."""
    from permafrost.graph.ops.stateful import RANDOM

    bodies = [graph_def.node, *(function.node_def for function in graph_def.library.function)]
    for node in (node for body in bodies for node in body):
        if RANDOM.match(node.op):
            text = f"node {node.name!r} draws random numbers ({node.op}), which are others in ONNX"
            raise Refused("random_op", text, node.op, node.name)
