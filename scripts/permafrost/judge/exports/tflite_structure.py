"""Whether a TensorFlow Lite file is what its record says, as far as that shows without running it.

Format: tensorflow/compiler/mlir/lite/schema/schema.fbs. The interpreter goes by the signature or by the first
subgraph's own inputs and outputs, as its caller wants; both have to tell the same.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from permafrost.export_records import Endpoint, Signature

_SERVING = b"serving_default"
_DTYPES = {
    "FLOAT32": "float32", "FLOAT16": "half", "FLOAT64": "double", "INT8": "int8", "UINT8": "uint8", "INT16": "int16",
    "UINT16": "uint16", "INT32": "int32", "UINT32": "uint32", "INT64": "int64", "UINT64": "uint64", "BOOL": "bool",
    "STRING": "string", "COMPLEX64": "complex64", "COMPLEX128": "complex128",
}  # fmt: skip
_SAME = {"float16": "half", "float64": "double"}


def misstated(path: Path, signature: Signature) -> str:
    """What a file has otherwise than its record, in words; "" where there is nothing. Raises OSError."""
    from ai_edge_litert import schema_py_generated as schema  # Only here: not every run has exports.

    content = path.read_bytes()
    try:
        if not schema.Model.ModelBufferHasIdentifier(content, 0):
            return f"{path.name} does not begin as a file of TensorFlow Lite does"
        model = schema.Model.GetRootAs(content, 0)
        return next(filter(None, _problems(model, schema, signature, path.name)), "")
    except MemoryError:
        raise
    except Exception as error:  # Its reader looks wherever the bytes lead it, and says so in many ways.
        return f"{path.name} cannot be read as a file of TensorFlow Lite: {error}"


def _problems(model: Any, schema: Any, signature: Signature, name: str) -> Iterator[str]:
    yield _foreign(model, schema, name)
    signed = [model.SignatureDefs(k) for k in range(model.SignatureDefsLength())]
    if len(signed) != 1 or signed[0].SignatureKey() != _SERVING or signed[0].SubgraphIndex():
        yield f"{name} has not one signature, {_SERVING.decode()!r}, of its first subgraph"
        return
    graph = model.Subgraphs(0)
    inputs = {
        (each := signed[0].Inputs(k)).Name().decode(): each.TensorIndex() for k in range(signed[0].InputsLength())
    }
    outputs = [signed[0].Outputs(k) for k in range(signed[0].OutputsLength())]
    places = {each.Name().decode(): each.TensorIndex() for each in outputs}
    for what, found, ends in (("inputs", inputs, signature.inputs), ("outputs", places, signature.outputs)):
        if list(found) != [end.key for end in ends]:
            yield f"{name} has the {what} {list(found)}, and not {[end.key for end in ends]}"
            return
    if sorted(graph.Inputs(k) for k in range(graph.InputsLength())) != sorted(inputs.values()):
        yield f"the first subgraph of {name} has other inputs than its signature"
    if [graph.Outputs(k) for k in range(graph.OutputsLength())] != list(places.values()):
        yield f"the first subgraph of {name} has other outputs than its signature, or in another order"
    for end in (*signature.inputs, *signature.outputs):
        place = inputs[end.key] if end in signature.inputs else places[end.key]
        yield _of_end(graph.Tensors(place), end, schema, name)
    yield _lost(graph, signature, name)


def _foreign(model: Any, schema: Any, name: str) -> str:
    """The first op that is none of the format's own."""
    for position in range(model.OperatorCodesLength()):
        code = model.OperatorCodes(position)
        if code.CustomCode() or schema.BuiltinOperator.CUSTOM in (code.BuiltinCode(), code.DeprecatedBuiltinCode()):
            return f"{name} has the op {code.CustomCode()!r}, which TensorFlow Lite lacks"
    return ""


def _of_end(tensor: Any, end: Endpoint, schema: Any, name: str) -> str:
    types = {number: word for word, number in vars(schema.TensorType).items() if isinstance(number, int)}
    dtype = _DTYPES.get(types.get(tensor.Type(), ""), "")
    if dtype != _SAME.get(end.dtype, end.dtype):
        return f"{end.key!r} of {name} is {dtype or 'of an unknown dtype'}, and not {end.dtype}"
    sizes = [tensor.Shape(k) for k in range(tensor.ShapeLength())]
    signed = [tensor.ShapeSignature(k) for k in range(tensor.ShapeSignatureLength())] or sizes
    # Where a dimension is open, the interpreter begins with 1.
    if [1 if size < 0 else size for size in signed] != sizes:
        return f"{end.key!r} of {name} has the shapes {signed} and {sizes}, which do not belong together"
    shape = [None if size < 0 else size for size in signed]
    if shape != (end.shape or []):
        return f"{end.key!r} of {name} is of shape {shape}, and not {end.shape}"
    return ""


def _lost(graph: Any, signature: Signature, name: str) -> str:
    """What is hidden, and is not the name of one tensor."""
    names = [graph.Tensors(k).Name() for k in range(graph.TensorsLength())]
    lost = [end.name for end in signature.hidden if names.count(end.name.encode()) != 1]
    return f"{name} has not one tensor {lost[0]!r}, which its record names" if lost else ""
