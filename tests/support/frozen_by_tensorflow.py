"""TensorFlow's own freeze_graph, as the authority to compare with."""

import os

import tensorflow as tf
from tensorflow.python.tools import freeze_graph

from permafrost.graph.metagraph import read_meta_graph


def frozen_by_tensorflow(prefix, meta, outputs: list[str], initializer_nodes: str = "") -> bytes:
    """The bytes that freeze_graph writes for the output nodes `outputs`; raises what it raises.

    Collections are left out: they do not matter for the result, and many name nodes that the graph lacks.
    """
    meta_graph = read_meta_graph(meta)
    meta_graph.ClearField("collection_def")
    with tf.Graph().as_default():
        graph_def = freeze_graph.freeze_graph_with_def_protos(
            input_graph_def=None,
            input_saver_def=None,
            input_checkpoint=os.fspath(prefix),
            output_node_names=",".join(outputs),
            restore_op_name=None,
            filename_tensor_name=None,
            output_graph="",
            clear_devices=True,
            initializer_nodes=initializer_nodes,
            input_meta_graph_def=meta_graph,
        )
    return graph_def.SerializeToString(deterministic=True)


def with_our_names(theirs: bytes, ours: bytes) -> bytes:
    """TensorFlow's frozen graph with our names of converted functions, which it takes from a counter of its own."""
    graph_def, own = (tf.compat.v1.GraphDef.FromString(content) for content in (theirs, ours))
    assert len(graph_def.library.function) == len(own.library.function)
    names = {}
    for function, ours_function in zip(graph_def.library.function, own.library.function, strict=True):
        base, _, number = function.signature.name.rpartition("_frozen_")
        if base and number.isdigit():
            names[function.signature.name] = ours_function.signature.name
            function.signature.name = ours_function.signature.name
    nodes = [*graph_def.node, *(node for function in graph_def.library.function for node in function.node_def)]
    for node in nodes:
        for attribute in node.attr.values():
            for called in [attribute.func] if attribute.HasField("func") else attribute.list.func:
                called.name = names.get(called.name, called.name)
    return graph_def.SerializeToString(deterministic=True)
