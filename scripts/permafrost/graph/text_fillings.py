"""Calls whose function fills one lookup table from a text file, and does nothing else.

So a SavedModel of TensorFlow 2 fills its tables: its init op calls a function with the handle of the table and with the
file's name, which is read from a variable to which the path of an asset is assigned just before
(tensorflow/python/trackable/asset.py, map_resources in tensorflow/python/saved_model/save.py).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from permafrost.graph.call_frames import Frame, Frames
from permafrost.graph.index import GraphIndex, TensorName
from permafrost.graph.ops.variables import resource_name
from permafrost.graph.pruning import TABLES

# Functions know handles alone: the older op takes a reference.
FROM_FILE = "InitializeTableFromTextFileV2"
_QUIET = ("Const", "Identity", "NoOp", "PartitionedCall", "StatefulPartitionedCall")
_WATCHING = ("ReadVariableOp", "VarIsInitializedOp")


@dataclass(frozen=True)
class TextFilling:
    """A call that fills a table from a text file.

    call, table: names of nodes of the graph. initializer: the NodeDef that fills, in the function. path: the tensor of
    the graph that has the file's name.
    """

    call: str
    initializer: Any
    table: str
    path: TensorName


def text_fillings(index: GraphIndex, names: Iterable[str]) -> list[TextFilling]:
    """Such calls among the nodes `names` of a graph, in their order.

    Left out are calls that fill several tables, or do anything else, or give what others take; and those that take the
    file's name from where nobody knows it. Raises Problem (bad_meta_graph) as call_frames.Frames does.
    """
    frames_of: dict[str, list[Frame]] = {name: [] for name in names}
    if index.graph_def.library.function:
        for frame in Frames(index.graph_def.node, index.graph_def.library, list(frames_of)).frames:
            frames_of[frame.call].append(frame)
    found = (_filling(index, call, frames) for call, frames in frames_of.items() if frames)
    return [filling for filling in found if filling is not None]


def reads_files(index: GraphIndex, names: Iterable[str]) -> list[tuple[str, str, str]]:
    """(call, function, node) for each node that fills a table from a text file where the nodes `names` call functions.

    Raises as text_fillings does.
    """
    names = list(names) if index.graph_def.library.function else []
    frames = Frames(index.graph_def.node, index.graph_def.library, names).frames if names else []
    return [
        (frame.call, frame.function, node.name)
        for frame in frames
        for node in frame.nodes.values()
        if node.op == FROM_FILE
    ]


def _filling(index: GraphIndex, call: str, frames: list[Frame]) -> TextFilling | None:
    nodes = [(frame, node) for frame in frames for node in frame.nodes.values() if node.op not in _QUIET]
    if len(nodes) != 1 or nodes[0][1].op != FROM_FILE or len(nodes[0][1].input) < 2 or index.consumers.get(call):
        return None
    frame, node = nodes[0]
    (where, table, output), (from_where, source, number) = (frame.source(text) for text in node.input[:2])
    if table is None or where.function or output or table.op not in TABLES or source is None or from_where.function:
        return None
    path = _assigned(index, source.name) if source.op == "ReadVariableOp" else (source.name, number)
    return TextFilling(call, node, table.name, path) if path is not None else None


def _assigned(index: GraphIndex, read: str) -> TensorName | None:
    """What a read finds in a variable: what its only writer assigns, which the read waits for; else None."""
    variable, _ = index.inputs[read][0]
    if index.ops.get(variable) != "VarHandleOp":
        return None
    uses = [(node, position) for node, position in index.uses[variable, 0] if node.op not in _WATCHING]
    own = resource_name(index.nodes[variable])
    twins = [node for node in index.graph_def.node if node.op == "VarHandleOp" and resource_name(node) == own]
    if len(uses) != 1 or len(twins) != 1:
        return None
    (writer, position), *_ = uses
    is_plain = writer.op == "AssignVariableOp" and not position and writer.name in index.controls[read]
    return index.inputs[writer.name][1] if is_plain and len(index.inputs[writer.name]) == 2 else None
