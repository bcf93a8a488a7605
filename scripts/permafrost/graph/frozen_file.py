"""Reads a frozen graph from the disk for the judge, with its large weights apart.

A weight inside a GraphDef is copied again and again on the way through TensorFlow: parsed, serialized for the import,
held by the graph, by each session and by each kernel. A large one is copied once, out of the file as it is mapped, kept
as an array, and fed. Format: fields of GraphDef in tensorflow/core/framework/graph.proto, framed as
https://protobuf.dev/programming-guides/encoding says.
"""

import mmap
import os
from collections.abc import Callable
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from permafrost.encoding import varint
from permafrost.graph import large_constants
from permafrost.graph.protos import NodeDef, graph_pb2

_LARGE = 1 << 20  # bytes of a NodeDef
_NODE = graph_pb2.GraphDef.NODE_FIELD_NUMBER
_ALIGNMENT = 64  # EIGEN_MAX_ALIGN_BYTES: TensorFlow takes an array as it is, without a copy, where it is aligned so


def read(path: str, variables: set[str] | None = None) -> tuple[graph_pb2.GraphDef, dict[str, NDArray[Any]]]:
    """The GraphDef in the file at `path`, and the values of its large weights, by node.

    Args:
      variables: the nodes that are weights; None for all constants. A Const among them whose NodeDef has 1 MiB or more,
        with its value in tensor_content, keeps dtype and shape, and its value is among those returned.
    Raises OSError, and DecodeError where the file is no GraphDef.
    """
    values: dict[str, NDArray[Any]] = {}

    def keep(node: NodeDef, content: memoryview) -> None:
        values[node.name] = _aligned(_value(node, content))

    return _without_large(path, variables, keep), values


def outline(path: str) -> graph_pb2.GraphDef:
    """The GraphDef that `read` gives, for who does not want the values; raises what that does."""
    return _without_large(path, None, lambda node, content: None)


def _without_large(
    path: str, variables: set[str] | None, keep: Callable[[NodeDef, memoryview], None]
) -> graph_pb2.GraphDef:
    """Hands the values of the large weights to `keep`, each as a part of what was read, and gives the rest."""
    parts: list[bytes | memoryview] = []
    large: set[str] = set()
    try:
        for field, tag, whole, payload in large_constants.fields(_mapped(path)):
            if field == _NODE and payload and len(payload) >= _LARGE and (split := large_constants.split(payload)):
                node, content = split
                if (variables is None or node.name in variables) and node.name not in large:
                    large.add(node.name)
                    keep(node, content)
                    rest = node.SerializeToString()
                    parts += (tag, varint(len(rest)), rest)
                    continue
            parts.append(whole)
    except ValueError as error:
        raise DecodeError("it is no GraphDef, or is cut off") from error
    return graph_pb2.GraphDef.FromString(b"".join(parts))


def _mapped(path: str) -> memoryview:
    """The content of a file, of which nothing is in memory yet."""
    with open(path, "rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return memoryview(b"")  # which cannot be mapped
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _value(node: NodeDef, content: memoryview) -> NDArray[Any]:
    """As tensor_util.MakeNdarray of tensorflow/python/framework reads it. Raises DecodeError."""
    from tensorflow.python.framework import dtypes  # Here, since who reads an outline needs no TensorFlow.

    tensor = node.attr["value"].tensor
    try:
        dtype = dtypes.as_dtype(tensor.dtype).as_numpy_dtype
        return np.frombuffer(content, dtype).reshape([dim.size for dim in tensor.tensor_shape.dim])
    except (ValueError, TypeError) as error:
        raise DecodeError(f"constant {node.name!r} holds no tensor of its shape: {error}") from error


def _aligned(array: NDArray[Any]) -> NDArray[Any]:
    memory = np.empty(array.nbytes + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    copy = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    copy.flags.writeable = False
    return copy
