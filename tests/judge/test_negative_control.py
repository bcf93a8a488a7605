"""The negative control finds the change that an output shows, whichever way it has to go."""

import os
import tracemalloc
from collections.abc import Callable

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
import tensorflow as tf

from judged import said
from permafrost.judge import judging, negative_control, weight_changes
from stages import default_settings, frozen, imported, sources

v1, raw = tf.compat.v1, tf.raw_ops
WORDS = np.array([b"ice", b"snow", b"frost"], object)


def variable(value, resource: bool = False):
    return v1.get_variable("v", initializer=tf.constant(value), use_resource=resource, trainable=False)


def numbers(*shape):
    return v1.placeholder(tf.float32, [None, *shape], name="x")


def dead_relu():
    """The sum is below zero on all inputs, and a larger bias is so too."""
    return tf.nn.relu(numbers(3) + variable(np.full(3, -50, np.float32)))


def relu_of_negative_weights():
    return tf.nn.relu(tf.matmul(tf.abs(numbers(3)) + 1, variable(np.full((3, 2), -5, np.float32))))


def clipped_above():
    return tf.clip_by_value(numbers(3) + variable(np.full(3, 90, np.float32)), 0, 6)


def clipped_on_both_sides():
    return tf.minimum(tf.square(variable(np.full(3, 90, np.float32))), 6) + 0 * numbers(3)


def end_of_tanh():
    return tf.tanh(numbers(3) + variable(np.full(3, 60, np.float32)))


def size_at_the_end_of_tanh():
    return tf.abs(tf.tanh(variable(np.full(3, 60, np.float32)))) + 0 * numbers(3)


def saturated_cell():
    """What a gate that is shut keeps out."""
    gate = tf.sigmoid(variable(np.full(3, -300, np.float32)) + 0 * numbers(3))
    return gate * tf.tanh(numbers(3)) + 1


def where_positive():
    x = numbers(3)
    return tf.where(variable(np.full(3, 4, np.float32)) + 0 * x > 0, x, -x)


def above_a_large_threshold():
    x = numbers(3)
    return tf.where(variable(np.ones(3, np.float32)) + 0 * x > 1000, x, -x)


def half_the_range():
    return tf.clip_by_value(numbers(3) + tf.cast(variable(np.full(3, 60000, np.float16)), tf.float32), 0, 6)


def complex_size():
    size = tf.abs(variable(np.full(3, 40 + 30j, np.complex64)))
    return tf.clip_by_value(size, 0, 6) + 0 * numbers(3)


def rows_of_a_table():
    """No row comes before the first or after the last."""
    rows = tf.constant(np.arange(6, dtype=np.float32).reshape(3, 2))
    return tf.gather(rows, variable(np.array([2, 1, 0]))) + 0 * numbers(1, 2)[:1]


def integer_at_its_bound():
    return numbers(3) * tf.cast(tf.minimum(variable(np.array(7, np.int32)), 7), tf.float32)


def step_below_a_threshold():
    x = numbers(3)
    return v1.where(tf.fill(tf.shape(x), variable(np.array(3, np.int64)) > 1000), x, -x)


def unsigned_at_zero():
    return numbers(3) * tf.cast(variable(np.array(0, np.uint8)) > 200, tf.float32)


def any_of_two():
    """Either of the two will do, so that exchanging them shows nothing."""
    x = numbers(3)
    return tf.where(tf.fill(tf.shape(x), tf.reduce_any(variable(np.array([True, False])))), x, -x)


def one_flag():
    x = numbers(3)
    return tf.where(tf.fill(tf.shape(x), variable(np.array(False))), x, -x)


def length_of_a_string():
    return numbers(3) * tf.cast(tf.strings.length(variable(b"ice")), tf.float32)


def string_that_is_a_number():
    return numbers(3) * tf.strings.to_number(variable(b"3.5"))


def which_of_the_words():
    return numbers(3) * tf.cast(tf.equal(variable(WORDS), b"ice"), tf.float32)


def vocabulary():
    """Words that the graph knows one by one, and no others."""
    ids = tf.where(tf.equal(variable(WORDS)[:, None], WORDS[None, :]))[:, 1]
    return numbers(3) * tf.cast(tf.reshape(ids, [3]), tf.float32)


KINDS = [
    dead_relu, relu_of_negative_weights, clipped_above, clipped_on_both_sides, end_of_tanh, size_at_the_end_of_tanh,
    saturated_cell, where_positive, above_a_large_threshold, half_the_range, complex_size, rows_of_a_table,
    integer_at_its_bound, step_below_a_threshold, unsigned_at_zero, any_of_two, one_flag, length_of_a_string,
    string_that_is_a_number, which_of_the_words, vocabulary,
]  # fmt: skip


def judged(directory, build: Callable) -> dict:
    (directory / "zoo").mkdir()
    with tf.Graph().as_default(), v1.Session() as session:
        tf.identity(build(), name="out")
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(directory / "zoo" / "m.ckpt"))
    (source,) = sources(directory / "zoo").values()
    record = imported(source, outputs=["out"])
    provenance, path = frozen(record, directory, outputs=["out"])
    return said(judging.judge(record, provenance, str(path), default_settings(outputs=["out"]), os.getcwd()))


@pytest.mark.parametrize("build", KINDS, ids=lambda build: build.__name__)
def test_an_output_that_a_change_can_reach_is_reached(build, tmp_path):
    found = judged(tmp_path, build)
    assert "finding" not in found and found["match"] == "bitwise"
    assert found["control"] == {"variable": "v", "output": "out:0", "tried": 1}


@pytest.mark.parametrize("value", [np.ones(3, np.float32), np.array([1, 2]), np.array([True]), WORDS])
def test_what_no_change_reaches_is_insensitive(value, tmp_path):
    def build():
        return numbers(3) + 0 * tf.cast(raw.Size(input=variable(value)), tf.float32)

    found = judged(tmp_path, build)
    assert found["finding"]["cause"] == "insensitive" and "changing 1 variables" in found["finding"]["message"]


@pytest.mark.parametrize("value", [np.full(3, 3e36, np.float32), np.full(3, 3e4, np.float16), np.full(3, 3e300)])
def test_a_number_too_large_shows_nothing(value, tmp_path):
    def build():
        return numbers(3) + tf.cast(0 * variable(value), tf.float32)

    assert judged(tmp_path, build)["finding"]["cause"] == "insensitive"


def test_the_number_of_runs_is_bounded(tmp_path, monkeypatch):
    """Later changes come only where the first of each variable shows nothing."""

    def build():
        total = 0 * numbers(3)
        for number in range(negative_control._MOST_PERTURBED + 3):
            total += 0 * v1.get_variable(f"v{number}", initializer=np.ones(3, np.float32), use_resource=False)
        return total

    changed = []
    run_frozen = judging.Pair.run_frozen

    def counted(pair, tensors, feed, change=None):
        changed.extend([change[0]] if change else [])
        return run_frozen(pair, tensors, feed, change)

    monkeypatch.setattr(judging.Pair, "run_frozen", counted)
    control = judged(tmp_path, build)["control"]
    assert control == {"variable": None, "output": None, "tried": negative_control._MOST_PERTURBED}
    assert len(changed) == negative_control._MOST_RUNS and len(set(changed[: control["tried"]])) == control["tried"]


def test_each_change_is_one_and_keeps_dtype_and_shape():
    for value in (np.ones((2, 3), np.float16), np.arange(4), np.eye(2) > 0, WORDS, np.array(b"word", object)):
        changes = [weight_changes.changed(value, number) for number in range(8)]
        changes = [changed for changed in changes if changed is not None]
        assert len(changes) > 2
        for changed in changes:
            assert changed.dtype == value.dtype and changed.shape == value.shape
            assert not np.array_equal(changed, value)
    assert weight_changes.changed(np.zeros((0, 3)), 0) is None


def test_a_change_of_a_large_weight_takes_little_more_memory_than_the_weight():
    value = np.arange(1 << 23, dtype=np.float32)
    for number in range(8):
        tracemalloc.start()
        changed = weight_changes.changed(value, number)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert most < 2.5 * value.nbytes
        assert changed is None or (changed != value).mean() > 0.9
