"""What a graph tells of its tensors before it runs: values of constants, and shapes."""

from collections.abc import Iterable

import numpy as np

from permafrost.graph.dtypes import BOOL, FLOAT, SIGNED, UNSIGNED, dtype_of, numpy_dtype
from permafrost.graph.protos import NodeDef

_MOST_ELEMENTS = (1 << 63) - 1
_NUMBERS = (FLOAT, SIGNED, UNSIGNED, BOOL)
_MOST_DIMENSIONS = 32  # of an array in every version of numpy


def constant(node: NodeDef) -> np.ndarray | None:
    """The value of a Const node of numbers or bools; None for other nodes, strings and values that make no sense."""
    if node is None or node.op != "Const":
        return None
    tensor = node.attr["value"].tensor
    shape = tuple(dimension.size for dimension in tensor.tensor_shape.dim)
    known = dtype_of(tensor.dtype)
    if known is None or known.kind not in _NUMBERS or not known.field:
        return None
    if min(shape, default=0) < 0 or len(shape) > _MOST_DIMENSIONS:
        return None
    dtype = numpy_dtype(known.name)
    if tensor.tensor_content:
        values = np.frombuffer(
            tensor.tensor_content[: len(tensor.tensor_content) // dtype.itemsize * dtype.itemsize], dtype
        )
    elif known.field == "half_val":
        values = np.array(list(tensor.half_val), np.uint16).view(dtype)
    else:
        values = np.array(list(getattr(tensor, known.field))).astype(dtype)
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


def tensor_bytes(shape: Iterable[int] | None, dtype: int) -> int | None:
    """The bytes of a tensor of a shape and DataType; None where nobody can tell, as of strings."""
    count, known = element_count(shape), dtype_of(dtype)
    return count * known.size if known and known.size and count is not None else None


def output_shape(node: NodeDef) -> tuple[int, ...] | None:
    """The shape of a node's first output as the meta graph tells it in `_output_shapes`; -1 is an unknown size.

    None where `node` is None, or the meta graph tells nothing or an unknown rank.
    """
    if node is None or "_output_shapes" not in node.attr or not node.attr["_output_shapes"].list.shape:
        return None
    shape = node.attr["_output_shapes"].list.shape[0]
    return None if shape.unknown_rank else tuple(dimension.size for dimension in shape.dim)
