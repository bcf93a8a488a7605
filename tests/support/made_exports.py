"""Prepared graphs that TensorFlow makes of small programs, and what TensorFlow itself says that they compute."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from permafrost.export_records import Endpoint, Signature
from permafrost.exporter.prepared import Prepared

v1 = tf.compat.v1


def made(program: Callable, seed: int = 7) -> Prepared:
    """The frozen graph of a program that returns (inputs, outputs) or (inputs, outputs, hidden), each key -> tensor.

    Its variables have random values; each output and hidden tensor has an Identity of its own.
    """
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        v1.set_random_seed(seed)
        inputs, outputs, *others = program()
        hidden = others[0] if others else {}
        heads = {key: tf.identity(tensor, f"head_{number}") for number, (key, tensor) in enumerate(outputs.items())}
        below = {key: tf.identity(tensor, f"below_{number}") for number, (key, tensor) in enumerate(hidden.items())}
        fills = [each.name for each in v1.get_collection(v1.GraphKeys.TABLE_INITIALIZERS)]
        session.run(v1.global_variables_initializer())
        names = [tensor.op.name for tensor in (*heads.values(), *below.values())] + fills
        frozen = v1.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), names)
        signature = Signature(
            inputs=[_endpoint(*each) for each in inputs.items()],
            outputs=[_endpoint(*each) for each in heads.items()],
            hidden=[_endpoint(*each) for each in below.items()],
        )
    return Prepared(graph_def=frozen, weights={}, signature=signature, initializers=fills)


def _endpoint(key: str, tensor: tf.Tensor) -> Endpoint:
    shape = None if tensor.shape.rank is None else tensor.shape.as_list()
    return Endpoint(key=key, name=key, tensor=tensor.name, source=tensor.name, dtype=tensor.dtype.name, shape=shape)


def said(prepared: Prepared, feed: dict[str, np.ndarray], graph_def=None) -> list[np.ndarray]:
    """What TensorFlow gives for the outputs, then for what is hidden, without optimisers and on one thread."""
    config = v1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
    config.graph_options.optimizer_options.opt_level = v1.OptimizerOptions.L0
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    signature = prepared.signature
    with tf.Graph().as_default() as graph, v1.Session(graph=graph, config=config) as session:
        tf.import_graph_def(graph_def or prepared.graph_def, name="")
        for name in prepared.initializers:
            session.run(graph.get_operation_by_name(name))
        fed = {endpoint.tensor: feed[endpoint.key] for endpoint in signature.inputs}
        return session.run([endpoint.tensor for endpoint in (*signature.outputs, *signature.hidden)], fed)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def close(one: np.ndarray, other: np.ndarray, share: float = 1e-5) -> bool:
    """Whether two values are the same, but for a share of the largest where they are floats."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    if one.dtype.kind != "f":
        return one.tolist() == other.tolist()
    return bool(np.abs(one - other).max(initial=0) <= share * np.abs(one).max(initial=0))
