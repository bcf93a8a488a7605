"""Programs that use a model: each runs in the directory of the frozen graph, on the example that lies there."""

from permafrost.export_records import ONNX, SAVED_MODEL, TFLITE, Endpoint, ExportRecord
from permafrost.records import Provenance, known
from permafrost.report.cards.card import Snippet

_LANGUAGE = "python"

_FROZEN = """\
import numpy as np
import tensorflow as tf

v1 = tf.compat.v1
example = np.load("example.npz")
inputs = {inputs}
outputs = {outputs}
with tf.Graph().as_default() as graph:
    with open("frozen_graph.pb", "rb") as file:
        tf.import_graph_def(v1.GraphDef.FromString(file.read()), name="")
    with v1.Session(graph=graph) as session:{initialized}
        values = session.run(outputs, {{name: example[name] for name in inputs}})
for name, value in zip(outputs, values):
    print(name, value.dtype, value.shape)
"""
_SAVED_MODEL = """\
import numpy as np
import tensorflow as tf

example = np.load("example.npz")
inputs = {inputs}
model = tf.saved_model.load("saved_model").signatures["serving_default"]
values = model(**{{key: tf.constant(value) for key, value in inputs.items()}})
for key, value in values.items():
    print(key, value.dtype, value.shape)
"""
_ONNX = """\
import numpy as np
import onnxruntime

example = np.load("example.npz")
inputs = {inputs}
session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
values = session.run({outputs}, inputs)
for value in values:
    print(value.dtype, value.shape)
"""
_TFLITE = """\
import numpy as np
from ai_edge_litert.interpreter import Interpreter

example = np.load("example.npz")
inputs = {inputs}
model = Interpreter("model.tflite").get_signature_runner("serving_default")
values = model(**inputs)
for key, value in values.items():
    print(key, value.dtype, value.shape)
"""
_PROGRAMS = {SAVED_MODEL: ("the SavedModel", _SAVED_MODEL), ONNX: ("ONNX", _ONNX), TFLITE: ("TensorFlow Lite", _TFLITE)}


def of_frozen(provenance: Provenance, fed: list[str]) -> Snippet:
    """A program that runs the frozen graph.

    Args:
      fed: the tensors that example.npz has values for.
    """
    fills = known(provenance.initializers, [])
    initialized = f"\n        session.run({fills!r})" if fills else ""
    code = _FROZEN.format(inputs=repr(fed), outputs=repr(provenance.outputs), initialized=initialized)
    return Snippet("the frozen graph", _LANGUAGE, code)


def of_export(record: ExportRecord) -> Snippet:
    """A program that runs an exported file."""
    what, program = _PROGRAMS[record.format]
    inputs = {end.key if record.format != ONNX else end.name: _value(record, end) for end in record.signature.inputs}
    lines = "".join(f"    {key!r}: {value},\n" for key, value in inputs.items())
    outputs = [end.name for end in record.signature.outputs]
    code = program.format(inputs=f"{{\n{lines}}}" if lines else "{}", outputs=repr(outputs))
    return Snippet(what, _LANGUAGE, code)


def _value(record: ExportRecord, end: Endpoint) -> str:
    """The expression of an input's value, in the shape that a file with a fixed batch takes."""
    value = f"example[{end.tensor!r}]"
    if end.dtype == "string" and record.format == ONNX:
        value += ".astype(str).astype(object)"
    is_fixed = known(record.options, {}).get("batch") is not None and end.shape is not None and None not in end.shape
    return f"np.resize({value}, {tuple(end.shape or ())})" if is_fixed else value
