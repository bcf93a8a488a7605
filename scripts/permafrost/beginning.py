"""What gives the variables of a meta graph their values before its first run: what its saver and its loader do.

A frozen graph has what the checkpoint holds. Where TensorFlow puts something else there, it is refused.
"""

from permafrost.bodies import PASSING, Body
from permafrost.contract import Problem
from permafrost.metagraph import VARIABLE_OPS, GraphIndex, resource_name, tensor_name
from permafrost.pruning import QUEUES, TABLES
from permafrost.readers import READERS
from permafrost.reads import RESOURCE_WRITES
from permafrost.sharing import REF_WRITES

# What a restore may run: it assigns what it has read, as it is, and fills the tables that were saved.
_RESTORING = (
    "Assign", "AssignVariableOp", "Identity", "LookupTableImport", "LookupTableImportV2", "NoOp", "ReadVariableOp",
    "Restore", "RestoreSlice", "RestoreV2", "Shape", "VariableShape",
)  # fmt: skip
_FILLED = (*VARIABLE_OPS, *TABLES, *QUEUES)
# Ops that write to references: to all that they take, or to the first.
_UPDATES = ("Apply", "SparseApply")
_CHANGES = ("Assign", "CountUpTo", "Scatter", "StridedSliceAssign")
# Where a SavedModel names the op that its loader runs (tensorflow/python/saved_model/constants.py), in that order.
_INIT_OP_SIGNATURE = "__saved_model_init_op"
_INIT_OP_COLLECTIONS = ("saved_model_main_op", "legacy_init_op")


class Beginning:
    """What is done to a meta graph before its first run.

    Args:
      index: that of the meta graph's graph.
    """

    def __init__(self, meta_graph, index: GraphIndex):
        self._meta_graph, self._index, self._body = meta_graph, index, Body(index.graph_def.node)
        restore_op = tensor_name(meta_graph.saver_def.restore_op_name)[0]
        self._restoring = sorted(index.reach([restore_op])) if restore_op else []

    def doubtful(self) -> set[str]:
        """The variables that other nodes than those that the saver fills may give a value.

        These are nodes that are one variable by their shared_name, and what a restore assigns.
        """
        names: dict[tuple, list[str]] = {}
        for node in self._index.graph_def.node:
            if node.op in VARIABLE_OPS:
                names.setdefault(resource_name(node), []).append(node.name)
        found = {name for twins in names.values() if len(twins) > 1 for name in twins}
        for name in self._restoring:
            node = self._index.nodes[name]
            if node.op in (*REF_WRITES, *RESOURCE_WRITES) and node.input:
                found.add(self._body.origin(node.input[0]))
        return found

    def refuse_filling(self, graph_def) -> None:
        """Raises Problem (unsupported_op) where the restore fills something of a graph with more than what it restores.

        A frozen graph has the values of the checkpoint, not what a saver computes, inserts or enqueues.
        """
        kept = {node.name for node in graph_def.node if node.op in _FILLED}
        for name in self._restoring:
            node = self._index.nodes[name]
            data = [text for text in node.input if not text.startswith("^")] if node.op not in _RESTORING else []
            for origin in map(self._body.origin, data):
                if origin in kept:
                    raise Problem(
                        "unsupported_op", f"node {name!r} ({node.op}) changes {origin!r} while the saver restores"
                    )

    def refuse_loading(self, graph_def) -> None:
        """Raises Problem (unsupported_op) where a SavedModel's own init op writes to a variable of a graph.

        TensorFlow's loader runs that op after the restore (get_init_op in
        tensorflow/python/saved_model/loader_impl.py).
        """
        variables = {node.name: node.op for node in graph_def.node if node.op in VARIABLE_OPS}
        init_op = _init_op(self._meta_graph)
        for name in sorted(self._index.reach([init_op])):
            node = self._index.nodes[name]
            for position, text in enumerate(node.input):
                origin = self._body.origin(text) if not text.startswith("^") else ""
                if origin in variables and _writes(node.op, position, variables[origin]):
                    raise Problem(
                        "unsupported_op",
                        f"node {name!r} ({node.op}), which the SavedModel's init op {init_op!r} runs after the "
                        f"restore, writes to variable {origin!r}",
                    )


def _writes(op: str, position: int, variable_op: str) -> bool:
    """Whether an op that takes a variable at `position` may write to it; of a handle, all that is not known to read."""
    if variable_op == "VarHandleOp":
        return op not in (*READERS, *PASSING)
    return op.startswith(_UPDATES) or (position == 0 and op.startswith(_CHANGES))


def _init_op(meta_graph) -> str:
    """The node that the loader of a SavedModel runs after the restore; "" where there is none."""
    if not meta_graph.meta_info_def.tags:
        return ""
    if _INIT_OP_SIGNATURE in meta_graph.signature_def:
        outputs = meta_graph.signature_def[_INIT_OP_SIGNATURE].outputs
        names = [outputs[_INIT_OP_SIGNATURE].name] if _INIT_OP_SIGNATURE in outputs else []
    else:
        keys = [key for key in _INIT_OP_COLLECTIONS if key in meta_graph.collection_def]
        names = meta_graph.collection_def[keys[0]].node_list.value if keys else []
    return tensor_name(names[0])[0] if len(names) == 1 else ""
