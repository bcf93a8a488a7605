"""The op and the node that the converter's errors name."""

import pytest

from permafrost.exporter.tflite.errors import refused

LACKING = """Could not translate MLIR to FlatBuffer.\
<unknown>:0: error: loc(fused["Foo:", "a/b"]): 'tf.Foo' op is neither a custom op nor a flex op
<unknown>:0: note: loc(fused["Foo:", "a/b"]): see current operation: %1 = "tf.Foo"(%0)"""
IN_A_LOOP = (
    '<unknown>:0: error: loc(callsite(fused["Foo:", "loop/b@_functionalize_body_0"] at fused["While:", "loop"])): '
    "'tf.Foo' op is neither a custom op nor a flex op"
)
UNFIT = (
    '<unknown>:0: error: loc(fused["TensorListReserve:", "rnn/TensorArray"]): \'tf.TensorListReserve\' op requires '
    "element_shape to be static during TF Lite transformation pass"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (LACKING, ("unsupported_op", "Foo", "a/b")),
        (IN_A_LOOP, ("unsupported_op", "Foo", "loop/b")),
        (UNFIT, ("unsupported_op", "TensorListReserve", "rnn/TensorArray")),
        ("Some ops\nTF Select ops: Bar, Baz\nDetails:", ("unsupported_op", "Bar", "")),
        ("<unknown>:0: error: failed to legalize operation 'func.return'", ("conversion_failed", "", "")),
        ("", ("conversion_failed", "", "")),
    ],
)
def test_what_an_error_names(text, expected) -> None:
    found = refused(ValueError(text))
    assert (found.cause, found.op, found.node) == expected
    assert "\n" not in found.message
    assert "<unknown>" not in found.message
