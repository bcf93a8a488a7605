"""Whether what a run executes keeps state: leaves something behind that a later run in its session could find.

TensorFlow's op registry alone does not say it. `is_stateful` is false of Assign, ApplyAdam and InplaceUpdate, which
write; and true of ReadVariableOp, Assert and TensorArrayV3, which leave nothing behind. It is false, too, of
FractionalMaxPool, whose kernel has a random generator, and of Unbatch, which finds what earlier runs gave it.
"""

from collections.abc import Iterable, Iterator

from permafrost.graph.calls import needed_functions
from permafrost.graph.index import GraphIndex
from permafrost.graph.ops.registry import registered
from permafrost.graph.ops.stateful import READING, TABLE_INITIALIZERS
from permafrost.graph.ops.unsafe import executed
from permafrost.graph.protos import NodeDef, OpDef

# Ops with state, or that take a reference, after which all is as before. A TensorArray, which lies in the step's
# container as well, is told by the beginning of its op.
LEAVING_NOTHING = READING | {
    "RefEnter", "RefExit", "RefIdentity", "RefMerge", "RefNextIteration", "RefSelect", "RefSwitch",
    "LookupTableExport", "LookupTableExportV2", "CheckNumerics", "CheckNumericsV2", "DeepCopy", "DeviceIndex",
}  # fmt: skip
# They write to the buffer of what they take, which may be a variable's, and neither have state nor take a reference.
_IN_PLACE = frozenset({"InplaceAdd", "InplaceSub", "InplaceUpdate", "_ParallelConcatUpdate"})
# Attributes of ops whose kernels have a random generator, or share something under a name with other runs.
_TELLING = frozenset({"seed", "seed2", "container", "shared_name"})


def find_state_keeper(
    index: GraphIndex, fetched: Iterable[str], fed: set[str], initializers: Iterable[str]
) -> NodeDef | None:
    """The first of what `state_keepers` gives; None where no node keeps state.

    Then each run in one session gives what it would give as the first run of a fresh one, given that what restores the
    variables does: `initializers` need to run only once, before the first.
    """
    return next(state_keepers(index, fetched, fed, initializers), None)


def state_keepers(
    index: GraphIndex, fetched: Iterable[str], fed: set[str], initializers: Iterable[str]
) -> Iterator[NodeDef]:
    """The nodes that keep state from run to run, functions' bodies included.

    Args:
      fetched: the tensors, or nodes, of the runs. fed: the tensors that each run feeds, with their output's number, as
        `x:0`.
      initializers: the nodes that are run by themselves, without a feed, once a session: these may fill tables.
    Random ops keep state: their generators go on. Imports TensorFlow for its op registry, and runs nothing.
    """
    in_runs = executed(index, fetched, fed)
    before = executed(index, initializers, set()) - in_runs
    yield from (node for node in _nodes(index, in_runs) if _keeps_state(index, node, False))
    yield from (node for node in _nodes(index, before) if _keeps_state(index, node, True))


def _nodes(index: GraphIndex, names: set[str]) -> Iterator[NodeDef]:
    """The nodes `names` in graph order, and then those of the functions that they call."""
    nodes = [node for name, node in index.nodes.items() if name in names]
    yield from nodes
    for function in needed_functions(nodes, index.graph_def.library):
        yield from function.node_def


def _keeps_state(index: GraphIndex, node: NodeDef, may_fill: bool) -> bool:
    if node.op in LEAVING_NOTHING or node.op.startswith("TensorArray") or (may_fill and node.op in TABLE_INITIALIZERS):
        return False
    definition = registered(node.op)
    if definition is None:
        return all(function.signature.name != node.op for function in index.graph_def.library.function)
    return definition.is_stateful or node.op in _IN_PLACE or _has_memory(definition)


def _has_memory(definition: OpDef) -> bool:
    takes_reference = any(argument.is_ref for argument in definition.input_arg)
    return takes_reference or not _TELLING.isdisjoint(attribute.name for attribute in definition.attr)
