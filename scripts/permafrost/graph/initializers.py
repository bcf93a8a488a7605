"""Nodes that are run once after a restore and write to variables: which ones, and to which variables.

TensorFlow's freeze_graph runs those of `--initializer_nodes`, and its loader of SavedModels the init op, before
anything else; what they leave in variables is frozen.
"""

from permafrost.graph.index import GraphIndex, tensor_name
from permafrost.graph.ops.variables import REF_WRITES, RESOURCE_WRITES, VARIABLE_OPS
from permafrost.graph.protos import MetaGraphDef

# Where a SavedModel names the op that its loader runs (tensorflow/python/saved_model/constants.py), in that order.
_INIT_OP_SIGNATURE = "__saved_model_init_op"
_INIT_OP_COLLECTIONS = ("saved_model_main_op", "legacy_init_op")


def init_op(meta_graph: MetaGraphDef) -> str:
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


def written_by(index: GraphIndex, name: str) -> list[str]:
    """The variable nodes to which a run of a node writes, in graph order."""
    reached = index.reach([name])
    return [variable for variable in index.nodes if variable in {_target(index, node) for node in reached}]


def is_write(index: GraphIndex, name: str) -> bool:
    """Whether a node assigns to, adds to or subtracts from a variable that the graph shows."""
    return bool(_target(index, name))


def _target(index: GraphIndex, name: str) -> str:
    """The variable to which a node writes, itself; "" where it writes to none, or to one that is not seen."""
    if index.ops[name] not in (*REF_WRITES, *RESOURCE_WRITES) or not index.inputs[name]:
        return ""
    source = index.inputs[name][0][0]
    while index.ops.get(source) in ("Identity", "RefIdentity") and index.inputs[source]:
        source = index.inputs[source][0][0]
    return source if index.ops.get(source) in VARIABLE_OPS else ""


def run_after_restore(meta_graph: MetaGraphDef, index: GraphIndex, named: list[str]) -> list[str]:
    """The nodes that write to variables among the init op of a SavedModel and the nodes `named`, in that order."""
    names = dict.fromkeys([init_op(meta_graph), *(tensor_name(name)[0] for name in named)])
    return [name for name in names if name in index.nodes and written_by(index, name)]
