"""Programs that use a model: each runs in the directory of the frozen graph, on the example that lies there.

Where none does, on arrays of the shapes that the model takes.
"""

from permafrost import input_kinds as kinds
from permafrost.export_records import ONNX, SAVED_MODEL, TFLITE, Endpoint, ExportRecord
from permafrost.records import Provenance, known
from permafrost.report.cards.card import Snippet

_LANGUAGE = "python"

_FROZEN = """\
import numpy as np
import tensorflow as tf

v1 = tf.compat.v1
{inputs}
outputs = {outputs}
with tf.Graph().as_default() as graph:
    with open("frozen_graph.pb", "rb") as file:
        tf.import_graph_def(v1.GraphDef.FromString(file.read()), name="")
    with v1.Session(graph=graph) as session:{initialized}
        values = session.run(outputs, inputs)
for name, value in zip(outputs, values):
    print(name, value.dtype, value.shape)
"""
_SAVED_MODEL = """\
import numpy as np
import tensorflow as tf

{inputs}
model = tf.saved_model.load("saved_model").signatures["serving_default"]
values = model(**{{key: tf.constant(value) for key, value in inputs.items()}})
for key, value in values.items():
    print(key, value.dtype, value.shape)
"""
_ONNX = """\
import numpy as np
import onnxruntime

{inputs}
session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
values = session.run({outputs}, inputs)
for value in values:
    print(value.dtype, value.shape)
"""
_TFLITE = """\
import numpy as np
from ai_edge_litert.interpreter import Interpreter

{inputs}
model = Interpreter("model.tflite").get_signature_runner("serving_default")
values = model(**inputs)
for key, value in values.items():
    print(key, value.dtype, value.shape)
"""
_PROGRAMS = {SAVED_MODEL: ("the SavedModel", _SAVED_MODEL), ONNX: ("ONNX", _ONNX), TFLITE: ("TensorFlow Lite", _TFLITE)}


def of_frozen(provenance: Provenance, fed: dict[str, str]) -> Snippet:
    """A program that runs the frozen graph.

    Args:
      fed: tensor of the frozen graph -> the expression of what is fed.
    """
    fills = known(provenance.initializers, [])
    initialized = f"\n        session.run({fills!r})" if fills else ""
    code = _FROZEN.format(inputs=_inputs(fed), outputs=repr(provenance.outputs), initialized=initialized)
    return Snippet("the frozen graph", _LANGUAGE, code)


def of_export(record: ExportRecord, fed: dict[str, str]) -> Snippet:
    """A program that runs an exported file; `fed` is as in of_frozen, of all inputs that the file may have."""
    what, program = _PROGRAMS[record.format]
    ends = record.signature.inputs
    inputs = {end.name if record.format == ONNX else end.key: _value(record, end, fed[end.tensor]) for end in ends}
    outputs = [end.name for end in record.signature.outputs]
    return Snippet(what, _LANGUAGE, program.format(inputs=_inputs(inputs), outputs=repr(outputs)))


def from_example(tensor: str) -> str:
    """The expression of a tensor's value in example.npz."""
    return f"example[{tensor!r}]"


def made_up(spec: kinds.Input, batch: int) -> str:
    """The expression of some value that an input takes."""
    shape = tuple(batch if size is None else size for size in spec.shape or ())
    if isinstance(spec, kinds.Value):
        return f"np.array({spec.value!r}, {_dtype(spec)!r})" if not shape else f"np.full({shape}, {spec.value!r})"
    return f"np.full({shape}, b'a', object)" if spec.dtype == "string" else f"np.zeros({shape}, {_dtype(spec)!r})"


def _dtype(spec: kinds.Input) -> str:
    return "object" if spec.dtype == "string" else spec.dtype


def _inputs(values: dict[str, str]) -> str:
    lines = "".join(f"    {key!r}: {value},\n" for key, value in values.items())
    loads = 'example = np.load("example.npz")\n' if any("example[" in value for value in values.values()) else ""
    return f"{loads}inputs = {{\n{lines}}}" if lines else "inputs = {}"


def _value(record: ExportRecord, end: Endpoint, value: str) -> str:
    """The expression of an input's value, in the shape that a file with a fixed batch takes."""
    if end.dtype == "string" and record.format == ONNX:
        value += ".astype(str).astype(object)"
    is_fixed = known(record.options, {}).get("batch") is not None and end.shape is not None and None not in end.shape
    return f"np.resize({value}, {tuple(end.shape or ())})" if is_fixed else value
