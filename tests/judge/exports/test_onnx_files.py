"""ONNX files under onnxruntime, as the judge runs them; and files that are not what they are said to be."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import tensorflow as tf
from msgspec import structs

from permafrost.export_records import Endpoint, Signature
from permafrost.exporter.onnx import conversion
from permafrost.judge.exports.onnx_files import OnnxRuntime
from permafrost.judge.sessions import RunFailed
from permafrost.model import OnnxOptions
from permafrost.outcome import Problem
from prepared_graphs import Made, is_right, numbers

v1 = tf.compat.v1
LARGE = numbers(600, 700)


def network() -> None:
    """A large weight, a small one, and a head behind them."""
    x = v1.placeholder(tf.float32, [None, 600], "x")
    hidden = tf.nn.relu(tf.matmul(x, tf.constant(LARGE, name="large")))
    tf.nn.softmax(tf.identity(tf.matmul(hidden, tf.constant(numbers(700, 3, scale=0.01))), "logits"), name="out")


def text() -> None:
    x = v1.placeholder(tf.string, [None], "x")
    tf.identity(tf.reshape(x, [-1, 1]), "out")


FEED = {"x": numbers(2, 600, seed=3)}


@pytest.fixture
def exported(tmp_path):
    return written(Made(network, ["x"], ["out"], ["logits"]), tmp_path)


def written(graph: Made, directory):
    path = str(directory / "model.onnx")
    return graph, path, conversion.convert(graph.prepared(), OnnxOptions(), "plain", path)


def contents(path: str) -> list[bytes]:
    return [Path(name).read_bytes() for name in (path, path + ".data")]


def altered(path: str, change) -> None:
    model = onnx.load(path, load_external_data=False)
    change(model.graph)
    onnx.save(model, path)


def test_outputs_come_first_then_what_is_hidden(exported):
    graph, path, signature = exported
    assert is_right(graph.run(FEED), OnnxRuntime(path, signature).run(FEED))


def test_each_run_is_the_first_of_a_session(exported):
    _, path, signature = exported
    runtime = OnnxRuntime(path, signature)
    first, second = runtime.run(FEED), runtime.run(FEED)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_weights_near_an_output_come_first_and_tell_their_values(exported):
    _, path, signature = exported
    runtime = OnnxRuntime(path, signature)
    weights = list(runtime.weights())
    floats = [weight for weight in weights if weight.dtype == "float32"]
    assert weights[: len(floats)] == floats
    assert [weight.shape for weight in floats] == [[700, 3], [600, 700]]
    assert np.array_equal(runtime.value(floats[1].name), LARGE)


@pytest.mark.parametrize("number", [0, 1])
def test_a_changed_weight_shows_and_the_file_stays(exported, number):
    graph, path, signature = exported
    runtime = OnnxRuntime(path, signature)
    weight = list(runtime.weights())[number]
    value = runtime.value(weight.name)
    before = contents(path)
    other = runtime.changed(weight.name, value * 2)
    assert not is_right(graph.run(FEED), other.run(FEED))
    assert np.array_equal(other.value(weight.name), value * 2)
    assert is_right(graph.run(FEED), other.changed(weight.name, value).run(FEED))
    assert is_right(graph.run(FEED), runtime.run(FEED))
    assert contents(path) == before


def test_a_weight_of_another_value_in_the_file_is_noticed(exported):
    graph, path, signature = exported
    with open(path + ".data", "r+b") as file:
        file.seek(4 * 700 * 10)
        file.write(np.full(700, 3, "f").tobytes())
    assert not is_right(graph.run(FEED), OnnxRuntime(path, signature).run(FEED))


def along_the_batch(graph) -> None:
    (softmax,) = [node for node in graph.node if node.op_type == "Softmax"]
    softmax.attribute.append(onnx.helper.make_attribute("axis", 0))


def without_relu(graph) -> None:
    (relu,) = [node for node in graph.node if node.op_type == "Relu"]
    relu.op_type = "Identity"


@pytest.mark.parametrize("change", [along_the_batch, without_relu])
def test_another_attribute_or_a_missing_node_is_noticed(exported, change):
    graph, path, signature = exported
    altered(path, change)
    assert not is_right(graph.run(FEED), OnnxRuntime(path, signature).run(FEED))


def test_a_file_that_is_cut_off_or_none_is_a_problem(exported):
    _, path, signature = exported
    content = Path(path).read_bytes()
    for other in (content[:-20], b"", b"ice"):
        Path(path).write_bytes(other)
        with pytest.raises(Problem, match=r"model\.onnx") as caught:
            OnnxRuntime(path, signature)
        assert caught.value.cause == "structure_differs"


def test_data_that_is_cut_off_does_not_run(exported):
    _, path, signature = exported
    with open(path + ".data", "r+b") as file:
        file.truncate(1000)
    with pytest.raises(RunFailed):
        OnnxRuntime(path, signature).run(FEED)


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"name": "y"}, "has the inputs"), ({"dtype": "int32"}, "no int32"), ({"shape": [None, 601]}, "of shape")],
)
def test_inputs_that_are_not_those_of_the_signature(exported, changes, words):
    _, path, signature = exported
    other = structs.replace(signature, inputs=[structs.replace(signature.inputs[0], **changes)])
    with pytest.raises(Problem, match=words) as caught:
        OnnxRuntime(path, other)
    assert caught.value.cause == "structure_differs"


def test_outputs_that_are_not_those_of_the_signature(exported):
    _, path, signature = exported
    other = structs.replace(signature, outputs=[structs.replace(signature.outputs[0], name="y")])
    with pytest.raises(Problem, match="has the outputs"):
        OnnxRuntime(path, other)


def test_a_feed_that_does_not_fit_is_a_failed_run(exported):
    _, path, signature = exported
    runtime = OnnxRuntime(path, signature)
    for feed in ({}, {"x": numbers(2, 7)}, {"x": numbers(2, 600).astype(int)}):
        with pytest.raises(RunFailed):
            runtime.run(feed)


def test_strings_are_bytes_on_either_side(tmp_path):
    graph, path, signature = written(Made(text, ["x"], ["out"]), tmp_path)
    runtime = OnnxRuntime(path, signature)
    feed = {"x": np.array([b"ice", "gr\u00f6nland".encode()], object)}
    assert is_right(graph.run(feed), runtime.run(feed))
    with pytest.raises(RunFailed, match="no UTF-8") as caught:
        runtime.run({"x": np.array([b"\xff"], object)})
    assert caught.value.cause == "string_input"


def test_scalars(tmp_path):
    def build() -> None:
        x, rate = v1.placeholder(tf.float32, [None, 2], "x"), v1.placeholder(tf.float32, [], "rate")
        tf.reduce_sum(x * rate, name="out")

    graph, path, signature = written(Made(build, ["x", "rate"], ["out"]), tmp_path)
    feed = {"x": numbers(3, 2), "rate": np.float32(0.5)}
    assert is_right(graph.run(feed), OnnxRuntime(path, signature).run(feed))


def multiplied_in_a_loop():
    """Five rounds of y = y * w, where w is an initializer of the loop's body."""
    floats, numbers_, truth = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64, onnx.TensorProto.BOOL
    info, node = onnx.helper.make_tensor_value_info, onnx.helper.make_node
    weight = onnx.numpy_helper.from_array(np.array([0.5, 2.0, 1.0], np.float32), "w")
    body = onnx.helper.make_graph(
        [node("Identity", ["c"], ["goes_on"]), node("Mul", ["y", "w"], ["next"])],
        "body",
        [info("i", numbers_, []), info("c", truth, []), info("y", floats, None)],
        [info("goes_on", truth, []), info("next", floats, None)],
        [weight],
    )
    rounds = onnx.numpy_helper.from_array(np.array(5), "rounds")
    loop = node("Loop", ["rounds", "", "x"], ["out"], body=body)
    graph = onnx.helper.make_graph([loop], "g", [info("x", floats, [3])], [info("out", floats, [3])], [rounds])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)


def test_a_weight_inside_a_loop_is_one_that_can_be_changed(tmp_path):
    path = str(tmp_path / "model.onnx")
    onnx.save(multiplied_in_a_loop(), path)
    ends = [
        Endpoint(key=name, name=name, tensor=name, source=name, dtype="float32", shape=[3]) for name in ("x", "out")
    ]
    runtime = OnnxRuntime(path, Signature(inputs=ends[:1], outputs=ends[1:]))
    assert [weight.name for weight in runtime.weights()] == ["w", "rounds"]
    assert runtime.value("w").tolist() == [0.5, 2.0, 1.0]
    changed = runtime.changed("w", np.array([1, 1, 2], np.float32))
    feed = {"x": np.ones(3, np.float32)}
    assert changed.run(feed)[0].tolist() == [1, 1, 32] and runtime.run(feed)[0].tolist() == [1 / 32, 32, 1]
