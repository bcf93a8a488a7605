"""The same random numbers on both sides of a comparison: op seeds that follow from the nodes' names."""

import zlib
from functools import cache

from tensorflow.python.framework import op_def_registry

from permafrost.graph.calls import needed_functions
from permafrost.graph.index import GraphIndex
from permafrost.graph.ops.unsafe import executed
from permafrost.graph.protos import GraphDef


def seed_random_ops(graph_def: GraphDef) -> int:
    """Gives each random op of `graph_def` an op seed made from its name, in place; returns the number of such ops.

    Ops in library functions count too. Their seeds follow from the node's name alone, not from the function's, since
    a function of a frozen graph is a copy under another name.
    """
    count = 0
    for nodes in (graph_def.node, *(function.node_def for function in graph_def.library.function)):
        for node in nodes:
            if is_seeded(node.op):
                node.attr["seed"].i = 1
                node.attr["seed2"].i = zlib.crc32(node.name.encode()) | 1
                count += 1
    return count


@cache
def is_seeded(op: str) -> bool:
    """Whether an op type draws random numbers from a seed that its nodes state."""
    # A node says less than its op: one with the default seeds may lack the attributes.
    definition = op_def_registry.get(op)
    return definition is not None and {"seed", "seed2"} <= {
        attribute.name for attribute in definition.attr if attribute.type == "int"
    }


def draws(index: GraphIndex, name: str, fed: set[str]) -> bool:
    """Whether a random op runs for the tensor `name` where the tensors `fed` are fed, in a function or not."""
    nodes = [index.nodes[running] for running in executed(index, [name], fed)]
    functions = needed_functions(nodes, index.graph_def.library)
    return any(is_seeded(node.op) for node in (*nodes, *(n for function in functions for n in function.node_def)))
