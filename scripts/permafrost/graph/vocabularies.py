"""The text files that fill lookup tables: which ones a meta graph names, and where they may be read.

A stranger's graph may name any file of the machine. One is read only where it is a regular file in the model's own
directory, or where the settings allow it (`allow_paths`).
"""

import os
import re
import stat
from collections.abc import Iterable

from google.protobuf.message import DecodeError

from permafrost import whole_files
from permafrost.graph import text_tables
from permafrost.graph.graph_sources import SAVED_MODEL
from permafrost.graph.index import GraphIndex, TensorName, tensor_name
from permafrost.graph.protos import GraphDef, MetaGraphDef, NodeDef, meta_graph_pb2, node_def_pb2, types_pb2
from permafrost.graph.text_fillings import text_fillings
from permafrost.model import Defect, Graph
from permafrost.outcome import Problem
from permafrost.records import ImportRecord, Vocabulary, known

FROM_FILES = ("InitializeTableFromTextFile", "InitializeTableFromTextFileV2")

_ASSETS = "assets"  # the directory of a SavedModel's assets (tensorflow/python/saved_model/constants.py)
_ASSETS_COLLECTION = "saved_model_assets"
_TO_ALLOW = (
    "if you trust this model, add the file to `allow_paths:` in its settings, or put a copy beside its checkpoint"
)
_MOST_SHOWN = 4


def find(
    meta_graph: MetaGraphDef, index: GraphIndex, graph: Graph, prefix: str, allowed: list[str]
) -> list[Vocabulary]:
    """The files that fill tables of a meta graph, in the order of its nodes; not those that no constant names.

    Args:
      index: of its graph.
      graph, prefix: as the import record has them.
      allowed: `allow_paths` of the settings.
    A file is the asset that a SavedModel says it is; else it is looked for as it is named, in `assets` beside the
    checkpoint, beside the checkpoint, and at what is allowed.
    """
    own = os.path.dirname(graph.path if graph.form == SAVED_MODEL else prefix)
    assets = _assets(meta_graph) if graph.form == SAVED_MODEL else {}
    found = []
    for name, op in index.ops.items():
        named = _named(index, name, assets) if op in FROM_FILES else None
        if named is not None:
            asset, text = named
            places = [os.path.join(own, _ASSETS, asset)] if asset else _places(text, own, allowed)
            found.append(_looked_for(name, asset or text, places, own, allowed))
    return found


def paths(imported: ImportRecord) -> dict[str, str]:
    """Initializer -> the path of its file, of those of an import record that were found."""
    return {each.initializer: each.path for each in known(imported.vocabularies, []) if each.path}


def point_to(graph_def: GraphDef, found: dict[str, str]) -> None:
    """Has the initializers of a GraphDef, in place, read the files at other paths, as the loader of a SavedModel does.

    Args:
      found: initializer -> path; those that the graph lacks are passed over.
    """
    taken = {node.name for node in graph_def.node}
    for node in [node for node in graph_def.node if node.name in found and node.op in FROM_FILES]:
        name = f"{node.name}/path"
        while name in taken:
            name += "_"
        taken.add(name)
        graph_def.node.append(_constant(name, found[node.name]))
        node.input[1] = name
    if calls := [node.name for node in graph_def.node if node.name in found and node.op not in FROM_FILES]:
        _point_assets(GraphIndex(graph_def), calls, found)


def _point_assets(index: GraphIndex, calls: list[str], found: dict[str, str]) -> None:
    """The loader feeds the asset from which a variable gets the name of the file."""
    for filling in text_fillings(index, calls):
        source = index.nodes[filling.path[0]]
        waiting = [text for text in source.input if text.startswith("^")]
        source.CopyFrom(_constant(source.name, found[filling.call]))
        source.input.extend(waiting)


def _constant(name: str, path: str) -> NodeDef:
    constant = node_def_pb2.NodeDef(name=name, op="Const")
    constant.attr["dtype"].type = constant.attr["value"].tensor.dtype = types_pb2.DT_STRING
    constant.attr["value"].tensor.tensor_shape.SetInParent()
    constant.attr["value"].tensor.string_val.append(os.fsencode(path))
    return constant


def _assets(meta_graph: MetaGraphDef) -> dict[TensorName, str]:
    """Tensor -> the name of the asset that a SavedModel's loader feeds it (get_asset_tensors in loader_impl.py)."""
    assets = list(meta_graph.asset_file_def)
    if not assets and _ASSETS_COLLECTION in meta_graph.collection_def:
        for packed in meta_graph.collection_def[_ASSETS_COLLECTION].any_list.value:
            try:
                assets.append(meta_graph_pb2.AssetFileDef.FromString(packed.value))
            except DecodeError:
                continue
    return {tensor_name(asset.tensor_info.name): asset.filename for asset in assets if asset.filename}


def _named(index: GraphIndex, initializer: str, assets: dict[TensorName, str]) -> tuple[str, str] | None:
    """(asset, ``) or (``, text) by which the file of an initializer is named; None where no constant names it."""
    point = index.inputs[initializer][1] if len(index.inputs[initializer]) > 1 else ("", 0)
    for _ in range(len(index.nodes)):
        node = index.nodes.get(point[0])
        if point in assets or node is None:
            break
        if node.op not in ("Identity", "PlaceholderWithDefault") or not index.inputs[node.name]:
            return _text(node)
        point = index.inputs[node.name][0]
    return (assets[point], "") if point in assets else None


def _text(node: NodeDef) -> tuple[str, str] | None:
    values = list(node.attr["value"].tensor.string_val) if node.op == "Const" else []
    return ("", os.fsdecode(values[0])) if len(values) == 1 and values[0] else None


def _places(text: str, own: str, allowed: Iterable[str]) -> list[str]:
    """Where a file is looked for that a graph names by `text`, a path of the machine that wrote it."""
    local = text.removeprefix("file://")
    base = re.split(r"[/\\]", local)[-1]
    named = [] if "://" in local else [local]
    places = [os.path.join(own, path) for path in named]
    if base not in ("", ".", ".."):
        places += [os.path.join(own, _ASSETS, base), os.path.join(own, base)]
        places += [path for path in allowed if os.path.basename(path) == base]
    relative = [path for path in (*named, base) if path and not os.path.isabs(path)]
    places += [os.path.join(path, name) for path in allowed for name in relative]
    return list(dict.fromkeys(places))


def _looked_for(initializer: str, name: str, places: list[str], own: str, allowed: list[str]) -> Vocabulary:
    """What is found of a file at one of the places, the first of which is taken where it may be read."""
    roots = [os.path.realpath(path or os.curdir) for path in (own, *allowed)]
    seen: dict[str, list[int] | None] = {}
    problem = None
    for place in places:
        seen[place] = whole_files.stamp_if_there(place)
        path, wrong = _readable(initializer, place, own, roots)
        if path:
            return Vocabulary(initializer=initializer, name=name, path=path, places=seen)
        problem = problem or wrong
    problem = problem or Problem("missing_vocabulary", _missing(initializer, name, places))
    return Vocabulary(initializer=initializer, name=name, problem=Defect(**vars(problem)), places=seen)


def _readable(initializer: str, place: str, own: str, roots: list[str]) -> tuple[str, Problem | None]:
    """The path, without links, of a file that may be read; else ``, and what is wrong with what is there."""
    try:
        path = os.path.realpath(place, strict=True)
        found = os.stat(path)
    except (OSError, ValueError):
        return "", None
    if not any(os.path.commonpath([path, root]) == root for root in roots):
        where = f"{path}, which is neither in the model's directory {own or os.curdir} nor allowed"
        return "", Problem("outside_zoo", f"node {initializer!r} fills a table from {where}", _TO_ALLOW)
    if not stat.S_ISREG(found.st_mode):
        what = f"node {initializer!r} fills a table from {place}, which is no regular file"
        return "", Problem("missing_vocabulary", what)
    if found.st_size > text_tables.LARGEST:
        return "", text_tables.too_large(place)
    return path, None


def _missing(initializer: str, name: str, places: list[str]) -> str:
    shown = ", ".join(places[:_MOST_SHOWN]) + (", ..." if len(places) > _MOST_SHOWN else "")
    where = f"which is at none of {shown}" if places else "which is no path"
    return f"node {initializer!r} fills a table from the file {name!r}, {where}"
