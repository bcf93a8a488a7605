"""Nodes that do something beside what they give: whoever waits for one by a control input may depend on that."""

import re
from collections.abc import Callable
from typing import Any

from permafrost.graph.calls import called_functions
from permafrost.graph.ops.variables import RESOURCE_WRITES, VARIABLE_OPS
from permafrost.graph.protos import FunctionDefLibrary

# Stateful ops that leave nothing behind which another node could find. What writes to variables is looked at by itself.
_PASSIVE = {
    *VARIABLE_OPS, "ReadVariableOp", "ResourceGather", "ResourceGatherNd", "VariableShape", "VarIsInitializedOp",
    "IsVariableInitialized", *RESOURCE_WRITES, "Print", "PrintV2",
    "HashTable", "HashTableV2", "MutableHashTable", "MutableHashTableV2", "MutableHashTableOfTensors",
    "MutableHashTableOfTensorsV2", "MutableDenseHashTable", "MutableDenseHashTableV2", "LookupTableFind",
    "LookupTableFindV2", "LookupTableSize", "LookupTableSizeV2", "InitializeTable", "InitializeTableV2",
    "InitializeTableFromTextFile", "InitializeTableFromTextFileV2", "TensorArray", "TensorArrayV2", "TensorArrayV3",
    "TensorArrayRead", "TensorArrayReadV2", "TensorArrayReadV3", "TensorArraySize", "TensorArraySizeV2",
    "TensorArraySizeV3", "TensorArrayGather", "TensorArrayGatherV2", "TensorArrayGatherV3", "Stack", "StackV2",
    "FIFOQueue", "FIFOQueueV2", "RandomShuffleQueue", "RandomShuffleQueueV2", "PaddingFIFOQueue", "PaddingFIFOQueueV2",
    "Timestamp", "Restore", "RestoreSlice", "RestoreV2", "If", "While", "Case", "StatefulPartitionedCall",
}  # fmt: skip
_RANDOM = re.compile(r"^(Random(?!ShuffleQueue)|Stateless|TruncatedNormal|ParameterizedTruncated|Multinomial).*")


def acts_by_itself(op: str, is_stateful: Callable[[str], bool]) -> bool:
    """Whether an op does something beside what it gives; `is_stateful` is as for acting."""
    return op.startswith("Inplace") or (op not in _PASSIVE and not _RANDOM.match(op) and is_stateful(op))


def acting(library: FunctionDefLibrary, is_stateful: Callable[[str], bool]) -> Callable[[Any], bool]:
    """A function that tells of a NodeDef whether it does something, by itself or in a function that it calls.

    Args:
      library: the graph's FunctionDefLibrary.
      is_stateful: tells it of an op type, by TensorFlow's registry (op_definitions.keeps_state).
    """

    calls = {
        function.signature.name: {name for node in function.node_def for name in called_functions(node)}
        for function in library.function
    }
    active = {
        function.signature.name
        for function in library.function
        if any(acts_by_itself(node.op, is_stateful) for node in function.node_def)
    }
    callers: dict[str, set[str]] = {}
    for name, called in calls.items():
        for each in called & calls.keys():
            callers.setdefault(each, set()).add(name)
    waiting = list(active)
    while waiting:
        for caller in callers.get(waiting.pop(), set()) - active:
            active.add(caller)
            waiting.append(caller)
    return lambda node: acts_by_itself(node.op, is_stateful) or not active.isdisjoint(called_functions(node))
