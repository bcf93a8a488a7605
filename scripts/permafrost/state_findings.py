"""What may make a graph another function each time: ops with a memory or a clock, and a restore that computes."""

from collections.abc import Iterator

from permafrost.contract import WARNING
from permafrost.forward import RANDOM
from permafrost.graph_findings import finding
from permafrost.metagraph import VARIABLE_OPS, GraphIndex, tensor_name
from permafrost.op_definitions import registered

# Stateful ops that give the same in each run: they read what a restore or an initializer has put there, hold tensors
# within a run, call functions (whose nodes are looked at by themselves), or are there for what they do on the side.
# Whether what a write of a variable leaves behind matters is for who looks at the variable's readers to say.
_SAME_EACH_TIME = {
    *VARIABLE_OPS, "ReadVariableOp", "ResourceGather", "ResourceGatherNd", "VariableShape", "VarIsInitializedOp",
    "IsVariableInitialized", "Assert", "Print", "PrintV2", "If", "While", "Case", "StatefulPartitionedCall",
    "StackV2", "StackPushV2", "StackPopV2", "StackCloseV2", "Stack", "StackPush", "StackPop", "StackClose",
    "HashTable", "HashTableV2", "LookupTableFind", "LookupTableFindV2", "LookupTableSize", "LookupTableSizeV2",
    "InitializeTable", "InitializeTableV2", "InitializeTableFromTextFile", "InitializeTableFromTextFileV2",
    "MutableHashTable", "MutableHashTableV2", "MutableHashTableOfTensors", "MutableHashTableOfTensorsV2",
    "MutableDenseHashTable", "MutableDenseHashTableV2", "LookupTableImport", "LookupTableImportV2",
    "Restore", "RestoreSlice", "RestoreV2", "AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp",
}  # fmt: skip
_RESTORES = ("Restore", "RestoreSlice", "RestoreV2")
_PLAIN = ("Identity", "Reshape", "Cast")
_ASSIGNS = ("Assign", "AssignVariableOp")


def changes_by_itself(op: str) -> bool:
    """Whether an op may give something else in another run, on the same inputs and variables: by a clock or a memory.

    Random ops are not meant, whose seeds decide. An op that TensorFlow does not know does not count.
    """
    if op in _SAME_EACH_TIME or op.startswith("TensorArray") or RANDOM.match(op):
        return False
    definition = registered(op)
    if definition is None or not definition.is_stateful:
        return False
    return not {"seed", "seed2"} <= {attr.name for attr in definition.attr}


def of_frozen(graph_def) -> Iterator[dict]:
    """The nodes of a frozen graph, and of its functions, that may give something else in another run."""
    nodes = [*graph_def.node, *(node for function in graph_def.library.function for node in function.node_def)]
    for node in nodes:
        if changes_by_itself(node.op):
            yield finding(WARNING, "stateful_op", node.name, f"{node.op} may give something else in another run")


def of_restore(meta_graph) -> Iterator[dict]:
    """Where a restore computes: an Assign that is not given a tensor of the checkpoint, but for its shape and dtype."""
    restore_op = tensor_name(meta_graph.saver_def.restore_op_name)[0] if meta_graph.saver_def.restore_op_name else ""
    index = GraphIndex(meta_graph.graph_def)
    for name in sorted(index.reach([restore_op] if restore_op else [])):
        node = index.nodes[name]
        if node.op not in _ASSIGNS or len(index.inputs_of(node)) < 2:
            continue
        source = _source(index, node)
        if source is not None and source.op not in _RESTORES:
            advice = f"a restore runs {source.op} ({source.name}) on the way to {node.name}, so that it may give others"
            yield finding(WARNING, "computed_restore", source.name, f"{advice} than the checkpoint's values, or not")


def _source(index: GraphIndex, assign):
    """The node from which an Assign takes its value, before all that keeps values as they are."""
    node = index.source_of(assign, 1)
    for _ in range(len(index.nodes)):
        if node is None or node.op not in _PLAIN:
            break
        node = index.source_of(node, 0)
    return node
