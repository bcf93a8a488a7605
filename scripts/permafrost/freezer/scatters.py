"""Writes to a part of a variable, as the ops that give all of it then: TensorScatterUpdate and its kin.

A TensorScatter* takes no scalar for all rows, and no single index, as the ops for variables do. So the indices and what
is written get one more dimension in front, and what is written is spread over the rows where it is a scalar.
"""

from typing import Any

from permafrost.flow.body import Body, controls
from permafrost.graph.dtypes import dtype_name
from permafrost.graph.ops.variables import REF_SCATTERS, RESOURCE_SCATTERS, static_shape
from permafrost.graph.protos import NodeDef, types_pb2
from permafrost.outcome import Problem

SCATTERS = REF_SCATTERS | RESOURCE_SCATTERS
_COMPLEX = ("complex64", "complex128")
_NUMBERS = (
    "half", "bfloat16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
)  # fmt: skip
# Manner of a scatter -> the dtypes that the op in its place computes with as it does.
_DTYPES = {
    "Update": (*_NUMBERS, *_COMPLEX, "bool", "string"),
    "Add": (*_NUMBERS, *_COMPLEX),
    "Sub": (*_NUMBERS, *_COMPLEX),
    "Mul": (*_NUMBERS, *_COMPLEX),
    "Div": _NUMBERS,
    "Min": _NUMBERS,
    "Max": _NUMBERS,
}
# These have to read the rows first, which is right where no row is written twice.
_COMPUTED = ("Mul", "Div")


def dtype_of_write(node: NodeDef) -> int:
    """The DataType of what a scatter writes."""
    return int(node.attr["dtype" if node.op.startswith("Resource") and "Nd" not in node.op else "T"].type)


def refuse(body: Body, node: NodeDef, variable: str, in_loop: bool) -> None:
    """Raises Problem (unsupported_op) for a scatter for which no op without a variable gives the same in each case.

    Args:
      variable: the variable or argument that is written to.
      in_loop: whether it is in a while loop, where the constants that it would take cannot be.
    """
    if in_loop:
        raise _refused(node, "writes in a loop")
    name, manner = dtype_name(dtype_of_write(node)), node.op.rpartition("Scatter")[2].removeprefix("Nd")
    if name not in _DTYPES[manner]:
        raise _refused(node, f"writes {name}, as no op without a variable can in the same way")
    source = body.nodes.get(variable)
    if source is not None and 0 in (static_shape(source) or ()):
        raise _refused(node, f"writes to variable {variable!r}, which has no elements")
    if manner in _COMPUTED and not _are_distinct(body, node.input[1]):
        raise _refused(node, "may write a row more than once, and no other op then rounds in the same order")
    if manner == "Div" and not _are_not_zero(body, node.input[2]):
        raise _refused(node, "may divide by 0, of which no other op says what it says")


def _refused(node: NodeDef, how: str) -> Problem:
    return Problem("unsupported_op", f"node {node.name!r} ({node.op}) {how}")


def _are_distinct(body: Body, text: str) -> bool:
    indices = _constant(body, text)
    return indices is not None and len(set(indices.reshape(-1).tolist())) == indices.size


def _are_not_zero(body: Body, text: str) -> bool:
    values = _constant(body, text)
    return values is not None and bool((values != 0).all())


def _constant(body: Body, text: str) -> Any:
    from permafrost.graph.static import constant  # Only here: it loads numpy, which most graphs do without.

    node = body.nodes.get(body.source(text))
    return constant(node) if node is not None else None


def convert(body: Body, node: NodeDef) -> None:
    """Makes of a scatter, in place, the op that gives the variable's new value; appends the nodes that it needs."""
    data, own = [text for text in node.input if not text.startswith("^")], controls(node)
    dtype, op, indices_dtype = dtype_of_write(node), node.op, node.attr["Tindices"].type
    kept: tuple[str, ...] = ("Tindices",)
    if "ScatterNd" in op:
        kept = ("Tindices", "bad_indices_policy")
    else:
        data[1:] = _Beside(body, node.name, dtype, indices_dtype).prepared(op, data)
    body.rewrite(node, SCATTERS[op], [*data, *own], kept)
    node.attr["T"].type = dtype


class _Beside:
    """The nodes that stand beside a scatter of rows, named after it."""

    def __init__(self, body: Body, name: str, dtype: int, indices_dtype: int):
        self._body, self._name, self._dtype, self._indices_dtype = body, name, dtype, indices_dtype
        self._first = self._number("first", 0)
        self._last = self._number("last", -1)

    def prepared(self, op: str, data: list[str]) -> list[str]:
        """The indices and the updates for a TensorScatter*, for the data inputs of a scatter `op`."""
        variable, indices, updates = data
        column = self._expanded("column", indices, self._indices_dtype, self._last)
        placed = self._expanded("indices", column, self._indices_dtype, self._first)
        computed = next((each for each in _COMPUTED if op.endswith(each)), "")
        is_scalar_possible = _may_be_scalar(self._body, updates)
        if computed or is_scalar_possible:
            rows = self._rows(variable, indices)
        if is_scalar_possible:
            updates = self._spread(rows, updates)
        if computed:
            updates = self._add("computed", computed, [rows, updates], "z", T=self._dtype)
        return [placed, self._expanded("updates", updates, self._dtype, self._first)]

    def _rows(self, variable: str, indices: str) -> str:
        text = self._add("rows", "GatherV2", [variable, indices, self._first], Tparams=self._dtype)
        attributes = self._body.container[-1].attr
        attributes["Tindices"].type, attributes["Taxis"].type = self._indices_dtype, types_pb2.DT_INT32
        return text

    def _spread(self, rows: str, updates: str) -> str:
        """`updates` as it is, or over all `rows` where it is a scalar; other shapes stay, to be refused by the scatter.

        The shape is that of the rows, as far as a rank of 0 has the size -1 (all of it) and any other the size 0, and
        then that of the updates.
        """
        int32 = types_pb2.DT_INT32
        whole = self._add("rows_shape", "Shape", [rows], T=self._dtype, out_type=int32)
        own = self._add("shape", "Shape", [updates], T=self._dtype, out_type=int32)
        rank = self._add("rank", "Shape", [own], T=int32, out_type=int32)
        below = self._add("below", "AddV2", [rank, self._last], "z", T=int32)
        size = self._add("size", "Minimum", [below, self._first], "z", T=int32)
        begin = self._add("begin", "ExpandDims", [self._first, self._first], T=int32, Tdim=int32)
        head = self._add("head", "Slice", [whole, begin, size], T=int32, Index=int32)
        shape = self._add("whole", "ConcatV2", [head, own, self._first], T=int32, Tidx=int32)
        self._body.container[-1].attr["N"].i = 2
        return self._add("spread", "BroadcastTo", [updates, shape], T=self._dtype, Tidx=int32)

    def _expanded(self, suffix: str, text: str, dtype: int, axis: str) -> str:
        return self._add(suffix, "ExpandDims", [text, axis], T=dtype, Tdim=types_pb2.DT_INT32)

    def _number(self, suffix: str, value: int) -> str:
        text = self._add(suffix, "Const", [], dtype=types_pb2.DT_INT32)
        tensor = self._body.container[-1].attr["value"].tensor
        tensor.dtype = types_pb2.DT_INT32
        tensor.tensor_shape.SetInParent()
        tensor.int_val.append(value)
        return text

    def _add(self, suffix: str, op: str, inputs: list[str], output: str = "output", **types: int) -> str:
        made = self._body.container.add(name=self._body.unused(f"{self._name}/{suffix}"), op=op, input=inputs)
        for key, value in types.items():
            made.attr[key].type = value
        return self._body.reference(made.name, output)


def _may_be_scalar(body: Body, text: str) -> bool:
    """Whether an input may be a scalar; it is none where it is a constant with dimensions."""
    node = body.nodes.get(body.source(text))
    return node is None or node.op != "Const" or not node.attr["value"].tensor.tensor_shape.dim
