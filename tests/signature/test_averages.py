"""`weights: ema`, against what TensorFlow's own session holds in the variables and in their averages."""

import os
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
import tensorflow as tf

from permafrost.judge import judging
from stages import default_settings, frozen, imported, problem_of, sources

v1 = tf.compat.v1
USUAL = "ExponentialMovingAverage"


def network(resource: bool = False, partitioner=None):
    """y = x w + b, in a scope of its own."""
    x = v1.placeholder(tf.float32, [None, 4], name="x")
    with v1.variable_scope("layer", use_resource=resource, partitioner=partitioner):
        w = v1.get_variable("w", [4, 3], initializer=v1.random_normal_initializer(seed=1))
    b = v1.get_variable("b", initializer=np.ones(3, np.float32), use_resource=resource)
    tf.add(tf.matmul(x, tf.convert_to_tensor(w)), b, name="out")
    return w, b


def initialize(session) -> None:
    """The weights before their averages, which begin with them."""
    first = v1.trainable_variables()
    names = {variable.op.name for variable in first}
    session.run([variable.initializer for variable in first])
    session.run([variable.initializer for variable in v1.global_variables() if variable.op.name not in names])


def train(session, update) -> None:
    """Moves the weights away from their averages, and the averages after them."""
    initialize(session)
    for variable in v1.trainable_variables():
        session.run(variable.assign_add(tf.ones_like(variable) * 3))
    session.run(update)


def average_of_all(**options):
    average = tf.train.ExponentialMovingAverage(0.5, **options)
    return average, average.apply(v1.trainable_variables())


def plain(average):
    return None


def swapping(average) -> dict:
    """What swapping_saver of tf.contrib.opt.MovingAverageOptimizer saves."""
    pairs = [(v, average.average(v)) for v in v1.trainable_variables()]
    return {a.op.name: v for v, a in pairs} | {v.op.name: a for v, a in pairs}


def averages_alone_renamed(average) -> dict:
    """Neither the keys of the variables nor those of the averages say what they are."""
    pairs = list(enumerate(v1.trainable_variables()))
    return {f"raw_{n}": v for n, v in pairs} | {f"smooth_{n}": average.average(v) for n, v in pairs}


SAVERS = {"plain": plain, "swapping": swapping, "renamed keys": averages_alone_renamed}
OPTIONS = {"usual": {}, "named": {"name": "smooth"}, "with num_updates": {"num_updates": 3}}


def save(zoo: Path, saver_of: Callable, resource: bool = False, partitioner=None, **options) -> dict[str, dict]:
    """Saves a trained network; gives what a session that restores it holds: raw and ema -> variable -> value."""
    zoo.mkdir()
    with tf.Graph().as_default(), v1.Session() as session:
        network(resource, partitioner)
        average, update = average_of_all(**options)
        saver = v1.train.Saver(saver_of(average))
        train(session, update)
        saver.save(session, str(zoo / "m.ckpt"))
        initialize(session)
        saver.restore(session, str(zoo / "m.ckpt"))
        variables = v1.trainable_variables()
        held = {"raw": variables, "ema": [average.average(variable) for variable in variables]}
        names = [variable.op.name for variable in variables]
        return {weights: dict(zip(names, session.run(v), strict=True)) for weights, v in held.items()}


def frozen_values(zoo: Path, directory: Path, weights: str) -> dict[str, np.ndarray]:
    """The constants that were variables, of a model that the judge has found right."""
    (source,) = sources(zoo).values()
    chosen = {"outputs": ["out"], "weights": weights}
    record = imported(source, **chosen)
    provenance, path = frozen(record, directory, **chosen)
    found = judging.judge(record, provenance, str(path), default_settings(**chosen), os.getcwd())
    assert not found.finding and found.measured.match == "bitwise"
    nodes = v1.GraphDef.FromString(path.read_bytes()).node
    variables = {variable.variable for variable in record.variables}
    return {node.name: tf.make_ndarray(node.attr["value"].tensor) for node in nodes if node.name in variables}


@pytest.mark.parametrize("weights", ["raw", "ema"])
@pytest.mark.parametrize("resource", [False, True])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("saver", SAVERS)
def test_what_is_frozen_is_what_a_session_holds(saver, options, resource, weights, tmp_path):
    held = save(tmp_path / "zoo", SAVERS[saver], resource, **OPTIONS[options])
    values = frozen_values(tmp_path / "zoo", tmp_path, weights)
    assert set(values) == set(held[weights]) == {"layer/w", "b"}
    other = held["ema" if weights == "raw" else "raw"]
    for name, value in values.items():
        assert np.array_equal(value, held[weights][name]) and not np.array_equal(value, other[name])


@pytest.mark.parametrize("weights", ["raw", "ema"])
def test_slices_of_a_variable_have_slices_of_its_average(weights, tmp_path):
    held = save(tmp_path / "zoo", plain, partitioner=v1.fixed_size_partitioner(2))
    values = frozen_values(tmp_path / "zoo", tmp_path, weights)
    assert set(values) == {"layer/w/part_0", "layer/w/part_1", "b"}
    assert all(np.array_equal(value, held[weights][name]) for name, value in values.items())


def evaluation_graph(prefix: Path, restored: Callable = lambda average: average.variables_to_restore()) -> dict:
    """Writes the meta graph of a network without updates, and gives what a session that restores it holds."""
    with tf.Graph().as_default(), v1.Session() as session:
        network()
        saver = v1.train.Saver(restored(tf.train.ExponentialMovingAverage(0.5)))
        saver.export_meta_graph(f"{prefix}.meta")
        saver.restore(session, str(prefix))
        return {v.op.name: session.run(v) for v in v1.trainable_variables()}


@pytest.mark.parametrize("weights", ["raw", "ema"])
def test_an_evaluation_graph_restores_the_averages_already(weights, tmp_path):
    trained = save(tmp_path / "zoo", plain)
    restored = evaluation_graph(tmp_path / "zoo" / "m.ckpt")
    values = frozen_values(tmp_path / "zoo", tmp_path, weights)
    assert all(np.array_equal(values[name], restored[name]) for name in values)
    assert all(np.array_equal(values[name], trained["ema"][name]) for name in values)


def test_an_evaluation_graph_of_the_weights_finds_the_averages_by_name(tmp_path):
    trained = save(tmp_path / "zoo", plain)
    restored = evaluation_graph(tmp_path / "zoo" / "m.ckpt", lambda average: v1.trainable_variables())
    for weights in ("raw", "ema"):
        values = frozen_values(tmp_path / "zoo", tmp_path, weights)
        assert all(np.array_equal(values[name], trained[weights][name]) for name in values)
    assert all(np.array_equal(restored[name], trained["raw"][name]) for name in restored)


def test_a_weight_that_was_saved_under_its_averages_key_has_none(tmp_path):
    """The training graph's own saver is made of variables_to_restore(), so that the averages are not saved."""
    held = save(tmp_path / "zoo", lambda average: average.variables_to_restore())
    values = frozen_values(tmp_path / "zoo", tmp_path, "raw")
    assert all(np.array_equal(values[name], held["raw"][name]) for name in values)
    problem = problem_of(frozen_values, tmp_path / "zoo", tmp_path, "ema")
    assert problem.cause == "bad_setting" and USUAL in problem.message


@pytest.mark.parametrize("names", [("slow", USUAL), (USUAL, "slow"), ("slow", "fast")])
def test_of_several_averages_the_usual_one_is_meant(names, tmp_path):
    (tmp_path / "zoo").mkdir()
    with tf.Graph().as_default(), v1.Session() as session:
        network()
        averages = [tf.train.ExponentialMovingAverage(0.5 + 0.2 * n, name=name) for n, name in enumerate(names)]
        update = [average.apply(v1.trainable_variables()) for average in averages]
        train(session, update)
        v1.train.Saver().save(session, str(tmp_path / "zoo" / "m.ckpt"))
        held = {name: session.run(v) for name, v in ((v.op.name, v) for v in v1.global_variables())}
    if USUAL not in names:
        problem = problem_of(frozen_values, tmp_path / "zoo", tmp_path, "ema")
        assert problem.cause == "bad_setting" and "slow" in problem.message and "fast" in problem.message
        return
    values = frozen_values(tmp_path / "zoo", tmp_path, "ema")
    assert all(np.array_equal(value, held[f"{name}/{USUAL}"]) for name, value in values.items())
