"""What may make a graph another function each time: ops with a memory or a clock, and a restore that computes."""

from collections.abc import Iterator
from typing import Any

from permafrost.graph.index import GraphIndex, tensor_name
from permafrost.graph.ops.stateful import changes_by_itself
from permafrost.graph.ops.variables import ASSIGNS
from permafrost.graph.protos import GraphDef, MetaGraphDef, NodeDef
from permafrost.report.scopes import scopes
from permafrost.report.tables.findings import WARNING, Finding

_RESTORES = ("Restore", "RestoreSlice", "RestoreV2")
_PLAIN = ("Identity", "Reshape", "Cast")


def of_frozen(graph_def: GraphDef) -> Iterator[Finding]:
    """The nodes of a frozen graph, and of the functions that it calls, that may give something else in another run."""
    for scope in scopes(graph_def):
        for node in scope.nodes:
            if changes_by_itself(node.op):
                advice = f"{node.op} may give something else in another run"
                yield Finding(WARNING, "stateful_op", scope.place(node.name), advice)


def of_restore(meta_graph: MetaGraphDef) -> Iterator[Finding]:
    """Where a restore computes: an Assign that is not given a tensor of the checkpoint, but for its shape and dtype."""
    restore_op = tensor_name(meta_graph.saver_def.restore_op_name)[0] if meta_graph.saver_def.restore_op_name else ""
    index = GraphIndex(meta_graph.graph_def)
    for name in sorted(index.reach([restore_op] if restore_op else [])):
        node = index.nodes[name]
        if node.op not in ASSIGNS or len(index.inputs_of(node)) < 2:
            continue
        source = _source(index, node)
        if source is not None and source.op not in _RESTORES:
            advice = f"a restore runs {source.op} ({source.name}) on the way to {node.name}, so that it may give others"
            yield Finding(WARNING, "computed_restore", source.name, f"{advice} than the checkpoint's values, or not")


def _source(index: GraphIndex, assign: NodeDef) -> Any:
    """The node from which an Assign takes its value, before all that keeps values as they are."""
    node = index.source_of(assign, 1)
    for _ in range(len(index.nodes)):
        if node is None or node.op not in _PLAIN:
            break
        node = index.source_of(node, 0)
    return node
