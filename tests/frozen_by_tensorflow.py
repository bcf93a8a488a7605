"""TensorFlow's own freeze_graph, as the authority to compare with."""

import os

import tensorflow as tf
from tensorflow.python.tools import freeze_graph

from permafrost.metagraph import read_meta_graph


def frozen_by_tensorflow(prefix, meta, outputs: list[str]) -> bytes:
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
            initializer_nodes="",
            input_meta_graph_def=meta_graph,
        )
    return graph_def.SerializeToString(deterministic=True)
