"""What happens inside of functions is found as in the graph, named with the function, and told where it runs."""

import os

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest
import tensorflow as tf

import kinds
from permafrost.graph.protos import graph_pb2
from permafrost.report import graph_findings, state_findings

v1, raw = tf.compat.v1, tf.raw_ops


def found(build, switches=(), keep=("out",)) -> dict[str, list[tuple[str, str, str]]]:
    """Finding -> (severity, node, advice) of each, for the part of a graph that `out` needs."""
    with tf.Graph().as_default() as graph:
        build()
        graph_def = v1.graph_util.extract_sub_graph(graph.as_graph_def(), list(keep))
    graph_def = graph_pb2.GraphDef.FromString(graph_def.SerializeToString())
    rows = [*graph_findings.of_frozen(graph_def, set(switches)), *state_findings.of_frozen(graph_def)]
    grouped: dict[str, list] = {}
    for row in rows:
        grouped.setdefault(row.finding, []).append((row.severity, row.node, row.advice))
    return grouped


def x():
    return v1.placeholder(tf.float32, [None, 4, 4, 2], name="x")


def drop(h, rate=0.5):
    return tf.nn.dropout(h, rate=rate, seed=1, name="drop")


def normalise(h):
    return v1.nn.fused_batch_norm(h, tf.ones([2]), tf.zeros([2]), is_training=True)[0]


def moments(h):
    mean, variance = tf.nn.moments(h, [0, 1, 2])
    return (h - mean) * variance


def plain(h):
    return h * 2.0


def called(inner) -> None:
    tf.identity(tf.function(inner, autograph=False)(x()), name="out")


def called_twice_over(inner) -> None:
    once = tf.function(inner, autograph=False)
    called(lambda h: once(h) + 1.0)


def in_an_if(inner) -> None:
    flag = v1.placeholder(tf.bool, [], name="flag")
    h = x()
    with kinds.control_flow(2):
        tf.identity(v1.cond(flag, lambda: inner(h), lambda: plain(h)), name="out")


def called_in_an_if(inner) -> None:
    once = tf.function(inner, autograph=False)
    in_an_if(lambda h: once(h))


def in_a_case(inner) -> None:
    which, h = v1.placeholder(tf.int32, [], name="which"), x()
    with kinds.control_flow(2):
        tf.identity(tf.switch_case(which, [lambda: plain(h), lambda: inner(h), lambda: h]), name="out")


def in_a_loop(inner) -> None:
    with kinds.control_flow(2):
        result = v1.while_loop(lambda i, h: i < 3, lambda i, h: (i + 1, inner(h)), [tf.constant(0), x()])
    tf.identity(result[1], name="out")


ALWAYS, SOMETIMES = [called, called_twice_over, in_a_loop], [in_an_if, called_in_an_if, in_a_case]
INNER = {"random_op": drop, "batch_statistics": normalise}


@pytest.mark.parametrize("build", [*ALWAYS, *SOMETIMES])
@pytest.mark.parametrize("finding", [*INNER, "batch_statistics by hand"])
def test_what_a_function_does_is_found(build, finding):
    inner = INNER.get(finding, moments)
    rows = found(lambda: build(inner))[finding.partition(" ")[0]]
    for severity, node, advice in rows:
        function, _, name = node.partition("/")
        assert function.startswith(("__inference", "cond_true", "while_body", "branch", "switch", "cond")) and name
        assert severity == ("warning" if build in ALWAYS else "info")
        assert ("side of a cond" in advice) == (build in SOMETIMES)


def test_a_function_that_is_called_beside_a_cond_too_always_runs():
    def build() -> None:
        once = tf.function(drop, autograph=False)
        flag, h = v1.placeholder(tf.bool, [], name="flag"), x()
        with kinds.control_flow(2):
            tf.add(v1.cond(flag, lambda: once(h), lambda: h), once(h), name="out")

    assert [row[0] for row in found(build)["random_op"]] == ["warning"]


@pytest.mark.parametrize("is_fed", [True, False])
def test_what_is_fed_to_a_function_may_switch_it_off(is_fed):
    def build() -> None:
        rate = v1.placeholder_with_default(0.0, [], name="rate")
        tf.identity(tf.function(drop, autograph=False)(x(), rate), name="out")

    (row,) = found(build, ["rate:0"] if is_fed else [])["random_op"]
    assert row[0] == ("info" if is_fed else "warning") and ("unless rate:0" in row[2]) == is_fed


def test_functions_that_nothing_calls_are_passed_over():
    def build() -> None:
        tf.function(drop, autograph=False)(x())
        tf.identity(tf.ones([2]), name="out")

    assert not found(build)


def test_a_flag_and_a_clock_in_a_function():
    def inner(h):
        training = tf.constant(True, name="is_training")
        with kinds.control_flow(2):
            h = v1.cond(training, lambda: h * 2.0, lambda: h)
        return h * tf.cast(raw.Timestamp(name="now") > 0.0, tf.float32)

    rows = found(lambda: called(inner))
    assert rows["training_flag"][0][1].endswith("/is_training") and rows["stateful_op"][0][1].endswith("/now")
