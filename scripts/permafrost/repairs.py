"""Repairs: what a frozen graph cannot hold, replaced by what computes the same once the variables are constants.

Each repair is recorded, so that a reader of the provenance sees every node that is not as the training program
wrote it. What has no right twin is refused, naming the node. Writes to variables are the matter of permafrost.writes.
"""

from permafrost import readers, writes
from permafrost.bodies import Body
from permafrost.branches import Branches
from permafrost.contract import Problem
from permafrost.functions import Functions
from permafrost.metagraph import VARIABLE_OPS, needed_functions
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
_PYTHON = ("PyFunc", "PyFuncStateless", "EagerPyFunc")


def repair(graph_def, converted: set[str], restored: set[str], writing_ops: set[str], fetched: list[str]) -> list[dict]:
    """Replaces in place what cannot stand in a frozen graph; returns the repairs made, in graph order.

    Args:
      fetched: the names of the tensors that are the outputs.
      converted: the variable nodes that become constants; what concerns others is left as it is.
      restored: the variable nodes that the checkpoint has a value for.
      writing_ops: op types that take a reference to a variable (`is_ref` inputs in TensorFlow's op registry).
    Raises Problem (unsupported_op) for a node that has no right replacement.
    """
    for function in needed_functions(graph_def.node, graph_def.library):
        for node in function.node_def:
            _refuse_python(f"{function.signature.name}/{node.name}", node.op)
    body = Body(graph_def.node)
    kept = {node.name for node in graph_def.node if node.op in VARIABLE_OPS} - converted
    made, branches = [], None
    for node in graph_def.node:
        op = node.op
        _refuse_python(node.name, op)
        if not (op in writing_ops or op == "VarIsInitializedOp") or not node.input:
            continue
        variable = body.origin(node.input[0])
        if variable in kept or (op in REF_WRITES and variable in converted):
            continue
        if op in REF_TWINS:
            node.op = REF_TWINS[op]
        elif op in ("IsVariableInitialized", "VarIsInitializedOp"):
            branches = branches or Branches(body)
            readers.refuse_in_branch(branches, node)
            readers.initialized(body, node, 0, value=variable in restored)
        else:
            raise Problem("unsupported_op", f"node {node.name!r} ({op}) writes to a variable, which is a constant now")
        made.append({"repair": f"{op} -> {node.op}", "node": node.name})
    functions = Functions(graph_def.library, [])
    return made + writes.settle(Body(graph_def.node), converted, functions.written_by_call, fetched)


def _refuse_python(name: str, op: str) -> None:
    if op in _PYTHON:
        raise Problem("unsupported_op", f"node {name!r} ({op}) runs Python code of the training program")
