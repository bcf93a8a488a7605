"""Where a model's graph comes from: a meta graph, a SavedModel, or a GraphDef with or without a SaverDef.

All of them are read as a MetaGraphDef, which is what the rest works on. records.Graph says which it is.
"""

import os
from typing import Any

import msgspec
from google.protobuf.message import DecodeError, Message

from permafrost.graph.graph_files import SAVED_MODEL_FILES
from permafrost.graph.metagraph import checked, content_of, read_meta_graph
from permafrost.graph.protos import MetaGraphDef, graph_pb2, meta_graph_pb2, saved_model_pb2, saver_pb2
from permafrost.outcome import Problem
from permafrost.records import Graph, ImportRecord, Source, is_known

META_GRAPH, SAVED_MODEL, GRAPH_DEF = "meta_graph", "saved_model", "graph_def"
_SERVING = "serve"


def describe(path: str) -> Graph:
    """The graph in the file at `path`, a SavedModel by its name, else a meta graph."""
    return Graph(form=SAVED_MODEL if os.path.basename(path) in SAVED_MODEL_FILES else META_GRAPH, path=path)


def graph_of(source: Source) -> Graph:
    """The graph of a model: the one that its settings name, else its meta graph."""
    return source.graph if is_known(source.graph) else describe(source.meta)


def seen(source: Source) -> list[str]:
    """The files of graph and checkpoint that were seen when the run began; none where there was a problem."""
    if source.problem:
        return []
    graph, prefix, total = graph_of(source), source.prefix, source.shards
    paths = [path for path in (graph.path, graph.saver) if path]
    if source.format != "V2":
        stem = prefix.partition("-?????-of-")[0]
        return paths + ([prefix] if stem == prefix else [f"{stem}-{n:05d}-of-{total:05d}" for n in range(total)])
    return [*paths, f"{prefix}.index", *(f"{prefix}.data-{n:05d}-of-{total:05d}" for n in range(total))]


def absolute(imported: ImportRecord) -> ImportRecord:
    """A copy of an import record with absolute paths, for a process with another working directory."""
    paths = {key: os.path.abspath(path) for key in ("path", "saver") if (path := getattr(imported.graph, key))}
    return msgspec.structs.replace(
        imported,
        prefix=_absolute_prefix(imported.prefix),
        files=[os.path.abspath(path) for path in imported.files],
        graph=msgspec.structs.replace(imported.graph, **paths),
    )


def _absolute_prefix(prefix: str) -> str:
    # A checkpoint whose files have nothing before their endings has a prefix that ends in a slash.
    return os.path.join(os.path.abspath(os.path.dirname(prefix)), os.path.basename(prefix))


def read(graph: Graph) -> Any:
    """The MetaGraphDef of a graph.

    Raises Problem: unreadable, lfs_pointer, truncated, bad_meta_graph, tf2_checkpoint (a SavedModel of TensorFlow 2
    with nothing to restore its variables), or bad_setting for tags that the SavedModel does not have.
    """
    if graph.form == SAVED_MODEL:
        return checked(_tagged(graph), graph.path)
    if graph.form == META_GRAPH:
        meta_graph = read_meta_graph(graph.path)
    else:
        content = content_of(graph.path)
        graph_def = _parsed(graph_pb2.GraphDef, content, graph.path, graph.binary)
        meta_graph = checked(meta_graph_pb2.MetaGraphDef(graph_def=graph_def), graph.path)
    if graph.saver:
        meta_graph.saver_def.CopyFrom(_parsed(saver_pb2.SaverDef, content_of(graph.saver), graph.saver, None))
    if graph.restore_op_name:
        meta_graph.saver_def.restore_op_name = graph.restore_op_name
    if graph.filename_tensor_name:
        meta_graph.saver_def.filename_tensor_name = graph.filename_tensor_name
    return meta_graph


def _tagged(graph: Graph) -> MetaGraphDef:
    path = graph.path
    saved_model = _parsed(saved_model_pb2.SavedModel, content_of(path), path, not path.endswith("pbtxt"))
    sets = {tuple(sorted(m.meta_info_def.tags)): m for m in saved_model.meta_graphs}
    wanted = tuple(sorted(graph.tags)) or (next(iter(sets)) if len(sets) == 1 else (_SERVING,))
    if wanted not in sets:
        known = " or ".join(str(list(tags)) for tags in sets) or "nothing"
        raise Problem(
            "bad_setting", f"{path} has no graph with the tags {list(wanted)}", f"choose {known} as `saved_model_tags:`"
        )
    meta_graph = sets[wanted]
    if meta_graph.object_graph_def.nodes and not meta_graph.saver_def.restore_op_name:
        raise Problem(
            "tf2_checkpoint", f"{path} is a TensorFlow 2 SavedModel whose graph does not restore its variables"
        )
    return meta_graph


def _parsed(kind: type[Message], content: bytes, path: str, binary: bool | None) -> Message:
    """The message in a file; where `binary` is None, it is what it parses as, and binary comes first."""
    if binary is not False:
        try:
            return kind.FromString(content)
        except DecodeError:
            pass
    if binary is not True:
        from google.protobuf import text_format  # Text is rare, and this takes long to load.

        try:
            return text_format.Parse(content.decode("utf-8"), kind())
        except (text_format.ParseError, UnicodeDecodeError, ValueError, RecursionError):
            pass
    raise Problem("bad_meta_graph", f"{path} is not a {kind.DESCRIPTOR.name}, or is cut off ({len(content)} bytes)")


def files_of(imported: ImportRecord) -> list[str]:
    """The paths of all files of an import record's model: of its tensors, its graph and its saver."""
    return [*imported.files, *filter(None, (imported.graph.path, imported.graph.saver))]
