"""Meta graphs: reading `.meta` files, binary or text."""

import os
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from permafrost import file_kinds
from permafrost.encoding import LFS_POINTER, TABLE_MAGIC
from permafrost.graph.graph_files import no_graph_of
from permafrost.graph.protos import GraphDef, MetaGraphDef, OpList, graph_pb2, meta_graph_pb2, saved_model_pb2
from permafrost.outcome import Problem

# What a file with a graph is, by the message in it, and what to do where it should be another.
_HOLDERS = {
    "MetaGraphDef": ("a meta graph", "name it as `input_meta_graph:` in the model's settings"),
    "GraphDef": (
        "a GraphDef, such as write_graph and freeze_graph write",
        "name it as `input_graph:` in the model's settings",
    ),
    "SavedModel": (
        "a SavedModel's saved_model.pb",
        "give it that name, and put its variables/ directory beside it",
    ),
}


def read_meta_graph(path: str | Path) -> MetaGraphDef:
    """The MetaGraphDef in the file at `path`, which is a binary or a text protocol buffer.

    Raises Problem: unreadable, lfs_pointer, truncated (an empty file), or bad_meta_graph for anything that is not
    a meta graph with at least one node, which says what the file is where that can be told.
    """
    content = content_of(path)
    meta_graph = _parse_binary(content) or _parse_text(content)
    if meta_graph is None or not _has_ops(meta_graph.graph_def):
        refuse_other_graphs(content, path, "MetaGraphDef")
    if meta_graph is None:
        raise no_graph(content, path, "a meta graph")
    return checked(meta_graph, path)


def refuse_other_graphs(content: bytes, path: str | Path, wanted: str) -> None:
    """Raises Problem (bad_meta_graph) where a message of another kind is in the file, with a graph.

    The fields of the three have the same numbers, so that one may be parsed as the other, into nonsense.
    Args:
      wanted: what should be in it: MetaGraphDef, GraphDef or SavedModel.
    """
    for kind in (meta_graph_pb2.MetaGraphDef, graph_pb2.GraphDef, saved_model_pb2.SavedModel):
        name = kind.DESCRIPTOR.name
        message = None if name == wanted else _parsed(kind, content) or _parsed_text(kind, content)
        if message and all(map(_has_ops, graphs := _graphs_of(message))) and graphs:
            what, hint = _HOLDERS[name]
            raise Problem("bad_meta_graph", f"{path} is {what}, not {_HOLDERS[wanted][0].partition(',')[0]}", hint)


def _graphs_of(message: Any) -> list[GraphDef]:
    if isinstance(message, graph_pb2.GraphDef):
        return [message]
    holders = message.meta_graphs if isinstance(message, saved_model_pb2.SavedModel) else [message]
    return [holder.graph_def for holder in holders]


def _parsed(kind: type[Any], content: bytes) -> Any:
    try:
        return kind.FromString(content)
    except DecodeError:
        return None


def _has_ops(graph_def: GraphDef) -> bool:
    """Whether a graph has nodes, and each has a name and an op."""
    return bool(graph_def.node) and all(node.name and node.op for node in graph_def.node)


def no_graph(content: bytes, path: str | Path, wanted: str) -> Problem:
    """The Problem (bad_meta_graph) with a file that cannot be read as the graph `wanted`, and what it is instead."""
    kind = file_kinds.other(content[: file_kinds.SAMPLE])
    if content.endswith(TABLE_MAGIC):
        kind = file_kinds.Kind("a table of a checkpoint, such as an .index file", "put the .meta file in its place")
    if kind is None:
        return Problem("bad_meta_graph", f"{path} is not {wanted}, or is cut off ({len(content)} bytes)")
    return Problem("bad_meta_graph", f"{path} is {kind.what}, not {wanted}", kind.hint)


def content_of(path: str | Path) -> bytes:
    """The content of the file at `path`, which holds a graph.

    Raises Problem: unreadable, truncated, lfs_pointer, or bad_meta_graph for one too large for a protocol buffer, which
    is not read.
    """
    try:
        if too_large := no_graph_of(str(path), os.stat(path).st_size):
            raise too_large
        content = Path(path).read_bytes()
    except OSError as error:
        raise Problem("unreadable", f"{path}: {error.strerror}") from error
    if not content:
        raise Problem("truncated", f"{path} is empty")
    if content.startswith(LFS_POINTER):
        raise Problem("lfs_pointer", f"{path} is a Git LFS pointer, not the meta graph itself")
    return content


def checked(meta_graph: MetaGraphDef, path: str | Path) -> MetaGraphDef:
    """`meta_graph`, whose nodes all have a name of their own and an op; raises Problem (bad_meta_graph) otherwise."""
    names = set()
    for node in meta_graph.graph_def.node:
        if not node.name or not node.op or node.name in names:
            raise Problem("bad_meta_graph", f"{path} has a node without name or op, or the name {node.name!r} twice")
        names.add(node.name)
    return meta_graph


def _parse_binary(content: bytes) -> MetaGraphDef | None:
    meta_graph = _parsed(meta_graph_pb2.MetaGraphDef, content)
    return meta_graph if meta_graph and meta_graph.graph_def.node else None


def _parse_text(content: bytes) -> MetaGraphDef | None:
    meta_graph = _parsed_text(meta_graph_pb2.MetaGraphDef, content)
    return meta_graph if meta_graph and meta_graph.graph_def.node else None


def _parsed_text(kind: type[Any], content: bytes) -> Any:
    # Parsing text takes seconds for large files, so a look at the first bytes comes before it.
    if not content.lstrip()[:1].isalpha() and not content.lstrip().startswith(b"#"):
        return None
    from google.protobuf import text_format  # Text is rare, and this takes long to load.

    try:
        return text_format.Parse(content.decode("utf-8"), kind())
    except (text_format.ParseError, UnicodeDecodeError, ValueError, RecursionError):
        return None


def producer_ops(meta_graph: MetaGraphDef) -> OpList | None:
    """The OpList of the TensorFlow that wrote a meta graph, for the ops in it; None where it is not there."""
    info = meta_graph.meta_info_def
    return info.stripped_op_list if info.HasField("stripped_op_list") else None
