"""Ops that may give something else each time: by drawing numbers, by a clock, or by a memory."""

import re

from permafrost.graph.ops.registry import registered
from permafrost.graph.ops.variables import RESOURCE_WRITES, VARIABLE_OPS

RANDOM = re.compile(r"^(Random|Stateless(Random|Truncated)|TruncatedNormal|ParameterizedTruncated|Multinomial).*")
# Stateful ops that give the same in each run, and after which all is as before: they read what a restore or an
# initializer has put there, hold tensors within a run (stacks lie in the step's container), call functions (whose nodes
# are looked at by themselves), or are there for what they do on the side.
READING = frozenset({
    *VARIABLE_OPS, "ReadVariableOp", "ResourceGather", "ResourceGatherNd", "VariableShape", "VarIsInitializedOp",
    "IsVariableInitialized", "Assert", "Print", "PrintV2", "If", "While", "Case", "StatefulPartitionedCall",
    "StackV2", "StackPushV2", "StackPopV2", "StackCloseV2", "Stack", "StackPush", "StackPop", "StackClose",
    "HashTable", "HashTableV2", "LookupTableFind", "LookupTableFindV2", "LookupTableSize", "LookupTableSizeV2",
    "MutableHashTable", "MutableHashTableV2", "MutableHashTableOfTensors", "MutableHashTableOfTensorsV2",
    "MutableDenseHashTable", "MutableDenseHashTableV2",
})  # fmt: skip
# What fills a table, with the same each time that it runs for the first time in a session.
TABLE_INITIALIZERS = frozenset({
    "InitializeTable", "InitializeTableV2", "InitializeTableFromTextFile", "InitializeTableFromTextFileV2",
    "LookupTableImport", "LookupTableImportV2",
})  # fmt: skip
# Whether what a write of a variable leaves behind matters is for who looks at the variable's readers to say.
_SAME_EACH_TIME = READING | TABLE_INITIALIZERS | {"Restore", "RestoreSlice", "RestoreV2", *RESOURCE_WRITES}


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
