"""Variables to constants, in the graph: the same NodeDefs that TensorFlow's own conversion writes.

The algorithm is that of tensorflow/python/framework/convert_to_constants.py: a variable node becomes a Const, and
the change goes on along its outputs: a ReadVariableOp becomes an Identity, a ResourceGather a GatherV2 with an axis
constant at the end of the graph, and passing ops (Identity, Enter, Exit, NextIteration, Switch) take the variable's
dtype and lose `_output_shapes`. Where TensorFlow raises or writes a graph that cannot be imported (batch_dims, a
variable as a Switch's predicate) the result here is the right one.
"""

from permafrost.contract import Problem
from permafrost.metagraph import VARIABLE_OPS, GraphIndex
from permafrost.protos import types_pb2

_PASSING = ("Enter", "Exit", "Identity", "NextIteration", "Switch", "_SwitchN")
_READERS = ("ReadVariableOp", "ResourceGather", "ResourceGatherNd")


def convertible(graph_def, allowlist: list[str] | None, denylist: list[str] | None) -> list[str]:
    """The names of the variable nodes to convert, in graph order; a list that is None or empty limits nothing."""
    return [
        node.name
        for node in graph_def.node
        if node.op in VARIABLE_OPS
        and (not allowlist or node.name in allowlist)
        and (not denylist or node.name not in denylist)
    ]


def convert(graph_def, variables: list[str]) -> None:
    """Rewrites, in place, what follows each of the variable nodes `variables`; the nodes themselves stay.

    The writer puts the variables' constants in their place, straight from the checkpoint.
    Raises Problem (unsupported_op) where a variable's handle goes into a node that needs the handle itself.
    """
    index = GraphIndex(graph_def)
    edges = _edges(graph_def)
    original_ops = {node.name: node.op for node in graph_def.node}
    axes: dict[str, object] = {}
    for name in variables:
        dtype = index.nodes[name].attr["dtype"].type
        is_handle = original_ops[name] == "VarHandleOp"
        waiting, seen = list(edges.get(name, ())), set()
        while waiting:
            consumer, position = waiting.pop()
            if (consumer, position) in seen:
                continue
            seen.add((consumer, position))
            node, op = index.nodes[consumer], original_ops[consumer]
            if op in _PASSING:
                if position == 0:
                    node.attr["T"].type = dtype
                    node.attr.pop("_output_shapes", None)
                    waiting.extend(edges.get(consumer, ()))
            elif op == "ReadVariableOp":
                _read_to_identity(node)
            elif op == "ResourceGather":
                axes[node.name] = _gather_to_gather_v2(node)
            elif op == "ResourceGatherNd":
                _gather_nd(node)
            elif is_handle and op not in ("Shape", *VARIABLE_OPS):
                raise Problem(
                    "unsupported_op", f"node {consumer!r} ({op}) needs the handle of variable {name!r}, not its value"
                )
    graph_def.node.extend(axis for axis in axes.values() if axis is not None)
    _refuse_unread_handles(graph_def, set(variables))


def _edges(graph_def) -> dict[str, list[tuple[str, int]]]:
    edges: dict[str, list[tuple[str, int]]] = {}
    for node in graph_def.node:
        for position, (source, _) in enumerate(GraphIndex.inputs_of(node)):
            edges.setdefault(source, []).append((node.name, position))
    return edges


def _cleared(node, op: str, inputs: list[str]):
    """Clears a NodeDef but for its name and `_class`, gives it a new op, and returns its former attributes."""
    former = type(node)()
    former.CopyFrom(node)
    node.Clear()
    node.name, node.op = former.name, op
    node.input.extend(inputs)
    if "_class" in former.attr:
        node.attr["_class"].CopyFrom(former.attr["_class"])
    return former.attr


def _read_to_identity(node) -> None:
    if node.op == "Identity":
        return
    former = _cleared(node, "Identity", [node.input[0]])
    node.attr["T"].CopyFrom(former["dtype"])


def _gather_to_gather_v2(node):
    if node.op == "GatherV2":
        return None
    former = _cleared(node, "GatherV2", [node.input[0], node.input[1], f"{node.name}/axis"])
    batch_dims = former["batch_dims"].i if "batch_dims" in former else 0
    node.attr["Tparams"].CopyFrom(former["dtype"])
    node.attr["Tindices"].CopyFrom(former["Tindices"])
    node.attr["Taxis"].CopyFrom(former["Tindices"])
    if batch_dims:
        node.attr["batch_dims"].i = batch_dims
    axis = type(node)(name=f"{node.name}/axis", op="Const")
    axis.attr["dtype"].CopyFrom(former["Tindices"])
    tensor = axis.attr["value"].tensor
    tensor.dtype = former["Tindices"].type
    tensor.tensor_shape.SetInParent()
    (tensor.int64_val if tensor.dtype == types_pb2.DT_INT64 else tensor.int_val).append(batch_dims)
    return axis


def _gather_nd(node) -> None:
    if node.op == "GatherNd":
        return
    former = _cleared(node, "GatherNd", [node.input[0], node.input[1]])
    node.attr["Tparams"].CopyFrom(former["dtype"])
    node.attr["Tindices"].CopyFrom(former["Tindices"])


def _refuse_unread_handles(graph_def, converted: set[str]) -> None:
    """A reader that the walk did not reach would read a variable that is no longer there."""
    index = GraphIndex(graph_def)
    for node in graph_def.node:
        if node.op in _READERS and _origin(index, node) in converted:
            raise Problem("unsupported_op", f"node {node.name!r} ({node.op}) reads a variable through a loop's state")


def _origin(index: GraphIndex, node) -> str:
    """The node at the start of the chain of first inputs that leads to `node`."""
    for _ in range(len(index.nodes)):
        inputs = index.inputs_of(node)
        if not inputs or inputs[0][0] not in index.nodes:
            break
        node = index.nodes[inputs[0][0]]
    return node.name
