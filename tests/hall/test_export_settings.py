"""What the config says of exports: merged key by key, checked where a schema cannot, read by the stages."""

import json

import msgspec
import pytest

from permafrost import settings
from permafrost.model import OnnxOptions, Settings, SignatureNames, TfliteOptions
from permafrost.outcome import Problem
from permafrost.recording import reader


def of(**models):
    config = settings.validate({"models": models.pop("models", {"m": models})})
    return settings.for_model(config, "m", "m")


def test_nothing_is_exported_unless_it_is_asked_for():
    chosen = of(timeout=7)
    assert chosen.export == [] and chosen.signature == SignatureNames()
    assert chosen.onnx == OnnxOptions() and chosen.onnx.bake is True and chosen.onnx.opset == 18
    assert chosen.saved_model.bake is False and chosen.tflite == TfliteOptions()


def test_options_of_a_format_are_merged_key_by_key():
    chosen = of(
        models={
            "*": {"export": ["onnx", "tflite"], "onnx": {"opset": 17, "tolerance": 1e-3}, "tflite": {"tolerance": 0.1}},
            "m": {"onnx": {"expect": "refused/unsupported_op", "opset": 16}, "tflite": {"quantize": "float16"}},
        }
    )
    assert chosen.export == ["onnx", "tflite"]
    assert chosen.onnx == OnnxOptions(opset=16, tolerance=1e-3, expect="refused/unsupported_op")
    assert chosen.tflite == TfliteOptions(quantize="float16", tolerance=0.1)


@pytest.mark.parametrize("axis", [0, "0"])
def test_axes_may_be_numbers_and_reach_the_stages_as_numbers(axis):
    chosen = of(onnx={"dynamic_axes": {"x": {axis: "rows"}}, "bake": {"keep_prob": 0.5}})
    assert chosen.onnx.dynamic_axes == {"x": {0: "rows"}} and chosen.onnx.bake == {"keep_prob": 0.5}
    passed = json.dumps({"onnx": msgspec.to_builtins(chosen.onnx, str_keys=True)})
    assert reader(Settings)(passed).onnx == chosen.onnx


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ({"export": ["onx"]}, "models / \"m\" / export: there is no format 'onx'; did you mean 'onnx'?"),
        ({"export": ["xyzzy"]}, "known are saved_model, onnx, tflite"),
        ({"export": "onnx"}, "expected a list of `saved_model`, `onnx` and `tflite`"),
        ({"export": ["onnx", "onnx"]}, "expected a list of `saved_model`, `onnx` and `tflite`"),
        ({"onnx": {"opset": 14}}, "onnx / opset: expected a whole number from 15 to 18"),
        ({"onnx": {"opset": 19}}, "expected a whole number from 15 to 18"),
        ({"onnx": {"opsett": 18}}, "unknown key 'opsett'; did you mean 'opset'?"),
        ({"onnx": {"batch": 0}}, "expected a batch size"),
        ({"onnx": {"dynamic_axes": {"x": {-1: "a"}}}}, "expected an axis"),
        ({"onnx": {"dynamic_axes": {"x": {True: "a"}}}}, "YAML read a key as the truth value true"),
        ({"onnx": {"bake": {}}}, "expected `true`, `false`, or a mapping"),
        ({"onnx": {"expect": "failed"}}, "onnx / expect: expected a status such as `verified`"),
        ({"onnx": {"expect": "refused/unsuported_op"}}, "onnx / expect: there is no cause 'unsuported_op'; did you"),
        ({"tflite": {"expect": "refused/internal"}}, "cannot be expected"),
        ({"tflite": {"quantize": "int4", "tolerance": 0.1}}, "`float16`, `dynamic_int8` or null"),
        ({"tflite": {"quantize": "float16"}}, 'models / "m" / tflite: `quantize` changes what the file computes'),
        ({"signature": {"inputs": {"": "x"}}}, "a key of at least one character"),
        ({"signature": {"outputs": {"y": ""}}}, "expected a name"),
        ({"signature": {"inputs": {"a": "x", "b": "x:0"}}}, '"a" and "b" name the same tensor'),
        (
            {"signature": {"inputs": {"a": "x"}, "outputs": {"a": "y"}}, "export": ["onnx"]},
            '"a" is an input and an output',
        ),
        ({"onnx": {"tolerance": -1}}, "a share from 0 to 1"),
    ],
)
def test_what_is_wrong_is_told_in_one_sentence(said, complaint):
    with pytest.raises(Problem) as raised:
        of(**said)
    assert raised.value.cause == "bad_setting" and complaint in raised.value.message


def test_a_key_may_be_an_input_and_an_output_of_a_saved_model():
    chosen = of(signature={"inputs": {"a": "x"}, "outputs": {"a": "y"}}, export=["saved_model"])
    assert chosen.signature.inputs == {"a": "x"}
