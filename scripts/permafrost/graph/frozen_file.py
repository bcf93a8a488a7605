"""Reads a frozen graph from the disk for the judge, with its large weights apart.

A weight inside a GraphDef is copied again and again on the way through TensorFlow: parsed, serialized for the import,
held by the graph, by each session and by each kernel. A large one is parsed by TensorFlow's own protocol buffers once,
kept as an array, and fed. Format: fields of GraphDef in tensorflow/core/framework/graph.proto, framed as
https://protobuf.dev/programming-guides/encoding says.
"""

from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from tensorflow.core.framework import graph_pb2
from tensorflow.python.framework import dtypes

from permafrost.encoding import read_varint
from permafrost.graph import large_constants
from permafrost.graph.protos import NodeDef

_LARGE = 1 << 20  # bytes of a NodeDef
_NODE = graph_pb2.GraphDef.NODE_FIELD_NUMBER
_VARINT, _DELIMITED = 0, 2
_ALIGNMENT = 64  # EIGEN_MAX_ALIGN_BYTES: TensorFlow takes an array as it is, without a copy, where it is aligned so


def read(path: str, variables: set[str] | None = None) -> tuple[graph_pb2.GraphDef, dict[str, NDArray[Any]]]:
    """The GraphDef in the file at `path`, and the values of its large weights, by node.

    Args:
      variables: the nodes that are weights; None for all constants. A Const among them whose NodeDef has 1 MiB or more,
        with its value in tensor_content, keeps dtype and shape, and its value is among those returned.
    Raises OSError, and DecodeError where the file is no GraphDef.
    """
    values: dict[str, NDArray[Any]] = {}

    def keep(name: str, value: NDArray[Any]) -> None:
        values[name] = _aligned(value)

    return _without_large(path, variables, keep), values


def outline(path: str) -> graph_pb2.GraphDef:
    """The GraphDef that `read` gives, for who does not want the values; raises what that does."""
    return _without_large(path, None, lambda name, value: None)


def _without_large(
    path: str, variables: set[str] | None, keep: Callable[[str, NDArray[Any]], None]
) -> graph_pb2.GraphDef:
    """Hands the values of the large weights to `keep`, each as a part of what was read, and gives the rest."""
    rest: list[bytes] = []
    large: dict[str, NodeDef] = {}
    with open(path, "rb") as file:
        for field, header, payload in _fields(file):
            if field == _NODE and len(payload) >= _LARGE and (split := _split(payload)) is not None:
                node, content = split
                if (variables is None or node.name in variables) and node.name not in large:
                    keep(node.name, _value(node, content))
                    large[node.name] = node
                    continue
            rest += (header, payload)
    graph_def = graph_pb2.GraphDef.FromString(b"".join(rest))
    graph_def.node.extend(large.values())
    return graph_def


def _split(payload: bytes) -> tuple[NodeDef, memoryview] | None:
    """A Const without its value and the bytes of that, where it has any by themselves; as large_constants.split."""
    try:
        return large_constants.split(payload)
    except ValueError as error:
        raise DecodeError("it is no GraphDef, or is cut off") from error


def _value(node: NodeDef, content: memoryview) -> NDArray[Any]:
    """As tensor_util.MakeNdarray of tensorflow/python/framework reads it. Raises DecodeError."""
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


def _fields(file: BinaryIO) -> Iterator[tuple[int, bytes, bytes]]:
    """(field number, tag and length as they are, payload) of each field of a message."""
    while tag := _varint(file):
        number, kind = _decoded(tag) >> 3, _decoded(tag) & 7
        value = _varint(file)
        if kind == _VARINT and value:
            yield number, tag + value, b""
            continue
        size = _decoded(value)
        payload = file.read(size) if kind == _DELIMITED and value else b""
        if kind != _DELIMITED or len(payload) < size or not value:
            raise DecodeError("it is no GraphDef, or is cut off")
        yield number, tag + value, payload


def _varint(file: BinaryIO) -> bytes:
    """The bytes of the next varint; none at the end of the file."""
    found = b""
    while (byte := file.read(1)) and len(found) < 10:
        found += byte
        if byte[0] < 0x80:
            return found
    if found:
        raise DecodeError("it is no GraphDef, or is cut off")
    return b""


def _decoded(varint: bytes) -> int:
    try:
        return read_varint(varint, 0, len(varint))[0]
    except ValueError as error:
        raise DecodeError("it is no GraphDef, or is cut off") from error
