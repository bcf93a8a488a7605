"""The shapes that TensorFlow infers for a graph when it imports it, of all that runs, without running it."""

from collections.abc import Iterable, Mapping

import tensorflow as tf

from permafrost.flow.orders import ENTERS
from permafrost.graph import pruning
from permafrost.graph.calls import needed_functions
from permafrost.graph.index import GraphIndex, tensor_name
from permafrost.graph.ops.unsafe import executed
from permafrost.graph.protos import OpList
from permafrost.graph.tensorflow_import import import_to_run
from permafrost.input_kinds import Shape
from permafrost.outcome import Problem


def infer(
    index: GraphIndex,
    fetched: Iterable[str],
    feeds: Mapping[str, Shape],
    allowed: set[str],
    producer_ops: OpList | None = None,
) -> dict[str, tuple[str, Shape]] | None:
    """The dtype and the shape of each of the tensors `fetched` where `feeds` are fed.

    None where TensorFlow does not infer the shapes of all that runs for them, finds shapes that do not fit each other,
    or where some of it runs in a loop, in which it knows the shapes of the first round alone, or in a function. Where
    it does infer all, a run fails at values, or not at all: what an op's kernel asks of shapes, its shape function asks
    as well.

    Args:
      feeds: the tensors that are fed, with their output's number, as `x:0`, with their shapes.
      allowed: op types that may be evaluated though they are unsafe.
      producer_ops: the OpList of the TensorFlow that wrote the graph, or None.
    """
    fetched = list(fetched)
    running = executed(index, fetched, set(feeds))
    fed = {tensor_name(name) for name in feeds}
    is_looping = any(index.ops[name] in ENTERS for name in running)
    if is_looping or needed_functions((index.nodes[name] for name in running), index.graph_def.library):
        return None
    if any(output for _, output in fed):
        return None
    graph_def = pruning.extract(index, running - {name for name, _ in fed})
    for node in graph_def.node:
        node.device = ""
        node.attr.pop("_output_shapes", None)
        node.attr.pop("_class", None)
    for name, shape in feeds.items():
        placeholder = graph_def.node.add(name=tensor_name(name)[0], op="Placeholder")
        placeholder.attr["dtype"].type = pruning.declared_dtype(index.nodes[placeholder.name], 0)
        placeholder.attr["shape"].shape.SetInParent()  # which a scalar has as well
        for size in shape:
            placeholder.attr["shape"].shape.dim.add(size=size)
    try:
        with tf.Graph().as_default() as graph:
            import_to_run(graph_def, allowed, producer_ops)
    except (ValueError, Problem):
        return None
    taken = {tensor for name in running for tensor in index.inputs[name]} | set(map(tensor_name, fetched))
    found = {tensor: graph.get_tensor_by_name("{}:{}".format(*tensor)) for tensor in taken}
    if not all(tensor.shape.is_fully_defined() for tensor in found.values()):
        return None
    return {name: _seen(found[tensor_name(name)]) for name in fetched}


def _seen(tensor: tf.Tensor) -> tuple[str, Shape]:
    return tensor.dtype.name, tensor.shape.as_list()
