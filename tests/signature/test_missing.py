"""An op that cannot run here comes last: what lies before it is taken, and said so; what is named is refused."""

import os

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
import tensorflow as tf

import kinds
from permafrost.graph.index import GraphIndex
from permafrost.graph.metagraph import read_meta_graph
from permafrost.report import graph_findings
from permafrost.signature.missing import after_missing
from stages import frozen, imported, problem_of, sources

v1, raw = tf.compat.v1, tf.raw_ops


def network():
    hidden = tf.nn.relu(tf.matmul(kinds.features(), kinds.weights("w", [3, 4])))
    return tf.nn.softmax(tf.matmul(hidden, kinds.weights("kernel", [4, 5])), name="probabilities")


def decoder() -> None:
    tf.identity(tf.identity(network(), name="beam_search"), name="decoded")


def decoder_behind_an_embedding() -> None:
    """Without the decoder's output, the network would have none that was chosen."""
    ids = v1.placeholder(tf.int32, [None], name="ids")
    rows = tf.nn.embedding_lookup(kinds.weights("table", [7, 4]), ids)
    scores = tf.nn.log_softmax(tf.matmul(rows, kinds.weights("kernel", [4, 5])), name="scores")
    tf.transpose(tf.identity(scores, name="beam_search"), name="predictions")


def python_decoder() -> None:
    decoded = v1.py_func(lambda a: a, [network()], tf.float32, name="decode")
    tf.identity(decoded, name="decoded")


def eager_python_decoder() -> None:
    tf.identity(tf.py_function(lambda a: a, [network()], tf.float32, name="decode"), name="decoded")


def decoder_in_a_function() -> None:
    decode = tf.function(lambda a: tf.identity(a, name="beam_search"), autograph=False)
    tf.identity(decode(network()), name="decoded")


def source_of(build, directory, served: str = ""):
    """The source of a model whose node `beam_search` has an op of a library that is not there."""
    kinds.save(build, directory)
    path = directory / "model.ckpt.meta"
    meta_graph = read_meta_graph(path)
    inner = [node for function in meta_graph.graph_def.library.function for node in function.node_def]
    for node in (*meta_graph.graph_def.node, *inner):
        node.op = "WordBeamSearch" if node.name == "beam_search" else node.op
    if served:
        meta_graph.signature_def["serving"].outputs["words"].name = served
    path.write_bytes(meta_graph.SerializeToString())
    (source,) = sources(directory).values()
    return source


BUILDS = [
    (decoder, "probabilities", "beam_search", "WordBeamSearch"),
    (decoder_behind_an_embedding, "scores", "beam_search", "WordBeamSearch"),
    (decoder_in_a_function, "probabilities", "/beam_search", "WordBeamSearch"),
    (python_decoder, "probabilities", "decode", "PyFunc"),
    (eager_python_decoder, "probabilities", "decode", "EagerPyFunc"),
]


@pytest.mark.parametrize("served", ["", "decoded:0"])
@pytest.mark.parametrize(("build", "before", "node", "op"), BUILDS)
def test_what_lies_before_is_taken_and_the_op_named(build, before, node, op, served, tmp_path):
    served = served if build is not decoder_behind_an_embedding else served.replace("decoded", "predictions")
    record = imported(source_of(build, tmp_path, served))
    assert before in record.outputs and record.outputs_confidence < 1
    assert not {"decoded", "predictions", "beam_search", "decode"} & set(record.outputs)
    frozen(record, tmp_path / "frozen")
    (row,) = [row for row in graph_findings.of_record(record) if row.finding == "outputs_left_out"]
    assert row.severity == "warning" and row.node.endswith(node) and op in row.advice
    assert repr(served.partition(":")[0] or "decoded")[:-1] in row.advice or "'predictions'" in row.advice


@pytest.mark.parametrize(("build", "before", "node", "op"), BUILDS[:3])
def test_what_is_named_is_refused_and_what_lies_before_told(build, before, node, op, tmp_path):
    named = "predictions" if build is decoder_behind_an_embedding else "decoded"
    problem = problem_of(imported, source_of(build, tmp_path), outputs=[named])
    assert problem.cause == "unknown_op" and op in problem.message and repr(before) in problem.hint


def python_loader_and_decoder() -> None:
    ids = v1.py_func(lambda: np.zeros(1, np.int32), [], tf.int32, name="load")
    rows = tf.nn.embedding_lookup(kinds.weights("table", [7, 4]), tf.reshape(ids, [-1]))
    scores = tf.nn.log_softmax(tf.matmul(rows, kinds.weights("kernel", [4, 5])), name="scores")
    tf.transpose(tf.identity(scores, name="beam_search"), name="predictions")


def test_what_a_python_function_loads_is_no_reason(tmp_path):
    source = source_of(python_loader_and_decoder, tmp_path)
    assert set(after_missing(GraphIndex(read_meta_graph(source.meta).graph_def))) == {"beam_search", "predictions"}
    record = imported(source)
    assert "scores" in record.outputs and set(record.inputs) == {"load:0"}


def test_where_all_comes_after_it_is_refused(tmp_path):
    def build() -> None:
        x = tf.identity(kinds.features(), name="beam_search")
        tf.nn.softmax(tf.matmul(tf.nn.relu(x), kinds.weights("w", [3, 4])), name="probabilities")

    problem = problem_of(imported, source_of(build, tmp_path))
    assert problem.cause == "unknown_op" and "'beam_search'" in problem.message


def test_outputs_that_cannot_be_fetched_together(tmp_path):
    """A variable, and what is computed from what the run writes to it: the better one stays."""

    def build() -> None:
        ids, table = v1.placeholder(tf.int32, [None, None], name="ids"), kinds.weights("table", [7, 4])
        rows = tf.nn.embedding_lookup(v1.scatter_update(table, 0, tf.zeros([4])), ids)
        tf.matmul(tf.reduce_mean(rows, 1), kinds.weights("kernel", [4, 2]), name="logits")

    record = imported(source_of(build, tmp_path))
    assert record.outputs == ["logits"]
    frozen(record, tmp_path / "frozen")
