"""Random and stateful graphs are verified bit by bit, and told from those that are the same each time."""

import os

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pandas as pd
import pytest
import tensorflow as tf
from test_judging import Model, features, weights

from kinds import control_flow
from permafrost.judge.behaviour import BEHAVIOURS, worst

v1 = tf.compat.v1


def variable(name: str, shape: list[int]):
    return v1.get_variable(name, shape, initializer=v1.ones_initializer(), use_resource=False, trainable=False)


def dropout_left_on():
    tf.identity(v1.nn.dropout(tf.matmul(features(), weights()), rate=0.5), name="out")


def dropout_off():
    keep = v1.placeholder_with_default(1.0, [], name="keep_prob")
    tf.identity(v1.nn.dropout(tf.matmul(features(), weights()), keep), name="out")


def sampling():
    """A variational autoencoder's code."""
    mean, deviation = tf.matmul(features(), weights("mean")), tf.matmul(features(), weights("deviation"))
    tf.add(mean, tf.exp(deviation) * tf.random.normal(tf.shape(mean)), name="out")


def shuffle():
    tf.random.shuffle(tf.matmul(features(), weights(), transpose_b=True), name="out")


def crop():
    images = tf.reshape(tf.matmul(features(), weights()), [-1, 4, 1])
    v1.random_crop(tf.tile(images, [1, 4, 4]), [1, 3, 3], name="crop")
    tf.identity(v1.get_default_graph().get_tensor_by_name("crop:0"), name="out")


def sampled_in_a_function():
    x, w = features(), weights("w", resource=True)
    with control_flow(2):
        noisy = v1.cond(v1.placeholder_with_default(True, []), lambda: x @ w + tf.random.normal([4]), lambda: x @ w)
    tf.identity(noisy, name="out")


def batch_norm_that_updates_itself():
    x, average = tf.matmul(features(), weights()), variable("average", [4])
    update = v1.assign_sub(average, (average - tf.reduce_mean(x, 0)) * 0.1)
    with tf.control_dependencies([update]):
        tf.subtract(x, average.read_value(), name="out")


def counter():
    count = variable("count", [])
    with tf.control_dependencies([v1.assign_add(count, 1.0)]):
        tf.multiply(tf.matmul(features(), weights()), count.read_value(), name="out")


def keyed_on_the_time():
    """Another value after a moment that no trial sees."""
    late = tf.cast(tf.raw_ops.Timestamp() > 4e9, tf.float32)
    tf.add(tf.matmul(features(), weights()), late * 100.0, name="out")


def keyed_on_the_count_of_runs():
    count = v1.assign_add(variable("count", []), 1.0)
    tf.add(tf.matmul(features(), weights()), tf.cast(count > 1000.0, tf.float32) * 100.0, name="out")


def moved_on_the_side():
    """A count that each run moves on, and that no output takes."""
    x = tf.matmul(features(), weights())
    with tf.control_dependencies([v1.assign_add(variable("count", []), 1.0)]):
        tf.identity(x, name="out")


def plain_resource():
    tf.matmul(features(), weights("w", resource=True), name="out")


def plain():
    tf.matmul(features(), weights(), name="out")


@pytest.mark.parametrize(
    ("build", "behaviour"),
    [
        (dropout_left_on, "random"),
        (sampling, "random"),
        (shuffle, "random"),
        (crop, "random"),
        (sampled_in_a_function, "random"),
        (batch_norm_that_updates_itself, "stateful"),
        (counter, "stateful"),
        (keyed_on_the_time, "stateful"),
        (keyed_on_the_count_of_runs, "stateful"),
        (dropout_off, "deterministic"),
        (moved_on_the_side, "deterministic"),
        (plain, "deterministic"),
        (plain_resource, "deterministic"),
    ],
)
def test_each_behaviour_is_verified_bit_by_bit_and_told(build, behaviour, tmp_path):
    found = Model(tmp_path, build).judged()
    assert "finding" not in found and found["match"] == "bitwise"
    assert found["behaviour"] == behaviour
    rows = pd.DataFrame(found["rows"])
    assert rows["behaviour"].isin([behaviour, "deterministic"]).all()
    assert (rows[rows["output"] == "out:0"]["behaviour"] == behaviour).all()


def test_only_what_depends_on_a_random_op_is_random(tmp_path):
    def build():
        hidden = tf.matmul(features(), weights(), name="hidden")
        tf.add(hidden, tf.random.normal([4]), name="out")

    rows = Model(tmp_path, build, outputs=["out", "hidden"]).judged()["rows"]
    assert {(row["output"], row["behaviour"]) for row in rows} == {("out:0", "random"), ("hidden:0", "deterministic")}


def test_the_worst_behaviour_speaks_for_the_model():
    assert worst(set(BEHAVIOURS)) == "random" and worst({"deterministic", "stateful"}) == "stateful"
    assert worst(set()) == "deterministic"


def off_by_a_thousandth(graph_def):
    """Damages no weight, but what is added to their product."""
    node = next(node for node in graph_def.node if node.name == "shift")
    node.attr["value"].tensor.float_val[0] += 0.001


def shifted():
    logits = tf.add(tf.matmul(features(), weights()), tf.constant(1.0, name="shift"), name="logits")
    tf.nn.softmax(logits, name="out")


@pytest.mark.parametrize(
    ("settings", "ends"),
    [
        ({}, "outputs_differ"),
        ({"tolerance": {"atol": 0.01}}, None),
        ({"tolerance": {"atol": 0.01}, "output_tolerance": {"out": None}}, "outputs_differ"),
        ({"output_tolerance": {"out:0": {"rtol": 0.01, "atol": 0.01}, "logits": {"atol": 0.01}}}, None),
        ({"output_tolerance": {"out": {"atol": 1e-9}, "logits": {"atol": 0.01}}}, "outputs_differ"),
    ],
)
def test_tolerances_are_of_a_model_or_of_an_output(settings, ends, tmp_path, monkeypatch):
    from permafrost.judge.structure import nodes

    monkeypatch.setattr(nodes, "check", lambda *args: 0)
    model = Model(tmp_path, shifted, damage=off_by_a_thousandth, outputs=["out", "logits"], **settings)
    found = model.judged()
    assert found.get("finding", {}).get("cause") == ends
    if ends is None:
        assert found["match"] == "tolerance" and 0 < found["tolerance_used"] <= 1
        used = {row["output"]: row["tolerance_used"] for row in found["rows"] if row["trial"] == 0}
        assert 0.09 < used["logits:0"] < 0.11
    else:
        first = next(row for row in found["rows"] if not row["match"])
        assert first["checkpoint_value"] != first["frozen_value"] and first["where"].startswith("[")


def test_what_goes_into_a_head_has_the_tolerance_of_the_head(tmp_path, monkeypatch):
    from permafrost.judge.structure import nodes

    monkeypatch.setattr(nodes, "check", lambda *args: 0)
    settings = {"output_tolerance": {"out": {"atol": 0.01}}}
    found = Model(tmp_path, shifted, damage=off_by_a_thousandth, **settings).judged()
    assert "finding" not in found and {row["output"] for row in found["rows"]} == {"out:0", "logits:0"}


def test_a_tolerance_of_no_output_is_an_error(tmp_path):
    from stages import problem_of

    problem = problem_of(Model(tmp_path, plain, output_tolerance={"oout": {"ulp": 1}}).judged)
    assert problem.cause == "bad_setting" and "oout:0" in problem.message and "out:0" in problem.message
