"""What nodes change beside what they give: the state that a session keeps, by the names of the resources that hold it.

Two nodes are one resource where their container and name are the same, also in functions; see ResourceMgr in
tensorflow/core/framework/resource_mgr.h.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from permafrost.flow.body import Body
from permafrost.graph.call_frames import Frame, Frames
from permafrost.graph.calls import needed_functions
from permafrost.graph.ops.variables import VARIABLE_OPS, Resource, resource_name
from permafrost.graph.protos import FunctionDefLibrary, NodeDef
from permafrost.graph.pruning import QUEUES, TABLES
from permafrost.records import OpDefinition

# They give the handle of a resource that goes by a name, and change nothing.
MAKERS = {
    *VARIABLE_OPS, *TABLES, *QUEUES, "Iterator", "IteratorV2", "Barrier", "ConditionalAccumulator",
    "SparseConditionalAccumulator", "ResourceConditionalAccumulator", "BoostedTreesEnsembleResourceHandleOp",
    "BoostedTreesQuantileStreamResourceHandleOp", "FixedLengthRecordReader", "FixedLengthRecordReaderV2",
    "IdentityReader", "IdentityReaderV2", "LMDBReader", "TextLineReader", "TextLineReaderV2", "TFRecordReader",
    "TFRecordReaderV2", "WholeFileReader", "WholeFileReaderV2",
}  # fmt: skip
_VARIABLE_READS = {
    "ReadVariableOp", "ResourceGather", "ResourceGatherNd", "VariableShape", "VarIsInitializedOp",
    "IsVariableInitialized", "RefEnter", "RefExit", "RefIdentity", "RefMerge", "RefNextIteration", "RefSelect",
    "RefSwitch",
}  # fmt: skip
_TABLE_READS = {
    "LookupTableExport", "LookupTableExportV2", "LookupTableFind", "LookupTableFindV2", "LookupTableSize",
    "LookupTableSizeV2",
}  # fmt: skip
_CALLS = {"Case", "If", "PartitionedCall", "StatefulPartitionedCall", "While"}
_HARMLESS = {
    *MAKERS, *_VARIABLE_READS, *_TABLE_READS, *_CALLS, "Assert", "Print", "PrintV2", "QueueIsClosed",
    "QueueIsClosedV2", "QueueSize", "QueueSizeV2", "Restore", "RestoreSlice", "RestoreV2",
}  # fmt: skip
# Such nodes of a graph see nothing of what an op without a handle leaves behind: they go by handles of their own.
_BY_HANDLES = {
    *VARIABLE_OPS, *_VARIABLE_READS, *TABLES, *_TABLE_READS, *_CALLS, "Assert", "Print", "PrintV2", "InitializeTable",
    "InitializeTableV2", "InitializeTableFromTextFile", "InitializeTableFromTextFileV2", "LookupTableImport",
    "LookupTableImportV2",
}  # fmt: skip


@dataclass(frozen=True)
class Change:
    """What a node may change: resources with `names`, if `is_hidden` of any name; without both, it has no handle."""

    names: frozenset[Resource] = frozenset()
    is_hidden: bool = False


class Changes:
    """Tells what the nodes of a graph change.

    Args:
      library: the graph's FunctionDefLibrary.
      definitions: as graph.ops.registry gives them. An op that they lack may change anything.
    """

    def __init__(self, library: FunctionDefLibrary, definitions: dict[str, OpDefinition]):
        self._library, self._definitions = library, definitions
        self._functions = {function.signature.name for function in library.function}

    def is_stateful(self, op: str) -> bool:
        """Whether an op may keep or change something, or takes a reference; of functions, their nodes tell."""
        definition = self._definitions.get(op)
        if definition is None:
            return op not in self._functions
        return definition.stateful or definition.references is not None

    def of(self, node: NodeDef, body: Body) -> Change | None:
        """What a NodeDef of `body` may change by itself; None where it changes nothing."""
        if node.op in _HARMLESS or not self.is_stateful(node.op):
            return None
        data = [text for text in node.input if not text.startswith("^")]
        definition = self._definitions.get(node.op)
        if definition is None and body.function is None:
            return self._of_unknown(node, body)
        handles = definition.handles if definition is not None else None
        if handles is None or any(position >= len(data) for position in handles):
            return Change(is_hidden=True)
        sources = [body.nodes.get(body.origin(data[position])) for position in handles]
        named = [source for source in sources if source is not None and source.op in MAKERS]
        return Change(frozenset(map(resource_name, named)), is_hidden=len(named) < len(sources))

    def _of_unknown(self, node: NodeDef, body: Body) -> Change:
        """What a node of an op that TensorFlow lacks may change: whatever is given to it, by whatever way.

        The handle of a resource of its own comes from such an op as well.
        """
        names, is_hidden = set(), False
        for name in body.data_above(node.name) - {node.name}:
            source = body.nodes.get(name)
            if source is not None and (source.op in MAKERS or self._is_unknown(source.op)):
                names.add(resource_name(source))
            elif source is None or (source.op not in _HARMLESS and self.is_stateful(source.op)):
                is_hidden = True
        return Change(frozenset(names), is_hidden)

    def _is_unknown(self, op: str) -> bool:
        return op not in self._definitions and op not in self._functions

    def in_functions(self, nodes: Iterable[NodeDef], frames: Frames) -> Iterator[tuple[str, Any, Change]]:
        """(function, NodeDef, Change) for what changes something in a function that the NodeDefs `nodes` call.

        Args:
          frames: those of `nodes`, which tell what a function gets as its arguments.
        """
        for function in needed_functions(nodes, self._library):
            body = Body(function.node_def, function)
            for node in function.node_def:
                if change := self.of(node, body):
                    yield function.signature.name, node, self._called(node, change, frames.of(function.signature.name))

    def _called(self, node: NodeDef, change: Change, frames: list[Frame]) -> Change:
        """A change of a function's node, with what the arguments are in all calls; as it is where nobody knows."""
        definition = self._definitions.get(node.op)
        if not frames or not change.is_hidden or definition is None or definition.handles is None:
            return change
        data = [text for text in node.input if not text.startswith("^")]
        if any(position >= len(data) for position in definition.handles):
            return change
        sources = [frame.source(data[position])[1] for frame in frames for position in definition.handles]
        named = [source for source in sources if source is not None and source.op in MAKERS]
        return Change(frozenset(map(resource_name, named)), is_hidden=len(named) < len(sources))

    def seeing(self, nodes: list[NodeDef]) -> "Seeing":
        """What the NodeDefs `nodes`, and the functions that they call, can see of a change."""
        called = [node for function in needed_functions(nodes, self._library) for node in function.node_def]
        return Seeing([node for node in [*nodes, *called] if self.is_stateful(node.op)])


class Seeing:
    """Nodes with a state, as those that could see a change: by the resource's name, or for want of a handle."""

    def __init__(self, nodes: list[NodeDef]):
        self._nodes = nodes
        self._named = {resource_name(node): node.name for node in reversed(nodes) if node.op in MAKERS}

    def sees(self, change: Change) -> str:
        """The name of a node that could see a change; "" where none could."""
        if change.is_hidden:
            return self._nodes[0].name if self._nodes else ""
        if change.names:
            return next((self._named[name] for name in sorted(change.names) if name in self._named), "")
        return next((node.name for node in self._nodes if node.op not in _BY_HANDLES), "")
