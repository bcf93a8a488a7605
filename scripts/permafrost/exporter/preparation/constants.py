"""Const nodes made from arrays, without TensorFlow."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from permafrost.exporter.preparation.parts import rewrite
from permafrost.graph.dtypes import DTYPES
from permafrost.graph.protos import NodeDef, types_pb2

NUMBERS = {dtype.name: number for number, dtype in DTYPES.items()}  # name of a DataType -> the DataType


def make_constant(node: NodeDef, array: NDArray[Any], dtype: int) -> None:
    """Makes a Const of a NodeDef, in place.

    Args:
      array: its value; objects are bytes. dtype: its DataType.
    """
    rewrite(node, "Const", [], dtype=dtype)
    tensor = node.attr["value"].tensor
    tensor.dtype = dtype
    tensor.tensor_shape.SetInParent()
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    if dtype == types_pb2.DT_STRING:
        tensor.string_val.extend(array.reshape(-1).tolist())
    else:
        tensor.tensor_content = np.ascontiguousarray(array).tobytes()
