"""Graphs that were made for a TPU: with one replica they are frozen and verified, with several they are refused."""

import os

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
import tensorflow as tf

import kinds
from fresh_process import in_fresh_process
from judged import check_judgement, rehearse, said
from permafrost.freezer import replicas
from permafrost.graph.metagraph import read_meta_graph
from permafrost.judge import judging
from permafrost.judge.replicas import stand_in
from stages import default_settings, frozen, imported, problem_of, sources

v1, raw = tf.compat.v1, tf.raw_ops


def replicated(count: int, resource: bool, in_function: bool = False):
    """As tpu.replicate leaves it: one value for each replica goes in, also of a variable, and comes out."""

    def build() -> None:
        x, w = kinds.features(), kinds.weights("w", [3, 2], resource)
        metadata = raw.TPUReplicateMetadata(num_replicas=count, name="metadata")

        def inner(x, w):
            taken = raw.TPUReplicatedInput(inputs=[x] * count, name="input0")
            held = raw.TPUReplicatedInput(inputs=[w] * count, name="input1")
            value = raw.ReadVariableOp(resource=held, dtype=tf.float32) if held.dtype == tf.resource else held
            return raw.TPUReplicatedOutput(input=tf.matmul(taken, value), num_replicas=count, name="output0")[0]

        with tf.control_dependencies([metadata]):
            taken = w.handle if resource else tf.identity(w._ref())
            y = tf.function(inner, autograph=False)(x, taken) if in_function else inner(x, taken)
        with tf.control_dependencies([raw.TPUCompilationResult(name="compiled")]):
            tf.nn.softmax(y, name="out")

    return build


def saved(build, directory):
    """The source of a model whose meta graph is `build`'s, and whose checkpoint has its weights."""
    with tf.Graph().as_default():
        build()
        exported = v1.train.export_meta_graph(saver_def=v1.train.Saver().as_saver_def())
    kinds.save(lambda: kinds.weights("w", [3, 2], "VarHandleOp" in {n.op for n in exported.graph_def.node}), directory)
    (directory / "model.ckpt.meta").write_bytes(exported.SerializeToString())
    (source,) = sources(directory).values()
    return source


ONE = [(resource, in_function) for resource in (False, True) for in_function in (False, True)]


@pytest.mark.parametrize(("resource", "in_function"), ONE)
def test_one_replica_is_frozen_and_verified(resource, in_function, tmp_path):
    record = rehearse(imported(saved(replicated(1, resource, in_function), tmp_path), outputs=["out"]))
    assert record.status == "ok" and not record.rehearsal and record.op_types["TPUReplicateMetadata"] == 1
    provenance, path = frozen(record, tmp_path / "frozen")
    made = {repair.repair for repair in provenance.repairs}
    assert {"TPUReplicatedInput -> Identity", "TPUReplicatedOutput -> Identity"} <= made
    assert "TPUReplicateMetadata -> NoOp" in made or not in_function
    assert b"TPU" not in path.read_bytes().replace(b"TPUReplicate/", b"")
    check_judgement(record, provenance, path)
    with tf.Graph().as_default(), v1.Session() as session:
        tf.import_graph_def(v1.GraphDef.FromString(path.read_bytes()), name="")
        x = np.eye(3, dtype=np.float32)
        weights = np.random.default_rng(1).normal(size=[3, 2]).astype(np.float32)
        np.testing.assert_allclose(session.run("out:0", {"x:0": x}), tf.nn.softmax(x @ weights).eval(), rtol=1e-6)


def test_several_replicas_are_refused(tmp_path):
    problem = problem_of(imported, saved(replicated(2, False), tmp_path), outputs=["out"])
    assert problem.cause == "unsupported_op" and "'input0'" in problem.message and "more than one" in problem.message
    problem = problem_of(imported, saved(replicated(2, False), tmp_path))
    assert problem.cause == "unsupported_op" and "more than one replica" in problem.message


def test_a_value_that_only_the_compiler_knows_is_refused(tmp_path):
    def build() -> None:
        tf.matmul(kinds.features(), kinds.weights("w", [3, 2]), name="out")
        tf.strings.length(raw.TPUCompilationResult(name="compiled"), name="told")

    problem = problem_of(imported, saved(build, tmp_path), outputs=["told"])
    assert problem.cause == "unsupported_op" and "'compiled'" in problem.message


def test_the_judge_does_not_take_several_replicas_for_one(tmp_path, monkeypatch):
    """A freezer that took the first of two would be found out."""
    source = saved(replicated(1, False), tmp_path)
    record = imported(source, outputs=["out"])
    provenance, path = frozen(record, tmp_path / "frozen")
    meta_graph = read_meta_graph(record.meta)
    node = next(node for node in meta_graph.graph_def.node if node.op == "TPUReplicatedInput")
    node.attr["N"].i = 2
    node.input.append(node.input[0])
    stand_in(meta_graph)
    assert node.op == "TPUReplicatedInput"
    node.attr["N"].i, node.attr["is_packed"].b = 1, True
    stand_in(meta_graph)
    assert node.op == "TPUReplicatedInput" and replicas.replicas(node) == 0
    (tmp_path / "model.ckpt.meta").write_bytes(meta_graph.SerializeToString())
    found = in_fresh_process(_judged, record, provenance, str(path), str(tmp_path))
    assert found != "verified"


def _judged(record, provenance, path: str, directory: str) -> str:
    problem = problem_of(lambda: said(judging.judge(record, provenance, path, default_settings(), directory)))
    return problem.cause
