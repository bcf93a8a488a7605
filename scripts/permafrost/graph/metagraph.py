"""Meta graphs: reading `.meta` files, binary or text."""

import os
from pathlib import Path

from google.protobuf.message import DecodeError

from permafrost.encoding import LFS_POINTER
from permafrost.graph.graph_files import no_graph_of
from permafrost.graph.protos import MetaGraphDef, OpList, meta_graph_pb2
from permafrost.outcome import Problem


def read_meta_graph(path: str | Path) -> MetaGraphDef:
    """The MetaGraphDef in the file at `path`, which is a binary or a text protocol buffer.

    Raises Problem: unreadable, lfs_pointer, truncated (an empty file), or bad_meta_graph for anything that is not
    a meta graph with at least one node.
    """
    content = content_of(path)
    meta_graph = _parse_binary(content) or _parse_text(content)
    if meta_graph is None:
        raise Problem("bad_meta_graph", f"{path} is not a meta graph, or is cut off ({len(content)} bytes)")
    return checked(meta_graph, path)


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
    meta_graph = meta_graph_pb2.MetaGraphDef()
    try:
        meta_graph.ParseFromString(content)
    except DecodeError:
        return None
    return meta_graph if meta_graph.graph_def.node else None


def _parse_text(content: bytes) -> MetaGraphDef | None:
    # Parsing text takes seconds for large files, so a look at the first bytes comes before it.
    if not content.lstrip()[:1].isalpha() and not content.lstrip().startswith(b"#"):
        return None
    from google.protobuf import text_format  # Text is rare, and this takes long to load.

    meta_graph = meta_graph_pb2.MetaGraphDef()
    try:
        text_format.Parse(content.decode("utf-8"), meta_graph)
    except (text_format.ParseError, UnicodeDecodeError, ValueError, RecursionError):
        return None
    return meta_graph if meta_graph.graph_def.node else None


def producer_ops(meta_graph: MetaGraphDef) -> OpList | None:
    """The OpList of the TensorFlow that wrote a meta graph, for the ops in it; None where it is not there."""
    info = meta_graph.meta_info_def
    return info.stripped_op_list if info.HasField("stripped_op_list") else None
