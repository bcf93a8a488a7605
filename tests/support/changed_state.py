"""Graphs that show state which no frozen graph has on a feed that no trial has, and what is said of them.

The output is `y`, the input `x`.
"""

import os

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from pathlib import Path
from unittest import mock

import numpy as np
import tensorflow as tf

import kinds
from judged import said
from permafrost.freezer import passes
from permafrost.freezer.initialization import Initialization
from permafrost.graph.metagraph import read_meta_graph
from permafrost.judge import judging
from permafrost.model import Model
from permafrost.records import ImportRecord, Provenance
from stages import default_settings, frozen, imported, sources

v1, raw = tf.compat.v1, tf.raw_ops
LATE = np.full([3], 2000, np.float32)  # what no trial feeds


def start():
    """The input, a weight, and 1 on a feed that no trial has, else 0."""
    x = v1.placeholder(tf.float32, [3], name="x")
    return x, kinds.weights("w", [3], True).read_value(), tf.cast(tf.reduce_max(x) > 1000.0, tf.float32)


def give(count) -> None:
    """The output, which shows `count` on a late feed."""
    x, w, late = start()
    tf.add(x * w, late * tf.cast(count, tf.float32), name="y")


def mutable(name: str = "table", shared: str = "shared"):
    return raw.MutableHashTableV2(key_dtype=tf.int64, value_dtype=tf.float32, shared_name=shared, name=name)


def found(table):
    return raw.LookupTableFindV2(table_handle=table, keys=tf.constant(5, tf.int64), default_value=tf.constant(0.0))


def insert(table, name: str = "change"):
    return raw.LookupTableInsertV2(
        table_handle=table, keys=tf.constant([5], tf.int64), values=tf.constant([7.0]), name=name
    )


def queue(name: str = "queue"):
    return raw.FIFOQueueV2(component_types=[tf.float32], shapes=[[]], shared_name="queue", name=name)


def called(function, *args) -> None:
    """A node `change` that calls a function."""
    concrete = tf.function(function, autograph=False).get_concrete_function(*map(tf.TensorSpec.from_tensor, args))
    concrete.add_to_graph()
    raw.StatefulPartitionedCall(args=list(args), Tout=[tf.float32], f=concrete, name="change")


def twin_of_a_table() -> None:
    insert(mutable("twin"))
    give(found(mutable()))


def function_with_a_variable() -> None:
    other = raw.VarHandleOp(dtype=tf.float32, shape=[], shared_name="other", name="other")

    def fill(value):
        handle = raw.VarHandleOp(dtype=tf.float32, shape=[], shared_name="other")
        with tf.control_dependencies([raw.AssignVariableOp(resource=handle, value=value)]):
            return tf.identity(value)

    called(fill, tf.constant(1.0))
    give(raw.VarIsInitializedOp(resource=other))


def staged() -> None:
    raw.Stage(values=[tf.constant(1.0)], shared_name="stage", name="change")
    give(raw.StageSize(dtypes=[tf.float32], shared_name="stage"))


def filled(table, values, name: str = "fill"):
    return raw.InitializeTableV2(table_handle=table, keys=tf.constant([5], tf.int64), values=values, name=name)


def constant_table(name: str):
    return raw.HashTableV2(key_dtype=tf.int64, value_dtype=tf.float32, shared_name="constant", name=name)


def saved(build, directory: Path, restoring: bool = True) -> dict:
    """The source of a model whose restore runs the node `change`, too."""
    prefix = kinds.save(build, directory)
    meta_graph = read_meta_graph(f"{prefix}.meta")
    (restore,) = (n for n in meta_graph.graph_def.node if n.name == meta_graph.saver_def.restore_op_name)
    restore.input.extend(["^change"] if restoring else [])
    Path(f"{prefix}.meta").write_bytes(meta_graph.SerializeToString())
    (source,) = sources(directory).values()
    return source


def given(meta: str, prefix: str, initializer: str = ""):
    """What TensorFlow gives on a late feed, after the restore and the initializer."""
    with tf.Graph().as_default(), v1.Session() as session:
        v1.train.import_meta_graph(meta).restore(session, prefix)
        if initializer:
            session.run(initializer)
        return session.run("y:0", {"x:0": LATE})


def frozen_against_the_rules(source: Model, directory: Path) -> tuple[ImportRecord, Provenance, Path]:
    """What the freezer would make if it refused nothing of the kind."""
    with (
        mock.patch.object(Initialization, "refuse_changes"),
        mock.patch.object(Initialization, "refuse_other_fillings"),
        mock.patch.object(passes, "refuse_written_by_initializers"),
    ):
        record = imported(source, outputs=["y"])
        return record, *frozen(record, directory)


def judged(record: ImportRecord, provenance: Provenance, path: Path) -> dict:
    return said(judging.judge(record, provenance, str(path), default_settings(), os.getcwd()))


def frozen_value(path: Path, initializers: list[str]):
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        tf.import_graph_def(v1.GraphDef.FromString(path.read_bytes()), name="")
        for name in initializers:
            session.run(name)
        return session.run("y:0", {"x:0": LATE})
