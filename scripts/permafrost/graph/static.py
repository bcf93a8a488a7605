"""What a graph tells of its tensors before it runs: values of constants, shapes and dtypes."""

from collections.abc import Iterable

import ml_dtypes
import numpy as np

from permafrost.graph.protos import types_pb2

_MOST_ELEMENTS = (1 << 63) - 1
_MOST_DIMENSIONS = 32  # of an array in every version of numpy


def constant(node) -> np.ndarray | None:
    """The value of a Const node of numbers or bools; None for other nodes, strings and values that make no sense."""
    if node is None or node.op != "Const":
        return None
    tensor = node.attr["value"].tensor
    shape = tuple(dimension.size for dimension in tensor.tensor_shape.dim)
    name = dtype_name(tensor.dtype)
    fields = {
        "float32": "float_val", "float64": "double_val", "int64": "int64_val", "bool": "bool_val", "half": "half_val",
        "bfloat16": "half_val", "uint32": "uint32_val", "uint64": "uint64_val",
        "int32": "int_val", "int16": "int_val", "int8": "int_val", "uint8": "int_val", "uint16": "int_val",
    }  # fmt: skip
    if name not in fields or min(shape, default=0) < 0 or len(shape) > _MOST_DIMENSIONS:
        return None
    dtype = np.dtype({"half": "float16", "bfloat16": ml_dtypes.bfloat16}.get(name, name))
    if tensor.tensor_content:
        values = np.frombuffer(
            tensor.tensor_content[: len(tensor.tensor_content) // dtype.itemsize * dtype.itemsize], dtype
        )
    elif fields[name] == "half_val":
        values = np.array(list(tensor.half_val), np.uint16).view(dtype)
    else:
        values = np.array(list(getattr(tensor, fields[name]))).astype(dtype)
    count = element_count(shape)
    if count is None:
        return None
    if not 0 < values.size <= count:
        return np.zeros(shape, dtype) if not values.size and not tensor.tensor_content and count < 1 << 20 else None
    if values.size < count:
        # TensorProto: the last value given stands for all that follow.
        if count >= 1 << 20:
            return None
        values = np.concatenate([values, np.full(count - values.size, values[-1], dtype)])
    return values.reshape(shape)


def element_count(shape: Iterable[int] | None) -> int | None:
    """The number of elements of a shape.

    None where the rank or a size is unknown (negative), or where there are more than TensorFlow can count, in 64 bits
    (tensor_shape.cc in tensorflow/core/framework): a graph may claim a number of thousands of digits.
    """
    count, sizes = 1, None if shape is None else list(shape)
    if sizes is None or min(sizes, default=0) < 0:
        return None
    for size in sizes if 0 not in sizes else [0]:
        count *= size
        if count > _MOST_ELEMENTS:
            return None
    return count


def dtype_name(number: int) -> str:
    """The name of a DataType as numpy spells it where it has it: `float32`, `int64`, `bool`, but `half`, `string`.

    A dtype of references has the name of what they refer to; numbers that are no DataType give `dt_<number>`.
    """
    name = types_pb2.DataType.Name(number) if number in types_pb2.DataType.values() else f"DT_{number}"
    name = name.removeprefix("DT_").removesuffix("_REF").lower()
    return {"float": "float32", "double": "float64"}.get(name, name)


def output_shape(node) -> tuple[int, ...] | None:
    """The shape of a node's first output as the meta graph tells it in `_output_shapes`; -1 is an unknown size.

    None where `node` is None, or the meta graph tells nothing or an unknown rank.
    """
    if node is None or "_output_shapes" not in node.attr or not node.attr["_output_shapes"].list.shape:
        return None
    shape = node.attr["_output_shapes"].list.shape[0]
    return None if shape.unknown_rank else tuple(dimension.size for dimension in shape.dim)
