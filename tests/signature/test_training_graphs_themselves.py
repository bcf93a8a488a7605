"""The training graphs: each can be built, exported and run for the outputs that are wanted of it."""

import re

import numpy as np
import pytest
import tensorflow as tf

import training_graphs

v1 = tf.compat.v1
# Each graph is run twice: to optimise it would take longer than that.
PLAIN = v1.ConfigProto()
PLAIN.graph_options.rewrite_options.disable_meta_optimizer = True
FLAGS = re.compile(r"keep|drop|rate|phase|train|test|prob|is_|use_|Placeholder|epoch|iter", re.I)


def fed(tensor) -> np.ndarray:
    """Small values, which are lengths, ids and numbers alike; unknown sizes are 4."""
    shape = [4 if size is None else size for size in tensor.shape] if tensor.shape.rank is not None else []
    if tensor.dtype == tf.string:
        return np.full(shape, b"ice")
    values = np.random.default_rng(1).uniform(0.2, 0.8, shape) if tensor.dtype.is_floating else np.ones(shape)
    return values.astype(tensor.dtype.as_numpy_dtype)


def flags(graph, inputs: set[str]) -> dict:
    """Values for what is neither wanted as an input nor a label: a single truth or number, such as a keep_prob."""
    found = [operation.outputs[0] for operation in graph.get_operations() if operation.type == "Placeholder"]
    single = [tensor for tensor in found if tensor.shape.rank in (0, None) and tensor.op.name not in inputs]
    return {t: not t.dtype.is_bool for t in single if FLAGS.search(t.op.name) and t.dtype in (tf.float32, tf.bool)}


@pytest.mark.parametrize("build", training_graphs.WANTED, ids=lambda build: build.__name__)
def test_it_runs_on_the_inputs_alone(build):
    outputs, inputs = training_graphs.WANTED[build]
    with tf.Graph().as_default() as graph:
        v1.set_random_seed(1)
        build()
        v1.train.export_meta_graph()
        wanted = [graph.get_operation_by_name(name).outputs[0] for name in sorted(outputs)]
        feeds = {tensor: fed(tensor) for name in inputs for tensor in graph.get_operation_by_name(name).outputs}
        with v1.Session(graph=graph, config=PLAIN) as session:
            session.run(v1.global_variables_initializer())
            values = session.run(wanted, feeds | flags(graph, inputs))
    assert all(np.isfinite(value).all() for value in values if value.dtype.kind == "f")


def test_each_has_a_name_of_its_own():
    assert len(training_graphs.WANTED) == len({build.__name__ for build in training_graphs.WANTED})
