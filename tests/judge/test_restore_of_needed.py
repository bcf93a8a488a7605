"""The checkpoint's side restores what is needed by the saver's own ops, and as TensorFlow's saver does."""

import os
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
import tensorflow as tf

from fresh_process import in_fresh_process
from judged import verified
from permafrost.graph import graph_sources
from permafrost.judge import sides
from permafrost.judge.sides import CheckpointSide
from permafrost.outcome import VERIFIED
from stages import default_settings, frozen, imported, sources

v1 = tf.compat.v1


def two_layers(resource: bool) -> None:
    """A network that was trained by Adam, whose slots are two thirds of the checkpoint."""
    x, value = v1.placeholder(tf.float32, [None, 3], name="x"), 1.0
    for number in range(2):
        w = v1.get_variable(f"w{number}", [3, 3], use_resource=resource, initializer=v1.random_normal_initializer())
        x, value = tf.matmul(x, w), value * w
    tf.identity(x, name="out")
    v1.train.AdamOptimizer(0.1).minimize(tf.reduce_sum(x**2) + tf.reduce_sum(value))


def trained(directory: Path, resource: bool, change: Callable | None = None, **saver) -> None:
    """Saves the network after a step of training; `change` may add to the saver's restore."""
    directory.mkdir()
    with tf.Graph().as_default() as graph, v1.Session() as session:
        v1.set_random_seed(1)
        two_layers(resource)
        saver = v1.train.Saver(**saver)
        if change:
            change(graph, saver)
        session.run(v1.global_variables_initializer())
        session.run("Adam", {"x:0": np.ones((2, 3), np.float32)})
        saver.save(session, str(directory / "m.ckpt"))


def side_of(zoo: Path) -> tuple[CheckpointSide, list[str]]:
    (source,) = sources(zoo).values()
    record = imported(source, outputs=["out"])
    meta_graph = graph_sources.read(record.graph)
    model = meta_graph.graph_def, meta_graph, record
    return CheckpointSide(*model, ["out:0", "x:0"], ["w0", "w1"], [], set()), [record.prefix, record.meta]


def restored_by_tensorflow(prefix: str, meta: str, names: list[str]) -> list[np.ndarray]:
    with tf.Graph().as_default(), v1.Session() as session:
        v1.train.import_meta_graph(meta).restore(session, prefix)
        variables = {variable.op.name: variable for variable in v1.global_variables()}
        return session.run([variables[name] for name in names])


def read_tensors(side: CheckpointSide) -> set[bytes]:
    """The names of the tensors that the side's restore reads of the checkpoint."""
    operations = [side.graph.get_operation_by_name(name) for name in side._restores]
    before, waiting = set(), operations
    while waiting:
        operation = waiting.pop()
        if operation not in before:
            before.add(operation)
            waiting += [*operation.control_inputs, *(tensor.op for tensor in operation.inputs)]
    names = [operation.inputs[1] for operation in before if operation.type == "RestoreV2"]
    with v1.Session(graph=side.graph) as session:
        return {name for found in session.run(names) for name in found}


def compared(zoo: Path) -> tuple[bool, set[bytes]]:
    side, (prefix, meta) = side_of(zoo)
    with side.restored() as session:
        found = dict(side.values(session, ["w0", "w1"]))
    expected = restored_by_tensorflow(prefix, meta, ["w0", "w1"])
    same = all((a == b).all() for a, b in zip(found.values(), expected, strict=True))
    return same, read_tensors(side)


@pytest.mark.parametrize("saver", [{}, {"sharded": True}, {"max_to_keep": 1, "restore_sequentially": True}])
@pytest.mark.parametrize("resource", [False, True])
def test_what_is_needed_is_restored_alone(resource, saver, tmp_path):
    trained(tmp_path / "zoo", resource, **saver)
    assert in_fresh_process(compared, tmp_path / "zoo") == (True, {b"w0", b"w1"})


def doubled_after(graph: tf.Graph, saver: v1.train.Saver) -> None:
    """The restore goes on to change what it has restored."""
    definition = saver.as_saver_def()
    w = next(variable for variable in v1.global_variables() if variable.op.name == "w0")
    with tf.control_dependencies([graph.get_operation_by_name(definition.restore_op_name)]):
        definition.restore_op_name = tf.group(v1.assign(w, w.read_value() * 2.0), name="restore_and_double").name


def reads_another(graph: tf.Graph, saver: v1.train.Saver) -> None:
    """The restore assigns a variable what another one holds by then."""
    definition = saver.as_saver_def()
    w0, w1 = (next(v for v in v1.global_variables() if v.op.name == name) for name in ("w0", "w1"))
    with tf.control_dependencies([graph.get_operation_by_name(definition.restore_op_name)]):
        definition.restore_op_name = tf.group(v1.assign(w0, w1.read_value()), name="restore_and_copy").name


@pytest.mark.parametrize("change", [doubled_after, reads_another])
@pytest.mark.parametrize("resource", [False, True])
def test_a_restore_that_does_more_is_run_as_it_is(change, resource, tmp_path):
    trained(tmp_path / "zoo", resource, change)
    same, names = in_fresh_process(compared, tmp_path / "zoo")
    assert same and {b"w0/Adam", b"w1/Adam_1"} < names


def test_broken_bytes_of_what_is_not_needed_are_not_read(tmp_path):
    trained(tmp_path / "zoo", True)
    data = tmp_path / "zoo" / "m.ckpt.data-00000-of-00001"
    slot = v1.train.load_checkpoint(str(tmp_path / "zoo" / "m.ckpt")).get_tensor("w0/Adam").tobytes()
    content = data.read_bytes()
    assert content.count(slot) == 1
    data.write_bytes(content.replace(slot, bytes(len(slot))))
    (source,) = sources(tmp_path / "zoo").values()
    record = imported(source, outputs=["out"])
    found = in_fresh_process(verified, record, *frozen(record, tmp_path), default_settings(timeout=120))
    assert found["status"] == VERIFIED, found


def steady() -> None:
    x, w = v1.placeholder(tf.float32, [None, 3], name="x"), v1.get_variable("w", [3, 3])
    tf.matmul(x, w, name="out")


def drawing() -> None:
    x, w = v1.placeholder(tf.float32, [None, 3], name="x"), v1.get_variable("w", [3, 3])
    tf.add(tf.matmul(x, w), tf.random.normal([3]), name="out")


def counting() -> None:
    x, w = v1.placeholder(tf.float32, [None, 3], name="x"), v1.get_variable("w", [3, 3])
    step = v1.get_variable("step", [], initializer=v1.zeros_initializer())
    tf.add(tf.matmul(x, w), v1.assign_add(step, 1.0), name="out")


@pytest.mark.parametrize(
    ("build", "session", "behaviour"),
    [(steady, "shared", "deterministic"), (drawing, "fresh", "random"), (counting, "fresh", "stateful")],
)
def test_trials_share_a_session_only_where_nothing_keeps_state(build, session, behaviour, tmp_path):
    with tf.Graph().as_default(), v1.Session() as running:
        build()
        running.run(v1.global_variables_initializer())
        v1.train.Saver().save(running, str(tmp_path / "zoo" / "m.ckpt"))
    (source,) = sources(tmp_path / "zoo").values()
    record = imported(source, outputs=["out"])
    found = in_fresh_process(verified, record, *frozen(record, tmp_path), default_settings(timeout=120))
    assert found["status"] == VERIFIED, found
    assert {(row.session, row.behaviour) for row in found["rows"]} == {(session, behaviour)}
    assert {row.trial for row in found["rows"]} == {0, 1, 2}


def values_read(zoo: Path, at_once: int) -> list[tuple[str, bytes]]:
    sides._READ_AT_ONCE = at_once
    side, _ = side_of(zoo)
    with side.restored() as session:
        return [(name, value.tobytes()) for name, value in side.values(session, ["w1", "w0"])]


def test_variables_are_the_same_whether_they_are_read_together_or_one_by_one(tmp_path):
    trained(tmp_path / "zoo", True)
    together, alone = (in_fresh_process(values_read, tmp_path / "zoo", size) for size in (1 << 20, 0))
    assert together == alone and [name for name, _ in alone] == ["w1", "w0"]
