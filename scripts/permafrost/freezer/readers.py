"""Ops that take a resource variable's handle, and the ops that do the same with its value.

Each function changes a NodeDef in place to what tensorflow/python/framework/convert_to_constants.py makes of it, and
goes on where that gives up: batch_dims, readers inside functions, and the shape of a variable.
"""

from permafrost.flow.body import Body, controls
from permafrost.flow.branches import Branches, Conditions
from permafrost.flow.orders import MERGES
from permafrost.graph.protos import NodeDef, types_pb2
from permafrost.outcome import Problem


def read(body: Body, node: NodeDef, dtype: int) -> None:
    """ReadVariableOp -> Identity. TensorFlow drops the control inputs: a constant needs no order."""
    body.rename_output(node.name, "value", "output")
    former = node.attr["dtype"].SerializeToString()
    body.rewrite(node, "Identity", [node.input[0]], ("_class",))
    node.device = ""
    node.attr["T"].ParseFromString(former)


def gather(body: Body, node: NodeDef, dtype: int) -> None:
    """ResourceGather -> GatherV2, with the axis as a constant at the end of the body."""
    before = type(node)()
    before.CopyFrom(node)
    batch_dims = before.attr["batch_dims"].i
    axis = body.container.add(name=body.unused(f"{node.name}/axis"), op="Const")
    axis.attr["dtype"].CopyFrom(before.attr["Tindices"])
    tensor = axis.attr["value"].tensor
    tensor.dtype = before.attr["Tindices"].type
    tensor.tensor_shape.SetInParent()
    (tensor.int64_val if tensor.dtype == types_pb2.DT_INT64 else tensor.int_val).append(batch_dims)

    inputs = [node.input[0], node.input[1], body.reference(axis.name, "output")]
    body.rewrite(node, "GatherV2", inputs, ("_class", "Tindices"))
    node.device = ""
    node.attr["Tparams"].CopyFrom(before.attr["dtype"])
    node.attr["Taxis"].CopyFrom(before.attr["Tindices"])
    if batch_dims:
        node.attr["batch_dims"].i = batch_dims


def gather_nd(body: Body, node: NodeDef, dtype: int) -> None:
    """ResourceGatherNd -> GatherNd."""
    former = node.attr["dtype"].SerializeToString()
    body.rewrite(node, "GatherNd", list(node.input[:2]), ("_class", "Tindices"))
    node.device = ""
    node.attr["Tparams"].ParseFromString(former)


def shape(body: Body, node: NodeDef, dtype: int) -> None:
    """VariableShape -> Shape."""
    out_type = node.attr["out_type"].type or types_pb2.DT_INT32
    body.rewrite(node, "Shape", [node.input[0], *controls(node)])
    node.attr["T"].type = dtype
    node.attr["out_type"].type = out_type


def initialized(body: Body, node: NodeDef, dtype: int, value: bool = True) -> None:
    """VarIsInitializedOp or IsVariableInitialized -> Const."""
    body.rename_output(node.name, "is_initialized", "output")
    body.rewrite(node, "Const", controls(node))
    node.attr["dtype"].type = types_pb2.DT_BOOL
    tensor = node.attr["value"].tensor
    tensor.dtype = types_pb2.DT_BOOL
    tensor.tensor_shape.SetInParent()
    tensor.bool_val.append(value)


# Reader -> (its conversion, whether TensorFlow's own conversion is the same in a graph, and in a function).
READERS = {
    "ReadVariableOp": (read, True, True),
    "ResourceGather": (gather, True, False),
    "ResourceGatherNd": (gather_nd, True, True),
    "VariableShape": (shape, False, False),
    "VarIsInitializedOp": (initialized, False, False),
}


def refuse_in_branch(branches: Branches, node: NodeDef) -> None:
    """Raises Problem (unsupported_op) for a node that is to be a constant, and runs on one side of a cond alone."""
    if not branches.of(*_data(node)) <= branches.of(*controls(node)):
        raise Problem("unsupported_op", f"node {node.name!r} ({node.op}) asks for a variable in a cond or a loop")


def keeps_controls(body: Body, branches: Branches, node: NodeDef) -> bool:
    """Whether a reader of a constant needs its control inputs.

    It does where they alone keep it, as an output, or what takes it from running, or where something is done before it.
    """
    if branches.brings_effects(*controls(node)):
        return True
    own = set(branches.of(*controls(node))) - branches.of(*_data(node))
    if own and node.name in body.fetched:
        return True
    return bool(own) and not all(
        consumer.op not in MERGES and own <= _without(body, branches, consumer, node.name)
        for consumer in body.dependents.get(node.name, ())
    )


def _without(body: Body, branches: Branches, consumer: NodeDef, name: str) -> Conditions:
    """The conditions that a consumer's inputs from elsewhere bring with them; a reader's own controls do not count."""
    found: Conditions = frozenset()
    for text in consumer.input:
        source = body.nodes.get(body.source(text))
        if source is not None and source.op in READERS:
            found |= branches.of(*_data(source)) if source.name != name else frozenset()
        else:
            found |= branches.of(text)
    return found


def _data(node: NodeDef) -> list[str]:
    return [text for text in node.input if not text.startswith("^")]


def convert_reader(body: Body, branches: Branches, node: NodeDef, dtype: int) -> None:
    """Converts a node of one of READERS in place, for a variable of DataType `dtype`; it runs where it ran before.

    Raises Problem (unsupported_op) where a constant cannot run on one side of a cond alone.
    """
    if node.op == "VarIsInitializedOp":
        refuse_in_branch(branches, node)
    kept = controls(node) if keeps_controls(body, branches, node) else []
    data = _data(node)
    is_looping = any(kind == "loop" for kind, *_ in branches.of(*data))
    READERS[node.op][0](body, node, dtype)
    node.input.extend(text for text in kept if text not in node.input)
    if node.op == "GatherV2" and is_looping:
        # A constant without inputs lies outside of all loops, where nothing inside may take it.
        body.container[-1].input.append(f"^{body.source(data[1])}")
