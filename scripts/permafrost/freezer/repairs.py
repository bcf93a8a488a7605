"""Repairs: what a frozen graph cannot hold, replaced by what computes the same once the variables are constants.

Each repair is recorded, so that a reader of the provenance sees every node that is not as the training program
wrote it. What has no right twin is refused, naming the node. Writes to variables are the matter of freezer.writes.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from permafrost.flow.body import Body
from permafrost.flow.branches import Branches
from permafrost.freezer import readers, writes
from permafrost.freezer.functions import Functions
from permafrost.graph.calls import needed_functions
from permafrost.graph.ops.unsafe import PYTHON_OPS
from permafrost.graph.ops.variables import REF_WRITES, RESOURCE_WRITES, VARIABLE_OPS
from permafrost.graph.protos import GraphDef, NodeDef, types_pb2
from permafrost.outcome import Problem
from permafrost.records import Repair

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
_HANDLES = ("_VarHandlesOp", "DestroyResourceOp")


@dataclass(frozen=True)
class Known:
    """What is known of a graph's variables before it is repaired.

    converted: the variable nodes that become constants; what concerns others is left as it is. restored: those that the
    checkpoint has a value for. doubtful: those that may have a value though the checkpoint has none for them.
    references: op type -> first and end of the data inputs that it takes by reference (op_definitions.look_up).
    lenders: op types other than variables that give references to memory of their own, such as the tables and queues of
    the first TensorFlow. names: those of all nodes of the meta graph, which new nodes must not have.
    """

    converted: set[str]
    restored: set[str]
    doubtful: set[str]
    references: dict[str, list[int | None]]
    lenders: set[str]
    names: Collection[str]


def repair(graph_def: GraphDef, known: Known, acts: Callable[[Any], bool], fetched: list[str]) -> list[Repair]:
    """Replaces in place what cannot stand in a frozen graph; returns the repairs made, in graph order.

    Args:
      acts: tells which nodes do something beside what they give (graph.ops.effects).
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
        if not (op in known.references or op == "VarIsInitializedOp") or not node.input:
            continue
        if _takes_no_variable(body, node, known):
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
        made.append(Repair(f"{op} -> {node.op}", node.name))
    functions = Functions(graph_def.library, [], acts)
    body = Body(graph_def.node, fetched=fetched, taken=known.names)
    return made + writes.settle(body, known.converted, functions.written_by_call, acts, fetched)


def _takes_no_variable(body: Body, node: NodeDef, known: Known) -> bool:
    """Whether all that a node takes by reference is memory of other ops than variables."""
    first, end = known.references.get(node.op, (0, 0))
    data = [text for text in node.input if not text.startswith("^")][first:end]
    lenders = [body.nodes.get(body.origin(text)) for text in data]
    return bool(lenders) and all(lender is not None and lender.op in known.lenders for lender in lenders)


def _refuse(name: str, node: NodeDef) -> None:
    """Raises Problem (unsupported_op) for what reaches beyond the graph, or a variable by another way than its node."""
    if node.op in PYTHON_OPS:
        raise Problem("unsupported_op", f"node {name!r} ({node.op}) runs Python code of the training program")
    if node.op in _HANDLES or (node.op == "Const" and node.attr["dtype"].type == types_pb2.DT_RESOURCE):
        raise Problem("unsupported_op", f"node {name!r} ({node.op}) reaches resources by their names, not by the graph")
    if node.op.startswith("Inplace"):
        raise Problem("unsupported_op", f"node {name!r} ({node.op}) writes into its input's memory")
