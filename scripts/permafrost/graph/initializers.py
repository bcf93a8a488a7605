"""Nodes that are run once after a restore and write to variables: which ones, and to which variables.

TensorFlow's freeze_graph runs those of `--initializer_nodes`, and its loader of SavedModels the init op, before
anything else; what they leave in variables is frozen.
"""

from permafrost.graph.index import GraphIndex, tensor_name
from permafrost.graph.loading import init_op
from permafrost.graph.ops.variables import REF_WRITES, RESOURCE_WRITES, VARIABLE_OPS
from permafrost.graph.protos import MetaGraphDef


def written_by(index: GraphIndex, name: str) -> list[str]:
    """The variable nodes to which a run of a node writes, in graph order."""
    written = {target(index, node) for node in index.reach([name])}
    return [variable for variable in index.nodes if variable in written]


def target(index: GraphIndex, name: str) -> str:
    """The variable to which a node assigns, adds or subtracts, itself; "" where to none, or to one that is not seen."""
    if index.ops[name] not in (*REF_WRITES, *RESOURCE_WRITES) or not index.inputs[name]:
        return ""
    (source, _), _ = index.upstream(index.inputs[name][0], ("Identity", "RefIdentity"))
    return source if index.ops.get(source) in VARIABLE_OPS else ""


def run_after_restore(meta_graph: MetaGraphDef, index: GraphIndex, named: list[str]) -> list[str]:
    """The nodes that write to variables among the init op of a SavedModel and the nodes `named`, in that order."""
    names = dict.fromkeys([init_op(meta_graph), *(tensor_name(name)[0] for name in named)])
    return [name for name in names if name in index.nodes and written_by(index, name)]
