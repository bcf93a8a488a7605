"""The judge on graphs that try to get past it, and on honest ones that look odd."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
import tensorflow as tf

from fresh_process import in_fresh_process
from judged import said, verified
from kinds import control_flow
from permafrost import whole_files
from permafrost.graph.metagraph import read_meta_graph
from permafrost.input_kinds import Default
from permafrost.judge import first_difference, judging, negative_control
from permafrost.judge.sessions import RunFailed
from permafrost.judge.structure import nodes
from permafrost.outcome import MISMATCH, UNVERIFIABLE, VERIFIED
from permafrost.records import Control, failure
from permafrost.stages import list_model, verify_model
from stages import default_settings, frozen, imported, problem_of, sources

v1 = tf.compat.v1


class Model:
    """A model built in `directory`, frozen, and then perhaps damaged."""

    def __init__(self, directory: Path, build: Callable, damage_meta=None, damage=None, export=None, **settings):
        zoo = directory / "zoo"
        zoo.mkdir()
        with tf.Graph().as_default() as graph:
            build()
            saver = v1.train.Saver()
            with v1.Session(graph=graph) as session:
                session.run(v1.global_variables_initializer())
                saver.save(session, str(zoo / "m.ckpt"), write_meta_graph=False)
                saver.export_meta_graph(str(zoo / "m.ckpt.meta"), **(export or {}))
        if damage_meta:
            meta_graph = read_meta_graph(zoo / "m.ckpt.meta")
            damage_meta(meta_graph)
            (zoo / "m.ckpt.meta").write_bytes(meta_graph.SerializeToString(deterministic=True))
        settings = {"outputs": ["out"], **settings}
        self.settings = default_settings(timeout=120, **settings)
        (source,) = sources(zoo).values()
        self.record = imported(source, **settings)
        self.provenance, self.path = frozen(self.record, directory, **settings)
        if damage:
            graph_def = v1.GraphDef.FromString(self.path.read_bytes())
            damage(graph_def)
            self.path.write_bytes(graph_def.SerializeToString(deterministic=True))
            size, checksum = self.path.stat().st_size, whole_files.checksum(self.path)
            self.provenance.frozen_bytes, self.provenance.frozen_crc32c = size, checksum

    def judged(self) -> dict:
        return said(judging.judge(self.record, self.provenance, str(self.path), self.settings, os.getcwd()))

    def verified(self, prepare: Callable | None = None) -> dict:
        """The outcome of the stage with its facts, from a process in which `prepare` was called before."""
        return in_fresh_process(_verify, self.record, self.provenance, self.path, self.settings, prepare)


def _verify(record, provenance, path, settings, prepare) -> dict:
    if prepare:
        prepare()
    return verified(record, provenance, path, settings)


def weights(name: str = "w", resource: bool = False):
    values = np.random.default_rng(len(name)).normal(size=(4, 4)).astype(np.float32)
    return v1.get_variable(name, initializer=values, use_resource=resource)


def features():
    return v1.placeholder(tf.float32, [None, 4], name="x")


def plain():
    tf.matmul(features(), weights(), name="out")


def file_length(path: Path):
    return tf.cast(tf.strings.length(tf.raw_ops.ReadFile(filename=tf.constant(str(path)))), tf.float32)


def a_file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("four")
    return path


# What would run


def test_what_lies_before_a_default_is_not_run(tmp_path):
    def build():
        extra = v1.placeholder_with_default(file_length(a_file(tmp_path)), [], name="extra")
        tf.add(tf.matmul(features(), weights()), extra, name="out")

    model = Model(tmp_path, build)
    assert isinstance(model.record.inputs["extra:0"], Default)
    assert problem_of(model.judged).cause == "unsafe_op"


def before_a_fed_default(length) -> Callable:
    def build():
        extra = v1.placeholder_with_default(length(), [], name="extra")
        tf.add(tf.matmul(features(), weights()), extra, name="out")

    return build


def test_what_lies_before_a_default_that_is_fed_is_no_matter(tmp_path):
    missing = str(tmp_path / "missing")
    build = before_a_fed_default(
        lambda: tf.raw_ops.RestoreV2(prefix=missing, tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.float32])[0]
    )
    assert "finding" not in Model(tmp_path, build, inputs={"extra": 2.0}).judged()


def test_what_an_import_evaluates_before_a_default_that_is_fed_is_not_imported(tmp_path):
    build = before_a_fed_default(lambda: file_length(tmp_path / "missing"))
    assert problem_of(Model(tmp_path, build, inputs={"extra": 2.0}).judged).cause == "unsafe_op"


def test_a_default_that_is_fed_still_runs_where_something_waits_for_it(tmp_path):
    def build():
        extra = v1.placeholder_with_default(file_length(a_file(tmp_path)), [], name="extra")
        x, w = features(), weights()
        with tf.control_dependencies([extra]):
            product = tf.matmul(x, w)
        tf.add(product, extra, name="out")

    assert problem_of(Model(tmp_path, build, inputs={"extra": 2.0}).judged).cause == "unsafe_op"


def test_a_fed_tensor_is_cut_for_those_who_wait_for_it_too(tmp_path):
    def build():
        length = tf.identity(file_length(tmp_path / "missing"), name="length")
        x, w = features(), weights()
        with tf.control_dependencies([length]):
            product = tf.matmul(x, w)
        tf.add(product, length, name="out")

    assert "finding" not in Model(tmp_path, build, inputs={"length:0": 2.0}).judged()


@pytest.mark.parametrize("suffix", ["", ":0"])
def test_the_restore_op_is_looked_at_under_either_name(suffix, tmp_path):
    written = tmp_path / "written"

    def write_a_file(meta_graph):
        name = meta_graph.graph_def.node.add(name="name", op="Const")
        name.attr["dtype"].type = tf.string.as_datatype_enum
        name.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(str(written)))
        meta_graph.graph_def.node.add(name="write", op="WriteFile", input=["name", "name"])
        restore = next(n for n in meta_graph.graph_def.node if n.name == meta_graph.saver_def.restore_op_name)
        restore.input.append("^write")
        meta_graph.saver_def.restore_op_name += suffix

    assert problem_of(Model(tmp_path, plain, write_a_file).judged).cause == "unsafe_op"
    assert not written.exists()


def test_a_saver_whose_filename_has_no_output_number_restores(tmp_path):
    def shorten(meta_graph):
        meta_graph.saver_def.filename_tensor_name = meta_graph.saver_def.filename_tensor_name.removesuffix(":0")

    assert "finding" not in Model(tmp_path, plain, shorten).judged()


def test_a_restore_op_that_is_not_there_restores_nothing(tmp_path):
    model = Model(tmp_path, plain)
    meta_graph = read_meta_graph(model.record.meta)
    meta_graph.saver_def.restore_op_name = "nothing:0"
    Path(model.record.meta).write_bytes(meta_graph.SerializeToString())
    assert problem_of(model.judged).cause == "not_restorable"


# Weights


def flip_a_bit_of(name: str):
    def damage(graph_def):
        tensor = next(n for n in graph_def.node if n.name == name).attr["value"].tensor
        content = bytearray(tensor.tensor_content)
        content[3] ^= 1
        tensor.tensor_content = bytes(content)

    return damage


def test_weights_are_compared_before_a_model_is_refused_as_unsafe(tmp_path):
    def build():
        tf.add(tf.matmul(features(), weights()), file_length(a_file(tmp_path)), name="out")

    assert problem_of(Model(tmp_path, build, damage=flip_a_bit_of("w")).judged).cause == "weights_differ"


def test_a_constant_that_is_kept_for_its_place_alone_is_compared(tmp_path):
    def build():
        product = tf.matmul(features(), weights())
        with v1.colocate_with(weights("place"), ignore_existing=True):
            tf.identity(product, name="out")

    assert problem_of(Model(tmp_path, build, damage=flip_a_bit_of("place")).judged).cause == "weights_differ"


def test_the_number_of_constants_is_the_provenances(tmp_path):
    model = Model(tmp_path, plain)
    model.provenance.frozen_variables += 1
    assert problem_of(model.judged).cause == "weights_differ"


@pytest.mark.parametrize("resource", [False, True])
def test_variables_kept_as_variables_get_their_values(resource, tmp_path):
    def build():
        tf.matmul(tf.matmul(features(), weights("w", resource)), weights("kept", resource), name="out")

    found = Model(tmp_path, build, variable_names_denylist=["kept"]).judged()
    assert "finding" not in found and found["match"] == "bitwise" and found["weights"] == 1
    assert found["control"]["variable"] == "kept"


# Outputs


def test_random_ops_without_their_default_attributes_get_the_same_seeds(tmp_path):
    def build():
        product = tf.matmul(features(), weights())
        noise = tf.raw_ops.RandomUniform(shape=tf.shape(product), dtype=tf.float32, seed=0, seed2=0)
        tf.add(product, noise, name="out")

    found = Model(tmp_path, build, export={"strip_default_attrs": True}).judged()
    assert found["match"] == "bitwise" and found["random_ops"] == 1


def test_random_ops_in_functions_that_get_another_name_get_the_same_seeds(tmp_path):
    def build():
        x, w = features(), weights("w", resource=True)
        flag = v1.placeholder_with_default(True, [], name="flag")
        with control_flow(2):
            noisy = v1.cond(flag, lambda: tf.matmul(x, w) + tf.random.uniform([4]), lambda: x)
        tf.identity(noisy, name="out")

    model = Model(tmp_path, build, export={"strip_default_attrs": True})
    graph_def = v1.GraphDef.FromString(model.path.read_bytes())
    assert any("_frozen_" in function.signature.name for function in graph_def.library.function)
    found = model.judged()
    assert found["match"] == "bitwise" and found["random_ops"] >= 1


def test_what_differs_from_itself_is_random_and_no_mismatch(tmp_path):
    def build():
        tf.add(tf.matmul(features(), weights()), tf.cast(tf.timestamp() % 1, tf.float32), name="out")

    found = Model(tmp_path, build).judged()
    assert found["finding"]["cause"] == "random" and found["match"] == "" and found["rows"]


def test_a_tensor_that_is_not_there_is_no_output(tmp_path):
    model = Model(tmp_path, plain)
    model.record.outputs = ["out:3"]
    problem = problem_of(model.judged)
    assert problem.cause == "unknown_output" and "out:3" in problem.message


def test_a_variable_as_output_is_its_value(tmp_path):
    def build():
        tf.matmul(features(), weights("w", resource=True), name="out")

    found = Model(tmp_path, build, outputs=["w", "out"]).judged()
    assert "finding" not in found and found["match"] == "bitwise"


def test_what_comes_before_a_head_is_judged_too(tmp_path):
    def build():
        tf.argmax(tf.nn.softmax(tf.matmul(features(), weights(), name="logits")), axis=1, name="out")

    rows = Model(tmp_path, build).judged()["rows"]
    assert {row["output"] for row in rows if row["trial"] == 0} == {"out:0", "Softmax:0", "logits:0"}


def test_logits_stand_in_for_an_insensitive_output(tmp_path):
    def build():
        logits = tf.add(tf.matmul(features(), weights()), [1e9, 0.0, 0.0, 0.0], name="logits")
        tf.argmax(logits, axis=1, name="out")

    found = Model(tmp_path, build).judged()
    assert "finding" not in found and found["control"]["output"] == "logits:0"


def test_an_insensitive_model_keeps_what_was_measured(tmp_path):
    def build():
        tf.add(tf.matmul(features(), weights()) * 0.0, 1.0, name="out")

    found = Model(tmp_path, build).verified()
    assert (found["status"], found["cause"]) == (UNVERIFIABLE, "insensitive")
    assert found["rows"] and found["weights"] == 1 and found["nodes_checked"] > 3


def test_no_more_variables_are_changed_than_the_cap_says(tmp_path, monkeypatch):
    def build():
        total = features()
        for number in range(negative_control._MOST_PERTURBED + 3):
            total = tf.matmul(total, weights(f"w{number}"))
        tf.identity(total, name="out")

    model = Model(tmp_path, build)
    pair = judging.Pair(judging.Graphs(model.record, model.provenance, str(model.path)), set())

    def fail(*args):
        raise RunFailed("run_failed", "always")

    monkeypatch.setattr(pair, "run_frozen", fail)
    control = negative_control.change_variables(pair, {}, [], None)
    assert control == Control(None, None, negative_control._MOST_PERTURBED)


def test_the_environment_is_recorded(tmp_path):
    found = Model(tmp_path, plain).verified()
    assert found["status"] == VERIFIED
    assert found["environment"] == {
        "tensorflow": tf.__version__,
        "intra_op_parallelism_threads": 1,
        "inter_op_parallelism_threads": 1,
        "opt_level": "L0",
        "disable_meta_optimizer": True,
    }


# Mismatches. The structure tells of all of them first, so it is left out here.


def blind_to_structure():
    nodes.check = lambda *args: 0


def dead_search():
    blind_to_structure()
    first_difference.find = lambda *args: os.abort()


def many_steps():
    value = tf.matmul(features(), weights("w", True))
    for _ in range(400):
        value = tf.tanh(value)
    value = tf.multiply(value, 1.5, name="step")
    tf.add(value, 0.25, name="out")


def triple_the_step(graph_def):
    node = next(n for n in graph_def.node if n.name == "step/y")
    node.attr["value"].tensor.float_val[:] = [4.5]


def test_the_first_tensor_that_differs_is_named_with_its_values(tmp_path):
    found = Model(tmp_path, many_steps, damage=triple_the_step).verified(blind_to_structure)
    assert (found["status"], found["cause"], found["match"]) == (MISMATCH, "outputs_differ", "")
    assert "output out:0 differs in trial 0" in found["message"]
    assert found["message"].endswith("the first tensor that differs is step/y:0 (Const), at [] 1.5 and 4.5")
    assert found["rows"] and not found["transient"]


def test_a_read_that_a_later_write_shows_through_is_not_the_first_difference(tmp_path):
    def build():
        w = weights()
        product = tf.matmul(features(), w)
        with tf.control_dependencies([product]):
            written = v1.assign_add(w, tf.ones([4, 4]))
        tf.add(tf.multiply(tf.matmul(product, written), 1.5, name="step"), 0.25, name="out")

    found = Model(tmp_path, build, damage=triple_the_step).verified(blind_to_structure)
    assert "the first tensor that differs is step/y:0 (Const), at [] 1.5 and 4.5" in found["message"], found


def test_the_verdict_stands_where_the_search_for_its_cause_fails(tmp_path):
    found = Model(tmp_path, many_steps, damage=triple_the_step).verified(dead_search)
    assert (found["status"], found["cause"], found["transient"]) == (MISMATCH, "outputs_differ", False)
    assert "where it begins was not found" in found["message"]


def test_the_search_uses_the_trial_that_failed(tmp_path):
    """Only batches of three rows differ, which is what the second trial feeds."""

    def build():
        x = features()
        is_three = tf.cast(tf.equal(tf.shape(x)[0], 3), tf.float32)
        tf.add(tf.matmul(x, weights("w", True)), tf.multiply(is_three, is_three, name="step"), name="out")

    def add_instead(graph_def):
        next(n for n in graph_def.node if n.name == "step").op = "AddV2"

    found = Model(tmp_path, build, damage=add_instead).verified(blind_to_structure)
    assert "differs in trial 1" in found["message"] and found["match"] == ""
    assert found["message"].endswith("is step:0 (Mul), at [] 1.0 and 2.0")


def test_a_loop_does_not_stop_the_search(tmp_path):
    def build():
        x, w = features(), weights()
        with control_flow(1):
            value = v1.while_loop(
                lambda i, h: i < 3, lambda i, h: (i + 1, tf.tanh(tf.matmul(h, w))), [tf.constant(0), x]
            )[1]
        tf.add(tf.multiply(value, 1.5, name="step"), 0.25, name="out")

    found = Model(tmp_path, build, damage=triple_the_step).verified(blind_to_structure)
    assert "the first tensor that differs is step/y:0" in found["message"]


def test_a_frozen_graph_that_does_not_run_is_a_mismatch(tmp_path):
    def break_it(graph_def):
        next(n for n in graph_def.node if n.name == "out").attr["transpose_b"].b = True

    def build():
        w = v1.get_variable("w", initializer=np.ones((4, 2), np.float32), use_resource=False)
        tf.matmul(v1.placeholder(tf.float32, [None, None], name="x"), tf.identity(w), name="out")

    model = Model(tmp_path, build, damage=break_it, inputs={"x": {"shape": [2, 4]}})
    found = model.verified(blind_to_structure)
    assert found["status"] == MISMATCH, found


@pytest.mark.parametrize("content", [b"\x00", b""])
def test_the_frozen_graph_is_the_file_of_its_provenance(content, tmp_path):
    model = Model(tmp_path, plain)
    changed = bytearray(model.path.read_bytes())
    changed[-1] ^= 1
    model.path.write_bytes(bytes(changed) + content)
    problem = problem_of(verify_model.verify, model.record, model.provenance, model.path, model.settings, {})
    assert problem.cause == "changed"
    assert failure("verify", problem).transient


@pytest.mark.parametrize("fed", [["sp:0"], ["sp:1"], ["sp:0", "sp:1"]])
def test_some_outputs_of_a_node_may_be_fed(fed, tmp_path):
    def build():
        halves = tf.split(v1.placeholder(tf.float32, [2, 8], name="x"), 2, axis=1, name="sp")
        tf.add(tf.matmul(halves[0], weights()), halves[1], name="out")

    found = Model(tmp_path, build, inputs={name: {"shape": [2, 4]} for name in fed}).judged()
    assert "finding" not in found and found["match"] == "bitwise"


def test_nothing_is_read_to_find_out_a_shape(tmp_path):
    """TensorFlow folds constants while it imports a graph, and would read the file for that: here, without an end."""
    file = tmp_path / "file"
    file.write_text("four")

    def build():
        length = tf.strings.length(tf.io.read_file(str(file)))
        tf.reshape(tf.matmul(features(), weights()), tf.stack([length, -1]), name="out")

    (tmp_path / "model").mkdir()
    model = Model(tmp_path / "model", build)
    file.unlink()
    os.mkfifo(file)
    signal.alarm(60)
    try:
        assert problem_of(model.judged).cause == "unsafe_op"
        rows = in_fresh_process(listed, model.record)
    finally:
        signal.alarm(0)
    assert {row["name"]: row["output"] for row in rows}["ReadFile"] == 'Tensor("ReadFile:0", shape=(), dtype=string)'


def listed(record: dict) -> list[dict]:
    return list_model.ops(list_model.meta_graph_of(record, []), None)[0]


@pytest.mark.parametrize("dtype", [tf.qint8, tf.quint8, tf.qint32, tf.string])
def test_weights_of_odd_dtypes_are_the_same(dtype, tmp_path):
    def build():
        value = raw_value(dtype)
        v1.Variable(value, name="odd", use_resource=False)
        tf.matmul(features(), weights(), name="out")
        tf.identity(v1.get_default_graph().get_tensor_by_name("odd:0"), name="as_it_is")

    found = Model(tmp_path, build, outputs=["out", "as_it_is"]).judged()
    assert found["match"] == "bitwise" and found["weights"] == 2


def raw_value(dtype):
    if dtype == tf.string:
        return tf.constant(b"words", tf.string)
    return tf.bitcast(tf.constant([1, -2, 3], tf.int32 if dtype == tf.qint32 else tf.int8), dtype)


@pytest.mark.parametrize("name", ["[br]acket", "back\\slash"])
def test_a_directory_that_tensorflow_cannot_name(name, tmp_path):
    (tmp_path / name).mkdir()
    assert Model(tmp_path / name, plain).judged()["match"] == "bitwise"
