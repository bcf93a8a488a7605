"""Digests of nodes are the same where TensorFlow wrote the same graph, and others where it computes something else."""

import tensorflow as tf
from tensorflow.python.training import training_util

import kinds
from permafrost.graph.digests import node_digests
from permafrost.graph.protos import GraphDef

v1 = tf.compat.v1


def branches(factor: float = 2.0) -> GraphDef:
    """A graph with functions, whose names a counter of the process makes, and with a marked node."""
    with tf.Graph().as_default() as graph, kinds.control_flow(2):
        x = v1.placeholder(tf.float32, [], name="x")
        cond = tf.cond(x > 0, lambda: tf.cond(x > 1, lambda: x * factor, lambda: x), lambda: -x)
        with tf.control_dependencies([cond.op]):
            tf.identity(x, name="out")
        return graph.as_graph_def()


def test_the_names_of_functions_do_not_count(tmp_path):
    one, other = branches(), branches()
    assert {f.signature.name for f in one.library.function} != {f.signature.name for f in other.library.function}
    assert node_digests(one) == node_digests(other)


def test_what_functions_compute_does_count():
    one, other = node_digests(branches()), node_digests(branches(3.0))
    assert {name for name in one if one[name] != other[name]} == {"cond"}


def test_inferred_shapes_and_marks_do_not_count():
    with tf.Graph().as_default() as graph:
        kinds.plain(True)()
        before = graph.as_graph_def()
        with tf.control_dependencies([graph.get_operation_by_name("w/Assign")]):
            training_util.get_or_create_global_step()
        after = graph.as_graph_def(add_shapes=True)
    assert node_digests(before).items() <= node_digests(after).items()
    assert before.SerializeToString() != after.SerializeToString()


def test_all_else_of_a_node_counts():
    graph_def = GraphDef()
    node = graph_def.node.add(name="a", op="Identity", input=["b"])
    found = {node_digests(graph_def)["a"]}
    for change in (
        lambda: node.input.append("^c"),
        lambda: setattr(node, "op", "Relu"),
        lambda: setattr(node.attr["T"], "type", 1),
        lambda: setattr(node.attr["f"].func, "name", "no_such_function"),
        lambda: setattr(node, "device", "/cpu:0"),
    ):
        change()
        found.add(node_digests(graph_def)["a"])
    assert len(found) == 6


def test_functions_that_call_each_other_in_a_ring_or_very_deep_end():
    graph_def = GraphDef()
    for number in range(300):
        function = graph_def.library.function.add()
        function.signature.name = f"f{number}"
        function.node_def.add(name="n", op="P").attr["f"].func.name = f"f{(number + 1) % 300}"
    graph_def.node.add(name="a", op="f7")
    assert set(node_digests(graph_def)) == {"a"}
