"""Graphs for a GPU's own recurrent cells: refused here, with the tensors that hold the cells' weights named."""

import os

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest
import tensorflow as tf

import kinds
from permafrost.report import graph_findings
from stages import imported, problem_of, sources

v1, raw = tf.compat.v1, tf.raw_ops
CELL = "rnn/multi_rnn_cell/cell_0/cudnn_compatible_lstm_cell"
UNITS, SIZE = 2, 3
COUNT = 4 * UNITS * (SIZE + UNITS + 2)


def cells(params):
    """An encoder that runs on a CPU, and a CudnnRNN and a layer behind it."""
    x = v1.placeholder(tf.float32, [5, None, SIZE], name="x")
    encoded = tf.nn.softmax(tf.tensordot(x, kinds.weights("encoder", [SIZE, SIZE]), 1), name="encoded")
    state = tf.zeros([1, tf.shape(x)[1], UNITS])
    h = raw.CudnnRNN(input=encoded, input_h=state, input_c=state, params=params, is_training=False, name="cudnn")
    scores = tf.tensordot(h.output, kinds.weights("decoder", [UNITS, 4]), 1)
    tf.nn.softmax(scores, name="probabilities")


def opaque() -> None:
    """As CudnnLSTM has it: one vector in the graph, the cells' weights in the checkpoint."""
    cells(v1.get_variable("opaque_kernel", [COUNT], use_resource=False))


def whole() -> None:
    """The vector itself was saved, in cuDNN's own order."""
    cells(v1.get_variable("params", [COUNT], use_resource=False))


def keras() -> None:
    """As Keras has it: a variable for each part of the vector."""
    parts = [kinds.weights(f"layer/{name}", [COUNT // 2], True) for name in ("kernel", "bias_of_it")]
    cells(tf.concat([part.read_value() for part in parts], 0))


def saved_names(kind: str) -> dict:
    cell = {f"{CELL}/kernel": [SIZE + UNITS, 4 * UNITS], f"{CELL}/bias": [4 * UNITS]}
    own = {"encoder": [SIZE, SIZE], "decoder": [UNITS, 4]}
    more = {"opaque": cell, "whole": {"params": [COUNT]}, "keras": {}}[kind]
    more = {"layer/kernel": [COUNT // 2], "layer/bias_of_it": [COUNT // 2]} if kind == "keras" else more
    return own | more


def model(kind: str, directory, more=None):
    """The source of a model whose checkpoint has what a GPU's saver would have written."""
    names = saved_names(kind)
    with tf.Graph().as_default():
        {"opaque": opaque, "whole": whole, "keras": keras}[kind]()
        (more or (lambda: None))()
        variables = {variable.op.name: variable for variable in v1.global_variables()}
        saver = v1.train.Saver([variable for name, variable in variables.items() if name in names])
        saver_def = saver.as_saver_def()
        if kind == "opaque":
            graph = v1.get_default_graph()
            keys = [f"{CELL}/kernel", f"{CELL}/bias"]
            file = graph.get_tensor_by_name(saver_def.filename_tensor_name)
            read = raw.RestoreV2(prefix=file, tensor_names=keys, shape_and_slices=["", ""], dtypes=[tf.float32] * 2)
            weights = [tf.reshape(read[0], [-1])] * 8
            params = raw.CudnnRNNCanonicalToParams(
                num_layers=1, num_units=UNITS, input_size=SIZE, weights=weights, biases=[read[1]] * 8
            )
            restore = graph.get_operation_by_name(saver_def.restore_op_name)
            restore._add_control_input(v1.assign(variables["opaque_kernel"], params, validate_shape=False).op)
        exported = v1.train.export_meta_graph(saver_def=saver_def)

    def checkpoint() -> None:
        for name, shape in names.items():
            kinds.weights(name, shape)

    kinds.save(checkpoint, directory)
    (directory / "model.ckpt.meta").write_bytes(exported.SerializeToString())
    (source,) = sources(directory).values()
    return source


@pytest.mark.parametrize(("kind", "key"), [("opaque", f"{CELL}/kernel"), ("keras", "layer/bias_of_it"), ("whole", "")])
def test_what_is_named_is_refused_with_the_weights(kind, key, tmp_path):
    problem = problem_of(imported, model(kind, tmp_path), outputs=["probabilities"])
    assert problem.cause == "unsupported_op" and "'cudnn' has op CudnnRNN" in problem.message
    assert (repr(key) in problem.message) if key else ("cell by cell" not in problem.message)
    assert "'encoded'" in problem.hint


def test_outputs_before_it_are_taken_and_the_weights_told(tmp_path):
    record = imported(model("opaque", tmp_path))
    assert "encoded" in record.outputs and "probabilities" not in record.outputs
    (row,) = [row for row in graph_findings.of_record(record) if row.finding == "outputs_left_out"]
    assert row.node == "cudnn" and "no kernel on a CPU" in row.advice and f"'{CELL}/bias'" in row.advice
