"""Writes a SavedModel around a frozen graph: its bytes as they are, in a frame of some hundred bytes more.

SavedModel { saved_model_schema_version = 1, meta_graphs = 2: MetaGraphDef { meta_info_def = 1, graph_def = 2,
signature_def = 5 } }, as in tensorflow/core/protobuf/saved_model.proto and meta_graph.proto, with the tags, keys and
names that TensorFlow Serving looks for (tensorflow/cc/saved_model/constants.h, signature_constants.h). The fields are
in the order of their numbers, so the bytes are those of SerializeToString(deterministic=True) of the whole.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from google.protobuf.message import DecodeError

from permafrost.encoding import varint
from permafrost.export_records import Endpoint, Signature
from permafrost.exporter.prepared import Refused
from permafrost.graph import framing
from permafrost.graph.dtypes import named
from permafrost.graph.framing import Field
from permafrost.graph.ops.variables import VARIABLE_OPS
from permafrost.graph.protos import FunctionDefLibrary, graph_pb2, meta_graph_pb2, node_def_pb2
from permafrost.outcome import Problem
from permafrost.whole_files import written_whole

FILE = "saved_model.pb"
TAG = "serve"
SIGNATURE_KEY, METHOD = "serving_default", "tensorflow/serving/predict"
INIT_OP_KEY = "__saved_model_init_op"
_INIT_OP = "permafrost/initialize"  # fills the tables when it is loaded
LARGEST = (1 << 31) - 1  # bytes of a protocol buffer
_NODE = graph_pb2.GraphDef.NODE_FIELD_NUMBER
_LIBRARY = graph_pb2.GraphDef.LIBRARY_FIELD_NUMBER
_NAME, _OP = node_def_pb2.NodeDef.NAME_FIELD_NUMBER, node_def_pb2.NodeDef.OP_FIELD_NUMBER
_CHUNK = 1 << 20


def write(frozen_graph: Path, signature: Signature, initializers: list[str], directory: Path) -> None:
    """Writes `directory`/saved_model.pb, whole or not at all; no more of the graph is in memory than a chunk.

    Args:
      frozen_graph: path of the .pb.
      signature: its inputs and outputs become `serving_default`; what is hidden in it can be fetched by its name.
      initializers: nodes that fill tables; the loader runs them.
    Raises Refused: not_frozen where the graph has a variable, which would have no value, too_large over 2 GiB - 1.
      Problem: not_importable where the file is no graph, lost_output where it lacks a node that is to be there,
      changed where it is written to meanwhile. OSError.
    """
    with open(frozen_graph, "rb") as file:
        size = framing.size_of(file)
        nodes = _checked_nodes(file, frozen_graph, size)
        _refuse_lacking(nodes, signature, initializers, frozen_graph)
        initializer = _initializer(nodes, initializers)
        head, tail = _frame(signature, initializer, size)
        if (total := len(head) + size + len(tail)) > LARGEST:
            raise Refused("too_large", f"a SavedModel of {frozen_graph} would have {total} bytes, more than {LARGEST}")
        with _in_directory(directory), written_whole(directory / FILE) as temporary:
            _copy(file, size, head, tail, temporary, frozen_graph)


def _checked_nodes(file: BinaryIO, path: Path, size: int) -> dict[str, str]:
    try:
        return _nodes(file, size)
    except (ValueError, DecodeError) as error:
        raise Problem("not_importable", f"{path} cannot be read as a GraphDef: {error}") from error


def _nodes(file: BinaryIO, size: int) -> dict[str, str]:
    """Node -> op of the graph in a file. Raises Refused (not_frozen) for a variable, in a function too."""
    nodes = {}
    for field in framing.fields(file, 0, size):
        if field.number == _NODE:
            name, op = _name_and_op(file, field)
            _refuse_variable(name, op)
            nodes[name] = op
        elif field.number == _LIBRARY:
            for function in FunctionDefLibrary.FromString(framing.content_of(file, field)).function:
                for node in function.node_def:
                    _refuse_variable(f"{function.signature.name}/{node.name}", node.op)
    return nodes


def _name_and_op(file: BinaryIO, node: Field) -> tuple[str, str]:
    """The name and the op of a NodeDef, the attributes of which may be large and are not read."""
    found = {_NAME: "", _OP: ""}
    for field in framing.fields(file, node.content, node.end):
        if field.number in found:
            found[field.number] = framing.content_of(file, field).decode()
        elif all(found.values()):
            break
    return found[_NAME], found[_OP]


def _refuse_variable(name: str, op: str) -> None:
    if op in VARIABLE_OPS:
        text = f"node {name!r} is still a variable ({op}), and a SavedModel of frozen weights has no value for it"
        raise Refused("not_frozen", text, op, name)


def _refuse_lacking(nodes: dict[str, str], signature: Signature, initializers: list[str], path: Path) -> None:
    endpoints = (*signature.inputs, *signature.outputs, *signature.hidden)
    for name in [*(each.tensor.rpartition(":")[0] for each in endpoints), *initializers]:
        if name not in nodes:
            raise Problem("not_importable", f"{path} has no node {name!r}, which its records name")


def _initializer(nodes: dict[str, str], initializers: list[str]) -> Any:
    """The NodeDef that runs what fills tables, under a name that is free; None where nothing does."""
    if not initializers:
        return None
    name = _INIT_OP
    while name in nodes:
        name += "_"
    return node_def_pb2.NodeDef(name=name, op="NoOp", input=[f"^{each}" for each in initializers])


def _frame(signature: Signature, initializer: Any, size: int) -> tuple[bytes, bytes]:
    """The bytes of a SavedModel before and after those of a GraphDef of `size` bytes."""
    before = meta_graph_pb2.MetaGraphDef()
    before.meta_info_def.tags.append(TAG)
    before.meta_info_def.tensorflow_version = _tensorflow_version()
    after = meta_graph_pb2.MetaGraphDef()
    _describe(after.signature_def[SIGNATURE_KEY], signature)
    added = b""
    if initializer is not None:
        added = _framed(_NODE, initializer.SerializeToString(deterministic=True))
        filled = after.signature_def[INIT_OP_KEY].outputs[INIT_OP_KEY]
        filled.name, filled.tensor_shape.unknown_rank = initializer.name, True
    head, tail = (message.SerializeToString(deterministic=True) for message in (before, after))
    head += _opened(meta_graph_pb2.MetaGraphDef.GRAPH_DEF_FIELD_NUMBER, len(added) + size) + added
    return b"\x08\x01" + _opened(2, len(head) + size + len(tail)) + head, tail


def _tensorflow_version() -> str:
    from tensorflow.python.framework import versions

    return str(versions.VERSION)


def _opened(number: int, size: int) -> bytes:
    """The tag of a field, and the size of its content."""
    return varint(number << 3 | 2) + varint(size)


def _framed(number: int, content: bytes) -> bytes:
    return _opened(number, len(content)) + content


def _describe(definition: Any, signature: Signature) -> None:
    definition.method_name = METHOD
    for endpoints, infos in ((signature.inputs, definition.inputs), (signature.outputs, definition.outputs)):
        for endpoint in endpoints:
            _tell(infos[endpoint.key], endpoint)


def _tell(info: Any, endpoint: Endpoint) -> None:
    """Fills in a TensorInfo."""
    info.name, info.dtype = endpoint.tensor, named(endpoint.dtype).number
    if endpoint.shape is None:
        info.tensor_shape.unknown_rank = True
        return
    info.tensor_shape.SetInParent()
    for size in endpoint.shape:
        info.tensor_shape.dim.add(size=-1 if size is None else size)


@contextlib.contextmanager
def _in_directory(directory: Path) -> Iterator[None]:
    """Takes a directory that was made for a file away again where the file does not come to be."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # It is not there, or something else is in it.
            os.rmdir(directory)
        raise


def _copy(file: BinaryIO, size: int, head: bytes, tail: bytes, target: Path, source: Path) -> None:
    file.seek(0)
    with open(target, "wb") as written:
        written.write(head)
        left = size
        while left and (chunk := file.read(min(_CHUNK, left))):
            written.write(chunk)
            left -= len(chunk)
        if left or file.read(1):
            raise Problem("changed", f"{source} was written to while it was copied")
        written.write(tail)
