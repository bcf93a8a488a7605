"""What the judge sees of a TensorFlow Lite file: its weights, and that a file with something else in it differs."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

from made_exports import close, made, normal, said, v1
from permafrost.exporter.tflite import conversion
from permafrost.judge.exports.tflite_files import TfliteRuntime
from permafrost.judge.sessions import RunFailed
from permafrost.model import TfliteOptions


def layers():
    x = v1.placeholder(tf.float32, [None, 6], "x")
    below = tf.nn.relu(tf.matmul(x, v1.get_variable("one", [6, 5])) + v1.get_variable("bias", [5]))
    logits = tf.matmul(below, v1.get_variable("other", [5, 3]))
    return {"x": x}, {"p": tf.nn.softmax(logits), "best": tf.argmax(logits, 1)}, {"logits": logits}


FEED = {"x": normal(4, 6)}


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """(path, signature, what TensorFlow says of FEED)."""
    directory = tmp_path_factory.mktemp("converted")
    prepared = made(layers)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        signature = conversion.convert(prepared, TfliteOptions(), conversion.OPEN, "model.tflite")
    return directory / "model.tflite", signature, said(prepared, FEED)


def same(runtime: TfliteRuntime, expected: list[np.ndarray]) -> bool:
    return all(close(one, other) for one, other in zip(expected, runtime.run(FEED), strict=True))


def test_weights_come_floats_first_and_from_the_outputs_on(converted) -> None:
    path, signature, _ = converted
    weights = list(TfliteRuntime(path, signature).weights())
    floats = [weight.shape for weight in weights if weight.dtype == "float32"]
    assert floats[0] in ([5, 3], [3, 5])
    assert sorted(map(sorted, floats)) == [[3, 5], [5], [5, 6]]
    kinds = [weight.dtype == "float32" for weight in weights]
    assert kinds == sorted(kinds, reverse=True)
    assert len({weight.name for weight in weights}) == len(weights)


def test_a_changed_weight_shows_and_the_file_stays(converted) -> None:
    path, signature, expected = converted
    before, runtime = path.read_bytes(), TfliteRuntime(path, signature)
    for weight in runtime.weights():
        if weight.dtype == "float32":
            value = runtime.value(weight.name)
            assert (list(value.shape), value.size) == (weight.shape, weight.size)
            changed = runtime.changed(weight.name, value + 1)
            assert np.array_equal(changed.value(weight.name), value + 1)
            assert not same(changed, expected)
    assert same(runtime, expected)
    assert path.read_bytes() == before
    with pytest.raises(ValueError, match="is float32"):
        runtime.changed(next(runtime.weights()).name, np.float32(1))


def test_each_run_is_a_first_one(converted) -> None:
    path, signature, expected = converted
    runtime = TfliteRuntime(path, signature)
    runtime.run({"x": normal(2, 6, seed=5)})
    assert same(runtime, expected)


def edited(path: Path, edit) -> bytes:
    model = flatbuffer_utils.read_model(str(path))
    edit(model)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _no_activation(model) -> None:
    for operator in model.subgraphs[0].operators:
        if getattr(operator.builtinOptions, "fusedActivationFunction", 0):
            operator.builtinOptions.fusedActivationFunction = schema.ActivationFunctionType.NONE


def _other_op(model) -> None:
    for code in model.operatorCodes:
        if code.builtinCode == schema.BuiltinOperator.SOFTMAX:
            code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.LOGISTIC
    for operator in model.subgraphs[0].operators:
        if operator.builtinOptionsType == schema.BuiltinOptions.SoftmaxOptions:
            operator.builtinOptionsType, operator.builtinOptions = schema.BuiltinOptions.NONE, None


@pytest.mark.parametrize("edit", [_no_activation, _other_op])
def test_another_attribute_or_op_shows(edit, converted, tmp_path) -> None:
    path, signature, expected = converted
    other = tmp_path / "other.tflite"
    other.write_bytes(edited(path, edit))
    assert other.read_bytes() != edited(path, lambda model: None)
    assert not same(TfliteRuntime(other, signature), expected)


def test_what_is_hidden_and_cannot_be_read_is_left_out(converted, tmp_path) -> None:
    path, signature, expected = converted
    (hidden,) = signature.hidden

    def rename(model) -> None:
        for tensor in model.subgraphs[0].tensors:
            if tensor.name == hidden.name.encode():
                tensor.name = b"another"

    other = tmp_path / "other.tflite"
    other.write_bytes(edited(path, rename))
    runtime = TfliteRuntime(other, signature)
    assert [each.key for each in runtime.given] == ["p", "best"]
    assert all(close(one, two) for one, two in zip(expected[:2], runtime.run(FEED), strict=True))


@pytest.mark.parametrize("content", [b"", b"TFL3", b"\0" * 64, b"\x08\0\0\0TFL3" + b"\xff" * 64])
def test_what_is_no_such_file_fails(content, converted, tmp_path) -> None:
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(content)
    with pytest.raises(RunFailed):
        TfliteRuntime(broken, converted[1])


@pytest.mark.parametrize("feed", [{}, {"x": normal(4, 7)}, {"x": normal(4)}, {"x": normal(4, 6).astype(np.float64)}])
def test_a_feed_that_does_not_fit_is_a_bad_feed(feed, converted) -> None:
    path, signature, _ = converted
    with pytest.raises(RunFailed) as failure:
        TfliteRuntime(path, signature).run(feed)
    assert failure.value.cause == "bad_feed"
