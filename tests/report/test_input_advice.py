"""What is said of a model that did not run on what it was fed: which inputs are meant, and settings to begin with."""

import pytest
import tensorflow as tf
import yaml

import kinds
from judged import saved
from permafrost.report import input_advice, pasted_settings
from stages import imported

v1 = tf.compat.v1
ID = "a: b/model.ckpt"


def two_branches() -> None:
    first, second = (v1.placeholder(tf.float32, [None, 3], name) for name in ("first", "second"))
    left = tf.matmul(first, kinds.weights("u", [3, 2]), name="left")
    right = tf.matmul(second, kinds.weights("v", [3, 2]), name="right")
    tf.nn.softmax(left + right, name="out")


@pytest.fixture
def model(tmp_path):
    return saved(two_branches, tmp_path)


@pytest.mark.parametrize(
    ("message", "meant"),
    [
        ("node 'right': Matrix size-incompatible: In[0]: [2,4], In[1]: [3,2]", {"second"}),
        ("node 'out': something", {"first", "second"}),
        ("Cannot feed value of shape (2, 4) for Tensor first:0, which has shape (None, 3)", {"first"}),
        ("input second:0 cannot be made: no file", {"second"}),
        ("node 'no_such_node': something", {"first", "second"}),
        ("something", {"first", "second"}),
    ],
)
def test_the_inputs_that_are_meant_are_named_and_their_settings_can_be_pasted(model, message, meant):
    hint = input_advice.hint(imported(model), ID, message)
    for name in ("first", "second"):
        assert (f"`{name}`" in hint) == (name in meant)
    sentence, lines = pasted_settings.split(hint)
    assert "models" not in sentence and len(lines.splitlines()) == 3 + len(meant)
    settings = yaml.safe_load(lines)["models"][ID]
    assert settings["inputs"].keys() == meant
    assert imported(model, **settings).inputs.keys() == {"first:0", "second:0"}


def test_other_hints_stay_as_they_are():
    for hint in ("", "copy the file again", "say `models: {<id>: {judge: x}}` in a config file", "models: {["):
        sentence, lines = pasted_settings.split(hint)
        assert (sentence, lines) == (hint, "") or yaml.safe_load(lines)
