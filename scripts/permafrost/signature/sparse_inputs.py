"""Sparse tensors among the inputs: their three parts, fed apart, have to fit together.

A SparseTensor is fed as indices (int64, [n, rank]), values ([n]) and a dense shape (int64, [rank]). Which three belong
together is what an op that takes all three says in its definition, or what tf.sparse_placeholder has named them.
"""

from collections.abc import Callable, Iterator
from typing import TypeVar

from msgspec import UNSET
from msgspec.structs import replace

from permafrost import input_kinds as kinds
from permafrost.graph.index import GraphIndex, tensor_name
from permafrost.graph.ops.registry import registered
from permafrost.graph.protos import NodeDef

Part = TypeVar("Part", kinds.Indices, kinds.Sizes)
WeightShape = Callable[[NodeDef], list[int] | None]

_PARTS = ("indices", "values", "shape")
# On the way from a part to the op: ops that hand on what they take first, such as those of a dropout on sparse values.
_HANDING_ON = {"Identity", "Cast", "Gather", "GatherV2", "Reshape", "Mul", "RealDiv", "StopGradient", "Relu"}


def fit(index: GraphIndex, own: set[str], specs: kinds.Inputs, weight_shape: WeightShape) -> None:
    """Changes, in place, the descriptions of inputs that are the parts of one sparse tensor.

    The indices become Indices and the dense shape Sizes; the values get the shape [n] of the batch, with one entry in
    each row.
    Args:
      own: the nodes between the inputs and the outputs.
      specs: those whose values the settings give are left alone.
      weight_shape: gives the shape of the weight that a NodeDef reads, or None.
    """
    fit_parts(specs, [*_of_ops(index, own, specs, weight_shape), *((parts, None) for parts in _named(specs))])


def fit_parts(specs: kinds.Inputs, found: list[tuple[tuple[str, str, str], int | None]]) -> None:
    """As fit, for (indices, values, shape) of each sparse tensor, and the number of its columns or None."""
    for parts, columns in sorted(found, key=lambda found: found[1] is None):
        if any(isinstance(specs[name], kinds.Value | kinds.File | kinds.Indices | kinds.Sizes) for name in parts):
            continue
        indices, values, shape = (specs[name] for name in parts)
        rank = _rank(indices, shape)
        size: kinds.Shape = [*[None] * (rank - 1), columns if rank > 1 else None]
        why = f"a sparse tensor with {parts[1]}"
        specs[parts[0]] = _part(kinds.Indices, indices, [None, rank], why, size)
        specs[parts[1]] = batched(values, [None])
        specs[parts[2]] = _part(kinds.Sizes, shape, [rank], why, size)


def batched(spec: kinds.Input, shape: kinds.Shape) -> kinds.Input:
    """A description with another shape, which nothing guesses."""
    return replace(spec, shape=shape, open=[])


def _rank(indices: kinds.Input, shape: kinds.Input) -> int:
    rank = indices.shape[1] if indices.shape and len(indices.shape) == 2 else None
    return rank or (shape.shape[0] if shape.shape else None) or 2


def _part(kind: type[Part], spec: kinds.Input, shape: kinds.Shape, why: str, size: kinds.Shape) -> Part:
    low, high = (spec.low, spec.high) if isinstance(spec, kinds.Integers | kinds.Uniform) else (UNSET, UNSET)
    return kind(spec.dtype, shape, why, [], size=size, low=low, high=high)


def _of_ops(
    index: GraphIndex, own: set[str], specs: kinds.Inputs, weight_shape: WeightShape
) -> Iterator[tuple[tuple[str, str, str], int | None]]:
    """(indices, values, shape) and the number of columns, where a weight tells it, for each op that takes all three."""
    for name in sorted(own):
        node, op = index.nodes[name], index.ops[name]
        definition = registered(op) if "Sparse" in op else None
        if definition is None or any(argument.number_attr for argument in definition.input_arg):
            continue
        arguments = [argument.name for argument in definition.input_arg]
        for start in sorted({argument.removesuffix("indices") for argument in arguments if "indices" in argument}):
            found = [_position(arguments, start, part) for part in _PARTS]
            positions = [position for position in found if position is not None]
            if len(positions) < len(found):
                continue
            indices, values, shape = (_origin(index, node, position, specs) for position in positions)
            parts = (indices, values, shape)
            if all(parts) and len(set(parts)) == 3:
                yield parts, _columns(index, node, weight_shape)


def _position(arguments: list[str], start: str, part: str) -> int | None:
    others = ("dense_shape", "output_shape") if part == "shape" else ()
    return next((arguments.index(name) for name in (start + part, *others) if name in arguments), None)


def _origin(index: GraphIndex, node: NodeDef, position: int, specs: kinds.Inputs) -> str:
    """The input of the model that comes to an op at `position`; empty where another op has made it."""
    for _ in range(10):
        sources = index.inputs_of(node)
        if position >= len(sources):
            return ""
        name = "{}:{}".format(*sources[position])
        if name in specs:
            return name
        node, position = index.nodes[sources[position][0]], 0
        if node.op not in _HANDING_ON:
            return ""
    return ""


def _columns(index: GraphIndex, node: NodeDef, weight_shape: WeightShape) -> int | None:
    if node.op != "SparseTensorDenseMatMul" or node.attr["adjoint_a"].b:
        return None
    weight = weight_shape(index.nodes[index.inputs_of(node)[3][0]])
    if not weight or len(weight) != 2:
        return None
    columns = weight[1] if node.attr["adjoint_b"].b else weight[0]
    return columns if columns > 0 else None


def _named(specs: kinds.Inputs) -> Iterator[tuple[str, str, str]]:
    """The parts that tf.sparse_placeholder names `x/indices`, `x/values` and `x/shape`."""
    for name in specs:
        scope, _, part = tensor_name(name)[0].rpartition("/")
        indices, values, shape = (f"{scope}/{part}:0" for part in _PARTS)
        if part == "values" and all(other in specs for other in (indices, values, shape)):
            yield indices, values, shape
