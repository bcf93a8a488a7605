"""Nodes that are run after the restore, as freeze_graph and a SavedModel's loader do: what they leave is frozen."""

import numpy as np
import pytest
import tensorflow as tf

from fresh_process import in_fresh_process
from frozen_by_tensorflow import frozen_by_tensorflow
from judged import initialized, saved, verified
from kinds import features, weights
from permafrost import settings as model_settings
from permafrost.records import INITIAL
from permafrost.stages import import_model
from stages import default_settings, frozen, problem_of, sources

v1 = tf.compat.v1
raw = tf.raw_ops


def judged(record, provenance, path, **changes) -> dict:
    return in_fresh_process(_judged, record, provenance, path, default_settings(timeout=120, **changes))


def _judged(record, provenance, path, settings) -> dict:
    import_model.rehearse(settings, record)
    return verified(record, provenance, path, settings) | {"rehearsal": record.rehearsal}


def check(source, directory, **changes):
    """Freezes a model and has it judged; gives its provenance and what TensorFlow's own graph of it gives."""
    record = initialized(source, **changes)
    provenance, path = frozen(record, directory / "frozen", **changes)
    found = judged(record, provenance, path, **changes)
    assert (found["status"], found.get("match"), found["rehearsal"]) == ("verified", "bitwise", ""), found
    return provenance, path


def local(resource: bool):
    """A model with a variable that no checkpoint has."""

    def build() -> None:
        scale = v1.get_variable("scale", initializer=[2.0, 3.0], collections=["local_variables"], use_resource=resource)
        tf.multiply(tf.matmul(features(), weights("w", [3, 2], resource)), scale, name="out")

    return build


@pytest.mark.parametrize("resource", [False, True])
def test_what_they_leave_is_frozen_as_freeze_graph_does(resource, tmp_path):
    source = saved(local(resource), tmp_path)
    chosen = {"outputs": ["out"], "initializer_nodes": ["scale/Assign"]}
    provenance, path = check(source, tmp_path, **chosen)
    assert path.read_bytes() == frozen_by_tensorflow(source.prefix, source.meta, ["out"], "scale/Assign")
    assert list(provenance.initialized) == ["scale"] and not provenance.initializers


def test_a_variable_of_the_checkpoint_gets_what_they_leave(tmp_path):
    def build() -> None:
        w = weights("w", [3, 2], True)
        w.assign(tf.transpose(tf.constant([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])) * w, name="double", read_value=False)
        tf.matmul(features(), w, name="out")

    source = saved(build, tmp_path)
    (name,) = (node.name for node in graph_of(source).node if node.op == "AssignVariableOp" and "double" in node.name)
    _, path = check(source, tmp_path, outputs=["out"], initializer_nodes=[name])
    assert path.read_bytes() == frozen_by_tensorflow(source.prefix, source.meta, ["out"], name)
    plain = frozen(initialized(source, outputs=["out"]), tmp_path / "plain", outputs=["out"])[1]
    assert plain.read_bytes() != path.read_bytes()


def graph_of(source):
    meta_graph = v1.MetaGraphDef()
    with open(source.meta, "rb") as file:
        meta_graph.ParseFromString(file.read())
    return meta_graph.graph_def


def test_without_them_the_variable_has_its_initial_value_or_none(tmp_path):
    source = saved(local(False), tmp_path)
    provenance, _ = frozen(initialized(source, outputs=["out"]), tmp_path / "initial", outputs=["out"])
    assert INITIAL in {repair.repair for repair in provenance.repairs}
    chosen = {"outputs": ["out"], "unsaved_variables": "refuse"}
    assert problem_of(frozen, initialized(source, **chosen), tmp_path / "none").cause == "missing_variable"
    provenance, _ = check(source, tmp_path, **chosen, initializer_nodes=["scale/Assign"])
    assert INITIAL not in {repair.repair for repair in provenance.repairs}


def test_what_they_leave_comes_before_an_initial_value(tmp_path):
    """They count on from it, as they do in a program that runs its initializers before the restore."""

    def build() -> None:
        local(False)()
        (scale,) = v1.get_collection("local_variables")
        v1.assign_add(scale, [1.0, 1.0], name="count")

    chosen = {"outputs": ["out"], "initializer_nodes": ["count"]}
    _, path = check(saved(build, tmp_path), tmp_path, **chosen)
    (scale,) = (node for node in v1.GraphDef.FromString(path.read_bytes()).node if node.name == "scale")
    assert np.array_equal(tf.make_ndarray(scale.attr["value"].tensor), [3, 4])


def test_what_only_they_read_is_restored(tmp_path):
    def build() -> None:
        w, other = weights("w", [3, 2], True), weights("other", [3, 2], True)
        raw.AssignVariableOp(resource=w.handle, value=other + 1.0, name="copy")
        tf.matmul(features(), w, name="out")

    provenance, _ = check(saved(build, tmp_path), tmp_path, outputs=["out"], initializer_nodes=["copy"])
    assert list(provenance.initialized) == ["w"]


def test_a_write_to_a_variable_under_another_name_is_refused(tmp_path):
    def build() -> None:
        local(True)()
        twin = raw.VarHandleOp(dtype=tf.float32, shape=[3, 2], shared_name="w", name="twin")
        raw.AssignVariableOp(resource=twin, value=tf.ones([3, 2]), name="change")

    source = saved(build, tmp_path)
    (scale,) = (node.name for node in graph_of(source).node if node.name.startswith("scale") and "Assign" in node.op)
    chosen = {"outputs": ["out"], "initializer_nodes": [scale, "change"]}
    problem = problem_of(frozen, initialized(source, **chosen), tmp_path / "frozen", **chosen)
    assert problem.cause == "unsupported_op" and "'change'" in problem.message
    assert "after the restore" in problem.message


def random_start() -> None:
    v1.set_random_seed(None)
    value = tf.random.normal([2])
    scale = v1.get_variable("scale", initializer=value, collections=["local_variables"], use_resource=False)
    tf.multiply(tf.matmul(features(), weights("w", [3, 2])), scale, name="out")


def of_a_file() -> None:
    text = tf.io.read_file("/etc/hostname")
    scale = v1.get_variable(
        "scale", initializer=tf.cast(tf.strings.length(text), tf.float32), collections=["local_variables"],
        use_resource=False, validate_shape=False,
    )  # fmt: skip
    tf.multiply(tf.matmul(features(), weights("w", [3, 2])), scale, name="out")


@pytest.mark.parametrize(("build", "cause"), [(random_start, "random"), (of_a_file, "unsafe_op")])
def test_what_nobody_may_know_is_refused(build, cause, tmp_path):
    source = saved(build, tmp_path)
    problem = problem_of(initialized, source, outputs=["out"], initializer_nodes=["scale/Assign"])
    assert problem.cause == cause and ("scale" in problem.message or "ReadFile" in problem.message)


def test_what_they_do_elsewhere_is_refused(tmp_path):
    """A queue that they fill, no frozen graph has."""

    def build() -> None:
        queue = v1.FIFOQueue(3, [tf.float32], [[]], name="queue")
        with tf.control_dependencies([queue.enqueue(1.0)]):
            start = tf.constant([2.0, 3.0]) * 1
        scale = v1.get_variable("scale", initializer=start, collections=["local_variables"], use_resource=False)
        size = tf.cast(queue.size(), tf.float32)
        tf.add(tf.matmul(features(), weights("w", [3, 2])) * scale, size, name="out")

    chosen = {"outputs": ["out"], "initializer_nodes": ["scale/Assign"]}
    record = initialized(saved(build, tmp_path), **chosen)
    problem = problem_of(frozen, record, tmp_path / "frozen", **chosen)
    assert problem.cause == "unsupported_op" and "after the restore" in problem.message


def test_the_judge_runs_them_itself(tmp_path):
    """Another value than they leave is noticed, though the record says so."""
    chosen = {"outputs": ["out"], "initializer_nodes": ["scale/Assign"]}
    record = initialized(saved(local(False), tmp_path), **chosen)
    (scale,) = record.initialized
    scale.content = "AAAAQAAAgEA="  # 2 and 4
    found = judged(record, *frozen(record, tmp_path / "frozen", **chosen), **chosen)
    assert (found["status"], found["cause"]) == ("mismatch", "weights_differ")


def test_an_init_op_of_a_saved_model_is_run(tmp_path):
    with tf.Graph().as_default():
        local(True)()
        with v1.Session() as session:
            session.run([v1.global_variables_initializer(), v1.local_variables_initializer()])
            graph = v1.get_default_graph()
            put_in, got = (graph.get_tensor_by_name(name) for name in ("x:0", "out:0"))
            builder = v1.saved_model.Builder(str(tmp_path / "zoo/m"))
            signature = v1.saved_model.predict_signature_def({"x": put_in}, {"y": got})
            builder.add_meta_graph_and_variables(
                session, ["serve"], {"serving_default": signature}, main_op=v1.local_variables_initializer()
            )
            builder.save()
    (source,) = sources(tmp_path / "zoo").values()
    provenance, path = check(source, tmp_path)
    assert list(provenance.initialized) == ["scale"]
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(v1.GraphDef.FromString(path.read_bytes()), name="")
        with v1.Session() as session:
            (scale,) = session.run(["scale:0"])
    assert np.array_equal(scale, [2, 3])


def test_names_with_commas_between_them_are_a_list():
    chosen = default_settings(initializer_nodes=" a/Assign, b ")
    assert chosen.initializer_nodes == ["a/Assign", "b"]
    assert model_settings.for_model(model_settings.validate({}), "m", "m").initializer_nodes == []
