"""No random graph of reads and writes is verified whose frozen graph gives what TensorFlow itself does not give."""

import os

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from collections import Counter

import pytest
import tensorflow as tf

import kinds
import random_graphs
from comparing import compared
from fresh_process import in_fresh_process

GRAPHS, AT_A_TIME = 240, 60


def pure_call_before_a_read() -> None:
    """TensorFlow's optimisers put the call's body in its place, and lose that the read waits for the write by it."""
    x, v = tf.compat.v1.placeholder(tf.float32, [3], "x"), kinds.weights("v", [3])
    with tf.control_dependencies([v.assign_add([1.0, 2.0, 3.0])]):
        waiting = x + tf.constant([1.0, 1.0, 1.0])
    with tf.control_dependencies([tf.function(lambda a: a * 2.0)(waiting)]):
        tf.identity(v._variable, name="y")


def cast_to_the_same_type_before_a_write() -> None:
    """TensorFlow's optimisers leave out a cast to the same type, and with it what the cast waits for."""
    x, v = tf.compat.v1.placeholder(tf.float32, [3], "x"), kinds.weights("v", [3])
    with tf.control_dependencies([v.assign_add(x)]):
        same = tf.raw_ops.Bitcast(input=x, type=tf.float32)
    with tf.control_dependencies([tf.raw_ops.Bitcast(input=same, type=tf.float32)]):
        less = tf.constant([1.0, 2.0, 3.0])
    tf.identity(v.assign_sub(less) + x, name="y")


def memory_looked_at_beside_a_write() -> None:
    """A sum looks at the variable's memory, on inputs below -50 alone, long after a write that it does not follow."""
    x, v = tf.compat.v1.placeholder(tf.float32, [3], "x"), kinds.weights("v", [3])
    scaled = x * kinds.weights("scale", [3])
    with kinds.control_flow(1):
        either = tf.compat.v1.cond(tf.reduce_sum(x) > -50.0, lambda: tf.identity(x), v.read_value)
    slow = tf.fill([300, 300], x[0])
    with tf.control_dependencies([slow @ slow]):
        looked_at = either + 1.0
    with tf.control_dependencies([either]):
        write = v.assign([300.0, 100.0, 400.0])
    with tf.control_dependencies([write]):
        tf.add(scaled * 1.0, looked_at, name="y")


def compared_kind(build, directory) -> tuple[str, list]:
    outcome = compared(build, directory)
    return outcome.verdict, outcome.differing


@pytest.mark.parametrize("build", [pure_call_before_a_read, cast_to_the_same_type_before_a_write])
def test_an_order_that_the_optimisers_lose_is_not_verified(build, tmp_path):
    verdict, _ = in_fresh_process(compared_kind, build, tmp_path)
    assert verdict.startswith("unordered:") and "optimisers" in verdict


def test_an_open_order_is_compared_on_other_sides_of_conds(tmp_path):
    verdict, _ = in_fresh_process(compared_kind, memory_looked_at_beside_a_write, tmp_path)
    assert verdict.startswith("unordered:")


def compared_graphs(first: int, directory) -> list[tuple[int, str, bool, list]]:
    found = []
    for seed in range(first, first + AT_A_TIME):
        place = directory / str(seed)
        place.mkdir()
        outcome = compared(lambda seed=seed: random_graphs.build(seed), place)
        found.append((seed, outcome.verdict, outcome.unordered, outcome.differing))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, GRAPHS, AT_A_TIME))
def test_what_is_verified_is_what_tensorflow_gives(first, tmp_path):
    found = in_fresh_process(compared_graphs, first, tmp_path)
    # What has no order in TensorFlow may come out otherwise on other feeds; the row and a finding say so.
    assert not [row for row in found if row[1] == "verified" and row[3] and not row[2]]
    causes = Counter(verdict.partition(":")[0] for _, verdict, _, _ in found)
    assert causes.keys() <= {"verified", "unsupported_op", "insensitive", "unordered", "random", "run_failed"}
    assert causes["verified"] > AT_A_TIME / 2 and causes["unsupported_op"] > 0
