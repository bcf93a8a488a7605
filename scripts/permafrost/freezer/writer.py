"""Writing a frozen graph: NodeDefs from memory, variables streamed from the checkpoint, in one pass.

The bytes are those of `GraphDef.SerializeToString(deterministic=True)`, which is what TensorFlow's freeze_graph
writes: fields in the order of their numbers, map keys sorted. A variable's Const is framed by hand, with the
tensor's bytes as the `tensor_content` of its TensorProto, so that no weights are ever held in memory; tensors of
fewer than two elements, and the dtypes that tensor_util.make_tensor_proto leaves out of `_TENSOR_CONTENT_TYPES`, go
to the TensorProto's typed fields.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

from crc32c import crc32c

from permafrost.encoding import varint
from permafrost.graph.dtypes import DTYPES, enum_name, has_field
from permafrost.graph.protos import GraphDef, graph_pb2, node_def_pb2, tensor_pb2, tensor_shape_pb2, types_pb2
from permafrost.outcome import Problem

LARGEST_GRAPH = (1 << 31) - 1

# What tensor_util.make_tensor_proto writes to typed fields, however many elements there are.
_NOT_CONTENT = (types_pb2.DT_BOOL, types_pb2.DT_UINT16, types_pb2.DT_COMPLEX64, types_pb2.DT_COMPLEX128)


@dataclass(frozen=True)
class Constant:
    """A variable that becomes a Const: node name, DataType number, shape, and where its bytes come from.

    content: the bytes themselves, where they are not the checkpoint's.
    """

    node: str
    dtype: int
    shape: tuple[int, ...]
    nbytes: int
    key: str
    start: tuple[int, ...] | None = None
    extent: tuple[int, ...] | None = None
    content: bytes | None = None

    @property
    def streams(self) -> bool:
        """Whether the tensor is written as it lies in the checkpoint."""
        return has_field(self.dtype) and self.dtype not in _NOT_CONTENT and prod(self.shape) > 1


def frozen_bytes(graph_def: GraphDef, constants: dict[str, Constant]) -> int:
    """The exact size of the file that `write` makes, where no constant holds typed values, in bytes.

    Raises Problem (too_large) over 2 GiB - 1, the most that a protocol buffer can be, naming the largest tensors.
    """
    total = len(_tail(graph_def))
    for node in graph_def.node:
        constant = constants.get(node.name)
        if constant is None:
            size = node.ByteSize()
        else:
            size = _framed(constant)[1] if constant.streams else constant.nbytes + 64 + len(node.name)
        total += 1 + len(varint(size)) + size
    if total > LARGEST_GRAPH:
        largest = sorted(constants.values(), key=lambda constant: -constant.nbytes)[:10]
        names = ", ".join(f"{constant.node} ({constant.nbytes} bytes)" for constant in largest)
        raise Problem(
            "too_large",
            f"the frozen graph would have {total} bytes, more than the {LARGEST_GRAPH} that a GraphDef can hold; "
            f"the largest tensors are {names}",
        )
    return total


def write(path: Any, graph_def: GraphDef, constants: dict[str, Constant], checkpoint: Any) -> tuple[int, int]:
    """Writes the frozen graph to `path`.

    Args:
      constants: node name -> Constant, for each variable node of `graph_def` to be written as a Const.
      checkpoint: a checkpoint.reader.Checkpoint, which checks each tensor's CRC32C as it is copied.
    Returns:
      (size in bytes, CRC32C of the whole file).
    Raises Problem as Checkpoint.stream does, and OSError.
    """
    checksum = size = 0
    with open(path, "wb", buffering=1 << 16) as file:

        def put(data: Any) -> None:
            nonlocal checksum, size
            file.write(data)
            checksum = crc32c(data, checksum)
            size += len(data)

        for node in graph_def.node:
            constant = constants.get(node.name)
            if constant is None:
                _put_node(put, node.SerializeToString(deterministic=True))
            elif constant.streams:
                head, length = _framed(constant)
                put(b"\x0a" + varint(length) + head)
                if constant.content is not None:
                    put(constant.content)
                else:
                    checkpoint.stream(constant.key, put, constant.start, constant.extent)
            else:
                _put_node(put, _small_constant(constant, checkpoint).SerializeToString(deterministic=True))
        put(_tail(graph_def))
    return size, checksum


def _put_node(put: Callable[[bytes], None], node: bytes) -> None:
    put(b"\x0a" + varint(len(node)) + node)


def _tail(graph_def: GraphDef) -> bytes:
    """The GraphDef's fields after its nodes: the function library and the versions."""
    tail = graph_pb2.GraphDef()
    if graph_def.HasField("library"):
        tail.library.CopyFrom(graph_def.library)
    if graph_def.HasField("versions"):
        tail.versions.CopyFrom(graph_def.versions)
    return bytes(tail.SerializeToString(deterministic=True))


def _framed(constant: Constant) -> tuple[bytes, int]:
    """The bytes of a Const's NodeDef up to its tensor's content, and the NodeDef's length with the content.

    NodeDef { name = 1, op = 2, attr = 5 { key "dtype" }, attr = 5 { key "value", value = 2 { tensor = 8 {
    dtype = 1, tensor_shape = 2, tensor_content = 4 } } } }
    """
    node = node_def_pb2.NodeDef(name=constant.node, op="Const")
    node.attr["dtype"].type = constant.dtype
    head = node.SerializeToString(deterministic=True)
    content = _empty_tensor(constant).SerializeToString(deterministic=True) + b"\x22" + varint(constant.nbytes)
    length = len(content) + constant.nbytes
    for tag in (b"\x42", b"\x0a\x05value\x12", b"\x2a"):
        prefix = tag + varint(length)
        content, length = prefix + content, len(prefix) + length
    return head + content, len(head) + length


def _empty_tensor(constant: Constant) -> Any:
    shape = tensor_shape_pb2.TensorShapeProto(
        dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=size) for size in constant.shape]
    )
    return tensor_pb2.TensorProto(dtype=constant.dtype, tensor_shape=shape)


def _small_constant(constant: Constant, checkpoint: Any) -> Any:
    """The Const of a variable whose values go to typed fields, as tensor_util.make_tensor_proto fills them."""
    node = node_def_pb2.NodeDef(name=constant.node, op="Const")
    node.attr["dtype"].type = constant.dtype
    tensor = _empty_tensor(constant)
    if constant.dtype == types_pb2.DT_STRING:
        tensor.string_val.extend(checkpoint.read_strings(constant.key, constant.start, constant.extent))
    elif has_field(constant.dtype):
        dtype = DTYPES[constant.dtype]
        data = constant.content
        if data is None:
            data = checkpoint.read(constant.key, constant.start, constant.extent)
        layout: Any = dtype.layout  # one of the letters that `cast` takes
        getattr(tensor, dtype.field).extend(memoryview(data).cast(layout).tolist())
    else:
        name = enum_name(constant.dtype)
        raise Problem("unsupported_op", f"variable {constant.node!r} has dtype {name}, which no constant can hold")
    node.attr["value"].tensor.CopyFrom(tensor)
    return node
