"""A restore of some variables alone, for a checkpoint that lacks others, or has them with other shapes or dtypes."""

from typing import Any

from permafrost.flow.body import Body
from permafrost.graph.index import TensorName, tensor_name
from permafrost.graph.ops.variables import resource_name
from permafrost.graph.protos import GraphDef, NodeDef, types_pb2

_ASSIGNS = ("Assign", "AssignVariableOp")


def split(graph_def: GraphDef, restore_op: str, variables: set[str]) -> list[str]:
    """Has each assignment to one of `variables` in a restore read its own tensor of the checkpoint alone.

    A RestoreV2 reads many tensors, and fails where the checkpoint lacks one of them. All else stays the graph's own.
    Args:
      graph_def: changed in place; it holds what the restore runs.
      restore_op: the node that restores all variables.
      variables: variable nodes; other nodes that are the same variable count as well.
    Returns the names of the nodes to run in place of `restore_op`.
    """
    body = Body(graph_def.node)
    memory = {resource_name(body.nodes[name]) for name in variables}
    running = _above([restore_op], body, with_controls=True)
    assigns = [node for node in running if node.op in _ASSIGNS and _memory(node, body) in memory]
    single: dict[TensorName, str] = {}
    for node in _above([node.name for node in assigns], body, with_controls=False):
        for position, text in enumerate(node.input):
            source = body.nodes.get(body.source(text))
            if source is not None and source.op == "RestoreV2" and not text.startswith("^"):
                point = tensor_name(text)
                single[point] = single.get(point) or _single(body, source, point[1])
                node.input[position] = single[point]
    return [node.name for node in assigns]


def _memory(assign: NodeDef, body: Body) -> Any:
    """What tells the variable that a NodeDef assigns to; None where it is none of the graph."""
    variable = body.nodes.get(body.origin(assign.input[0])) if assign.input else None
    return None if variable is None else resource_name(variable)


def _above(names: list[str], body: Body, with_controls: bool) -> list[NodeDef]:
    """The nodes `names` and all before them, in the order of the graph."""
    found, waiting = set(), list(names)
    while waiting:
        name = waiting.pop()
        if name not in found and name in body.nodes:
            found.add(name)
            texts = body.nodes[name].input
            waiting += [body.source(text) for text in texts if with_controls or not text.startswith("^")]
    return [node for name, node in body.nodes.items() if name in found]


def _single(body: Body, restore: NodeDef, output: int) -> str:
    """Adds a RestoreV2 that gives one output of another as its only one; returns its name."""
    base = f"{restore.name}/only_{output}"
    filename, *lists = [text for text in restore.input if not text.startswith("^")]
    parts = [_element(body, f"{base}/{place}", text, output) for place, text in enumerate(lists)]
    node = body.container.add(name=body.unused(base), op="RestoreV2", input=[filename, *parts])
    node.attr["dtypes"].list.type.append(restore.attr["dtypes"].list.type[output])
    return str(node.name)


def _element(body: Body, base: str, text: str, place: int) -> str:
    """Adds what cuts one element out of a list of strings; returns its name."""
    begin, size = (_integers(body, f"{base}/{what}", value) for what, value in (("begin", place), ("size", 1)))
    node = body.container.add(name=body.unused(base), op="Slice", input=[text, begin, size])
    node.attr["T"].type, node.attr["Index"].type = types_pb2.DT_STRING, types_pb2.DT_INT32
    return str(node.name)


def _integers(body: Body, name: str, value: int) -> str:
    node = body.container.add(name=body.unused(name), op="Const")
    tensor = node.attr["value"].tensor
    node.attr["dtype"].type = tensor.dtype = types_pb2.DT_INT32
    tensor.tensor_shape.dim.add(size=1)
    tensor.int_val.append(value)
    return str(node.name)
