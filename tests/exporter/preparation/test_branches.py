"""What a known predicate switches off is gone from a prepared graph, and no bit changes."""

import os

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
import tensorflow as tf

from permafrost.exporter.preparation.preparing import prepare
from preparing import SPECIAL, bits, check, frozen, ops, run, signature, v1

raw = tf.raw_ops
X = SPECIAL.reshape(3, 3)
FEEDS = [{"x:0": X}, {"x:0": np.arange(12, dtype=np.float32).reshape(4, 3) - 3}]
BRANCHING = {
    "Switch", "Merge", "If", "StatelessIf", "Case", "StatelessCase", "PartitionedCall", "StatefulPartitionedCall",
    "RandomUniform", "SelectV2", "Select",
}  # fmt: skip


@pytest.fixture(params=[False, True], ids=["v1", "functions"], autouse=True)
def control_flow(request):
    """Conds as TensorFlow 1 writes them, and as functions."""
    before = v1.control_flow_v2_enabled()
    (v1.enable_control_flow_v2 if request.param else v1.disable_control_flow_v2)()
    yield request.param
    (v1.enable_control_flow_v2 if before else v1.disable_control_flow_v2)()


def start(dtype=tf.bool):
    return v1.placeholder(tf.float32, [None, 3], name="x"), v1.placeholder(dtype, [], name="training")


def one_cond() -> None:
    x, training = start()
    tf.identity(v1.cond(training, lambda: tf.nn.dropout(x * 2, rate=0.5), lambda: x - 1), name="y")


def not_and_or() -> None:
    x, training = start()
    late = tf.reduce_sum(x) > 0
    both = tf.logical_and(tf.logical_not(tf.logical_not(training)), late)
    tf.identity(v1.cond(tf.logical_or(both, both), lambda: x * x, lambda: x + 3), name="y")


def conds_in_conds() -> None:
    x, training = start()

    def inner():
        return v1.cond(training, lambda: tf.random.normal(tf.shape(x)), lambda: tf.sqrt(x))

    tf.identity(v1.cond(tf.reduce_sum(x) > 0, inner, lambda: v1.cond(training, lambda: x, inner)), name="y")


def several_results() -> None:
    x, training = start()
    a, b = v1.cond(training, lambda: (x, x * 3), lambda: (x * 2, x))
    tf.identity(tf.concat([b, a, b], 0), name="y")


def constants_on_both_sides() -> None:
    x, training = start()
    tf.identity(x * v1.cond(training, lambda: tf.constant(7.0), lambda: tf.constant(5.0)), name="y")


def a_loop_on_one_side() -> None:
    x, training = start()

    def loop():
        return tf.while_loop(lambda i, a: i < 3, lambda i, a: (i + 1, a * 2), [0, x])[1]

    tf.identity(v1.cond(training, loop, lambda: tf.nn.relu(x)), name="y")


def a_cond_in_a_loop() -> None:
    x, training = start()

    def step(i, a):
        return i + 1, v1.cond(training, lambda: tf.nn.dropout(a, rate=0.5), lambda: a * 2 + 1)

    tf.identity(tf.while_loop(lambda i, a: i < 3, step, [0, x])[1], name="y")


def a_choice() -> None:
    x, training = start()
    known = v1.where(tf.fill([3, 3], True), x, x * 2)
    tf.identity(tf.where(training, tf.random.uniform([]), 3.0) * x[:3] + known[:1], name="y")


def batch_norm() -> None:
    x, training = start()
    images = tf.reshape(x, [-1, 1, 1, 3])
    gamma, beta, mean, variance = (tf.constant([0.5, 2.0, 1.5]) for _ in range(4))

    def fused(is_training):
        moments = {} if is_training else {"mean": mean, "variance": variance}
        return v1.nn.fused_batch_norm(images, gamma, beta, is_training=is_training, **moments)[0]

    tf.identity(v1.cond(training, lambda: fused(True), lambda: fused(False)), name="y")


BUILDS = [
    one_cond, not_and_or, conds_in_conds, constants_on_both_sides, a_loop_on_one_side, a_cond_in_a_loop, several_results
]  # fmt: skip


@pytest.mark.parametrize("build", BUILDS)
def test_the_side_that_is_taken(build, tmp_path) -> None:
    prepared = check(build, tmp_path, FEEDS, {"training:0": False})
    found = BRANCHING & set(ops(prepared))
    allowed = {"Switch", "Merge", "If", "StatelessIf"} if build is conds_in_conds else set()
    allowed |= {"Switch", "Merge"} if build is a_cond_in_a_loop else set()
    # An If asks whether its predicate is a scalar, which nothing tells of the late one.
    allowed |= {"StatelessIf"} if build is not_and_or else set()
    assert not found - allowed
    assert prepared.changes


@pytest.mark.parametrize("build", [not_and_or, constants_on_both_sides, a_loop_on_one_side, several_results])
def test_the_other_side(build, tmp_path) -> None:
    prepared = check(build, tmp_path, FEEDS, {"training:0": True})
    in_loop = "LoopCond" in ops(prepared)
    assert build is not_and_or or ("Switch" in ops(prepared)) == in_loop


@pytest.mark.parametrize("build", [not_and_or, constants_on_both_sides, a_loop_on_one_side, several_results])
def test_nothing_baked(build, tmp_path) -> None:
    check(build, tmp_path, [{**feed, "training:0": side} for feed in FEEDS for side in (False, True)])


def test_batch_norm(tmp_path) -> None:
    assert not BRANCHING & set(ops(check(batch_norm, tmp_path, FEEDS, {"training:0": False})))


def test_a_choice(tmp_path) -> None:
    feeds = [{"x:0": X}]
    assert "RandomUniform" not in ops(check(a_choice, tmp_path, feeds, {"training:0": False}))


@pytest.mark.parametrize("index", [-3, 0, 1, 2, 9])
def test_case(index, tmp_path) -> None:
    def build() -> None:
        x, training = start(tf.int32)
        branches = [lambda: x + 1, lambda: x * 2, lambda: tf.nn.relu(x)]
        tf.identity(tf.switch_case(training, branches), name="y")

    def functional() -> None:
        v1.enable_control_flow_v2()
        build()

    assert not {"Case", "StatelessCase"} & set(ops(check(functional, tmp_path, FEEDS, {"training:0": np.int32(index)})))


def functions() -> None:
    x, training = start()
    weights = tf.constant(np.arange(9).reshape(3, 3), tf.float32)

    @tf.function(autograph=False)
    def inner(a, flag):
        return tf.cond(flag, lambda: tf.nn.dropout(a, rate=0.5), lambda: tf.matmul(a, weights)), tf.split(a, 3, axis=1)

    @tf.function(autograph=False)
    def outer(a, flag):
        first, (_, second, third) = inner(a, flag)
        return first - second + inner(a * 2, flag)[0] * third

    tf.identity(outer(x, training) + outer(x + 1, training), name="y")


def test_functions_are_put_in_their_place(tmp_path) -> None:
    prepared = check(functions, tmp_path, FEEDS, {"training:0": False})
    assert not BRANCHING & set(ops(prepared))
    assert not prepared.graph_def.library.function


def test_calls_in_conds_and_loops(tmp_path) -> None:
    """A function's constants run in the rounds of the loop, and on the side of the cond, in which it is called."""

    @tf.function(autograph=False)
    def five(a):
        return tf.constant(5.0), a * 2

    def build() -> None:
        x, training = start()
        side = v1.cond(training, lambda: five(x)[0], lambda: tf.reduce_sum(five(x * 3)[1]))
        loop = tf.while_loop(
            lambda i, a: i < 3, lambda i, a: (i + five(a)[0], five(a)[1] + five(a)[0]), [tf.constant(0.0), x]
        )
        tf.identity(loop[1] * side, name="y")

    check(build, tmp_path, [{**feed, "training:0": side} for feed in FEEDS for side in (False, True)])


def test_a_constant_in_a_functional_loop(tmp_path) -> None:
    """A While, and an If in it, are handed a constant that decides; its body is not shared with a loop that is not."""
    v1.enable_control_flow_v2()

    def build() -> None:
        x, training = start()
        late = tf.reduce_sum(x) > 0

        @tf.function(autograph=False)
        def run(a, flag):
            def step(i, b):
                dropped = tf.cond(tf.reduce_sum(b) > 0, lambda: tf.cond(flag, lambda: b * 7, lambda: b + 1), lambda: b)
                return i + 1, dropped * 0.5

            return tf.while_loop(lambda i, b: i < 4, step, [0, a])[1]

        tf.identity(run(x, training) + run(x, late), name="y")

    prepared = check(build, tmp_path, FEEDS, {"training:0": False})
    assert {"While", "StatelessWhile"} & set(ops(prepared))


def test_an_assertion_in_a_function_stays(tmp_path) -> None:
    @tf.function(autograph=False)
    def checked(a):
        with tf.control_dependencies([v1.debugging.Assert(tf.shape(a)[0] < 10, [a])]):
            return tf.identity(a) * 2

    def build() -> None:
        x, _ = start()
        tf.identity(checked(x), name="y")

    assert "Assert" in ops(check(build, tmp_path, FEEDS))


def test_a_function_with_a_loop_is_called_twice(tmp_path) -> None:
    """In a graph of TensorFlow 1 both loops would have frames of one name."""

    @tf.function(autograph=False)
    def doubled(a):
        return tf.while_loop(lambda i, b: i < 3, lambda i, b: (i + 1, b * 2 + tf.cast(i, tf.float32)), [0, a])[1]

    def build() -> None:
        x, _ = start()
        tf.identity(doubled(x) * doubled(x + 1), name="y")

    check(build, tmp_path, FEEDS)


def test_an_input_of_the_other_side_goes(tmp_path) -> None:
    def build() -> None:
        x, training = start()
        label = v1.placeholder(tf.float32, [None, 3], name="label")
        tf.identity(v1.cond(training, lambda: x * label, lambda: x * 2), name="y")

    feeds = [feed | {"label:0": np.ones_like(feed["x:0"])} for feed in FEEDS]
    path, graph = frozen(build, tmp_path)
    own = signature(graph, ["x:0", "label:0", "training:0"], ["y:0"])
    prepared = prepare(str(path), own, {"training:0": np.array(False)}, [])
    assert [each.key for each in prepared.signature.inputs] == ["x:0"]
    assert any("label:0" in change for change in prepared.changes)
    before = v1.GraphDef.FromString(path.read_bytes())
    for feed in feeds:
        (wanted,) = run(before, ["y:0"], feed | {"training:0": False})
        (found,) = run(prepared.graph_def, ["output_0:0"], {"x:0": feed["x:0"]})
        assert bits(found) == bits(wanted)
