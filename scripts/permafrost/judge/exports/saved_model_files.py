"""A SavedModel as a file: whether the graph in it is the frozen graph, byte for byte, and the rest what it should be.

What is looked for is what TensorFlow's loaders and TensorFlow Serving look for: SavedModel in
tensorflow/core/protobuf/saved_model.proto, the constants in tensorflow/cc/saved_model/constants.h and
signature_constants.h. Nothing of a graph is read into memory but its frame, and what is needed to seed it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from google.protobuf.message import DecodeError

from permafrost.export_records import Endpoint, Signature
from permafrost.graph import framing
from permafrost.graph.dtypes import named
from permafrost.graph.framing import Field
from permafrost.graph.protos import graph_pb2, meta_graph_pb2, saved_model_pb2
from permafrost.judge import devices
from permafrost.judge.seeds import seed_random_ops
from permafrost.outcome import Problem

FILE = "saved_model.pb"
TAG, SIGNATURE_KEY, METHOD = "serve", "serving_default", "tensorflow/serving/predict"
INIT_OP_KEY = "__saved_model_init_op"
_VERSION = saved_model_pb2.SavedModel.SAVED_MODEL_SCHEMA_VERSION_FIELD_NUMBER
_META_GRAPH = saved_model_pb2.SavedModel.META_GRAPHS_FIELD_NUMBER
_GRAPH = meta_graph_pb2.MetaGraphDef.GRAPH_DEF_FIELD_NUMBER
_NODE = graph_pb2.GraphDef.NODE_FIELD_NUMBER
_CHUNK = 1 << 20
_LARGEST_FRAME = 1 << 26  # bytes
_UNREADABLE = (ValueError, DecodeError)


class _Parts:
    """Where the parts of a SavedModel lie in its file.

    around: the fields of its meta graph beside the graph. added: the fields of the graph before what is the frozen
    graph's. graph: where that begins and ends.
    """

    def __init__(self, file: BinaryIO, size: int):
        """Looks at a file whose graph should be one of `size` bytes. Raises ValueError for no such SavedModel."""
        version, meta_graph = self._outer(file)
        if (version.number, meta_graph.number) != (_VERSION, _META_GRAPH) or file_bytes(file, version) != b"\x08\x01":
            raise ValueError("it is not a SavedModel of schema version 1 with one graph")
        fields = [*framing.fields(file, meta_graph.content, meta_graph.end)]
        self.around = [field for field in fields if field.number != _GRAPH]
        graphs = [field for field in fields if field.number == _GRAPH]
        if len(graphs) != 1 or graphs[0].end - graphs[0].content < size:
            raise ValueError("it has no graph of the frozen graph's size")
        self.graph = (graphs[0].end - size, graphs[0].end)
        self.added = self._added(file, graphs[0].content, self.graph[0])

    @staticmethod
    def _outer(file: BinaryIO) -> list[Field]:
        fields = [*framing.fields(file, 0, framing.size_of(file))]
        if len(fields) != 2:
            raise ValueError("it is not a SavedModel of schema version 1 with one graph")
        return fields

    @staticmethod
    def _added(file: BinaryIO, start: int, end: int) -> list[Field]:
        added = [*framing.fields(file, start, end)] if end > start else []
        if any(field.number != _NODE for field in added):
            raise ValueError("its graph has something before the frozen graph that is no node")
        return added

    def frame(self, file: BinaryIO) -> tuple[Any, bytes]:
        """The MetaGraphDef, with the nodes alone that were added to the graph; and the bytes of both, one by one.

        Raises ValueError and DecodeError.
        """
        if sum(field.end - field.start for field in (*self.around, *self.added)) > _LARGEST_FRAME:
            raise ValueError("what is around the graph is too large")
        around, added = (b"".join(file_bytes(file, field) for field in part) for part in (self.around, self.added))
        frame = meta_graph_pb2.MetaGraphDef.FromString(around)
        frame.graph_def.MergeFromString(added)
        return frame, around + added


def file_bytes(file: BinaryIO, field: Field) -> bytes:
    """The bytes of a field, its tag included."""
    return framing.read(file, field.start, field.end)


def holds(path: Path, frozen_graph: Path) -> bool:
    """Whether the graph in a SavedModel's file is the one in `frozen_graph`, byte for byte.

    Nothing else may be in it but one node more, which does nothing by itself: a NoOp with control inputs alone.
    """
    with open(path, "rb") as file, open(frozen_graph, "rb") as frozen:
        size = framing.size_of(frozen)
        try:
            parts = _Parts(file, size)
            if not _does_nothing(parts.frame(file)[0].graph_def.node):
                return False
        except _UNREADABLE:
            return False
        return _same(file, parts.graph[0], frozen, size)


def take_out(path: Path, graph: Path, has_initializer: bool) -> None:
    """Writes the graph in a SavedModel's file to `graph`, byte for byte, without the node that fills its tables.

    Args:
      has_initializer: whether there is one such node, before all others.
    Raises Problem (not_importable) where the file is no SavedModel of one graph, OSError.
    """
    try:
        with open(path, "rb") as file, open(graph, "wb") as written:
            (found,) = _graphs(file)
            start = next(framing.fields(file, found.content, found.end)).end if has_initializer else found.content
            for position in range(start, found.end, _CHUNK):
                written.write(framing.read(file, position, min(position + _CHUNK, found.end)))
    except (*_UNREADABLE, StopIteration) as error:
        raise Problem("not_importable", f"{path} cannot be read as a SavedModel: {error}") from error


def _graphs(file: BinaryIO) -> list[Field]:
    outer = [each for each in framing.fields(file, 0, framing.size_of(file)) if each.number == _META_GRAPH]
    inner = [field for each in outer for field in framing.fields(file, each.content, each.end)]
    return [field for field in inner if field.number == _GRAPH]


def _does_nothing(nodes: Any) -> bool:
    return len(nodes) <= 1 and all(
        node.op == "NoOp" and not node.attr and all(text.startswith("^") for text in node.input) for node in nodes
    )


def _same(file: BinaryIO, start: int, other: BinaryIO, size: int) -> bool:
    """Whether `size` bytes of a file from `start` on are those of another one, which has no more."""
    file.seek(start)
    other.seek(0)
    while size > 0:
        first, second = (each.read(min(_CHUNK, size)) for each in (file, other))
        if first != second or not first:
            return False
        size -= len(first)
    return not other.read(1)


def misstated(path: Path, frozen_graph: Path, signature: Signature, initializers: list[str]) -> str:
    """What a SavedModel says of its graph otherwise than its record does, in words; empty where there is nothing.

    Args:
      signature: as the record has it. initializers: the nodes that the loader has to run.
    """
    try:
        with open(path, "rb") as file:
            frame, content = _Parts(file, frozen_graph.stat().st_size).frame(file)
    except _UNREADABLE as error:
        return f"{path} cannot be read: {error}"
    expected = _expected(frame, signature, initializers)
    for name in frame.DESCRIPTOR.fields_by_name:
        if getattr(frame, name) != getattr(expected, name):
            return f"the {name} of {path} is not what export_saved_model.json describes"
    # What TensorFlow's classes pass over, or do not know, may tell another reader something.
    added = expected.graph_def.SerializeToString(deterministic=True)
    expected.ClearField("graph_def")
    whole = expected.SerializeToString(deterministic=True) + added
    return "" if content == whole else f"{path} has something in it that its fields do not tell"


def _expected(frame: Any, signature: Signature, initializers: list[str]) -> Any:
    """The MetaGraphDef that belongs around a graph; TensorFlow's version, and a node's name, are free."""
    expected = meta_graph_pb2.MetaGraphDef()
    expected.meta_info_def.tags.append(TAG)
    expected.meta_info_def.tensorflow_version = frame.meta_info_def.tensorflow_version
    expected.graph_def.SetInParent()
    definition = expected.signature_def[SIGNATURE_KEY]
    definition.method_name = METHOD
    for endpoints, infos in ((signature.inputs, definition.inputs), (signature.outputs, definition.outputs)):
        for endpoint in endpoints:
            infos[endpoint.key].CopyFrom(_tensor_info(endpoint))
    if initializers:
        name = frame.graph_def.node[0].name if frame.graph_def.node else ""
        expected.graph_def.node.add(name=name, op="NoOp", input=[f"^{each}" for each in initializers])
        filled = expected.signature_def[INIT_OP_KEY].outputs[INIT_OP_KEY]
        filled.name, filled.tensor_shape.unknown_rank = name, True
    return expected


def _tensor_info(endpoint: Endpoint) -> Any:
    info = meta_graph_pb2.TensorInfo(name=endpoint.tensor, dtype=named(endpoint.dtype).number)
    shape = info.tensor_shape
    shape.SetInParent()
    shape.unknown_rank = endpoint.shape is None
    for size in endpoint.shape or []:
        shape.dim.add(size=-1 if size is None else size)
    return info


def for_judging(path: Path, directory: Path) -> Path:
    """A SavedModel that draws the same random numbers in each run, and runs on this machine; the file stays as it is.

    It is the file itself where that has no random op and asks for no device; else a copy in `directory`, with the seeds
    and without the devices that the judge gives both sides. Returns the path of the file.
    Raises Problem (not_importable) where there is no SavedModel, OSError.
    """
    try:
        with open(path, "rb") as file:
            if not any(_is_changed(graph_def) for graph_def in _pieces(file)):
                return path
        saved_model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    except _UNREADABLE as error:
        raise Problem("not_importable", f"{path} cannot be read as a SavedModel: {error}") from error
    for meta_graph in saved_model.meta_graphs:
        _is_changed(meta_graph.graph_def)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / FILE).write_bytes(saved_model.SerializeToString())
    return directory / FILE


def _pieces(file: BinaryIO) -> Iterator[Any]:
    """Each field of each graph in a SavedModel as a GraphDef of its own. Raises ValueError and DecodeError."""
    for outer in framing.fields(file, 0, framing.size_of(file)):
        for inner in framing.fields(file, outer.content, outer.end) if outer.number == _META_GRAPH else ():
            for field in framing.fields(file, inner.content, inner.end) if inner.number == _GRAPH else ():
                yield graph_pb2.GraphDef.FromString(file_bytes(file, field))


def _is_changed(graph_def: Any) -> bool:
    """Seeds the random ops of a graph and takes its devices away, in place; returns whether it has any."""
    bodies = (graph_def.node, *(function.node_def for function in graph_def.library.function))
    asks = any(node.device for nodes in bodies for node in nodes)
    devices.clear(graph_def)
    return bool(seed_random_ops(graph_def)) or asks
