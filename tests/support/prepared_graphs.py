"""Graphs made with TensorFlow, as the exporter's preparation leaves them, and what TensorFlow gives for them."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf
from tensorflow.python.framework import tensor_util

from permafrost.export_records import Endpoint, Signature
from permafrost.exporter.prepared import Prepared
from permafrost.graph.index import tensor_name

v1 = tf.compat.v1
_LARGE = 1 << 20


class Made:
    """A graph with its variables as constants; prepared: what the exporter gets."""

    def __init__(self, build: Callable[[], None], inputs: list[str], outputs: list[str], hidden=(), initializers=()):
        """Runs `build` in a graph of its own; the others are names of nodes, or of tensors."""
        with tf.Graph().as_default() as graph:
            v1.set_random_seed(1)
            build()
            ends = [*outputs, *hidden]
            for number, name in enumerate(ends):
                tf.identity(graph.get_tensor_by_name(_tensor(name)), name=f"end_{number}")
            with v1.Session() as session:
                session.run(v1.global_variables_initializer())
                kept = [f"end_{number}" for number in range(len(ends))]
                self.graph_def = v1.graph_util.convert_variables_to_constants(
                    session, graph.as_graph_def(), [*kept, *inputs, *initializers]
                )
            given = [_endpoint(graph, name, f"end_{number}:0") for number, name in enumerate(ends)]
            self.signature = Signature(
                inputs=[_endpoint(graph, name, f"{name}:0") for name in inputs],
                outputs=given[: len(outputs)],
                hidden=given[len(outputs) :],
            )
        self.initializers = list(initializers)

    def prepared(self) -> Prepared:
        """What the exporter gets: large constants apart."""
        graph_def, weights = v1.GraphDef(), {}
        graph_def.CopyFrom(self.graph_def)
        for node in graph_def.node:
            if node.op == "Const" and len(node.attr["value"].tensor.tensor_content) >= _LARGE:
                weights[node.name] = tensor_util.MakeNdarray(node.attr["value"].tensor)
                node.attr["value"].tensor.ClearField("tensor_content")
        return Prepared(graph_def, weights, self.signature, self.initializers)

    def run(self, feed: dict) -> list[np.ndarray]:
        """What TensorFlow gives for outputs and hidden tensors, its optimisers off; feed: by the key of an input."""
        ends = [end.tensor for end in (*self.signature.outputs, *self.signature.hidden)]
        config = v1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
        config.graph_options.rewrite_options.disable_meta_optimizer = True
        with tf.Graph().as_default(), v1.Session(config=config) as session:
            tf.import_graph_def(self.graph_def, name="")
            session.run([session.graph.get_operation_by_name(name) for name in self.initializers])
            named = {end.tensor: feed[end.key] for end in self.signature.inputs}
            return [np.asarray(value) for value in session.run(ends, named)]


def _tensor(name: str) -> str:
    return "{}:{}".format(*tensor_name(name))


def _endpoint(graph: tf.Graph, name: str, tensor: str) -> Endpoint:
    node, number = tensor_name(name)
    key = f"{node}_{number}" if number else node
    found = graph.get_tensor_by_name(_tensor(name))
    shape = None if found.shape.rank is None else found.shape.as_list()
    dtype = {"float16": "half"}.get(found.dtype.name, found.dtype.name)
    return Endpoint(key=key, name=key, tensor=tensor, source=_tensor(name), dtype=dtype, shape=shape)


def numbers(*shape: int, seed: int = 0, scale: float = 1.0) -> np.ndarray:
    """Normal float32 numbers."""
    return (scale * np.random.default_rng(seed).normal(size=shape)).astype(np.float32)


def is_right(expected: list[np.ndarray], found: list[np.ndarray]) -> bool:
    """Whether arrays are those of TensorFlow: integers and strings equal, floats to 1e-5 of the largest value."""
    return len(expected) == len(found) and all(map(_is_near, expected, found))


def _is_near(expected: np.ndarray, found: np.ndarray) -> bool:
    if expected.shape != found.shape or expected.dtype != found.dtype:
        return False
    if expected.dtype.kind != "f":
        return bool(np.array_equal(expected, found))
    largest = np.abs(expected[np.isfinite(expected)]).max(initial=0)
    return bool(np.allclose(expected, found, rtol=0, atol=1e-5 * largest, equal_nan=True))
