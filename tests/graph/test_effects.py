"""What nodes do beside what they give is done in the frozen graph too; what goes around the graph is not frozen."""

import os
from functools import partial

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest
import tensorflow as tf

import kinds
from comparing import compared
from fresh_process import in_fresh_process
from permafrost.graph.calls import needed_functions
from permafrost.graph.ops.unsafe import unsafe_nodes
from permafrost.graph.protos import graph_pb2, types_pb2

v1, raw = tf.compat.v1, tf.raw_ops


def start():
    """The input, the variable that is read, and whether the input is one that no trial feeds."""
    x = v1.placeholder(tf.float32, [3], name="x")
    return x, kinds.weights("w", [3], True), tf.reduce_max(x) > 1000.0


def table_of_numbers():
    return raw.MutableHashTableV2(key_dtype=tf.int64, value_dtype=tf.float32)


def assertion_before_a_read() -> None:
    x, w, is_late = start()
    with tf.control_dependencies([v1.debugging.Assert(tf.logical_not(is_late), [x])]):
        tf.multiply(x, w.read_value(), name="y")


def insert_before_a_read() -> None:
    """The table is written to, then the variable is read, then the table."""
    x, w, is_late = start()
    table, key = table_of_numbers(), tf.constant([1], tf.int64)
    with tf.control_dependencies([raw.LookupTableInsertV2(table_handle=table, keys=key, values=[7.0])]):
        value = w.read_value()
    with tf.control_dependencies([value]):
        found = raw.LookupTableFindV2(table_handle=table, keys=key, default_value=0.0)
    tf.add(x * value, found * tf.cast(is_late, tf.float32), name="y")


def insert_by_reference_before_a_read() -> None:
    """TensorFlow's registry does not call the ops stateful that take a table by reference."""
    x, w, is_late = start()
    table = raw.MutableHashTable(key_dtype=tf.int64, value_dtype=tf.float32, shared_name="numbers")
    one, written = tf.constant([1], tf.int64), tf.reshape(tf.where(is_late, 7.0, 0.0), [1])
    with tf.control_dependencies([raw.LookupTableInsert(table_handle=table, keys=one, values=written)]):
        value = w.read_value()
    with tf.control_dependencies([value]):
        key = tf.constant(1, tf.int64) + 0
    tf.add(x * value, raw.LookupTableFind(table_handle=table, keys=key, default_value=0.0), name="y")


def write_to_a_temporary_variable() -> None:
    x, w, is_late = start()
    memory = raw.TemporaryVariable(shape=[3], dtype=tf.float32, var_name="memory")
    written = raw.AssignAdd(ref=raw.Assign(ref=memory, value=x), value=tf.where(is_late, x, tf.zeros([3])))
    last = raw.DestroyTemporaryVariable(ref=written, var_name="memory")
    tf.add(last, kinds.weights("state", [3]) * w.read_value(), name="y")


def control_of_a_placeholder(resource: bool) -> None:
    """What is fed does not wait for what stands before its placeholder."""
    x = v1.placeholder(tf.float32, [3], name="x")
    w, other = kinds.weights("w", [3], resource), kinds.weights("other", [3], True)
    x.op._add_control_input(v1.assign(w, [5.0, 5.0, 5.0]).op)
    with tf.control_dependencies([x]):
        value = w.read_value() if resource else w * 1.0
    tf.multiply(x * other.read_value(), value, name="y")


def insert_before_a_placeholder() -> None:
    x, w, _ = start()
    table, key = table_of_numbers(), tf.constant([1], tf.int64)
    x.op._add_control_input(raw.LookupTableInsertV2(table_handle=table, keys=key, values=[7.0]))
    with tf.control_dependencies([tf.identity(x)]):
        value = w.read_value()
    with tf.control_dependencies([value]):
        found = raw.LookupTableFindV2(table_handle=table, keys=key, default_value=0.0)
    tf.add(x * value, found, name="y")


def default_after_a_write(resource: bool) -> None:
    """A read comes after the write by way of a default, which is none where another value is fed."""
    x = v1.placeholder(tf.float32, [3], name="x")
    w, other = kinds.weights("w", [3], resource), kinds.weights("other", [3], True)
    with tf.control_dependencies([v1.assign(w, [5.0, 5.0, 5.0]).op]):
        default = tf.reduce_mean(x * 0.0) + 1.0
    keep = tf.identity(v1.placeholder_with_default(default, [], name="keep"))
    with tf.control_dependencies([keep]):
        value = w.read_value() if resource else w * 1.0
    tf.multiply(x * other.read_value() * keep, value, name="y")


def insert_for_a_write() -> None:
    """The value of a write that nobody looks at takes an insert into a table with it."""
    x, w, is_late = start()
    last, table, key = kinds.weights("last", [3], True), table_of_numbers(), tf.constant([1], tf.int64)
    with tf.control_dependencies([raw.LookupTableInsertV2(table_handle=table, keys=key, values=[7.0])]):
        value = tf.identity(x)
    with tf.control_dependencies([last.assign(value, read_value=False)]):
        found = raw.LookupTableFindV2(table_handle=table, keys=key, default_value=0.0)
    tf.add(x * w.read_value(), found * tf.cast(is_late, tf.float32), name="y")


def merge_that_does_not_run() -> None:
    """A read waits for a Merge neither of whose sides runs for late inputs; then another value is taken."""
    x, w, is_late = start()
    never = raw.Switch(data=x, pred=is_late)[0], raw.Switch(data=x, pred=tf.logical_not(is_late))[1]
    with tf.control_dependencies([raw.Merge(inputs=list(never)).output]):
        early = raw.ReadVariableOp(resource=w.handle, dtype=tf.float32)
    late = raw.Switch(data=x * 9.0, pred=is_late)[1]
    tf.multiply(kinds.weights("scale", [3], True).read_value(), raw.Merge(inputs=[early, late]).output, name="y")


def memory_kept_in_an_array() -> None:
    x = v1.placeholder(tf.float32, [3], name="x")
    state = kinds.weights("state", [3])
    handle, flow = raw.TensorArrayV3(size=1, dtype=tf.float32)
    kept = raw.TensorArrayWriteV3(handle=handle, index=0, value=tf.identity(state._ref()), flow_in=flow)
    with tf.control_dependencies([kept]):
        write = v1.assign_add(state, tf.where(tf.reduce_max(x) > 1000.0, tf.ones([3]), tf.zeros([3]))).op
    with tf.control_dependencies([write]):
        tf.add(x, raw.TensorArrayReadV3(handle=handle, index=0, flow_in=flow, dtype=tf.float32), name="y")


def written_in_place() -> None:
    x, w, _ = start()
    tf.add(x, raw.InplaceAdd(x=w.read_value(), i=[0], v=[1.0]), name="y")


def other_container() -> None:
    x, w, is_late = start()
    twin = raw.VarHandleOp(dtype=tf.float32, shape=[3], shared_name="w", container="localhost", name="twin")
    with tf.control_dependencies([raw.AssignVariableOp(resource=twin, value=tf.where(is_late, x, [1.0, 2.0, 3.0]))]):
        tf.add(x, w.read_value(), name="y")


DONE = [
    assertion_before_a_read,
    insert_before_a_read,
    insert_by_reference_before_a_read,
    insert_for_a_write,
    merge_that_does_not_run,
    write_to_a_temporary_variable,
    partial(control_of_a_placeholder, False),
    partial(control_of_a_placeholder, True),
    insert_before_a_placeholder,
]
REFUSED = [
    memory_kept_in_an_array,
    written_in_place,
    other_container,
    partial(default_after_a_write, False),
    partial(default_after_a_write, True),
]


@pytest.mark.parametrize("build", DONE)
def test_what_is_done_beside_is_done_in_the_frozen_graph(build, tmp_path):
    outcome = in_fresh_process(compared, build, tmp_path)
    assert (outcome.verdict, outcome.differing) == ("verified", [])


@pytest.mark.parametrize("build", REFUSED)
def test_a_way_around_the_graph_is_refused(build, tmp_path):
    outcome = in_fresh_process(compared, build, tmp_path)
    assert outcome.verdict.startswith("unsupported_op: ")


def library_with(hidden_op: str):
    """A graph whose node calls `outer`, and a function `inner`, with a node of `hidden_op`, that `outer` is to hide."""
    graph_def = graph_pb2.GraphDef()
    graph_def.node.add(name="call", op="outer")
    outer, inner = graph_def.library.function.add(), graph_def.library.function.add()
    outer.signature.name, inner.signature.name = "outer", "inner"
    inner.node_def.add(name="hidden", op=hidden_op).attr["dtype"].type = types_pb2.DT_FLOAT
    return graph_def, outer


def by_default(graph_def, outer) -> None:
    attribute = outer.signature.attr.add(name="f", type="func")
    attribute.default_value.func.name = "inner"
    outer.node_def.add(name="n", op="PartitionedCall").attr["f"].placeholder = "f"


def by_argument_of_an_argument(graph_def, outer) -> None:
    graph_def.node[0].attr["f"].func.name = "absent"
    graph_def.node[0].attr["f"].func.attr["g"].func.name = "inner"


def by_gradient(graph_def, outer) -> None:
    graph_def.library.gradient.add(function_name="outer", gradient_func="inner")


@pytest.mark.parametrize("hide", [by_default, by_argument_of_an_argument, by_gradient])
def test_functions_are_found_wherever_they_are_named(hide):
    graph_def, outer = library_with("ReadFile")
    hide(graph_def, outer)
    assert {function.signature.name for function in needed_functions(graph_def.node, graph_def.library)} >= {"inner"}
    assert [row[:2] for row in unsafe_nodes(graph_def, {"call"}, set())] == [("inner/hidden", "ReadFile")]
