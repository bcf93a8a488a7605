"""The inputs and the outputs that an ONNX file declares: their order, names for open dimensions, no hidden ones."""

from typing import Any

from permafrost.export_records import Endpoint, Signature
from permafrost.exporter.onnx.checks import element_type
from permafrost.exporter.onnx.naming import BATCH, dimension
from permafrost.model import OnnxOptions


def declare(model: Any, signature: Signature, options: OnnxOptions, batched: set[str]) -> None:
    """Writes the inputs and outputs of a ModelProto as the signature has them, in place.

    What is hidden is an output no more; the model still computes it, under its name. An input that nothing needs stays
    one, so that callers feed what the signature says.
    Args:
      batched: names of outputs whose first dimension is that of the batch.
    """
    declared = {value.name: value for value in model.graph.output}
    outputs = [_output(end, declared[end.name], options, end.name in batched) for end in signature.outputs]
    inputs = [_input(end, options) for end in signature.inputs]
    for field, values in ((model.graph.input, inputs), (model.graph.output, outputs)):
        del field[:]
        field.extend(values)
    # tf2onnx numbers the dimensions that it does not know; what runs the file finds them out by itself.
    del model.graph.value_info[:]


def _input(end: Endpoint, options: OnnxOptions) -> Any:
    from onnx import helper

    if end.shape is None:
        return helper.make_tensor_value_info(end.name, element_type(end), None)
    shape = [dimension(end, axis, options) if size is None else size for axis, size in enumerate(end.shape)]
    return helper.make_tensor_value_info(end.name, element_type(end), shape)


def _output(end: Endpoint, found: Any, options: OnnxOptions, is_batched: bool) -> Any:
    from onnx import helper

    tensor = found.type.tensor_type
    if not tensor.HasField("shape"):
        return helper.make_tensor_value_info(end.name, tensor.elem_type, None)
    names = options.dynamic_axes.get(end.key, {})
    shape: list[int | str | None] = [
        dim.dim_value if dim.HasField("dim_value") and dim.dim_value >= 0 else names.get(axis)
        for axis, dim in enumerate(tensor.shape.dim)
    ]
    if is_batched and shape and shape[0] is None:
        shape[0] = BATCH
    return helper.make_tensor_value_info(end.name, tensor.elem_type, shape)
