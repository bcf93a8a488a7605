"""What shape the elements of an array have: as TensorFlow infers it, and from which tensors a run can tell the rest.

A list reserves its elements before any is written, and TensorFlow Lite has to know then how large they are. A dimension
that no constant tells is looked for where it comes from: through a loop's ops to a tensor outside of it.
"""

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import tensor_util

from permafrost.exporter.tflite import arrays
from permafrost.exporter.tflite.arrays import Array
from permafrost.exporter.tflite.frames import in_loops
from permafrost.graph.index import GraphIndex, TensorName
from permafrost.graph.protos import GraphDef, NodeDef
from permafrost.graph.tensorflow_import import import_to_look_at

Sizes = list[int | None]
_Axis = tuple[TensorName, int, int]  # an axis of a tensor, and how many it has

_SAME = {
    "Identity", "Relu", "Relu6", "Elu", "Selu", "LeakyRelu", "Sigmoid", "Tanh", "Softplus", "Softsign", "Exp", "Neg",
    "BiasAdd", "Switch", "Softmax", "StopGradient", "Cast", "ZerosLike", "OnesLike", "Enter", "Exit", "NextIteration",
    "LogSoftmax", "Square", "Sqrt", "Log", "Abs", "Floor", "PlaceholderWithDefault", "CheckNumerics",
}  # fmt: skip
_BROADCAST = {"Add", "AddV2", "Sub", "Mul", "RealDiv", "Div", "Maximum", "Minimum", "SquaredDifference", "AddN"}
_MOST_STEPS = 400


@dataclass(frozen=True)
class Dimension:
    """A dimension: `size` where it is known, `source` where a run can tell it: (node, output, axis) of a tensor.

    dtype: the DataType of that tensor.
    """

    size: int | None = None
    source: tuple[str, int, int] | None = None
    dtype: int = 0


@dataclass(frozen=True)
class Elements:
    """The shape of an array's elements; dimensions: None for an unknown rank."""

    dimensions: tuple[Dimension, ...] | None = None

    @property
    def known(self) -> int | list[int]:
        """As a list op takes it: -1 for what is unknown."""
        if self.dimensions is None:
            return -1
        return [-1 if each.size is None else each.size for each in self.dimensions]

    @property
    def has_sources(self) -> bool:
        """Whether a run can tell a dimension that no constant tells."""
        return any(each.source is not None for each in self.dimensions or ())


@dataclass
class ElementShapes:
    """The shapes of the elements of arrays, by the name of the node that makes the array."""

    arrays: dict[str, Elements] = field(default_factory=dict)

    def of_array(self, array: Array) -> Elements:
        """The shape of an array's elements."""
        return self.arrays.get(array.node.name) or Elements(_dimensions(_declared(array)))

    @classmethod
    def of(cls, graph_def: GraphDef, rewritten: GraphDef, found: Iterable[Array]) -> "ElementShapes":
        """What TensorFlow infers of a graph in which lists stand for its arrays already.

        Args:
          graph_def: the graph with its arrays. rewritten: the one with lists. found: the arrays of `graph_def`.
        """
        index, inferred = GraphIndex(graph_def), _Inferred(rewritten)
        held = list(found)
        sizes = {array.node.name: _sizes(index, inferred, array) for array in held}
        walk = _Walk(index, inferred, held)
        return cls({array.node.name: walk.elements(array, sizes[array.node.name]) for array in held})


def _declared(array: Array) -> Sizes | None:
    """The shape of the elements that an array states."""
    return _listed(array.node.attr["element_shape"].shape) if "element_shape" in array.node.attr else None


def _listed(shape: Any) -> Sizes | None:
    return None if shape.unknown_rank else [None if each.size < 0 else int(each.size) for each in shape.dim]


def _dimensions(sizes: Sizes | None) -> tuple[Dimension, ...] | None:
    # Programs of early versions state a shape without dimensions where they know none.
    return tuple(Dimension(size) for size in sizes) if sizes else None


class _Inferred:
    """The shapes and dtypes that TensorFlow infers of a graph that is not run."""

    def __init__(self, graph_def: GraphDef):
        self._graph = tf.Graph()
        with self._graph.as_default():
            import_to_look_at(copy.deepcopy(graph_def))

    def sizes(self, tensor: TensorName) -> Sizes | None:
        """The shape of a tensor; None for an unknown rank."""
        shape = self._tensor(tensor).shape
        return None if shape.rank is None else list(shape.as_list())

    def dtype(self, tensor: TensorName) -> int:
        """The DataType of a tensor."""
        return int(self._tensor(tensor).dtype.as_datatype_enum)

    def has(self, tensor: TensorName) -> bool:
        """Whether the graph has a tensor."""
        try:
            return self._tensor(tensor) is not None
        except (KeyError, ValueError):
            return False

    def _tensor(self, tensor: TensorName) -> Any:
        return self._graph.get_tensor_by_name(f"{tensor[0]}:{tensor[1]}")


def _sizes(index: GraphIndex, inferred: _Inferred, array: Array) -> Sizes | None:
    """What is written and what the array states, as far as they agree."""
    sizes = _declared(array) or None
    for tensor, dropped in written(index, array):
        seen = inferred.sizes(tensor)
        sizes = _merged(sizes, None if seen is None else seen[dropped:])
    return sizes


def written(index: GraphIndex, array: Array) -> Iterator[tuple[TensorName, int]]:
    """The tensors that are written into an array, with how many of their dimensions count elements."""
    for member in array.members:
        inputs = index.inputs_of(member)
        match arrays.kind_of(member):
            case arrays.WRITE:
                yield inputs[2], 0
            case arrays.SCATTER:
                yield inputs[1 if "Unpack" in member.op else 2], 1


def _merged(one: Sizes | None, other: Sizes | None) -> Sizes | None:
    if one is None or other is None:
        return other if one is None else one
    if len(one) != len(other):
        return None
    return [b if a is None else a if b is None or a == b else None for a, b in zip(one, other, strict=True)]


class _Walk:
    """Looks for the tensors outside of loops that tell a dimension of what is written in them."""

    def __init__(self, index: GraphIndex, inferred: _Inferred, found: list[Array]):
        self._index, self._inferred = index, inferred
        self._arrays = {member.name: array for array in found for member in array.members}
        self._inner = in_loops(index)

    def elements(self, array: Array, sizes: Sizes | None) -> Elements:
        """The elements of an array, of which the known sizes are given."""
        found = self._of_rank(array) if sizes is None else sizes
        if found is None or array.node.name in self._inner:
            return Elements(_dimensions(sizes))
        return Elements(tuple(self._dimension(array, axis, found) for axis in range(len(found))))

    def _of_rank(self, array: Array) -> Sizes | None:
        """Open sizes, as many as what is written has where TensorFlow infers no rank of it: as its operands have."""
        for tensor, dropped in written(self._index, array):
            for before in self._alike(tensor):
                sizes = self._inferred.sizes(before) if self._inferred.has(before) else None
                if sizes:
                    return [None] * (len(sizes) - dropped)
        return None

    def _alike(self, tensor: TensorName) -> Iterator[TensorName]:
        """The tensors that have as many dimensions as one, the nearest first."""
        waiting, seen = [tensor], set[TensorName]()
        while waiting and len(seen) < _MOST_STEPS:
            tensor = waiting.pop(0)
            if tensor in seen or tensor[0] not in self._index.nodes:
                continue
            seen.add(tensor)
            yield tensor
            node = self._index.nodes[tensor[0]]
            if node.op in _SAME:
                waiting += self._index.inputs_of(node)[:1]
            elif node.op in _BROADCAST or node.op == "Merge":
                waiting += self._index.inputs_of(node)

    def _dimension(self, array: Array, axis: int, sizes: Sizes) -> Dimension:
        if sizes[axis] is not None:
            return Dimension(sizes[axis])
        for tensor, dropped in written(self._index, array):
            if (found := self._find((tensor, axis + dropped, len(sizes) + dropped))) is not None:
                return found
        return Dimension()

    def _find(self, place: _Axis) -> Dimension | None:
        waiting, seen = [place], set[_Axis]()
        while waiting and len(seen) < _MOST_STEPS:
            place = waiting.pop(0)
            tensor, axis, rank = place
            if place in seen or not self._inferred.has(tensor):
                continue
            seen.add(place)
            sizes = self._inferred.sizes(tensor)
            if sizes is not None and len(sizes) != rank:
                continue
            if sizes is not None and sizes[axis] is not None:
                return Dimension(sizes[axis])
            if tensor[0] not in self._inner:
                return Dimension(source=(*tensor, axis), dtype=self._inferred.dtype(tensor))
            waiting += self._before(place)
        return None

    def _before(self, place: _Axis) -> list[_Axis]:
        """The tensors that have a dimension of one that an op in a loop gives, as one of theirs."""
        tensor, axis, rank = place
        node = self._index.nodes[tensor[0]]
        inputs = self._index.inputs_of(node)
        if node.op in _SAME:
            return [(inputs[0], axis, rank)]
        if node.op == "Merge":
            return [(each, axis, rank) for each in inputs]
        if node.op in _BROADCAST:
            return [(each, axis, rank) for each in inputs if not self._is_spread(each, axis)]
        if node.op in ("Select", "SelectV2"):
            return [(each, axis, rank) for each in inputs[1:]]
        if array := self._arrays.get(node.name):
            return [(each, axis + dropped, rank + dropped) for each, dropped in written(self._index, array)]
        return self._before_layer(node, inputs, place)

    def _before_layer(self, node: NodeDef, inputs: list[TensorName], place: _Axis) -> list[_Axis]:
        _, axis, rank = place
        if node.op == "MatMul":
            turned = node.attr["transpose_a" if axis == 0 else "transpose_b"].b
            return [(inputs[axis], 1 - axis if turned else axis, rank)]
        number, parts = {
            "ConcatV2": (inputs[-1], inputs[:-1]), "Concat": (inputs[0], inputs[1:]), "Split": (inputs[0], inputs[1:]),
        }.get(node.op, (("", 0), []))  # fmt: skip
        return [(each, axis, rank) for each in parts if self._is_elsewhere(number, axis, rank)]

    def _is_spread(self, tensor: TensorName, axis: int) -> bool:
        """Whether a tensor may be spread along an axis."""
        sizes = self._inferred.sizes(tensor)
        return sizes is not None and axis < len(sizes) and sizes[axis] == 1

    def _is_elsewhere(self, number: TensorName, axis: int, rank: int) -> bool:
        """Whether the axis that a constant tells is another one than `axis`."""
        node = self._index.nodes.get(number[0])
        if node is None or node.op != "Const":
            return False
        return int(tensor_util.MakeNdarray(node.attr["value"].tensor).reshape(-1)[0]) % rank != axis
