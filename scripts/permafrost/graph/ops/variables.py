"""The ops that are variables, those that write to them, and what a variable's node says of it."""

from collections.abc import Sequence

from permafrost.graph.protos import NodeDef

VARIABLE_OPS = ("Variable", "VariableV2", "VarHandleOp")

# Op that writes to a part of a variable -> the op that gives all of the variable then. Products and quotients have no
# op of their own: rows that were computed before are put there.
REF_SCATTERS = {
    "ScatterUpdate": "TensorScatterUpdate",
    "ScatterAdd": "TensorScatterAdd",
    "ScatterSub": "TensorScatterSub",
    "ScatterMul": "TensorScatterUpdate",
    "ScatterDiv": "TensorScatterUpdate",
    "ScatterMin": "TensorScatterMin",
    "ScatterMax": "TensorScatterMax",
    "ScatterNdUpdate": "TensorScatterUpdate",
    "ScatterNdAdd": "TensorScatterAdd",
    "ScatterNdSub": "TensorScatterSub",
    "ScatterNdMin": "TensorScatterMin",
    "ScatterNdMax": "TensorScatterMax",
}
RESOURCE_SCATTERS = {f"Resource{op}": twin for op, twin in REF_SCATTERS.items()}

ASSIGNS = ("Assign", "AssignVariableOp")  # a whole value, whatever was there
# Op that writes to a variable -> the op that computes what is in the variable then.
REF_WRITES = {"Assign": "Identity", "AssignAdd": "Add", "AssignSub": "Sub"} | REF_SCATTERS
RESOURCE_WRITES = {
    "AssignVariableOp": "Identity",
    "AssignAddVariableOp": "Add",
    "AssignSubVariableOp": "Sub",
} | RESOURCE_SCATTERS


Resource = tuple[bool, str, str]  # whether it goes by a handle, its container, its name


def resource_name(variable: NodeDef) -> Resource:
    """What tells the memory of a variable's NodeDef: two nodes for which it is the same are one variable.

    Source: VariableV2's kernel takes its node's name where it has no shared_name, VarHandleOp's the shared_name alone
    (variable_ops.cc and resource_variable_ops.cc in tensorflow/core/kernels); the one kind does not see the other.
    """
    # Asking a map field for a key that it lacks would add it.
    values = (variable.attr[key].s if key in variable.attr else b"" for key in ("container", "shared_name"))
    container, name = (value.decode("utf-8", "replace") for value in values)
    container = "" if container == "localhost" else container  # what a session takes where a node has none
    is_handle = variable.op == "VarHandleOp"
    return is_handle, container, name if is_handle else name or variable.name


def may_have_shape(declared: Sequence[int] | None, shape: Sequence[int] | None) -> bool:
    """Whether a variable that is declared with one shape (-1: any size) may have another; what is not known agrees."""
    # TF 0.x wrote no dimensions for a shape that it did not know.
    if not declared or shape is None:
        return True
    return len(declared) == len(shape) and all(a in (-1, b) for a, b in zip(declared, shape, strict=True))


def static_shape(node: NodeDef) -> tuple[int, ...] | None:
    """A variable's or placeholder's `shape` attribute; unknown dimensions are -1, an unknown rank is None."""
    if "shape" not in node.attr or node.attr["shape"].shape.unknown_rank:
        return None
    return tuple(dimension.size for dimension in node.attr["shape"].shape.dim)
