"""The closed table of what a node of the meta graph may be in the frozen graph, derived here again for the judge.

It says the same as the freezer's own modules say, in other words and on its own: the freezer makes changes, this
says what a changed node has to look like to the last attribute. Sources: convert_to_constants.py in
tensorflow/python/framework, and for each pair of ops their definitions in TensorFlow's registry.
"""

import itertools
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from permafrost.flow.body import Body
from permafrost.flow.branches import Branches, Conditions
from permafrost.graph.protos import NodeDef, node_def_pb2, types_pb2

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
_READERS = ("ReadVariableOp", "ResourceGather", "ResourceGatherNd", "VariableShape", "VarIsInitializedOp")
# What an output is called in a function before and after: op -> (before, after).
RENAMED_OUTPUTS = {"ReadVariableOp": ("value", "output"), "VarIsInitializedOp": ("is_initialized", "output")}


@dataclass(frozen=True)
class Place:
    """Where a node stands: the body before, the conditions under which its nodes run, and the names that are taken."""

    body: Body
    branches: Branches
    names: Collection[str]

    def runs_by(self, whole: list[str], part: list[str]) -> bool:
        """Whether what waits for the inputs `part` alone runs just where what waits for all of `whole` does."""
        return self.branches.of(*whole) == self.branches.of(*part)

    def loops_of(self, text: str) -> Conditions:
        """The while loops in which an input arrives."""
        return frozenset(each for each in self.branches.of(text) if each.kind == "loop")

    def needs_controls(self, reader: NodeDef) -> bool:
        """Whether a reader has to keep its control inputs: for what is done before it, or for where its value runs."""
        if self.branches.brings_effects(*_controls(reader)):
            return True
        lost = self.branches.of(*reader.input) - self.branches.of(*_data(reader))
        if lost and reader.name in self.body.fetched:
            return True
        return bool(lost) and any(
            not lost <= self._brought_by_others(consumer, reader.name)
            for consumer in self.body.dependents.get(reader.name, ())
        )

    def _brought_by_others(self, consumer: NodeDef, reader: str) -> Conditions:
        if consumer.op in ("Merge", "RefMerge"):
            return frozenset()
        texts: list[str] = []
        for text in consumer.input:
            source = self.body.nodes.get(self.body.source(text))
            if source is None or source.op not in _READERS:
                texts.append(text)
            elif source.name != reader:
                texts += _data(source)
        return self.branches.of(*texts)


def _data(node: NodeDef) -> list[str]:
    return [text for text in node.input if not text.startswith("^")]


def _controls(node: NodeDef) -> list[str]:
    return [text for text in node.input if text.startswith("^")]


def _made(before: Any, op: str, inputs: list[str], **attributes: Any) -> node_def_pb2.NodeDef:
    node = node_def_pb2.NodeDef(name=before.name, op=op, input=inputs)
    for name, value in attributes.items():
        if not isinstance(value, int):
            node.attr[name].CopyFrom(value)
        else:
            node.attr[name].type = value
    return node


def _read_inputs(before: Any, place: Place) -> list[str]:
    """A constant needs no order, so its readers lose their control inputs, unless these have them run on one side."""
    return list(before.input) if place.needs_controls(before) else _data(before)


def _read(before: Any, dtype: int, place: Place) -> Any:
    return _made(before, "Identity", _read_inputs(before, place), T=before.attr["dtype"])


def _gather(before: Any, dtype: int, place: Place) -> Any:
    axis = axis_name(before, place) + (":output:0" if place.body.function is not None else "")
    indices, inputs = before.attr["Tindices"], _read_inputs(before, place)
    node = _made(before, "GatherV2", [*inputs[:2], axis, *inputs[2:]], Tindices=indices, Taxis=indices)
    node.attr["Tparams"].CopyFrom(before.attr["dtype"])
    if "batch_dims" in before.attr and before.attr["batch_dims"].i:
        node.attr["batch_dims"].i = before.attr["batch_dims"].i
    return node


def _gather_nd(before: Any, dtype: int, place: Place) -> Any:
    node = _made(before, "GatherNd", _read_inputs(before, place), Tparams=before.attr["dtype"])
    node.attr["Tindices"].CopyFrom(before.attr["Tindices"])
    return node


def _shape(before: Any, dtype: int, place: Place) -> Any:
    # Asking a map field for a key that it lacks would add it, and the graph is still to be run.
    out_type = (before.attr["out_type"].type if "out_type" in before.attr else 0) or types_pb2.DT_INT32
    return _made(before, "Shape", list(before.input), T=dtype, out_type=out_type)


def _added(before: Any, dtype: int, place: Place) -> Any:
    """Add lacks the larger unsigned integers, and AddV2 has them."""
    is_unsigned = dtype in (types_pb2.DT_UINT16, types_pb2.DT_UINT32, types_pb2.DT_UINT64)
    return _made(before, "AddV2" if is_unsigned else "Add", list(before.input), T=dtype)


def _subtracted(before: Any, dtype: int, place: Place) -> Any:
    return _made(before, "Sub", list(before.input), T=dtype)


def _value(before: Any, dtype: int, place: Place) -> Any:
    inputs = [_data(before)[1], *_controls(before)]
    return _made(before, "Identity", inputs, T=dtype) if place.runs_by(list(before.input), inputs) else None


def _both(before: Any, dtype: int, place: Place) -> Any:
    variable, value = _data(before)
    node = _made(before, "IdentityN", [value, variable, *_controls(before)])
    node.attr["T"].list.type.extend([dtype, dtype])
    return node


def _nothing(before: Any, dtype: int, place: Place) -> Any:
    controls = _controls(before)
    is_right = place.runs_by(list(before.input), controls) and not place.branches.brings_effects(*_data(before))
    return _made(before, "NoOp", controls) if is_right else None


def _twin(before: Any, dtype: int, place: Place) -> Any:
    node = node_def_pb2.NodeDef()
    node.CopyFrom(before)
    node.op = before.op.removeprefix("Ref")
    return node


# (op before, op after) -> function of (NodeDef before, DataType of the variable, Place) giving the NodeDef after, or
# None where it may not become that.
CONVERSIONS = {
    ("ReadVariableOp", "Identity"): _read,
    ("ResourceGather", "GatherV2"): _gather,
    ("ResourceGatherNd", "GatherNd"): _gather_nd,
    ("VariableShape", "Shape"): _shape,
    ("Assign", "Identity"): _value,
    ("Assign", "IdentityN"): _both,
    ("AssignAdd", "Add"): _added,
    ("AssignAdd", "AddV2"): _added,
    ("AssignSub", "Sub"): _subtracted,
    ("AssignVariableOp", "Identity"): _value,
    ("AssignVariableOp", "IdentityN"): _both,
    ("AssignAddVariableOp", "Add"): _added,
    ("AssignAddVariableOp", "AddV2"): _added,
    ("AssignSubVariableOp", "Sub"): _subtracted,
} | {(f"Ref{op}", op): _twin for op in REFERENCE_TWINS}
# What a write of a resource may become as well, where no read takes what it writes.
UNREAD = {
    (op, twin): make
    for op in ("AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp")
    for twin, make in (("NoOp", _nothing), ("Identity", _value), ("IdentityN", _both))
}


def axis_name(gather: NodeDef, place: Place) -> str:
    """What the constant is called that a converted ResourceGather takes as its axis: the first name that is free."""
    names = itertools.chain([f"{gather.name}/axis"], (f"{gather.name}/axis_{k}" for k in itertools.count(1)))
    return next(name for name in names if name not in place.names)


def gather_axis(gather: NodeDef, name: str, place: Place) -> node_def_pb2.NodeDef:
    """The Const that a converted ResourceGather takes as its axis; in a loop it waits for the indices."""
    dtype = gather.attr["Tindices"].type
    node = node_def_pb2.NodeDef(name=name, op="Const")
    if any(map(place.loops_of, _data(gather))):
        node.input.append(f"^{place.body.source(_data(gather)[1])}")
    node.attr["dtype"].type = dtype
    tensor = node.attr["value"].tensor
    tensor.dtype = dtype
    tensor.tensor_shape.SetInParent()
    values = tensor.int64_val if dtype == types_pb2.DT_INT64 else tensor.int_val
    values.append(gather.attr["batch_dims"].i if "batch_dims" in gather.attr else 0)
    return node


def initialized(before: Any, value: bool, place: Place) -> node_def_pb2.NodeDef | None:
    """The Const that stands for whether a variable has a value; None where it would run where the node did not."""
    if not place.runs_by(list(before.input), _controls(before)):
        return None
    node = _made(before, "Const", _controls(before), dtype=types_pb2.DT_BOOL)
    tensor = node.attr["value"].tensor
    tensor.dtype = types_pb2.DT_BOOL
    tensor.tensor_shape.SetInParent()
    tensor.bool_val.append(value)
    return node
