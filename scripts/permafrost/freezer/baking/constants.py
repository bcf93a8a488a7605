"""Const nodes made from arrays, for inputs that always have one value."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from permafrost.graph.protos import NodeDef, types_pb2


def make_constant(node: NodeDef, array: NDArray[Any]) -> None:
    """Makes a Const of a placeholder's NodeDef, in place, that waits for nothing; its name and device stay.

    Args:
      array: its value, of the placeholder's dtype; strings are objects of bytes.
    """
    dtype = node.attr["dtype"].type
    node.op = "Const"
    node.ClearField("input")
    node.ClearField("attr")
    hold(node, array, dtype)


def hold(node: NodeDef, array: NDArray[Any], dtype: int) -> None:
    """Gives a Const without a value one, in place.

    Args:
      array: its value; strings are objects of bytes. dtype: its DataType.
    """
    node.attr["dtype"].type = dtype
    tensor = node.attr["value"].tensor
    tensor.dtype = dtype
    tensor.tensor_shape.SetInParent()
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    if dtype == types_pb2.DT_STRING:
        tensor.string_val.extend(array.reshape(-1).tolist())
    else:
        tensor.tensor_content = np.ascontiguousarray(array).tobytes()
