"""Takes the value out of a large constant's NodeDef where it lies, without a copy of it.

A protocol buffer parsed from bytes holds a copy of a value of hundreds of MB, and each look at it makes another one.
Format: https://protobuf.dev/programming-guides/encoding, and the numbers of fields in NodeDef, AttrValue and
TensorProto of tensorflow/core/framework.
"""

from collections.abc import Iterator

from permafrost.encoding import read_varint, varint
from permafrost.graph.protos import NodeDef, attr_value_pb2, node_def_pb2, tensor_pb2
from permafrost.graph.static import tensor_bytes

_ATTR = node_def_pb2.NodeDef.ATTR_FIELD_NUMBER
_VALUE_OF_ENTRY = 2  # of a map's entry
_TENSOR = attr_value_pb2.AttrValue.TENSOR_FIELD_NUMBER
_CONTENT = tensor_pb2.TensorProto.TENSOR_CONTENT_FIELD_NUMBER
_PATH = (_ATTR, _VALUE_OF_ENTRY, _TENSOR, _CONTENT)
_VARINT, _FIXED64, _DELIMITED, _FIXED32 = 0, 1, 2, 5
_WIDTHS = {_FIXED64: 8, _FIXED32: 4}


def split(payload: bytes | memoryview) -> tuple[NodeDef, memoryview] | None:
    """A Const without its value, and the bytes of the value, which are a part of `payload`.

    Args:
      payload: a serialized NodeDef.
    Returns None for any other node, and one whose value is written in another way. Raises ValueError where it is cut
    off, and DecodeError where it is no NodeDef.
    """
    found: list[memoryview] = []
    rest = _without(memoryview(payload), _PATH, found)
    if len(found) != 1:
        return None
    node = node_def_pb2.NodeDef.FromString(rest)
    tensors = [name for name, value in node.attr.items() if value.HasField("tensor")]
    return (node, found[0]) if node.op == "Const" and tensors == ["value"] else None


def value_bytes(node: NodeDef) -> int | None:
    """How many bytes the value of a Const takes, be it there or taken out; None where nobody can tell.

    That is by its dtype and shape, and for strings by those that are there.
    """
    tensor = node.attr["value"].tensor
    if tensor.string_val:
        return sum(map(len, tensor.string_val))
    return tensor_bytes([dimension.size for dimension in tensor.tensor_shape.dim], tensor.dtype)


def _without(message: memoryview, path: tuple[int, ...], found: list[memoryview]) -> bytes:
    """The message without what lies at `path` in it, which is put into `found`."""
    parts: list[bytes | memoryview] = []
    for number, tag, field, inner in fields(message):
        if number != path[0] or not inner:
            parts.append(field)
        elif len(path) == 1:
            found.append(inner)
        else:
            content = _without(inner, path[1:], found)
            parts += (tag, varint(len(content)), content)
    return b"".join(parts)


def fields(message: memoryview) -> Iterator[tuple[int, memoryview, memoryview, memoryview | None]]:
    """(number, tag, all of it, what it holds where that is delimited) of each field, all parts of `message`.

    Raises ValueError for one that is cut off.
    """
    position, end = 0, len(message)
    while position < end:
        tag, after = read_varint(message, position, end)
        start, stop = _extent(message, tag & 7, after, end)
        inner = message[start:stop] if tag & 7 == _DELIMITED else None
        yield tag >> 3, message[position:after], message[position:stop], inner
        position = stop


def _extent(message: memoryview, kind: int, position: int, end: int) -> tuple[int, int]:
    """Where the value of a field begins and ends. Raises ValueError for one that is cut off."""
    if kind == _VARINT:
        return position, read_varint(message, position, end)[1]
    size, start = (_WIDTHS[kind], position) if kind in _WIDTHS else read_varint(message, position, end)
    if kind not in (*_WIDTHS, _DELIMITED) or start + size > end:
        raise ValueError("a field is cut off, or of no kind that there is")
    return start, start + size
