"""Damages frozen graphs in every way that a faulty freezer or a mixed-up zoo could."""

import copy
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from permafrost.checkpoint.reader import open_checkpoint
from permafrost.graph import graph_sources
from permafrost.graph.index import GraphIndex
from permafrost.graph.static import constant
from permafrost.records import ImportRecord

OPS = {
    "Relu": "Tanh", "Tanh": "Sigmoid", "Sigmoid": "Tanh", "MaxPool": "AvgPool", "Add": "Sub", "AddV2": "Sub",
    "Sub": "Add", "Mul": "Add", "Softmax": "LogSoftmax", "Max": "Min", "Mean": "Sum", "Sum": "Mean", "ArgMax": "ArgMin",
}  # fmt: skip


def changed(graph_def, change):
    """A copy of a GraphDef after change(copy)."""
    mutated = copy.deepcopy(graph_def)
    change(mutated)
    return mutated


def node_of(graph_def, name: str):
    return next(node for node in graph_def.node if node.name == name)


def value_of(node) -> np.ndarray:
    return np.array(tf.make_ndarray(node.attr["value"].tensor))


def set_value(node, value: np.ndarray) -> None:
    node.attr["dtype"].type = tf.as_dtype(value.dtype).as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value, shape=value.shape))


def with_value(graph_def, name: str, value: np.ndarray):
    return changed(graph_def, lambda g: set_value(node_of(g, name), value))


def bits(graph_def, name: str) -> Iterator:
    """One bit of one element: the first, middle and last element, the lowest and highest bit."""
    value = value_of(node_of(graph_def, name))
    if value.dtype == object or not value.size:
        return
    for at in sorted({0, value.size // 2, value.size - 1}):
        for bit in (0, 7):
            raw = bytearray(value.tobytes())
            size = value.dtype.itemsize
            raw[at * size + (0 if bit == 0 else size - 1)] ^= 1 << (bit if value.dtype != bool else 0)
            yield with_value(graph_def, name, np.frombuffer(bytes(raw), value.dtype).reshape(value.shape))


class Mutations:
    """All mutations of one frozen graph; each method gives GraphDefs.

    Args:
      weights: names of the constants that were variables.
      record: the model's import record.
      checkpoint: the open checkpoint of the model.
      others: the prefixes of other steps of its series.
    """

    def __init__(self, graph_def, weights: list[str], record: ImportRecord, checkpoint, others: list[str]):
        self.graph_def, self.weights, self.outputs = graph_def, weights, record.outputs
        self._keys = {row.variable: row.key for row in record.variables}
        self._checkpoint, self._others = checkpoint, others
        self._meta = GraphIndex(graph_sources.read(record.graph).graph_def)
        names = {node.name for node in graph_def.node}
        self._constants = [
            n.name for n in graph_def.node if n.op == "Const" and n.name not in weights and n.name in names
        ]

    def one_bit_of_a_weight(self) -> Iterator:
        for name in self.weights:
            yield from bits(self.graph_def, name)

    def two_weights_swapped(self) -> Iterator:
        values = {name: value_of(node_of(self.graph_def, name)) for name in self.weights}
        for first in self.weights:
            for second in self.weights[self.weights.index(first) + 1 :]:
                a, b = values[first], values[second]
                if a.shape == b.shape and a.dtype == b.dtype:
                    yield with_value(with_value(self.graph_def, first, b), second, a)

    def weight_transposed(self) -> Iterator:
        for name in self.weights:
            value = value_of(node_of(self.graph_def, name))
            if value.ndim > 1:
                yield with_value(self.graph_def, name, np.ascontiguousarray(value.T))

    def weight_reshaped(self) -> Iterator:
        for name in self.weights:
            value = value_of(node_of(self.graph_def, name))
            yield with_value(
                self.graph_def, name, value.reshape(value.shape[::-1] if value.ndim > 1 else (1, *value.shape))
            )

    def weight_zero(self) -> Iterator:
        for name in self.weights:
            value = value_of(node_of(self.graph_def, name))
            if value.dtype != object:
                yield with_value(self.graph_def, name, np.zeros_like(value))

    def weight_of_a_slot_or_average(self) -> Iterator:
        """The tensor of another name that has the same shape, such as an average or an optimizer's slot."""
        for name in self.weights:
            value = value_of(node_of(self.graph_def, name))
            for key, tensor in self._checkpoint.tensors.items():
                is_other = key.startswith(f"{self._keys[name]}/") and tuple(tensor.shape) == value.shape
                if is_other and value.dtype.kind == "f":
                    other = np.frombuffer(self._checkpoint.read(key), value.dtype).reshape(value.shape)
                    yield with_value(self.graph_def, name, other)

    def weight_as_it_began(self) -> Iterator:
        """The value of a variable's initializer, where that is a constant."""
        for name in self.weights:
            begun = self._initial(name)
            value = value_of(node_of(self.graph_def, name))
            if begun is not None and begun.dtype == value.dtype:
                yield with_value(self.graph_def, name, np.broadcast_to(begun, value.shape).copy())

    def _initial(self, name: str) -> np.ndarray | None:
        assign = self._meta.nodes.get(f"{name}/Assign")
        source = self._meta.source_of(assign, 1) if assign is not None else None
        while source is not None and source.op in ("Identity", "Fill"):
            source = self._meta.source_of(source, int(source.op == "Fill"))
        return constant(source)

    def weights_of_another_step(self) -> Iterator:
        """All weights as they are in the series' other checkpoints."""
        for prefix in self._others:
            with open_checkpoint(prefix) as other:
                mutated = copy.deepcopy(self.graph_def)
                for name in self.weights:
                    node = node_of(mutated, name)
                    value = value_of(node)
                    if self._keys[name] in other.tensors and value.dtype != object:
                        read = np.frombuffer(other.read(self._keys[name]), value.dtype)
                        set_value(node, read.reshape(value.shape))
                yield mutated

    def nan_put_in(self) -> Iterator:
        for name in self.weights:
            value = value_of(node_of(self.graph_def, name))
            if value.dtype.kind == "f" and value.size:
                value.reshape(-1)[value.size // 2] = np.nan
                yield with_value(self.graph_def, name, value)

    def op_replaced(self) -> Iterator:
        for node in self.graph_def.node:
            if node.op in OPS:
                yield changed(self.graph_def, lambda g, n=node: setattr(node_of(g, n.name), "op", OPS[n.op]))

    def attribute_changed(self) -> Iterator:
        for node in self.graph_def.node:
            for name in node.attr:
                if name in ("dtype", "value", "_class", "_output_shapes", "T"):
                    continue
                mutated = copy.deepcopy(self.graph_def)
                if _change(node_of(mutated, node.name).attr[name]):
                    yield mutated

    def input_dropped(self) -> Iterator:
        for node in self.graph_def.node:
            for position, text in enumerate(node.input):
                if not text.startswith("^"):
                    yield changed(self.graph_def, lambda g, n=node, p=position: node_of(g, n.name).input.pop(p))

    def control_input_dropped(self) -> Iterator:
        for node in self.graph_def.node:
            for position, text in enumerate(node.input):
                if text.startswith("^"):
                    yield changed(self.graph_def, lambda g, n=node, p=position: node_of(g, n.name).input.pop(p))

    def inputs_swapped(self) -> Iterator:
        for node in self.graph_def.node:
            if len(node.input) > 1 and node.input[0] != node.input[1] and not node.input[1].startswith("^"):

                def swap(graph_def, name=node.name):
                    inputs = node_of(graph_def, name).input
                    inputs[0], inputs[1] = inputs[1], inputs[0]

                yield changed(self.graph_def, swap)

    def constant_changed(self) -> Iterator:
        for name in self._constants:
            yield from bits(self.graph_def, name)

    def node_renamed(self) -> Iterator:
        for node in self.graph_def.node:
            if node.op not in ("Placeholder", "PlaceholderWithDefault"):
                yield changed(self.graph_def, lambda g, n=node.name: _rename(g, n, f"{n}_renamed"))

    def output_missing(self) -> Iterator:
        for name in {output.partition(":")[0] for output in self.outputs}:
            yield changed(self.graph_def, lambda g, n=name: _delete(g, n))

    def dtype_changed(self) -> Iterator:
        for name in [*self.weights, *self._constants]:
            value = value_of(node_of(self.graph_def, name))
            if value.dtype.kind in "fi":
                other = {"f": np.float64, "i": np.int64}[value.dtype.kind]
                if value.dtype != other:
                    yield with_value(self.graph_def, name, value.astype(other))

    def op_in_a_function_replaced(self) -> Iterator:
        for at, position, node in self._function_nodes():
            if node.op in OPS:
                yield self._in_function(at, position, lambda n: setattr(n, "op", OPS[n.op]))

    def input_in_a_function_changed(self) -> Iterator:
        for at, position, node in self._function_nodes():
            if len(node.input) > 1 and node.input[0] != node.input[1]:
                yield self._in_function(at, position, lambda n: n.input.__setitem__(0, n.input[1]))

    def constant_in_a_function_changed(self) -> Iterator:
        for at, position, node in self._function_nodes():
            if node.op == "Const" and (value := value_of(node)).dtype.kind in "fi":
                yield self._in_function(at, position, lambda n, v=value: set_value(n, v + v.dtype.type(1)))

    def attribute_in_a_function_changed(self) -> Iterator:
        for at, position, node in self._function_nodes():
            for name in node.attr:
                if name not in ("dtype", "value", "_class", "_output_shapes", "T"):
                    changed_one = self._in_function(at, position, lambda n, a=name: _change(n.attr[a]))
                    if changed_one != self.graph_def:
                        yield changed_one

    def function_s_result_changed(self) -> Iterator:
        for at, function in enumerate(self.graph_def.library.function):
            for name, result in function.ret.items():
                others = [other for other in function.ret.values() if other != result]
                for other in others[:1]:
                    yield changed(
                        self.graph_def, lambda g, a=at, n=name, o=other: g.library.function[a].ret.update({n: o})
                    )

    def _function_nodes(self) -> Iterator[tuple[int, int, object]]:
        for at, function in enumerate(self.graph_def.library.function):
            for position, node in enumerate(function.node_def):
                yield at, position, node

    def _in_function(self, at: int, position: int, change):
        return changed(self.graph_def, lambda g: change(g.library.function[at].node_def[position]))


def _change(value) -> bool:
    """Changes an AttrValue of a kind that a mutation knows; says whether it did."""
    kind = value.WhichOneof("value")
    if kind == "b":
        value.b = not value.b
    elif kind == "i":
        value.i += 1
    elif kind == "f":
        value.f += 0.001
    elif kind == "s":
        value.s = {b"SAME": b"VALID", b"VALID": b"SAME", b"NHWC": b"NCHW"}.get(value.s, value.s + b"x")
    elif kind == "list" and value.list.i:
        value.list.i[len(value.list.i) // 2] += 1
    elif kind == "shape" and value.shape.dim:
        value.shape.dim[0].size = 7
    else:
        return False
    return True


def _rename(graph_def, old: str, new: str) -> None:
    node_of(graph_def, old).name = new
    for node in graph_def.node:
        for at, text in enumerate(node.input):
            control, bare = ("^", text[1:]) if text.startswith("^") else ("", text)
            name, colon, output = bare.partition(":")
            if name == old:
                node.input[at] = f"{control}{new}{colon}{output}"


def _delete(graph_def, name: str) -> None:
    kept = [node for node in graph_def.node if node.name != name]
    del graph_def.node[:]
    graph_def.node.extend(kept)


KINDS = [name for name in vars(Mutations) if not name.startswith("_")]
