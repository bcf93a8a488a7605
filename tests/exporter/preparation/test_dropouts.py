"""Dropout that keeps all is gone from a prepared graph, in each form that TensorFlow wrote, and no bit changes."""

import os

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
import tensorflow as tf

from dropout_forms import FORMS, of_1_12, of_1_13
from permafrost.exporter.prepared import Refused
from preparing import SPECIAL, check, ops, v1

raw = tf.raw_ops
FEEDS = [{"x:0": SPECIAL.reshape(3, 3)}, {"x:0": np.arange(12, dtype=np.float32).reshape(4, 3) - 3}]


def network(form, dtype=tf.float32, before=lambda x: x, after=lambda x: x):
    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 3], name="x")
        keep = v1.placeholder(dtype, [], name="keep")
        tf.identity(after(form(before(tf.cast(x, dtype)), keep)), name="y")

    return build


def product(x):
    return tf.matmul(x, tf.constant(np.arange(6).reshape(3, 2), x.dtype))


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("after", [product, lambda x: x])
@pytest.mark.parametrize("before", [lambda x: x * 2 + 1, lambda x: x])
def test_each_form_is_left_out(form, before, after, tmp_path) -> None:
    prepared = check(network(form, before=before, after=after), tmp_path, FEEDS, {"keep:0": np.float32(1)})
    assert "RandomUniform" not in ops(prepared)
    assert [each.key for each in prepared.signature.inputs] == ["x:0"]
    assert prepared.baked == {"keep:0": 1.0}
    # Where a number that is too small to be normal would come through, one product is left, which makes it zero.
    assert "Floor" not in ops(prepared) and "SelectV2" not in ops(prepared) and "GreaterEqual" not in ops(prepared)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16, tf.float64])
def test_each_float(form, dtype, tmp_path) -> None:
    keep = np.ones((), dtype.as_numpy_dtype)
    assert "RandomUniform" not in ops(check(network(form, dtype), tmp_path, FEEDS, {"keep:0": keep}))


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("keep", [0.5, 1 - 2.0**-24, 1 - 2.0**-20])
def test_what_drops_is_refused(form, keep, tmp_path) -> None:
    with pytest.raises(Refused) as refused:
        check(network(form), tmp_path, FEEDS, {"keep:0": np.float32(keep)})
    assert refused.value.cause == "random_op"
    assert refused.value.op == "RandomUniform"
    assert refused.value.node in refused.value.message


def test_what_is_fed_is_refused(tmp_path) -> None:
    with pytest.raises(Refused) as refused:
        check(network(of_1_12), tmp_path, [{**FEEDS[0], "keep:0": np.float32(1)}])
    assert refused.value.cause == "random_op"


def noise_of_another_shape() -> None:
    x = v1.placeholder(tf.float32, [None, 3], name="x")
    keep = v1.placeholder(tf.float32, [], name="keep")
    tf.identity(tf.nn.dropout(x * 2, rate=1 - keep, noise_shape=[1, 3]), name="y")


def mask_that_widens() -> None:
    x = v1.placeholder(tf.float32, [None, 3], name="x")
    keep = v1.placeholder(tf.float32, [], name="keep")
    wide = raw.RandomUniform(shape=tf.shape(tf.stack([x, x])), dtype=tf.float32)
    raw.Mul(x=x * 2, y=raw.Floor(x=keep + wide), name="y")


def sparse_dropout() -> None:
    x = v1.placeholder(tf.float32, [None, 3], name="x")
    keep = v1.placeholder(tf.float32, [], name="keep")
    mask = tf.cast(raw.Floor(x=keep + raw.RandomUniform(shape=tf.shape(x)[:1], dtype=tf.float32)), tf.bool)
    tf.identity(tf.boolean_mask(x, mask), name="y")


@pytest.mark.parametrize("build", [mask_that_widens, sparse_dropout])
def test_draws_that_show_nowhere(build, tmp_path) -> None:
    prepared = check(build, tmp_path, FEEDS, {"keep:0": np.float32(1)})
    assert "RandomUniform" not in ops(prepared)
    assert "Fill" in ops(prepared)


def test_noise_of_a_shape_of_its_own(tmp_path) -> None:
    assert "RandomUniform" not in ops(check(noise_of_another_shape, tmp_path, FEEDS, {"keep:0": np.float32(1)}))


def recurrent(**dropout):
    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 5, 3], name="x")
        keep = v1.placeholder(tf.float32, [], name="keep")
        weights = tf.constant(np.linspace(-1, 1, 28).reshape(7, 4), tf.float32)

        def step(time, state, given):
            cell = given.read(time)
            for _ in range(dropout.get("inputs", 0)):
                cell = of_1_12(cell, keep)
            state = tf.tanh(tf.matmul(tf.concat([cell, state], 1), weights)) * 0.5
            for _ in range(dropout.get("states", 0)):
                state = of_1_13(state, keep)
            return time + 1, state, given

        given = tf.TensorArray(tf.float32, 5).unstack(tf.transpose(x, [1, 0, 2]))
        start = tf.zeros([tf.shape(x)[0], 4])
        loop = tf.while_loop(lambda time, *_: time < 5, step, [0, start, given])
        tf.identity(loop[1], name="y")

    return build


SEQUENCES = [{"x:0": np.random.default_rng(seed).normal(size=(2, 5, 3)).astype(np.float32)} for seed in range(2)]
SEQUENCES.append({"x:0": np.resize(SPECIAL, (2, 5, 3))})


@pytest.fixture(params=[False, True], ids=["v1", "functions"])
def control_flow(request):
    """Loops and conds as TensorFlow 1 writes them, and as functions."""
    before = v1.control_flow_v2_enabled()
    (v1.enable_control_flow_v2 if request.param else v1.disable_control_flow_v2)()
    yield request.param
    (v1.enable_control_flow_v2 if before else v1.disable_control_flow_v2)()


@pytest.mark.parametrize("dropout", [{"inputs": 1}, {"states": 1}, {"inputs": 2, "states": 2}])
def test_in_a_loop(dropout, control_flow, tmp_path) -> None:
    prepared = check(recurrent(**dropout), tmp_path, SEQUENCES, {"keep:0": np.float32(1)})
    assert "RandomUniform" not in ops(prepared)
    assert "Floor" not in ops(prepared) and "GreaterEqual" not in ops(prepared)


def test_a_loop_that_draws_is_refused(control_flow, tmp_path) -> None:
    with pytest.raises(Refused) as refused:
        check(recurrent(states=1), tmp_path, SEQUENCES, {"keep:0": np.float32(0.5)})
    assert (refused.value.cause, refused.value.op) == ("random_op", "RandomUniform")


def conditional() -> None:
    x = v1.placeholder(tf.float32, [None, 3], name="x")
    keep = v1.placeholder(tf.float32, [], name="keep")
    y = v1.cond(tf.reduce_sum(x) > 0, lambda: of_1_12(x * 2, keep), lambda: x - 1)
    tf.identity(y, name="y")


def test_in_a_cond_that_stays(control_flow, tmp_path) -> None:
    feeds = [{"x:0": np.full((2, 3), value, np.float32)} for value in (-1, 1, np.nan, np.inf)]
    prepared = check(conditional, tmp_path, feeds, {"keep:0": np.float32(1)})
    assert "RandomUniform" not in ops(prepared) and "Floor" not in ops(prepared)
    assert {"Switch", "If", "StatelessIf"} & set(ops(prepared))


@pytest.mark.parametrize("ends", [(False, False), (False, True), (True, False)])
def test_one_after_the_other(ends, tmp_path) -> None:
    """Numbers too small to be normal become zero once, be it by one product that is left."""
    computes_before, computes_after = ends

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 3], name="x")
        keep = v1.placeholder(tf.float32, [], name="keep")
        y = x + 1 if computes_before else x
        for form in FORMS.values():
            y = form(tf.reshape(y, [-1, 3]), keep)
        tf.identity(product(y) if computes_after else y, name="y")

    prepared = check(build, tmp_path, FEEDS, {"keep:0": np.float32(1)})
    assert not {"RandomUniform", "Floor", "SelectV2"} & set(ops(prepared))
    if any(ends):
        assert not {"Mul", "RealDiv", "Div"} & set(ops(prepared))
