"""The closed table of what a node of the meta graph may be in the frozen graph, derived here again for the judge.

It says the same as the freezer's own modules say, in other words and on its own: the freezer makes changes, this
says what a changed node has to look like to the last attribute. Sources: convert_to_constants.py in
tensorflow/python/framework, and for each pair of ops their definitions in TensorFlow's registry.
"""

from collections.abc import Callable

from permafrost.bodies import Body
from permafrost.protos import node_def_pb2, types_pb2

WRITES = ("Assign", "AssignAdd", "AssignSub", "AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp")
REFERENCE_TWINS = ("Identity", "Switch", "Merge", "Enter", "Exit", "NextIteration")
# Op that calls functions -> (first input that is an argument, attribute of the arguments' dtypes).
CALLS = {
    "If": (1, "Tin"),
    "StatelessIf": (1, "Tin"),
    "Case": (1, "Tin"),
    "StatelessCase": (1, "Tin"),
    "PartitionedCall": (0, "Tin"),
    "StatefulPartitionedCall": (0, "Tin"),
    "While": (0, "T"),
    "StatelessWhile": (0, "T"),
}
# What an output is called in a function before and after: op -> (before, after).
RENAMED_OUTPUTS = {"ReadVariableOp": ("value", "output"), "VarIsInitializedOp": ("is_initialized", "output")}


def _data(node) -> list[str]:
    return [text for text in node.input if not text.startswith("^")]


def _controls(node) -> list[str]:
    return [text for text in node.input if text.startswith("^")]


def _made(before, op: str, inputs: list[str], **attributes) -> node_def_pb2.NodeDef:
    node = node_def_pb2.NodeDef(name=before.name, op=op, input=inputs)
    for name, value in attributes.items():
        if not isinstance(value, int):
            node.attr[name].CopyFrom(value)
        else:
            node.attr[name].type = value
    return node


def _read(before, dtype: int, body: Body):
    return _made(before, "Identity", _data(before), T=before.attr["dtype"])


def _gather(before, dtype: int, body: Body):
    axis = f"{before.name}/axis" + (":output:0" if body.function is not None else "")
    indices = before.attr["Tindices"]
    node = _made(before, "GatherV2", [*_data(before), axis], Tindices=indices, Taxis=indices)
    node.attr["Tparams"].CopyFrom(before.attr["dtype"])
    if before.attr["batch_dims"].i:
        node.attr["batch_dims"].i = before.attr["batch_dims"].i
    return node


def _gather_nd(before, dtype: int, body: Body):
    return _made(before, "GatherNd", _data(before), Tparams=before.attr["dtype"], Tindices=before.attr["Tindices"])


def _shape(before, dtype: int, body: Body):
    out_type = before.attr["out_type"].type or types_pb2.DT_INT32
    return _made(before, "Shape", list(before.input), T=dtype, out_type=out_type)


def _written(position: slice, op: str) -> Callable:
    def make(before, dtype: int, body: Body):
        return _made(before, op, [*_data(before)[position], *_controls(before)], T=dtype)

    return make


def _nothing(before, dtype: int, body: Body):
    return _made(before, "NoOp", _controls(before))


def _twin(before, dtype: int, body: Body):
    node = node_def_pb2.NodeDef()
    node.CopyFrom(before)
    node.op = before.op.removeprefix("Ref")
    return node


# (op before, op after) -> function of (NodeDef before, DataType of the variable, Body before) giving the NodeDef after.
CONVERSIONS = {
    ("ReadVariableOp", "Identity"): _read,
    ("ResourceGather", "GatherV2"): _gather,
    ("ResourceGatherNd", "GatherNd"): _gather_nd,
    ("VariableShape", "Shape"): _shape,
    ("Assign", "Identity"): _written(slice(1, 2), "Identity"),
    ("AssignAdd", "Add"): _written(slice(0, 2), "Add"),
    ("AssignSub", "Sub"): _written(slice(0, 2), "Sub"),
    ("AssignVariableOp", "Identity"): _written(slice(1, 2), "Identity"),
    ("AssignAddVariableOp", "Add"): _written(slice(0, 2), "Add"),
    ("AssignSubVariableOp", "Sub"): _written(slice(0, 2), "Sub"),
    ("AssignVariableOp", "NoOp"): _nothing,
    ("AssignAddVariableOp", "NoOp"): _nothing,
    ("AssignSubVariableOp", "NoOp"): _nothing,
} | {(f"Ref{op}", op): _twin for op in REFERENCE_TWINS}


def gather_axis(gather, name: str) -> node_def_pb2.NodeDef:
    """The Const that a converted ResourceGather takes as its axis."""
    dtype = gather.attr["Tindices"].type
    node = node_def_pb2.NodeDef(name=name, op="Const")
    node.attr["dtype"].type = dtype
    tensor = node.attr["value"].tensor
    tensor.dtype = dtype
    tensor.tensor_shape.SetInParent()
    values = tensor.int64_val if dtype == types_pb2.DT_INT64 else tensor.int_val
    values.append(gather.attr["batch_dims"].i)
    return node


def initialized(before, value: bool) -> node_def_pb2.NodeDef:
    """The Const that stands for whether a variable has a value."""
    node = _made(before, "Const", _controls(before), dtype=types_pb2.DT_BOOL)
    tensor = node.attr["value"].tensor
    tensor.dtype = types_pb2.DT_BOOL
    tensor.tensor_shape.SetInParent()
    tensor.bool_val.append(value)
    return node
