"""Where a model's graph comes from: a meta graph, a SavedModel, an events file, or a GraphDef, each with its saver.

All of them are read as a MetaGraphDef, which is what the rest works on. model.Graph says which it is.
"""

import contextlib
import os
from typing import Any

import msgspec
from google.protobuf.message import DecodeError, Message

from permafrost.graph import event_files
from permafrost.graph.event_files import Held
from permafrost.graph.graph_files import SAVED_MODEL_FILES
from permafrost.graph.metagraph import checked, content_of, no_graph, read_meta_graph, refuse_other_graphs
from permafrost.graph.protos import MetaGraphDef, graph_pb2, meta_graph_pb2, saved_model_pb2, saver_pb2
from permafrost.model import Graph, Source
from permafrost.outcome import Problem
from permafrost.records import ImportRecord, is_known, known

META_GRAPH, SAVED_MODEL, GRAPH_DEF, EVENTS = "meta_graph", "saved_model", "graph_def", "events"
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
    if source.graphs and not graph.path:
        paths += source.graphs.own + source.graphs.others
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
    elif graph.form == EVENTS:
        meta_graph = _of_events(graph)
    else:
        content = content_of(graph.path)
        graph_def = _parsed(graph_pb2.GraphDef, content, graph.path, graph.binary)
        if not all(node.name and node.op for node in graph_def.node):
            refuse_other_graphs(content, graph.path, "GraphDef")
        meta_graph = checked(meta_graph_pb2.MetaGraphDef(graph_def=graph_def), graph.path)
    return with_saver(meta_graph, graph)


def with_saver(meta_graph: Any, graph: Graph) -> Any:
    """`meta_graph`, whose SaverDef now says what `graph` says of one. Raises Problem as `read` does."""
    if graph.saver:
        meta_graph.saver_def.CopyFrom(_parsed(saver_pb2.SaverDef, content_of(graph.saver), graph.saver, None))
    if graph.restore_op_name:
        meta_graph.saver_def.restore_op_name = graph.restore_op_name
    if graph.filename_tensor_name:
        meta_graph.saver_def.filename_tensor_name = graph.filename_tensor_name
    return meta_graph


def held_in(path: str) -> list[tuple[Graph, MetaGraphDef]]:
    """All graphs in the file at `path`, whatever it is of what `read` reads; what is in the file tells that.

    Raises Problem: unreadable, lfs_pointer, truncated, or bad_meta_graph where no graph is in it (nothing can be
    restored by its name into an object-based SavedModel's).
    """
    if event_files.is_events(path):
        held = event_files.graphs(path)
        graphs = [Graph(form=EVENTS, path=path, number=number) for number in range(len(held))]
        return [(graph, _whole(graph, _parsed_event(each, path))) for graph, each in zip(graphs, held, strict=True)]
    content = content_of(path)
    for kind, of_kind in ((MetaGraphDef, _alone), (graph_pb2.GraphDef, _bare), (saved_model_pb2.SavedModel, _tags_of)):
        with contextlib.suppress(Problem):
            if found := of_kind(_parsed(kind, content, path, None), path):
                return found
    raise Problem("bad_meta_graph", f"{path} holds no graph that a checkpoint could be restored into")


def _alone(meta_graph: Any, path: str) -> list[tuple[Graph, MetaGraphDef]]:
    graph = Graph(form=META_GRAPH, path=path)
    return [(graph, _whole(graph, meta_graph))]


def _bare(graph_def: Any, path: str) -> list[tuple[Graph, MetaGraphDef]]:
    graph = Graph(form=GRAPH_DEF, path=path)
    return [(graph, _whole(graph, MetaGraphDef(graph_def=graph_def)))]


def _tags_of(saved_model: Any, path: str) -> list[tuple[Graph, MetaGraphDef]]:
    """The graphs of a SavedModel that tags can name: its only one, or those that have some."""
    every = [meta_graph for meta_graph in saved_model.meta_graphs if not meta_graph.object_graph_def.nodes]
    named = every if len(saved_model.meta_graphs) == 1 else [each for each in every if each.meta_info_def.tags]
    graphs = [Graph(form=SAVED_MODEL, path=path, tags=sorted(each.meta_info_def.tags)) for each in named]
    return [(graph, _whole(graph, meta_graph)) for graph, meta_graph in zip(graphs, named, strict=True)]


def _whole(graph: Graph, meta_graph: MetaGraphDef) -> MetaGraphDef:
    """`meta_graph`, which has nodes; raises Problem (bad_meta_graph) otherwise, as for bytes of another message."""
    if not meta_graph.graph_def.node:
        raise Problem("bad_meta_graph", f"{graph.path} holds a graph without nodes")
    return checked(meta_graph, graph.path)


def _of_events(graph: Graph) -> MetaGraphDef:
    """The graph of an events file that has the `number`; without one the last meta graph, or else the last graph."""
    held = event_files.graphs(graph.path)
    if is_known(graph.number):
        if graph.number >= len(held):
            raise Problem("bad_meta_graph", f"{graph.path} holds {len(held)} graphs, and so none with that number")
        return _whole(graph, _parsed_event(held[graph.number], graph.path))
    metas = [each for each in held if each.is_meta_graph]
    return _whole(graph, _parsed_event((metas or held)[-1], graph.path))


def _parsed_event(held: Held, path: str) -> MetaGraphDef:
    if held.is_meta_graph:
        return _parsed(MetaGraphDef, held.content, path, True)
    return MetaGraphDef(graph_def=_parsed(graph_pb2.GraphDef, held.content, path, True))


def _tagged(graph: Graph) -> MetaGraphDef:
    path = graph.path
    content = content_of(path)
    saved_model = _parsed(saved_model_pb2.SavedModel, content, path, not path.endswith("pbtxt"))
    if not saved_model.meta_graphs:
        refuse_other_graphs(content, path, "SavedModel")
    sets = {tuple(sorted(m.meta_info_def.tags)): m for m in saved_model.meta_graphs}
    wanted = tuple(sorted(graph.tags)) or _usual_tags(set(sets))
    if wanted not in sets:
        known = " or ".join(str(list(tags)) for tags in sets if tags or (_SERVING,) not in sets) or "nothing"
        raise Problem(
            "bad_setting", f"{path} has no graph with the tags {list(wanted)}", f"choose {known} as `saved_model_tags:`"
        )
    meta_graph = sets[wanted]
    if meta_graph.object_graph_def.nodes and not meta_graph.saver_def.restore_op_name:
        raise Problem(
            "tf2_checkpoint", f"{path} is a TensorFlow 2 SavedModel whose graph does not restore its variables"
        )
    return meta_graph


def _usual_tags(sets: set[tuple[str, ...]]) -> tuple[str, ...]:
    """The tags that are taken where none are named: the only ones, `serve`, or none, as a TF Hub module has them."""
    if len(sets) == 1:
        return next(iter(sets))
    return () if () in sets and (_SERVING,) not in sets else (_SERVING,)


def _parsed(kind: type[Message], content: bytes, path: str, binary: bool | None) -> Any:
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
    if kind is not saver_pb2.SaverDef:
        refuse_other_graphs(content, path, kind.DESCRIPTOR.name)
    raise no_graph(content, path, f"a {kind.DESCRIPTOR.name}")


def files_of(imported: ImportRecord) -> list[str]:
    """The paths of all files of an import record's model: of tensors, graph, saver, and vocabularies."""
    words = [each.path for each in known(imported.vocabularies, [])]
    return [*imported.files, *filter(None, (imported.graph.path, imported.graph.saver, *words))]
