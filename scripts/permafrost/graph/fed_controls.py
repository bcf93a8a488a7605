"""Nodes that run though they are fed: what is fed replaces a tensor, and not the node that others wait for.

TensorFlow moves the data edges of a fed tensor to what is fed, and leaves its node's control edges, but for those of a
placeholder (RewriteGraphForExecution in tensorflow/core/graph/subgraph.cc).
"""

from typing import Any

from permafrost.graph.calls import needed_functions
from permafrost.graph.index import GraphIndex
from permafrost.graph.ops.effects import acts_by_itself
from permafrost.graph.ops.registry import keeps_state, registered
from permafrost.graph.ops.variables import RESOURCE_WRITES
from permafrost.graph.protos import types_pb2

# Ops of input pipelines: a graph that is served has placeholders in their place.
INPUT_PIPELINES = {
    "QueueDequeue", "QueueDequeueV2", "QueueDequeueMany", "QueueDequeueManyV2", "QueueDequeueUpTo",
    "QueueDequeueUpToV2", "IteratorGetNext", "IteratorGetNextSync", "ReaderRead", "ReaderReadV2", "Unstage",
    "MapUnstage", "OrderedMapUnstage",
}  # fmt: skip


def runs_though_fed(index: GraphIndex, name: str) -> bool:
    """Whether a fed node has to run for those that wait for it by a control input.

    It does where it, or what it waits for, does something that another node could find. Else nobody could tell, and a
    graph without it takes fewer inputs. To take from an input pipeline is nothing of that kind: feeding is to end it.
    Imports TensorFlow for its op registry.
    """
    above = [index.nodes[source] for source in index.reach([name])]
    functions = needed_functions(above, index.graph_def.library)
    return any(map(_changes, {node.op for node in above} | {n.op for f in functions for n in f.node_def}))


def _changes(op: str) -> bool:
    """Whether a node of an op type changes what another may find: a variable, or a state of any other kind."""
    if op in INPUT_PIPELINES:
        return False
    definition = registered(op)
    if definition is None or op in RESOURCE_WRITES:
        return True
    if definition.output_arg and all(map(_is_handle, definition.output_arg)):
        return False
    takes_variable = any(arg.is_ref for arg in definition.input_arg)
    is_write = takes_variable and not op.startswith("Ref") and op != "IsVariableInitialized"
    return is_write or acts_by_itself(op, lambda _: keeps_state(definition))


def _is_handle(arg: Any) -> bool:
    return bool(arg.type == types_pb2.DT_RESOURCE or (arg.is_ref and arg.type == types_pb2.DT_STRING))
