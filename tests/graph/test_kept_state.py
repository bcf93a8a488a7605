"""What keeps state from run to run, against TensorFlow: by its op registry, and by runs in one session and in two."""

import os
from functools import partial

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import op_def_pb2
from tensorflow.python.client import pywrap_tf_session

import kinds
from permafrost.graph.index import GraphIndex
from permafrost.graph.ops.generators import GENERATORS
from permafrost.graph.ops.kept_state import LEAVING_NOTHING, find_state_keeper
from permafrost.graph.ops.stateful import RANDOM, TABLE_INITIALIZERS
from permafrost.graph.ops.variables import REF_WRITES, RESOURCE_WRITES
from permafrost.graph.protos import graph_pb2

v1, raw = tf.compat.v1, tf.raw_ops


def input_and(resource: bool = True):
    return v1.placeholder(tf.float32, [2, 3], name="x"), kinds.weights("w", [2, 3], resource)


def reads(resource: bool) -> None:
    x, w = input_and(resource)
    tf.add(x, w, name="y")


def gathers() -> None:
    x, w = input_and()
    tf.add(x, tf.gather(w, [1, 0]), name="y")


def routes_a_reference() -> None:
    x, w = input_and(False)
    tf.add(x, raw.RefIdentity(input=w._ref()), name="y")


def sums_in_a_loop(version: int) -> None:
    """Tensor arrays, and stacks or tensor lists for the gradient."""
    with kinds.control_flow(version):
        x, w = input_and()
        scanned = tf.scan(lambda total, row: total * row, w * x)
        tf.identity(tf.gradients(scanned, x)[0], name="y")


def asserts() -> None:
    x, w = input_and()
    with tf.control_dependencies([v1.debugging.Assert(tf.reduce_all(x < 100.0), [x])]):
        tf.add(raw.CheckNumerics(tensor=x, message="bad"), w, name="y")


def finds_in_a_table() -> None:
    x, _ = input_and()
    table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer([1, 2], [5.0, 6.0]), 0.0)
    tf.add(x, table.lookup(tf.cast(x, tf.int32)), name="y")
    v1.tables_initializer()


def draws_without_state() -> None:
    x, _ = input_and()
    tf.add(x, tf.random.stateless_uniform([2, 3], seed=[1, 2]), name="y")


def branches_in_functions() -> None:
    with kinds.control_flow(2):
        x, w = input_and()
        tf.cond(tf.reduce_sum(x) > 0.0, lambda: x + w, lambda: x - w)
    last = v1.get_default_graph().get_operations()[-1]
    tf.identity(last.outputs[0], name="y")


LEAVE_NOTHING = [
    partial(reads, False),
    partial(reads, True),
    gathers,
    routes_a_reference,
    partial(sums_in_a_loop, 1),
    partial(sums_in_a_loop, 2),
    asserts,
    finds_in_a_table,
    draws_without_state,
    branches_in_functions,
]


def counts(resource: bool) -> None:
    x, w = input_and(resource)
    with tf.control_dependencies([v1.assign_add(w, x).op]):
        tf.add(x, w.read_value() if resource else w + 0.0, name="y")


def counts_in_a_function() -> None:
    with kinds.control_flow(2):
        x, w = input_and()
        y = tf.cond(tf.reduce_sum(x) > 0.0, lambda: w.assign_add(x).read_value(), lambda: x)
    tf.identity(y, name="y")


def learns() -> None:
    x, w = input_and(False)
    state = [kinds.weights(name, [2, 3])._ref() for name in ("m", "v")]
    rates = {"beta1_power": 0.9, "beta2_power": 0.9, "lr": 0.1, "beta1": 0.9, "beta2": 0.9, "epsilon": 0.1}
    tf.identity(raw.ApplyAdam(var=w._ref(), m=state[0], v=state[1], grad=x, **rates), name="y")


def scatters() -> None:
    x, w = input_and(False)
    tf.identity(raw.ScatterAdd(ref=w._ref(), indices=[0, 1], updates=x), name="y")


def writes_in_place() -> None:
    x, w = input_and()
    tf.identity(raw.InplaceAdd(x=raw.ReadVariableOp(resource=w.handle, dtype=tf.float32), i=[0, 1], v=x), name="y")


def draws() -> None:
    x, _ = input_and()
    tf.add(x, tf.random.uniform([2, 3], seed=5), name="y")


def pools_at_random() -> None:
    x, _ = input_and()
    image = tf.reshape(tf.range(400.0), [1, 20, 20, 1]) + tf.reduce_sum(x)
    pooled = raw.FractionalMaxPool(value=image, pooling_ratio=[1.0, 1.6, 1.6, 1.0], pseudo_random=False)
    tf.identity(pooled.output, name="y")


def inserts_and_finds() -> None:
    x, _ = input_and()
    table = raw.MutableHashTableV2(key_dtype=tf.int64, value_dtype=tf.float32)
    key = tf.constant([1], tf.int64)
    before = raw.LookupTableFindV2(table_handle=table, keys=key, default_value=0.0)
    with tf.control_dependencies([before]):
        insert = raw.LookupTableInsertV2(table_handle=table, keys=key, values=[7.0])
    with tf.control_dependencies([insert]):
        tf.add(x, before, name="y")


def takes_from_a_queue() -> None:
    x, _ = input_and()
    queue = raw.FIFOQueueV2(component_types=[tf.float32], capacity=9)
    with tf.control_dependencies([raw.QueueEnqueueV2(handle=queue, components=[x])]):
        tf.add(x, tf.cast(raw.QueueSizeV2(handle=queue), tf.float32), name="y")


KEEP = {
    partial(counts, False): "AssignAdd",
    partial(counts, True): "AssignAddVariableOp",
    counts_in_a_function: "AssignAddVariableOp",
    learns: "ApplyAdam",
    scatters: "ScatterAdd",
    writes_in_place: "InplaceAdd",
    draws: "RandomUniform",
    inserts_and_finds: "LookupTableInsertV2",
    takes_from_a_queue: "FIFOQueueV2",
}


def state_keeper(build):
    """What is found for tensor y of a graph, with x fed; and y in two runs of one session, then in one of another."""
    with tf.Graph().as_default() as graph:
        build()
        fill = v1.tables_initializer()
        index = GraphIndex(graph.as_graph_def())
        found = find_state_keeper(index, ["y:0"], {"x:0"}, [fill.name])
        results = []
        for runs in (2, 1):
            with v1.Session() as session:
                session.run([v1.global_variables_initializer(), fill])
                feed = {"x:0": np.array([[1, 2, 3], [4, 5, 6]], np.float32)}
                results.extend(session.run("y:0", feed) for _ in range(runs))
    return found, results


@pytest.mark.parametrize("build", LEAVE_NOTHING)
def test_a_run_of_what_leaves_nothing_behind_is_as_the_first(build):
    found, (first, second, fresh) = state_keeper(build)
    assert found is None
    assert first.tobytes() == second.tobytes() == fresh.tobytes()


@pytest.mark.parametrize("build", KEEP)
def test_what_keeps_state_is_found_and_a_second_run_shows_it(build):
    found, (first, second, fresh) = state_keeper(build)
    assert found is not None and found.op == KEEP[build]
    assert first.tobytes() == fresh.tobytes() != second.tobytes()


def test_an_op_without_state_may_have_a_generator():
    found, (first, second, _) = state_keeper(pools_at_random)
    assert found is not None and found.op == "FractionalMaxPool"
    assert first.tobytes() != second.tobytes()


def test_what_is_not_run_does_not_count():
    with tf.Graph().as_default() as graph:
        x, w = input_and()
        w.assign_add(x)
        tf.add(x, w, name="y")
        drawn = tf.random.uniform([2, 3], seed=5)
        tf.add(drawn, w, name="z")
    index = GraphIndex(graph.as_graph_def())
    assert find_state_keeper(index, ["y:0"], {"x:0"}, []) is None
    assert find_state_keeper(index, ["z:0"], {drawn.name}, []) is None
    assert find_state_keeper(index, ["z:0"], set(), []).op == "RandomUniform"


def test_a_table_may_be_filled_before_the_runs_and_not_in_them():
    with tf.Graph().as_default() as graph:
        finds_in_a_table()
    fill = next(node.name for node in graph.as_graph_def().node if node.op in TABLE_INITIALIZERS)
    index = GraphIndex(graph.as_graph_def())
    assert find_state_keeper(index, ["y:0"], {"x:0"}, [fill]) is None
    assert find_state_keeper(index, ["y:0", fill], {"x:0"}, [fill]).name == fill


def all_ops():
    found = op_def_pb2.OpList()
    found.ParseFromString(pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList()))
    return found.op


def keeps_state(op: str) -> bool:
    index = GraphIndex(graph_pb2.GraphDef(node=[{"name": "node", "op": op}]))
    return find_state_keeper(index, ["node"], set(), []) is not None


def test_of_all_ops_that_may_write_only_the_named_ones_pass():
    """Each op of the registry with state, with a reference, with a seed or a shared name; writers and generators."""
    passing = set()
    for op in all_ops():
        attributes = {attribute.name for attribute in op.attr}
        references = any(argument.is_ref for argument in op.input_arg)
        if op.is_stateful or references or attributes & {"seed", "seed2", "shared_name", "container"}:
            passing |= set() if keeps_state(op.name) else {op.name}
    assert {op for op in passing if not op.startswith("TensorArray")} == LEAVING_NOTHING
    writers = {*REF_WRITES, *RESOURCE_WRITES, *GENERATORS} | {op.name for op in all_ops() if "Apply" in op.name}
    assert all(map(keeps_state, writers))
    drawing = {op.name for op in all_ops() if RANDOM.match(op.name)}
    steady = {op for op in drawing if op.startswith("Stateless")} | {"RandomGammaGrad", "RandomIndexShuffle"}
    assert drawing > steady and all(map(keeps_state, drawing - steady))


def test_an_op_that_tensorflow_does_not_know_may_do_anything():
    assert keeps_state("OpOfAPlugin")
