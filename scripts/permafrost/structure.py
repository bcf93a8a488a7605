"""The judge's first layer: every node of the frozen graph is the meta graph's, but for a closed table of changes.

Numbers alone would not notice a changed seed, a dropped assertion or an epsilon too small to matter for the inputs
tried. The judge derives again, from the meta graph, what a node may have become; it does not ask the freezer.
"""

from permafrost.contract import Problem
from permafrost.metagraph import VARIABLE_OPS, GraphIndex, tensor_name

# Frozen op <- what it may have been. Inputs and attributes of these are compared only as far as their entry says.
_CONVERSIONS = {
    ("VariableV2", "Const"): "variable",
    ("Variable", "Const"): "variable",
    ("VarHandleOp", "Const"): "variable",
    ("ReadVariableOp", "Identity"): "first input",
    ("ResourceGather", "GatherV2"): "first inputs",
    ("ResourceGatherNd", "GatherNd"): "first inputs",
    ("VariableShape", "Shape"): "first input",
    ("Assign", "Identity"): "second input",
    ("AssignAdd", "Add"): "first inputs",
    ("AssignSub", "Sub"): "first inputs",
    ("AssignVariableOp", "NoOp"): "controls",
    ("AssignAddVariableOp", "NoOp"): "controls",
    ("AssignSubVariableOp", "NoOp"): "controls",
    ("IsVariableInitialized", "Const"): "controls",
    ("VarIsInitializedOp", "Const"): "controls",
}
_REF_TWINS = ("Identity", "Switch", "Merge", "Enter", "Exit", "NextIteration")
_CONVERSIONS |= {(f"Ref{op}", op): "same" for op in _REF_TWINS}
_INPUTS = {
    "variable": slice(0, 0),
    "first input": slice(0, 1),
    "first inputs": slice(0, 2),
    "second input": slice(1, 2),
}
_PASSING = ("Enter", "Exit", "Identity", "NextIteration", "Switch", "_SwitchN")
_NOT_COMPARED = ("_output_shapes", "_class")


def check(meta_graph, frozen, cuts: dict[str, str]) -> int:
    """Compares each node and function of the frozen GraphDef with the meta graph's; returns the number of nodes.

    Args:
      cuts: fed tensor -> tensor of the placeholder in its place.
    Raises Problem (structure_differs) naming the first node that is neither the same nor a permitted change.
    """
    original = GraphIndex(meta_graph.graph_def)
    renamed = {tensor_name(fed): tensor_name(placeholder) for fed, placeholder in cuts.items()}
    placeholders = {name for name, _ in renamed.values()}
    for node in frozen.node:
        if node.name in placeholders and node.op == "Placeholder":
            continue
        before = original.nodes.get(node.name)
        if before is None:
            if not _is_gather_axis(node, original):
                raise _differs(node, "is not in the meta graph")
            continue
        rule = "same" if before.op == node.op else _CONVERSIONS.get((before.op, node.op))
        if rule is None:
            raise _differs(node, f"was {before.op} in the meta graph")
        if not _inputs_agree(before, node, rule, renamed, placeholders):
            raise _differs(node, "has other inputs than in the meta graph")
        if rule == "same" and (attribute := _other_attribute(before, node, original)):
            raise _differs(node, f"has another value of the attribute {attribute!r} than in the meta graph")
    functions = {function.signature.name: function for function in meta_graph.graph_def.library.function}
    for function in frozen.library.function:
        if functions.get(function.signature.name) != function:
            raise Problem("structure_differs", f"function {function.signature.name!r} differs from the meta graph's")
    return len(frozen.node)


def _differs(node, how: str) -> Problem:
    return Problem("structure_differs", f"node {node.name!r} ({node.op}) of the frozen graph {how}")


def _is_gather_axis(node, original: GraphIndex) -> bool:
    gather = original.nodes.get(node.name.removesuffix("/axis"))
    return node.op == "Const" and gather is not None and gather.op == "ResourceGather"


def _inputs_agree(before, after, rule: str, renamed: dict, placeholders: set[str]) -> bool:
    def data(node, chosen: slice) -> list:
        return [renamed.get(point, point) for point in GraphIndex.inputs_of(node)[chosen]]

    if rule == "controls":
        return data(after, slice(None)) == [] and _controls(after, placeholders) == _controls(before, placeholders)
    if rule == "same":
        return data(before, slice(None)) == data(after, slice(None)) and _controls(before, placeholders) == _controls(
            after, placeholders
        )
    chosen = _INPUTS[rule]
    return data(before, chosen) == data(after, slice(0, chosen.stop - chosen.start))


def _controls(node, placeholders: set[str]) -> set[str]:
    return {name for name in GraphIndex.control_inputs_of(node) if name not in placeholders}


def _other_attribute(before, after, original: GraphIndex) -> str:
    """The name of an attribute that differs. Attributes that only one side has are defaults that the importer set."""
    for name in before.attr:
        if name in _NOT_COMPARED or name not in after.attr:
            continue
        if name == "T" and after.op in _PASSING and _origin_is_variable(original, before):
            continue
        if before.attr[name] != after.attr[name]:
            return name
    return ""


def _origin_is_variable(index: GraphIndex, node) -> bool:
    for _ in range(len(index.nodes)):
        if node.op in VARIABLE_OPS:
            return True
        inputs = index.inputs_of(node)
        if not inputs or inputs[0][0] not in index.nodes:
            return False
        node = index.nodes[inputs[0][0]]
    return False
