"""Graphs that read and write a variable in no order: reads come first, in the checkpoint's graph as in the frozen one.

A batch normalisation written by hand often updates its averages in every run, beside a cond that reads them. An
Identity of a reference hands on the variable's own buffer, so TensorFlow then gives what the two threads make of it,
another value from run to run. Any order is allowed; this one is what the program meant, and always gives the same.
"""

from permafrost.metagraph import GraphIndex
from permafrost.protos import types_pb2

_VARIABLES = ("Variable", "VariableV2")
_WRITES = ("Assign", "AssignAdd", "AssignSub")
# Those that DeepCopy has a kernel for, see inplace_ops.cc in tensorflow/core/kernels.
_COPIED = {types_pb2.DT_FLOAT, types_pb2.DT_DOUBLE, types_pb2.DT_HALF, types_pb2.DT_INT32, types_pb2.DT_INT64}


def reads_first(graph_def, running: set[str]) -> list[str]:
    """Has each read of a variable that the same run writes take a copy, before any write that it does not follow.

    Args:
      graph_def: changed in place.
      running: the nodes that a run executes.
    Returns the names of the reads that were changed.
    """
    index = GraphIndex(graph_def)
    changed = []
    for variable in graph_def.node:
        if variable.op not in _VARIABLES or variable.attr["dtype"].type not in _COPIED:
            continue
        users = [node for node in index.consumers.get(variable.name, []) if node.name in running]
        users = [node for node in users if index.inputs_of(node)[:1] == [(variable.name, 0)]]
        writes = [node for node in users if node.op in _WRITES and not _is_in_loop(index, node)]
        for read in users if writes else ():
            if read.op != "Identity":
                continue
            before = index.reach([read.name])
            read.op = "DeepCopy"
            changed.append(read.name)
            for write in writes:
                if write.name not in before:
                    write.input.append(f"^{read.name}")
    return changed


def _is_in_loop(index: GraphIndex, node) -> bool:
    """Whether a node may be in a while loop, into which no control input can go from outside."""
    return any(index.nodes[name].op in ("Enter", "RefEnter") for name in index.reach([node.name]))
