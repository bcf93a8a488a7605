"""Repairs: what a frozen graph cannot hold, replaced by what computes the same once the variables are constants.

Each repair is recorded, so that a reader of the provenance sees every node that is not as the training program
wrote it. What has no right twin is refused, naming the node. Writes to variables are the matter of permafrost.writes.
"""

from collections.abc import Callable
from dataclasses import dataclass

from permafrost import readers, writes
from permafrost.bodies import PASSING, Body
from permafrost.branches import Branches
from permafrost.contract import Problem
from permafrost.functions import Functions
from permafrost.metagraph import VARIABLE_OPS, GraphIndex, needed_functions, resource_name, tensor_name
from permafrost.protos import types_pb2
from permafrost.pruning import QUEUES, TABLES
from permafrost.readers import READERS
from permafrost.reads import RESOURCE_WRITES
from permafrost.sharing import REF_WRITES

# The plain twin of each op that takes a reference; their inputs, outputs and attributes are the same.
REF_TWINS = {
    "RefIdentity": "Identity",
    "RefSwitch": "Switch",
    "RefMerge": "Merge",
    "RefEnter": "Enter",
    "RefExit": "Exit",
    "RefNextIteration": "NextIteration",
}
_WRITES = (*REF_WRITES, *RESOURCE_WRITES)
# What a restore may run: it assigns what it has read, as it is, and fills the tables that were saved.
_RESTORING = (
    "Assign", "AssignVariableOp", "Identity", "LookupTableImport", "LookupTableImportV2", "NoOp", "ReadVariableOp",
    "Restore", "RestoreSlice", "RestoreV2", "Shape", "VariableShape",
)  # fmt: skip
_FILLED = (*VARIABLE_OPS, *TABLES, *QUEUES)
_HANDLES = ("_VarHandlesOp", "DestroyResourceOp")
# Ops that write to references: to all that they take, or to the first.
_UPDATES = ("Apply", "SparseApply")
_CHANGES = ("Assign", "CountUpTo", "Scatter", "StridedSliceAssign")
# Where a SavedModel names the op that its loader runs (tensorflow/python/saved_model/constants.py), in that order.
_INIT_OP_SIGNATURE = "__saved_model_init_op"
_INIT_OP_COLLECTIONS = ("saved_model_main_op", "legacy_init_op")
_PYTHON = ("PyFunc", "PyFuncStateless", "EagerPyFunc")


@dataclass(frozen=True)
class Known:
    """What is known of a graph's variables before it is repaired.

    converted: the variable nodes that become constants; what concerns others is left as it is. restored: those that the
    checkpoint has a value for. doubtful: those that may have a value though the checkpoint has none for them.
    writing_ops: op types that take a reference to a variable (`is_ref` inputs in TensorFlow's op registry).
    """

    converted: set[str]
    restored: set[str]
    doubtful: set[str]
    writing_ops: set[str]


def doubtful(meta_graph) -> set[str]:
    """The variables of a meta graph that other nodes than those that its saver fills may give a value before a run.

    These are nodes that are one variable by their shared_name, and what a restore assigns.
    """
    index = GraphIndex(meta_graph.graph_def)
    names: dict[tuple, list[str]] = {}
    for node in meta_graph.graph_def.node:
        if node.op in VARIABLE_OPS:
            names.setdefault(resource_name(node), []).append(node.name)
    found = {name for twins in names.values() if len(twins) > 1 for name in twins}
    restore_op = tensor_name(meta_graph.saver_def.restore_op_name)[0]
    body = Body(meta_graph.graph_def.node)
    for name in index.reach([restore_op]) if restore_op else ():
        node = index.nodes[name]
        if node.op in (*REF_WRITES, *RESOURCE_WRITES) and node.input:
            found.add(body.origin(node.input[0]))
    return found


def refuse_filling(meta_graph, graph_def) -> None:
    """Raises Problem (unsupported_op) where a restore fills something of the graph with more than what it restores.

    A frozen graph has the values of the checkpoint, not what a saver computes, inserts or enqueues.
    """
    kept = {node.name for node in graph_def.node if node.op in _FILLED}
    index, body = GraphIndex(meta_graph.graph_def), Body(meta_graph.graph_def.node)
    restore_op = tensor_name(meta_graph.saver_def.restore_op_name)[0]
    for name in sorted(index.reach([restore_op])) if restore_op else ():
        node = index.nodes[name]
        data = [text for text in node.input if not text.startswith("^")] if node.op not in _RESTORING else []
        for origin in map(body.origin, data):
            if origin in kept:
                raise Problem(
                    "unsupported_op", f"node {name!r} ({node.op}) changes {origin!r} while the saver restores"
                )


def refuse_loading(meta_graph, graph_def) -> None:
    """Raises Problem (unsupported_op) where a SavedModel's own init op writes to a variable of the graph.

    TensorFlow's loader runs that op after the restore (get_init_op in tensorflow/python/saved_model/loader_impl.py); a
    frozen graph has what was restored.
    """
    variables = {node.name: node.op for node in graph_def.node if node.op in VARIABLE_OPS}
    index, body = GraphIndex(meta_graph.graph_def), Body(meta_graph.graph_def.node)
    init_op = _init_op(meta_graph)
    for name in sorted(index.reach([init_op])):
        node = index.nodes[name]
        for position, text in enumerate(node.input):
            origin = body.origin(text) if not text.startswith("^") else ""
            if origin in variables and _writes(node.op, position, variables[origin]):
                raise Problem(
                    "unsupported_op",
                    f"node {name!r} ({node.op}), which the SavedModel's init op {init_op!r} runs after the restore, "
                    f"writes to variable {origin!r}",
                )


def _writes(op: str, position: int, variable_op: str) -> bool:
    """Whether an op that takes a variable at `position` may write to it; of a handle, all that is not known to read."""
    if variable_op == "VarHandleOp":
        return op not in (*READERS, *PASSING)
    return op.startswith(_UPDATES) or (position == 0 and op.startswith(_CHANGES))


def _init_op(meta_graph) -> str:
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


def repair(graph_def, known: Known, acts: Callable[[object], bool], fetched: list[str]) -> list[dict]:
    """Replaces in place what cannot stand in a frozen graph; returns the repairs made, in graph order.

    Args:
      acts: tells which nodes do something beside what they give (permafrost.effects).
      fetched: the names of the tensors that are the outputs.
    Raises Problem (unsupported_op) for a node that has no right replacement.
    """
    for function in needed_functions(graph_def.node, graph_def.library):
        for node in function.node_def:
            _refuse(f"{function.signature.name}/{node.name}", node)
    body = Body(graph_def.node)
    kept = {node.name for node in graph_def.node if node.op in VARIABLE_OPS} - known.converted
    written = {body.origin(node.input[0]) for node in graph_def.node if node.op in _WRITES and node.input}
    made, branches = [], None
    for node in graph_def.node:
        op = node.op
        _refuse(node.name, node)
        if not (op in known.writing_ops or op == "VarIsInitializedOp") or not node.input:
            continue
        variable = body.origin(node.input[0])
        if variable in kept or (op in REF_WRITES and variable in known.converted):
            continue
        if op in REF_TWINS:
            node.op = REF_TWINS[op]
        elif op in ("IsVariableInitialized", "VarIsInitializedOp"):
            branches = branches or Branches(body)
            readers.refuse_in_branch(branches, node)
            if variable not in known.restored and variable in known.doubtful | written:
                raise Problem(
                    "unsupported_op", f"node {node.name!r} ({op}) asks for a variable that something else may fill"
                )
            readers.initialized(body, node, 0, value=variable in known.restored)
        else:
            raise Problem("unsupported_op", f"node {node.name!r} ({op}) writes to a variable, which is a constant now")
        made.append({"repair": f"{op} -> {node.op}", "node": node.name})
    functions = Functions(graph_def.library, [], acts)
    return made + writes.settle(Body(graph_def.node), known.converted, functions.written_by_call, acts, fetched)


def _refuse(name: str, node) -> None:
    """Raises Problem (unsupported_op) for what reaches beyond the graph, or a variable by another way than its node."""
    if node.op in _PYTHON:
        raise Problem("unsupported_op", f"node {name!r} ({node.op}) runs Python code of the training program")
    if node.op in _HANDLES or (node.op == "Const" and node.attr["dtype"].type == types_pb2.DT_RESOURCE):
        raise Problem("unsupported_op", f"node {name!r} ({node.op}) reaches resources by their names, not by the graph")
    if node.op.startswith("Inplace"):
        raise Problem("unsupported_op", f"node {name!r} ({node.op}) writes into its input's memory")
