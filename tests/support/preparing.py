"""Graphs made with TensorFlow, frozen by it, prepared, and run before and after: the bits have to be the same."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from permafrost.export_records import Endpoint, Signature
from permafrost.exporter.preparation.preparing import prepare
from permafrost.exporter.prepared import Prepared
from permafrost.graph.dtypes import dtype_name
from permafrost.graph.index import tensor_name
from permafrost.judge.sessions import _config

v1 = tf.compat.v1
NAN, INFINITY = float("nan"), float("inf")
SPECIAL = np.array([0.0, -0.0, NAN, INFINITY, -INFINITY, 1e38, -1e-38, 1e-40, 2.5], np.float32)


def frozen(build, directory: Path, outputs: list[str] = ("y:0",)) -> tuple[Path, tf.Graph]:
    """The .pb of what `build` makes in a graph, its variables with their first values, and the graph."""
    with tf.Graph().as_default() as graph:
        v1.set_random_seed(7)
        build()
        with v1.Session(graph=graph, config=_config(1, False)) as session:
            session.run(v1.global_variables_initializer())
            nodes = [tensor_name(name)[0] for name in outputs]
            graph_def = v1.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), nodes)
    path = Path(directory) / "frozen_graph.pb"
    path.write_bytes(graph_def.SerializeToString())
    with tf.Graph().as_default() as imported:
        tf.import_graph_def(graph_def, name="")
    return path, imported


def signature(graph: tf.Graph, inputs: list[str], outputs: list[str]) -> Signature:
    def endpoint(name: str) -> Endpoint:
        tensor = graph.get_tensor_by_name(name)
        shape = None if tensor.shape.rank is None else tensor.shape.as_list()
        dtype = dtype_name(tensor.dtype.as_datatype_enum)
        return Endpoint(key=name, name=name, tensor=name, source=name, dtype=dtype, shape=shape)

    return Signature(inputs=[endpoint(name) for name in inputs], outputs=[endpoint(name) for name in outputs])


def run(graph_def, fetches, feed, weights=(), initializers=()):
    """The values of a first run in a fresh session, as the judge runs a graph."""
    graph_def = type(graph_def).FromString(graph_def.SerializeToString())
    for node in graph_def.node:
        if node.name in weights:
            dtype = node.attr["dtype"].type
            node.ClearField("attr")
            node.op = "Placeholder"
            node.attr["dtype"].type = dtype
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
        with v1.Session(graph=graph, config=_config(1, False)) as session:
            for name in initializers:
                session.run(graph.get_operation_by_name(name))
            return session.run(fetches, feed | {f"{name}:0": weights[name] for name in weights})


def bits(value) -> tuple:
    array = np.asarray(value)
    return array.dtype, array.shape, array.tolist() if array.dtype == object else array.tobytes()


def check(build, directory, feeds, bake=None, outputs=("y:0",), hidden=(), initializers=(), inputs=None) -> Prepared:
    """Prepares a graph, and compares all that it gives on the feeds; returns what was prepared.

    Args:
      feeds: by tensor, of the inputs that are not baked. bake: tensor -> value.
    """
    bake = {name: np.asarray(value) for name, value in (bake or {}).items()}
    needed = [*outputs, *hidden, *(f"{name}:0" for name in initializers)]
    path, graph = frozen(build, directory, needed)
    own = signature(graph, inputs if inputs is not None else [*feeds[0], *bake], list(outputs))
    own.hidden = signature(graph, [], list(hidden)).outputs
    prepared = prepare(str(path), own, bake, list(initializers))
    before = v1.GraphDef.FromString(path.read_bytes())
    given = [each.tensor for each in (*prepared.signature.outputs, *prepared.signature.hidden)]
    for feed in feeds:
        wanted = run(before, [*outputs, *hidden], {**feed, **bake}, (), initializers)
        found = run(prepared.graph_def, given, feed, prepared.weights, prepared.initializers)
        assert [bits(value) for value in found] == [bits(value) for value in wanted], feed
    return prepared


def ops(prepared: Prepared) -> list[str]:
    """The ops of a prepared graph and its functions."""
    graph_def = prepared.graph_def
    return [node.op for node in graph_def.node] + [
        node.op for function in graph_def.library.function for node in function.node_def
    ]
