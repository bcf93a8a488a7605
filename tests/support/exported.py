"""Graphs as meta graphs, without a checkpoint."""

from collections.abc import Callable

import tensorflow as tf

v1 = tf.compat.v1


def meta_graph_of(build: Callable[[], None]) -> v1.MetaGraphDef:
    """The MetaGraphDef of the graph that `build` makes, with a saver where it has variables."""
    with tf.Graph().as_default():
        build()
        saver = v1.train.Saver() if v1.global_variables() else None
        return v1.train.export_meta_graph(saver_def=saver.as_saver_def() if saver else None)
