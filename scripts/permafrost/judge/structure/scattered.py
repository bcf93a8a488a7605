"""What a write to a part of a variable has to look like in a frozen graph, derived here again for the judge.

Sources: scatter_op.cc, resource_variable_ops.cc and scatter_nd_op.cc in tensorflow/core/kernels. The ops for variables
take indices of any rank, and a scalar for all rows (ValidateInput, DoCompute); those for tensors want a last dimension
of the indices, and at least one before it, and as many updates as indices.
"""

from collections.abc import Iterable

from permafrost.graph.ops.variables import static_shape
from permafrost.graph.protos import NodeDef, node_def_pb2, types_pb2
from permafrost.graph.static import constant
from permafrost.judge.structure.permitted import Place

_MANNERS = ("Update", "Add", "Sub", "Mul", "Div", "Min", "Max")
_ROWS = tuple(f"Scatter{manner}" for manner in _MANNERS)
_POINTS = tuple(f"ScatterNd{manner}" for manner in _MANNERS if manner not in ("Mul", "Div"))
REFERENCE_SCATTERS = (*_ROWS, *_POINTS)
HANDLE_SCATTERS = tuple(f"Resource{op}" for op in REFERENCE_SCATTERS)
_INT = types_pb2.DT_INT32
_ADDING = "Add", "Sub", "Min", "Max"
_COUNTABLE = {
    types_pb2.DT_HALF, types_pb2.DT_BFLOAT16, types_pb2.DT_FLOAT, types_pb2.DT_DOUBLE, types_pb2.DT_INT8,
    types_pb2.DT_INT16, types_pb2.DT_INT32, types_pb2.DT_INT64, types_pb2.DT_UINT8, types_pb2.DT_UINT16,
    types_pb2.DT_UINT32, types_pb2.DT_UINT64,
}  # fmt: skip
_COMPLEX = {types_pb2.DT_COMPLEX64, types_pb2.DT_COMPLEX128}

# A node beside a scatter: what its name ends in, its op, its inputs (names of others before it, or one of `variable`,
# `indices` and `updates` of the scatter), and its attributes, of which `T` and `I` stand for the scatter's own dtypes.
_Line = tuple[str, str, tuple[str, ...], dict[str, int | str]]
_ALWAYS: tuple[_Line, ...] = (("first", "Const", (), {}), ("last", "Const", (), {}))
_OUTER: tuple[_Line, ...] = (
    ("column", "ExpandDims", ("@indices", "last"), {"T": "I", "Tdim": _INT}),
    ("indices", "ExpandDims", ("column", "first"), {"T": "I", "Tdim": _INT}),
)
_TAKEN: tuple[_Line, ...] = (
    ("rows", "GatherV2", ("@variable", "@indices", "first"), {"Tparams": "T", "Tindices": "I", "Taxis": _INT}),
)
_FILLED: tuple[_Line, ...] = (
    ("rows_shape", "Shape", ("rows",), {"T": "T", "out_type": _INT}),
    ("shape", "Shape", ("@updates",), {"T": "T", "out_type": _INT}),
    ("rank", "Shape", ("shape",), {"T": _INT, "out_type": _INT}),
    ("below", "AddV2", ("rank", "last"), {"T": _INT}),
    ("size", "Minimum", ("below", "first"), {"T": _INT}),
    ("begin", "ExpandDims", ("first", "first"), {"T": _INT, "Tdim": _INT}),
    ("head", "Slice", ("rows_shape", "begin", "size"), {"T": _INT, "Index": _INT}),
    ("whole", "ConcatV2", ("head", "shape", "first"), {"T": _INT, "Tidx": _INT}),
    ("spread", "BroadcastTo", ("@updates", "whole"), {"T": "T", "Tidx": _INT}),
)
_CALLED_Z = ("below", "size", "computed")


def expected(before: NodeDef, variable: str, place: Place) -> list[NodeDef]:
    """What a scatter of the meta graph has to be, and after it the nodes that have to stand beside it.

    Args:
      variable: the variable or argument that it writes to.
    Inputs are named as in the meta graph. Empty where the scatter may not be frozen: in a while loop, of a dtype that
    the op for tensors lacks, or where that would give something else in some case.
    """
    data = [text for text in before.input if not text.startswith("^")]
    if len(data) != 3 or any(map(place.loops_of, before.input)) or not _is_safe(before, data, variable, place):
        return []
    manner = before.op[-3:] if not before.op.endswith("Update") else "Update"
    op = f"TensorScatter{manner if manner in _ADDING else 'Update'}"
    scatter = node_def_pb2.NodeDef(name=before.name, op=op)
    scatter.attr["T"].type, scatter.attr["Tindices"].type = _dtype(before), before.attr["Tindices"].type
    controls = [text for text in before.input if text.startswith("^")]
    if before.op.removeprefix("Resource") in _POINTS:
        scatter.input.extend([*data, *controls])
        if "bad_indices_policy" in before.attr:
            scatter.attr["bad_indices_policy"].CopyFrom(before.attr["bad_indices_policy"])
        return [scatter]
    beside = _Beside(before, data, place, _lines(manner, _is_list(place, data[2])))
    scatter.input.extend([data[0], beside.text("indices"), beside.text("updates"), *controls])
    return [scatter, *beside.nodes]


def _dtype(before: NodeDef) -> int:
    return int((before.attr["T"] if "ScatterNd" in before.op or before.op in _ROWS else before.attr["dtype"]).type)


def _is_safe(before: NodeDef, data: list[str], variable: str, place: Place) -> bool:
    dtype, nodes = _dtype(before), place.body.nodes
    shape = static_shape(nodes[variable]) if variable in nodes else None
    if shape is not None and not all(shape):
        return False
    indices, updates = (constant(nodes.get(place.body.source(text))) for text in data[1:])
    once = indices is not None and indices.size == len(frozenset(indices.flatten().tolist()))
    if before.op.endswith("Div"):
        return once and updates is not None and bool(updates.all()) and dtype in _COUNTABLE
    if before.op.endswith("Mul"):
        return once and dtype in _COUNTABLE | _COMPLEX
    if before.op.endswith(("Min", "Max")):
        return dtype in _COUNTABLE
    simple = {types_pb2.DT_BOOL, types_pb2.DT_STRING} if before.op.endswith("Update") else set()
    return dtype in _COUNTABLE | _COMPLEX | simple


def _is_list(place: Place, text: str) -> bool:
    """Whether an input is a constant of one or more dimensions."""
    node = place.body.nodes.get(place.body.source(text))
    return node is not None and node.op == "Const" and len(node.attr["value"].tensor.tensor_shape.dim) > 0


def _lines(manner: str, is_list: bool) -> list[_Line]:
    product: dict[str, int | str] = {"T": "T"}
    made = "@updates" if is_list else "spread"
    lines = [*_ALWAYS, *_OUTER]
    if manner in ("Mul", "Div") or not is_list:
        lines += _TAKEN
    if not is_list:
        lines += _FILLED
    if manner in ("Mul", "Div"):
        lines.append(("computed", manner, ("rows", made), product))
        made = "computed"
    return [*lines, ("updates", "ExpandDims", (made, "first"), {"T": "T", "Tdim": _INT})]


class _Beside:
    """The nodes beside a scatter, as `lines` say."""

    def __init__(self, before: NodeDef, data: list[str], place: Place, lines: Iterable[_Line]):
        self._before, self._place = before, place
        self._texts = dict(zip(("@variable", "@indices", "@updates"), data, strict=True))
        self.nodes: list[NodeDef] = []
        for line in lines:
            self.nodes.append(self._node(*line))

    def text(self, end: str) -> str:
        """How an input names one of the nodes."""
        return self._texts[end]

    def _node(self, end: str, op: str, inputs: tuple[str, ...], types: dict[str, int | str]) -> NodeDef:
        name = self._free(f"{self._before.name}/{end}")
        node = node_def_pb2.NodeDef(name=name, op=op, input=[self._texts[text] for text in inputs])
        own = {"T": _dtype(self._before), "I": self._before.attr["Tindices"].type}
        for key, dtype in types.items():
            node.attr[key].type = own[dtype] if isinstance(dtype, str) else dtype
        if op == "Const":
            _fill(node, 0 if end == "first" else -1)
        if op == "ConcatV2":
            node.attr["N"].i = 2
        self._texts[end] = self._place.body.reference(name, "z" if end in _CALLED_Z else "output")
        return node

    def _free(self, name: str) -> str:
        taken, number, found = self._place.names, 0, name
        while found in taken:
            number += 1
            found = f"{name}_{number}"
        return found


def _fill(node: NodeDef, value: int) -> None:
    node.attr["dtype"].type = _INT
    tensor = node.attr["value"].tensor
    tensor.dtype = _INT
    tensor.tensor_shape.SetInParent()
    tensor.int_val.append(value)
