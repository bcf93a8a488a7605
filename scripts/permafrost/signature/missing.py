"""Nodes that cannot run here: of an op that this TensorFlow lacks or has no CPU kernel for, or that runs Python code.

Such an op often comes last, as a decoder or a resampler. What lies before it can be frozen as well as ever.
"""

from collections.abc import Iterable
from typing import Any

from permafrost.graph.calls import called_functions, needed_functions
from permafrost.graph.feed_points import is_input_pipeline
from permafrost.graph.index import GraphIndex
from permafrost.graph.ops.registry import registered
from permafrost.graph.ops.unsafe import PYTHON_OPS
from permafrost.graph.protos import FunctionDef, NodeDef

# The kernel asks for an input of the op's second version, `deleted_key`
# (tensorflow/core/kernels/lookup_table_op.cc).
_NEVER_RUNS = ("MutableDenseHashTable",)


def lacks_kernel(op: str) -> bool:
    """Whether TensorFlow knows an op type and cannot run it here, on a CPU."""
    from tensorflow.python.framework import kernels

    if registered(op) is None:
        return False
    if op in _NEVER_RUNS:
        return True
    devices = {kernel.device_type for kernel in kernels.get_registered_kernels_for_op(op).kernel}
    return not devices & {"CPU", "DEFAULT"}


def after_missing(index: GraphIndex) -> dict[str, str]:
    """Node -> why it cannot be an output, for all nodes that cannot run here, and those that come after one.

    An input pipeline ends that: where it is cut, what lies before it does not count.
    """
    library = {function.signature.name: function for function in index.graph_def.library.function}
    known: dict[str, str] = {}
    found = {node.name: why for node in index.graph_def.node if (why := _why(node, library, known, index))}
    dependents: dict[str, list[str]] = {}
    for name in index.nodes:
        for source in (*(source for source, _ in index.inputs[name]), *index.controls[name]):
            dependents.setdefault(source, []).append(name)
    waiting = list(found)
    while waiting:
        source = waiting.pop()
        for name in dependents.get(source, ()):
            if name not in found and not is_input_pipeline(index, name):
                found[name] = found[source]
                waiting.append(name)
    return found


def _why(node: NodeDef, library: dict[str, FunctionDef], known: dict[str, str], index: GraphIndex) -> str:
    if is_input_pipeline(index, node.name):
        return ""
    own = _of_node(node.name, node.op, library, known)
    called = [name for name in called_functions(node) if name in library] if not own and library else []
    for function in needed_functions([node], index.graph_def.library) if called else ():
        own = own or _of_nodes(function.signature.name, function.node_def, library, known)
    return own


def _of_nodes(function: str, nodes: Iterable[Any], library: dict[str, FunctionDef], known: dict[str, str]) -> str:
    return next((why for n in nodes if (why := _of_node(f"{function}/{n.name}", n.op, library, known))), "")


def _of_node(name: str, op: str, library: dict[str, FunctionDef], known: dict[str, str]) -> str:
    """Why a node cannot run here, by its op alone; `known` is filled with what is wrong with ops."""
    if op not in known:
        known[op] = _of_op(op) if op not in library else ""
    return f"node {name!r} {known[op].format(op)}" if known[op] else ""


def _of_op(op: str) -> str:
    if op in PYTHON_OPS:
        return "({}) runs Python code of the training program"
    if registered(op) is None:
        return "has op {}, which this TensorFlow lacks"
    return without_kernel(op) if lacks_kernel(op) else ""


def without_kernel(op: str) -> str:
    """What is wrong with a node whose op lacks_kernel; {} stands for the op."""
    if op in _NEVER_RUNS:
        return "has op {}, whose kernel in this TensorFlow asks for an input that the op does not have"
    if op.startswith("TPUReplicated"):
        return "({}) stands for more than one replica on a TPU, each with a value of its own"
    return "has op {}, for which this TensorFlow has no kernel on a CPU"
